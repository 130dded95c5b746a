//! Weights of burn's layers as the CPU's kernels want them.

use burn::module::Param;
use burn::tensor::Tensor;

use super::common::{LayerNorm2d, Mlp};
use super::layers::{self, Conv2d, ConvTranspose2d, LAYER_NORM_EPSILON, Linear};
use super::student::ConvNextBlock;
use crate::kernels::cpu::{ConvNext, Depthwise, LayerNorm, PackedMatrix};

/// LayerNorm2d's ε; see [`LayerNorm2d`].
const LAYER_NORM_2D_EPSILON: f32 = 1e-6;

/// The values of a parameter on the CPU.
pub fn values<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
    param.val().into_data().try_into_vec().expect("weights are f32")
}

/// Zeros where there is no bias.
pub fn bias_values(bias: Option<&Param<Tensor<1>>>, count: usize) -> Vec<f32> {
    bias.map_or_else(|| vec![0.0; count], values)
}

/// A 1×1 convolution.
pub fn pointwise(conv: &Conv2d) -> PackedMatrix {
    let [channels_out, channels_in, ..] = conv.weight.dims();
    let weight = PackedMatrix::from_transposed(&values(&conv.weight), channels_out, channels_in);
    weight.with_bias(&bias_values(conv.bias.as_ref(), channels_out))
}

/// A convolution of each channel on its own.
pub fn depthwise(conv: &Conv2d) -> Depthwise {
    let [channels, ..] = conv.weight.dims();
    Depthwise::new(&values(&conv.weight), &bias_values(conv.bias.as_ref(), channels), conv.stride)
}

/// A linear layer.
pub fn linear(linear: &Linear) -> PackedMatrix {
    scaled_linear(linear, 1.0)
}

/// A linear layer whose output is multiplied by a number.
pub fn scaled_linear(linear: &Linear, scale: f32) -> PackedMatrix {
    let [features_in, features_out] = linear.weight.dims();
    let scaled = |values: Vec<f32>| values.into_iter().map(|value| value * scale).collect::<Vec<_>>();
    let weight = PackedMatrix::new(&scaled(values(&linear.weight)), features_in, features_out);
    weight.with_bias(&scaled(bias_values(linear.bias.as_ref(), features_out)))
}

/// The layer normalization of transformers.
pub fn layer_norm(norm: &layers::LayerNorm) -> LayerNorm {
    let weight = values(&norm.gamma);
    let bias = values(&norm.beta);
    LayerNorm::new(&weight, &bias, LAYER_NORM_EPSILON as f32)
}

/// SAM's layer normalization of images.
pub fn layer_norm_2d(norm: &LayerNorm2d) -> LayerNorm {
    LayerNorm::new(&values(&norm.weight), &values(&norm.bias), LAYER_NORM_2D_EPSILON)
}

/// A 2×2 transposed convolution of stride 2 as a matrix `[channels_in, 4 · channels_out]`.
pub fn spreading(conv: &ConvTranspose2d) -> PackedMatrix {
    let [channels_in, channels_out, ..] = conv.weight.dims();
    let weight = values(&conv.weight);
    let spread: Vec<f32> = (0..weight.len())
        .map(|index| {
            let (channel_in, pixel, channel_out) =
                (index / (4 * channels_out), index / channels_out % 4, index % channels_out);
            weight[(channel_in * channels_out + channel_out) * 4 + pixel]
        })
        .collect();
    let bias = bias_values(conv.bias.as_ref(), channels_out).repeat(4);
    PackedMatrix::new(&spread, channels_in, 4 * channels_out).with_bias(&bias)
}

/// Layers of an MLP.
pub fn mlp(mlp: &Mlp) -> Vec<PackedMatrix> {
    mlp.layers.iter().map(linear).collect()
}

/// ConvNeXt's block; the scale of its branch becomes part of it.
pub fn conv_next(block: &ConvNextBlock) -> ConvNext {
    ConvNext {
        depthwise: depthwise(&block.depthwise),
        norm: layer_norm_2d(&block.norm),
        fc1: linear(&block.fc1),
        fc2: scaled(&block.fc2, &values(&block.scale)),
    }
}

/// A linear layer each of whose outputs is multiplied by a number of its own.
fn scaled(linear: &Linear, scale: &[f32]) -> PackedMatrix {
    let [features_in, features_out] = linear.weight.dims();
    let scaled = |values: Vec<f32>| -> Vec<f32> {
        values.iter().enumerate().map(|(index, value)| value * scale[index % features_out]).collect()
    };
    let weight = PackedMatrix::new(&scaled(values(&linear.weight)), features_in, features_out);
    weight.with_bias(&scaled(bias_values(linear.bias.as_ref(), features_out)))
}
