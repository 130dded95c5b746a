//! The MLP of a transformer block, with the depthwise convolution that precedes it.

use super::activation::Activation;
use super::depthwise::{Depthwise, DepthwiseRow};
use super::gemm::{PackedMatrix, Product, Residual, Rows};
use super::layer_norm::LayerNorm;
use super::threads::{for_each_chunk, with_scratch};

/// Rows whose hidden layer is held at a time: it stays in the second-level cache.
const TILE: usize = 48;

/// `x + fc2(GELU(fc1(LayerNorm(x))))`.
#[derive(Debug, Clone)]
pub struct Mlp {
    /// Normalization of the input.
    pub norm: LayerNorm,
    /// Widening, `[dim, hidden]`.
    pub fc1: PackedMatrix,
    /// Narrowing, `[hidden, dim]`.
    pub fc2: PackedMatrix,
}

impl Mlp {
    #[cfg(test)]
    /// Applies the block in place, on all threads.
    ///
    /// # Shapes
    /// - `x`: `[rows, dim]`
    pub fn forward(&self, x: &mut [f32]) {
        for_each_chunk(x, TILE * self.norm.channels(), |_, x| self.tile(x));
    }

    /// Convolves a map and applies the block to the result, on all threads; the convolved map is not passed over twice.
    ///
    /// # Shapes
    /// - `x` and `output`: `[height, width, dim]`
    pub fn forward_after(&self, conv: &Depthwise, x: &[f32], height: usize, width: usize, output: &mut [f32]) {
        assert_eq!(conv.stride(), 1, "the residual connection needs one size");
        assert_eq!(output.len(), height * width * conv.channels(), "a map of {height} by {width}");
        let row = width * conv.channels();
        for_each_chunk(output, row, |y, output| {
            let rows = conv.rows_around(y, |y| (y < height).then(|| &x[y * row..][..row]));
            conv.convolve(DepthwiseRow { rows, missing: conv.padding(), activation: Activation::None, output });
            // Tiles of nearly the same height.
            let tiles = width.div_ceil(TILE);
            let mut rest = output;
            for tile in 0..tiles {
                let pixels = (tile + 1) * width / tiles - tile * width / tiles;
                let (x, after) = rest.split_at_mut(pixels * conv.channels());
                self.tile(x);
                rest = after;
            }
        });
    }

    /// Applies the block to a few rows in place, on this thread.
    fn tile(&self, x: &mut [f32]) {
        let (dim, hidden_dim) = (self.fc1.depth(), self.fc1.columns());
        let rows = x.len() / dim;
        with_scratch(rows * (dim + hidden_dim), |scratch| {
            let (normalized, hidden) = scratch.split_at_mut(rows * dim);
            self.norm.normalize(x, normalized);
            self.fc1.isa().run(Product {
                a: Rows::dense(normalized, dim),
                rows,
                b: self.fc1.panels(),
                residual: Residual::None,
                activation: Activation::Gelu,
                c: hidden,
                c_stride: hidden_dim,
            });
            self.fc2.isa().run(Product {
                a: Rows::dense(hidden, hidden_dim),
                rows,
                b: self.fc2.panels(),
                residual: Residual::Output,
                activation: Activation::None,
                c: x,
                c_stride: dim,
            });
        });
    }
}
