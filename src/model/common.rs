//! Layers that several sub-networks share.
//!
//! Activations are channels-last, `[batch, height, width, channels]`, everywhere: a 1×1 convolution is then a plain
//! matrix product, and no sub-network permutes between images and tokens.

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::module::layer_norm;
use burn::tensor::{Device, Tensor};

use super::layers::{BatchNorm, Conv2d, Linear};
use crate::kernels::{self, gelu};

/// Applies a linear layer.
///
/// # Shapes
/// - `x`: `[…, features_in]`, output: `[…, features_out]`
pub fn linear<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    kernels::linear(x, layer.weight.val(), layer.bias.as_ref().map(|bias| bias.val()), false)
}

/// Applies a linear layer and GELU.
///
/// # Shapes
/// - As [`linear`].
pub fn linear_gelu<const D: usize>(layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    kernels::linear(x, layer.weight.val(), layer.bias.as_ref().map(|bias| bias.val()), true)
}

/// Applies a stored 1×1 or 3×3 convolution, of all channels or each on its own, to a channels-last tensor, then GELU if asked.
///
/// # Shapes
/// - `x`: `[batch, height, width, channels_in]`
/// - output: `[batch, height / stride, width / stride, channels_out]` (rounded up)
pub fn conv2d_nhwc(conv: &Conv2d, x: Tensor<4>, gelu: bool) -> Tensor<4> {
    let bias = conv.bias.as_ref().map(|bias| bias.val());
    let weight = conv.weight.val();
    let [channels_out, channels_in, ..] = weight.dims();
    match (conv.kernel, conv.groups) {
        (1, 1) if conv.stride == 1 => {
            kernels::linear(x, weight.reshape([channels_out, channels_in]).transpose(), bias, gelu)
        }
        (3, 1) => kernels::conv3x3(x, weight, bias, conv.stride, gelu),
        (3, groups) if groups == channels_out => kernels::depthwise3x3(x, weight, bias, conv.stride, gelu),
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
}

impl ConvBnConfig {
    /// A pointwise convolution.
    pub fn pointwise(channels_in: usize, channels_out: usize) -> Self {
        Self { channels: [channels_in, channels_out], kernel: 1, stride: 1, groups: 1 }
    }

    /// A 3×3 convolution of each channel on its own.
    pub fn depthwise(channels: usize, stride: usize) -> Self {
        Self { channels: [channels, channels], kernel: 3, stride, groups: channels }
    }

    /// Creates the layer with unit batch statistics.
    pub fn init(&self, device: &Device) -> ConvBn {
        ConvBn {
            c: Conv2d::init_in_groups(self.channels, self.kernel, self.stride, self.groups, device),
            bn: Some(BatchNorm::init(self.channels[1], device)),
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
    /// images would spoil them, and SharpMin's second pass would count twice.
    ///
    /// # Shapes
    /// - `x`: `[batch, height, width, channels_in]`
    /// - output: `[batch, height / stride, width / stride, channels_out]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = conv2d_nhwc(&self.c, x, false);
        match &self.bn {
            Some(bn) => {
                let (scale, shift) = scale_and_shift(bn);
                x * scale.unsqueeze() + shift.unsqueeze()
            }
            None => x,
        }
    }

    /// Applies the layer and GELU.
    ///
    /// # Shapes
    /// - As [`ConvBn::forward`].
    pub fn forward_gelu(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.bn {
            Some(_) => gelu(self.forward(x)),
            None => conv2d_nhwc(&self.c, x, true),
        }
    }

    /// Folds the batch normalization's running statistics into the convolution, for inference.
    pub fn fold(mut self) -> Self {
        let Some(bn) = self.bn.take() else { return self };
        let (scale, shift) = scale_and_shift(&bn);
        let [channels_out] = scale.dims();
        self.c.weight = self.c.weight.map(|weight| weight * scale.reshape([channels_out, 1, 1, 1]));
        self.c.bias = Some(Param::from_tensor(shift));
        self
    }
}

/// A batch normalization by its running statistics as `x · scale + shift`, each `[channels]`.
fn scale_and_shift(bn: &BatchNorm) -> (Tensor<1>, Tensor<1>) {
    let scale = bn.gamma.val() / (bn.running_var.value() + BatchNorm::EPSILON).sqrt();
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
        layer_norm(x, self.weight.val(), Some(self.bias.val()), 1e-6)
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
