//! Two 2×2 transposed convolutions of stride 2: each image token becomes 4×4 pixels, independently of its neighbours.

use super::activation::Activation;
use super::gelu::gelu_on_this_thread;
use super::gemm::{PackedMatrix, Product, Residual, Rows};
use super::layer_norm::LayerNorm;

/// The weights of SAM's output upscaling.
#[derive(Debug, Clone)]
pub struct Upscaling {
    /// First convolution, `[dim, 4 · channels]`, the four pixels in the order row, column.
    pub conv1: PackedMatrix,
    /// Normalization of its output, `[channels]`, followed by GELU.
    pub norm: LayerNorm,
    /// Second convolution, `[channels, 4 · channels_out]`, followed by GELU.
    pub conv2: PackedMatrix,
}

impl Upscaling {
    /// Upscales a few image tokens, on this thread.
    ///
    /// # Shapes
    /// - `x`: `[rows, dim]`
    /// - `output`: `[rows · 16, channels_out]`, the 16 pixels in the order row, column of the first convolution, row, column of the second
    /// - `scratch`: at least `rows · 4 · channels` values
    pub fn forward(&self, x: &[f32], output: &mut [f32], scratch: &mut [f32]) {
        let rows = x.len() / self.conv1.depth();
        let hidden = &mut scratch[..rows * self.conv1.columns()];
        self.conv1.isa().run(Product {
            a: Rows::dense(x, self.conv1.depth()),
            rows,
            b: self.conv1.panels(),
            residual: Residual::None,
            activation: Activation::None,
            c: hidden,
            c_stride: self.conv1.columns(),
        });
        self.norm.normalize_in_place(hidden);
        gelu_on_this_thread(hidden);
        self.conv2.isa().run(Product {
            a: Rows::dense(hidden, self.conv2.depth()),
            rows: rows * 4,
            b: self.conv2.panels(),
            residual: Residual::None,
            activation: Activation::Gelu,
            c: output,
            c_stride: self.conv2.columns(),
        });
    }
}
