//! Layer normalization of rows.

use super::simd::{Isa, Kernel, Simd};
#[cfg(test)]
use super::threads::for_each_chunk;

/// The parameters of a layer normalization, for an instruction set.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    isa: Isa,
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl LayerNorm {
    /// Takes the scale and the shift, `[channels]` each.
    pub fn new(weight: &[f32], bias: &[f32], epsilon: f32) -> Self {
        Self::with_isa(Isa::best(), weight, bias, epsilon)
    }

    pub(super) fn with_isa(isa: Isa, weight: &[f32], bias: &[f32], epsilon: f32) -> Self {
        assert_eq!(weight.len(), bias.len(), "a scale and a shift per channel");
        Self { isa, weight: weight.to_vec(), bias: bias.to_vec(), epsilon }
    }

    #[cfg(test)]
    /// Values in a row.
    pub fn channels(&self) -> usize {
        self.weight.len()
    }

    #[cfg(test)]
    /// Normalizes each row, on all threads.
    ///
    /// # Shapes
    /// - `x` and `output`: `[rows, channels]`
    pub fn forward(&self, x: &[f32], output: &mut [f32]) {
        const ROWS: usize = 64;
        assert_eq!(x.len(), output.len(), "input and output of one shape");
        let chunk = ROWS * self.channels();
        for_each_chunk(output, chunk, |index, output| self.normalize(&x[index * chunk..][..output.len()], output));
    }

    /// Normalizes each row, on this thread.
    pub(super) fn normalize(&self, x: &[f32], output: &mut [f32]) {
        assert_eq!(x.len(), output.len(), "input and output of one shape");
        self.isa.run(Normalize { norm: self, x: Some(x), output });
    }

    /// Normalizes each row in place, on this thread.
    pub fn normalize_in_place(&self, x: &mut [f32]) {
        self.isa.run(Normalize { norm: self, x: None, output: x });
    }

    /// What a row of zeros becomes.
    pub(super) fn of_zeros(&self) -> &[f32] {
        &self.bias
    }
}

struct Normalize<'a> {
    norm: &'a LayerNorm,
    /// The input, of the output's length; absent where it is the output.
    x: Option<&'a [f32]>,
    output: &'a mut [f32],
}

impl Kernel for Normalize<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let LayerNorm { weight, bias, epsilon, .. } = self.norm;
        let channels = weight.len();
        if channels == 0 {
            return;
        }
        for (row, output) in self.output.chunks_exact_mut(channels).enumerate() {
            if let Some(x) = self.x {
                output.copy_from_slice(&x[row * channels..][..channels]);
            }
            let mean = sum_over::<S>(output, |x| x) / channels as f32;
            let mean_vector = S::splat(mean);
            let squares = sum_over::<S>(output, |x| {
                let deviation = S::sub(x, mean_vector);
                S::mul(deviation, deviation)
            });
            let scale = S::splat(1.0 / (squares / channels as f32 + epsilon).sqrt());
            let normalize = |x, weight, bias| S::mul_add(S::mul(S::sub(x, mean_vector), scale), weight, bias);
            let whole = channels / S::LANES * S::LANES;
            let rest = channels - whole;
            let (x, weight, bias) = (output.as_mut_ptr(), weight.as_ptr(), bias.as_ptr());
            // SAFETY: all three are `channels` values long.
            unsafe {
                for index in (0..whole).step_by(S::LANES) {
                    let result = normalize(S::load(x.add(index)), S::load(weight.add(index)), S::load(bias.add(index)));
                    S::store(x.add(index), result);
                }
                if rest > 0 {
                    let load = |from: *const f32| S::load_first(from.add(whole), rest);
                    S::store_first(x.add(whole), normalize(load(x), load(weight), load(bias)), rest);
                }
            }
        }
    }
}

/// The sum of a function over a row.
#[inline(always)]
fn sum_over<S: Simd>(row: &[f32], function: impl Fn(S::Vector) -> S::Vector) -> f32 {
    // Several sums at a time, for an addition takes longer than the next one's operands do.
    const SUMS: usize = 4;
    let mut sums = [S::splat(0.0); SUMS];
    let mut blocks = row.chunks_exact(SUMS * S::LANES);
    for block in &mut blocks {
        for (index, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the block holds `SUMS` vectors.
            *sum = S::add(*sum, function(unsafe { S::load(block.as_ptr().add(index * S::LANES)) }));
        }
    }
    let mut vectors = blocks.remainder().chunks_exact(S::LANES);
    for vector in &mut vectors {
        // SAFETY: it is a vector long.
        sums[0] = S::add(sums[0], function(unsafe { S::load(vector.as_ptr()) }));
    }
    let sum = S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3]));
    let rest = vectors.remainder();
    // SAFETY: the rest is shorter than a vector.
    let rest_vector = S::to_lanes(function(unsafe { S::load_first(rest.as_ptr(), rest.len()) }));
    S::to_lanes(sum).iter().sum::<f32>() + rest_vector[..rest.len()].iter().sum::<f32>()
}
