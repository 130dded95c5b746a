//! Matrix products of training and their gradients, on the thread that asks for them.

use super::activation::Activation;
use super::gemm::{PackedMatrix, Product, Residual, Rows};
use super::simd::{Isa, Kernel, Simd};

/// Rows of a block: few enough for its inputs to stay in the second-level cache.
const BLOCK: usize = 192;

/// `activation(X · W + bias)`.
///
/// # Shapes
/// - `x`: `[rows, depth]`, `weight`: `[depth, columns]`, `bias`: `[columns]`, output: `[rows, columns]`
pub fn product(x: &[f32], weight: &[f32], bias: &[f32], activation: Activation) -> Vec<f32> {
    let columns = bias.len();
    let depth = weight.len() / columns;
    blocks(x, &PackedMatrix::new(weight, depth, columns).with_bias(bias), activation)
}

/// The gradient of [`product`]'s `X`: `G · Wᵀ`.
///
/// # Shapes
/// - `gradient`: `[rows, columns]`, `weight`: `[depth, columns]`, output: `[rows, depth]`
pub fn input_gradient(gradient: &[f32], weight: &[f32], columns: usize) -> Vec<f32> {
    blocks(gradient, &PackedMatrix::from_transposed(weight, weight.len() / columns, columns), Activation::None)
}

fn blocks(x: &[f32], b: &PackedMatrix, activation: Activation) -> Vec<f32> {
    let (depth, columns) = (b.depth(), b.columns());
    let mut output = vec![0.0; x.len() / depth * columns];
    for (x, output) in x.chunks(BLOCK * depth).zip(output.chunks_mut(BLOCK * columns)) {
        b.isa().run(Product {
            a: Rows::dense(x, depth),
            rows: x.len() / depth,
            b: b.panels(),
            residual: Residual::None,
            activation,
            c: output,
            c_stride: columns,
        });
    }
    output
}

/// The gradient of [`product`]'s `W`: `Xᵀ · G`.
///
/// # Shapes
/// - `x`: `[rows, depth]`, `gradient`: `[rows, columns]`, output: `[depth, columns]`
pub fn weight_gradient(x: &[f32], gradient: &[f32], depth: usize, columns: usize) -> Vec<f32> {
    if columns >= depth {
        return transposed_product(x, gradient, depth, columns);
    }
    // Panels are filled best by the longer side.
    let turned = transposed_product(gradient, x, columns, depth);
    (0..turned.len()).map(|index| turned[index % columns * depth + index / columns]).collect()
}

/// `Aᵀ · B`, a few rows of both at a time.
fn transposed_product(a: &[f32], b: &[f32], a_columns: usize, b_columns: usize) -> Vec<f32> {
    const DEPTH: usize = 256;
    let isa = Isa::best();
    let mut output = vec![0.0; a_columns * b_columns];
    for (a, b) in a.chunks(DEPTH * a_columns).zip(b.chunks(DEPTH * b_columns)) {
        let depth = b.len() / b_columns;
        let packed = PackedMatrix::from_rows(isa, b, depth, b_columns);
        isa.run(Product {
            a: Rows::transposed(a, a_columns),
            rows: a_columns,
            b: packed.panels(),
            residual: Residual::Output,
            activation: Activation::None,
            c: &mut output,
            c_stride: b_columns,
        });
    }
    output
}

/// The sum of all rows, `[columns]`.
pub fn sum_of_rows(x: &[f32], columns: usize) -> Vec<f32> {
    struct Sum<'a>(&'a [f32], &'a mut [f32]);
    impl Kernel for Sum<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            for row in self.0.chunks_exact(self.1.len()) {
                for (sum, value) in self.1.iter_mut().zip(row) {
                    *sum += value;
                }
            }
        }
    }
    let mut sums = vec![0.0; columns];
    Isa::best().run(Sum(x, &mut sums));
    sums
}
