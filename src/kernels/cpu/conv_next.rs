//! ConvNeXt's block: depthwise convolution, normalization and MLP, with a residual connection past all of them.

use super::activation::Activation;
use super::depthwise::{Depthwise, DepthwiseRow};
use super::gemm::{PackedMatrix, Product, Residual, Rows};
use super::layer_norm::LayerNorm;
use super::threads::{for_each_chunk, with_scratch};

/// Pixels whose hidden layer is held at a time: it stays in the second-level cache.
const TILE: usize = 48;

/// `x + fc2(GELU(fc1(LayerNorm(depthwise(x)))))`.
#[derive(Debug, Clone)]
pub struct ConvNext {
    /// Depthwise convolution of stride 1.
    pub depthwise: Depthwise,
    /// Normalization of its output.
    pub norm: LayerNorm,
    /// Widening, `[dim, hidden]`.
    pub fc1: PackedMatrix,
    /// Narrowing, `[hidden, dim]`; a scale of the branch is part of it.
    pub fc2: PackedMatrix,
}

impl ConvNext {
    /// Applies the block, on all threads.
    ///
    /// # Shapes
    /// - `x` and `output`: `[height, width, dim]`
    pub fn forward(&self, x: &[f32], height: usize, width: usize, output: &mut [f32]) {
        assert_eq!(self.depthwise.stride(), 1, "the residual connection needs one size");
        let (dim, hidden_dim) = (self.fc1.depth(), self.fc1.columns());
        let row = width * dim;
        assert_eq!(x.len(), height * row, "a map of {height} by {width}");
        assert_eq!(output.len(), x.len(), "the output's size");
        for_each_chunk(output, row, |y, output| {
            with_scratch(row + TILE * hidden_dim, |scratch| {
                let (convolved, hidden) = scratch.split_at_mut(row);
                let rows = self.depthwise.rows_around(y, |y| (y < height).then(|| &x[y * row..][..row]));
                let missing = self.depthwise.padding();
                let activation = Activation::None;
                self.depthwise.convolve(DepthwiseRow { rows, missing, activation, output: convolved });
                self.norm.normalize_in_place(convolved);
                // Tiles of nearly the same width.
                let tiles = width.div_ceil(TILE);
                for tile in 0..tiles {
                    let (first, end) = (tile * width / tiles, (tile + 1) * width / tiles);
                    self.fc1.isa().run(Product {
                        a: Rows::dense(&convolved[first * dim..end * dim], dim),
                        rows: end - first,
                        b: self.fc1.panels(),
                        residual: Residual::None,
                        activation: Activation::Gelu,
                        c: hidden,
                        c_stride: hidden_dim,
                    });
                    self.fc2.isa().run(Product {
                        a: Rows::dense(hidden, hidden_dim),
                        rows: end - first,
                        b: self.fc2.panels(),
                        residual: Residual::Matrix { values: &x[y * row + first * dim..], stride: dim },
                        activation: Activation::None,
                        c: &mut output[first * dim..end * dim],
                        c_stride: dim,
                    });
                }
            });
        });
    }
}
