//! Layers that several sub-networks share.
//!
//! Activations are channels-last, `[batch, height, width, channels]`, everywhere: a 1×1 convolution is then a plain
//! matrix product, and no sub-network permutes between images and tokens.

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::layers::{BatchNorm, Conv2d, Linear};
use crate::kernels::{self, Activation, layer_norm};

/// Applies a linear layer.
///
/// # Shapes
/// - `x`: `[…, features_in]`, output: `[…, features_out]`
pub fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    kernels::linear(x, layer.weight.val(), layer.bias.as_ref().map(|bias| bias.val()), Activation::None)
}

/// Applies a linear layer and GELU.
///
/// # Shapes
/// - As [`linear`].
pub fn linear_gelu<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    kernels::linear(x, layer.weight.val(), layer.bias.as_ref().map(|bias| bias.val()), Activation::Gelu)
}

/// Applies a stored 1×1, 3×3 or, of each channel on its own, 5×5 convolution to a channels-last tensor.
///
/// # Shapes
/// - `x`: `[batch, height, width, channels_in]`
/// - output: `[batch, height / stride, width / stride, channels_out]` (rounded up)
pub fn conv2d_nhwc(conv: &Conv2d, x: Tensor<4>, activation: Activation) -> Tensor<4> {
    convolved(conv, x, conv.weight.val(), conv.bias.as_ref().map(|bias| bias.val()), activation)
}

/// A convolution with another weight and bias.
fn convolved(
    conv: &Conv2d,
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    activation: Activation,
) -> Tensor<4> {
    let [channels_out, channels_in, ..] = weight.dims();
    match (conv.kernel, conv.groups) {
        (1, 1) if conv.stride == 1 => {
            kernels::linear(x, weight.reshape([channels_out, channels_in]).transpose(), bias, activation)
        }
        (3, 1) => kernels::conv3x3(x, weight, bias, conv.stride, activation),
        (3 | 5, groups) if groups == channels_out => kernels::depthwise(x, weight, bias, conv.stride, activation),
        (kernel, groups) => unreachable!("the networks have no convolution of {kernel} pixels in {groups} groups"),
    }
}

/// [`ConvBn`] configuration: channels, square kernel, stride and groups; padding is half the kernel.
#[derive(Debug, Clone)]
pub struct ConvBnConfig {
    /// Input and output channels.
    pub channels: [usize; 2],
    /// Side of the square kernel, in pixels.
    pub kernel: usize,
    /// Stride, in pixels.
    pub stride: usize,
    /// Number of channel groups.
    pub groups: usize,
    /// What the normalization adds to the variance.
    pub epsilon: f64,
}

impl ConvBnConfig {
    /// A pointwise convolution.
    pub fn pointwise(channels_in: usize, channels_out: usize) -> Self {
        Self::dense([channels_in, channels_out], 1, 1)
    }

    /// A convolution of all channels.
    pub fn dense(channels: [usize; 2], kernel: usize, stride: usize) -> Self {
        Self { channels, kernel, stride, groups: 1, epsilon: BatchNorm::EPSILON }
    }

    /// A convolution of each channel on its own.
    pub fn depthwise(channels: usize, kernel: usize, stride: usize) -> Self {
        Self { groups: channels, ..Self::dense([channels, channels], kernel, stride) }
    }

    /// The same with another number added to the variance.
    pub fn with_epsilon(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }

    /// Creates the layer with unit batch statistics.
    pub fn init(&self, device: &Device) -> ConvBn {
        ConvBn {
            c: Conv2d::init_in_groups(self.channels, self.kernel, self.stride, self.groups, device),
            bn: Some(BatchNorm::init(self.channels[1], self.epsilon, device)),
        }
    }
}

/// A convolution without bias followed by batch normalization (`Conv2d_BN` of the checkpoint).
#[derive(Module, Debug)]
pub struct ConvBn {
    /// The convolution; it gains a bias when the layer is folded.
    pub c: Conv2d,
    /// The normalization; gone once it is folded into the convolution.
    pub bn: Option<BatchNorm>,
}

impl ConvBn {
    /// Applies the layer. The normalization is by the running statistics in training too: they stay as they are, since batches of a few
    /// images would spoil them, and SharpMin's second pass would count twice. It scales the weight rather than the output, which is larger.
    ///
    /// # Shapes
    /// - `x`: `[batch, height, width, channels_in]`
    /// - output: `[batch, height / stride, width / stride, channels_out]`
    pub fn forward(&self, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        conv_norm(&self.c, self.bn.as_ref(), x, activation)
    }

    /// Folds the batch normalization's running statistics into the convolution, for inference.
    pub fn fold(self) -> Self {
        Self { c: folded(self.c, self.bn), bn: None }
    }
}

/// A convolution and its normalization; see [`ConvBn::forward`].
pub fn conv_norm(conv: &Conv2d, bn: Option<&BatchNorm>, x: Tensor<4>, activation: Activation) -> Tensor<4> {
    let Some(bn) = bn else { return conv2d_nhwc(conv, x, activation) };
    let (scale, shift) = scale_and_shift(bn);
    let [channels_out] = scale.dims();
    let weight = conv.weight.val() * scale.reshape([channels_out, 1, 1, 1]);
    convolved(conv, x, weight, Some(shift), activation)
}

/// A convolution that does its normalization's work; see [`ConvBn::fold`].
pub fn folded(mut conv: Conv2d, bn: Option<BatchNorm>) -> Conv2d {
    let Some(bn) = bn else { return conv };
    let (scale, shift) = scale_and_shift(&bn);
    let [channels_out] = scale.dims();
    conv.weight = conv.weight.map(|weight| weight * scale.reshape([channels_out, 1, 1, 1]));
    conv.bias = Some(Param::from_tensor(shift));
    conv
}

/// A batch normalization by its running statistics as `x · scale + shift`, each `[channels]`.
fn scale_and_shift(bn: &BatchNorm) -> (Tensor<1>, Tensor<1>) {
    let scale = bn.gamma.val() / (bn.running_var.value() + bn.epsilon).sqrt();
    let shift = bn.beta.val() - bn.running_mean.value() * scale.clone();
    (scale, shift)
}

/// [`LayerNorm2d`] configuration.
#[derive(Debug, Clone)]
pub struct LayerNorm2dConfig {
    /// Number of channels.
    pub channels: usize,
}

impl LayerNorm2dConfig {
    /// Creates the layer with unit weight and zero bias.
    pub fn init(&self, device: &Device) -> LayerNorm2d {
        LayerNorm2d {
            weight: Param::from_tensor(Tensor::ones([self.channels], device)),
            bias: Param::from_tensor(Tensor::zeros([self.channels], device)),
        }
    }
}

/// Layer normalization over the channels of each pixel (SAM's `LayerNorm2d`, epsilon 1e-6).
#[derive(Module, Debug)]
pub struct LayerNorm2d {
    /// Scale, `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// Shift, `[channels]`.
    pub bias: Param<Tensor<1>>,
}

impl LayerNorm2d {
    /// Normalizes over the last axis.
    ///
    /// # Shapes
    /// - `x` and output: `[…, channels]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        layer_norm(x, self.weight.val(), self.bias.val(), 1e-6)
    }
}

/// [`Mlp`] configuration.
#[derive(Debug, Clone)]
pub struct MlpConfig {
    /// Features of the input, of each hidden layer in turn, and of the output.
    pub features: Vec<usize>,
}

impl MlpConfig {
    /// Creates the layers with random weights.
    pub fn init(&self, device: &Device) -> Mlp {
        let layer = |pair: &[usize]| Linear::init(pair[0], pair[1], device);
        Mlp { layers: self.features.windows(2).map(layer).collect() }
    }
}

/// Linear layers with ReLU between them (`MLP` of SAM's mask decoder).
#[derive(Module, Debug)]
pub struct Mlp {
    /// The linear layers, first to last.
    pub layers: Vec<Linear>,
}

impl Mlp {
    /// Applies the layers.
    ///
    /// # Shapes
    /// - `x`: `[…, features_in]`
    /// - output: `[…, features_out]`
    pub fn forward<const D: usize>(&self, mut x: Tensor<D>) -> Tensor<D> {
        for (index, layer) in self.layers.iter().enumerate() {
            x = linear(layer, x);
            if index + 1 < self.layers.len() {
                x = relu(x);
            }
        }
        x
    }
}
