//! ReLU linear attention: keys and values are summed once for all queries.

use super::simd::{Isa, Kernel, Simd};
use super::threads::{SharedSlice, for_each_task, with_scratch};

/// Attends head by head: `ReLU(q) · Σ ReLU(k)ᵀ v / (ReLU(q) · Σ ReLU(k) + ε)`, on all threads.
///
/// # Shapes
/// - `qkv`: `[tokens, heads · 3 · dim]`, each head's queries, keys and values side by side
/// - `output`: `[tokens, heads · dim]`
pub fn linear_attention(qkv: &[f32], heads: usize, dim: usize, epsilon: f32, output: &mut [f32]) {
    let tokens = output.len() / (heads * dim).max(1);
    assert_eq!(output.len(), tokens * heads * dim, "the output's size");
    assert_eq!(qkv.len(), 3 * output.len(), "queries, keys and values");
    let isa = Isa::best();
    let output = SharedSlice::new(output);
    for_each_task(heads, |head| {
        with_scratch(dim * dim + dim, |scratch| {
            isa.run(Head { qkv, head, heads, dim, tokens, epsilon, output: &output, scratch });
        });
    });
}

struct Head<'a> {
    qkv: &'a [f32],
    head: usize,
    heads: usize,
    dim: usize,
    tokens: usize,
    epsilon: f32,
    output: &'a SharedSlice<'a>,
    /// `[dim, dim]` sums of products of keys and values, then `[dim]` sums of keys.
    scratch: &'a mut [f32],
}

impl Kernel for Head<'_> {
    // Plain loops over a head's few channels: the compiler makes vectors of the set's length of them.
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { qkv, head, heads, dim, tokens, epsilon, output, scratch } = self;
        let (products, keys) = scratch.split_at_mut(dim * dim);
        products.fill(0.0);
        keys.fill(0.0);
        let part = |token: usize, index: usize| &qkv[(token * heads + head) * 3 * dim + index * dim..][..dim];
        for token in 0..tokens {
            let value = part(token, 2);
            for ((key, sum), products) in part(token, 1).iter().zip(&mut *keys).zip(products.chunks_exact_mut(dim)) {
                let key = relu(*key);
                *sum += key;
                for (product, value) in products.iter_mut().zip(value) {
                    *product += key * value;
                }
            }
        }
        for token in 0..tokens {
            let first = (token * heads + head) * dim;
            // SAFETY: each head has its own channels.
            let output = unsafe { output.part(first..first + dim) };
            output.fill(0.0);
            let mut norm = epsilon;
            for ((query, key), products) in part(token, 0).iter().zip(&*keys).zip(products.chunks_exact(dim)) {
                let query = relu(*query);
                norm += query * key;
                for (output, product) in output.iter_mut().zip(products) {
                    *output += query * product;
                }
            }
            output.iter_mut().for_each(|value| *value /= norm);
        }
    }
}

/// Keeps NaN.
#[inline(always)]
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}
