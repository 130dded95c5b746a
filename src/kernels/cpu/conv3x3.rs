//! Dense 3×3 convolution, and TinyViT's neck: 1×1 convolution, normalization, 3×3 convolution, normalization.
//!
//! A 3×3 convolution is a matrix product that reads its left-hand side from a map with a border of zeros: an output's
//! inputs are three runs of three adjacent pixels, so nothing is unfolded.

use super::activation::Activation;
use super::gemm::{PackedMatrix, Product, Residual, Rows};
use super::layer_norm::LayerNorm;
use super::simd::Isa;
use super::threads::for_each_chunk;

/// A 3×3 convolution's weight `[channels_out, channels_in, 3, 3]` as the right-hand side of [`Neck`]'s product.
pub fn pack_conv3x3(weight: &[f32], channels_out: usize, channels_in: usize) -> PackedMatrix {
    pack_conv3x3_with(Isa::best(), weight, channels_out, channels_in)
}

pub(super) fn pack_conv3x3_with(isa: Isa, weight: &[f32], channels_out: usize, channels_in: usize) -> PackedMatrix {
    assert_eq!(weight.len(), channels_out * channels_in * 9, "nine taps per pair of channels");
    PackedMatrix::from_fn(isa, 9 * channels_in, channels_out, |row, column| {
        let (tap, channel) = (row / channels_in, row % channels_in);
        weight[(column * channels_in + channel) * 9 + tap]
    })
}

/// Convolves a map that has a border of zeros, a pixel wide, on all threads.
///
/// # Shapes
/// - `padded`: `[height + 2, width + 2, channels_in]`
/// - `conv`: of [`pack_conv3x3`]
/// - `output`: `[⌈height / stride⌉, ⌈width / stride⌉, channels_out]`
pub fn conv3x3(
    padded: &[f32],
    [height, width]: [usize; 2],
    conv: &PackedMatrix,
    stride: usize,
    activation: Activation,
    output: &mut [f32],
) {
    let (channels_in, channels) = (conv.depth() / 9, conv.columns());
    let padded_row = (width + 2) * channels_in;
    let output_width = width.div_ceil(stride);
    assert_eq!(padded.len(), (height + 2) * padded_row, "a padded map of {height} by {width}");
    assert_eq!(output.len(), height.div_ceil(stride) * output_width * channels, "the output's size");
    for_each_chunk(output, output_width * channels, |y, row| {
        conv.isa().run(Product {
            a: Rows {
                runs: 3,
                run_stride: padded_row,
                ..Rows::dense(&padded[y * stride * padded_row..], stride * channels_in)
            },
            rows: output_width,
            b: conv.panels(),
            residual: Residual::None,
            activation,
            c: row,
            c_stride: channels,
        });
    });
}

/// The weights of the neck.
#[derive(Debug, Clone)]
pub struct Neck {
    /// 1×1 convolution, `[channels_in, channels]`.
    pub conv1: PackedMatrix,
    /// Normalization of its output.
    pub norm1: LayerNorm,
    /// 3×3 convolution of [`pack_conv3x3`].
    pub conv2: PackedMatrix,
    /// Normalization of its output.
    pub norm2: LayerNorm,
}

impl Neck {
    /// Values of `padded` that [`Neck::forward`] needs.
    pub fn padded_length(&self, height: usize, width: usize) -> usize {
        (height + 2) * (width + 2) * self.conv1.columns()
    }

    /// Applies the neck, on all threads.
    ///
    /// # Shapes
    /// - `x`: `[height, width, channels_in]`
    /// - `padded`: `[height + 2, width + 2, channels]`, scratch memory
    /// - `output`: `[height, width, channels]`
    pub fn forward(&self, x: &[f32], height: usize, width: usize, padded: &mut [f32], output: &mut [f32]) {
        let (channels_in, channels) = (self.conv1.depth(), self.conv1.columns());
        assert_eq!(x.len(), height * width * channels_in, "a map of {height} by {width}");
        assert_eq!(padded.len(), self.padded_length(height, width), "the padded map's size");
        assert_eq!(output.len(), height * width * channels, "the output's size");
        let isa = self.conv1.isa();
        let padded_row = (width + 2) * channels;
        for_each_chunk(padded, padded_row, |y, row| {
            if y == 0 || y == height + 1 {
                row.fill(0.0);
                return;
            }
            let (left, rest) = row.split_at_mut(channels);
            let (pixels, right) = rest.split_at_mut(width * channels);
            left.fill(0.0);
            right.fill(0.0);
            isa.run(Product {
                a: Rows::dense(&x[(y - 1) * width * channels_in..], channels_in),
                rows: width,
                b: self.conv1.panels(),
                residual: Residual::None,
                activation: Activation::None,
                c: pixels,
                c_stride: channels,
            });
            self.norm1.normalize_in_place(pixels);
        });
        let padded = &*padded;
        for_each_chunk(output, width * channels, |y, row| {
            isa.run(Product {
                a: Rows { runs: 3, run_stride: padded_row, ..Rows::dense(&padded[y * padded_row..], channels) },
                rows: width,
                b: self.conv2.panels(),
                residual: Residual::None,
                activation: Activation::None,
                c: row,
                c_stride: channels,
            });
            self.norm2.normalize_in_place(row);
        });
    }
}
