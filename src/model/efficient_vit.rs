//! EfficientViT's module: multi-scale ReLU linear attention, then an inverted bottleneck, each with a residual connection.
//!
//! Source: Cai et al., *EfficientViT: Multi-Scale Linear Attention for High-Resolution Dense Prediction*, ICCV 2023, as EfficientViT-SAM uses it (Zhang et al. 2024:
//! one scale of 5×5, normalization after the last convolution of each part only). Field names are its checkpoints' keys.

mod cpu;

pub use cpu::EfficientVitCpu;

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::common::{conv_norm, conv2d_nhwc, folded};
use super::layers::{BatchNorm, Conv2d};
use crate::kernels::{Activation, matmul};

/// What EfficientViT adds to a variance.
pub const EPSILON: f64 = 1e-6;
/// What the attention adds to the sum it divides by.
const ATTENTION_EPSILON: f64 = 1e-15;
/// Side of the kernel that gathers a token's neighbours.
const SCALE: usize = 5;

/// A convolution, and a normalization or none.
#[derive(Module, Debug)]
pub struct ConvNorm {
    /// The convolution; it gains a bias when the layer is folded.
    pub conv: Conv2d,
    /// The normalization; gone once it is folded into the convolution.
    pub norm: Option<BatchNorm>,
}

impl ConvNorm {
    /// A convolution with normalization and without bias.
    pub fn normed(conv: Conv2d, device: &Device) -> Self {
        let [channels, _, _, _] = conv.weight.shape().dims();
        Self { norm: Some(BatchNorm::init(channels, EPSILON, device)), conv }
    }

    /// A convolution alone.
    pub fn plain(conv: Conv2d) -> Self {
        Self { conv, norm: None }
    }

    /// Applies the layer.
    ///
    /// # Shapes
    /// - As [`conv2d_nhwc`].
    pub fn forward(&self, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        conv_norm(&self.conv, self.norm.as_ref(), x, activation)
    }

    /// Folds the normalization into the convolution, for inference.
    pub fn fold(self) -> Self {
        Self { conv: folded(self.conv, self.norm), norm: None }
    }
}

/// A block under the name that the checkpoints give it.
#[derive(Module, Debug)]
pub struct Main<M: Module> {
    /// The block.
    pub main: M,
}

/// Sizes of an [`EfficientVit`].
#[derive(Debug, Clone, Copy)]
pub struct EfficientVitConfig {
    /// Channels of input and output.
    pub channels: usize,
    /// Channels per head, a divisor of `channels`.
    pub head_dim: usize,
    /// Widening of the inverted bottleneck.
    pub expand_ratio: usize,
    /// What follows its first two convolutions.
    pub activation: Activation,
}

impl EfficientVitConfig {
    /// Creates the module with random weights.
    pub fn init(&self, device: &Device) -> EfficientVit {
        let Self { channels, head_dim, expand_ratio, activation } = *self;
        let wide = 3 * channels;
        let attention = LinearAttention {
            qkv: ConvNorm::plain(Conv2d::init([channels, wide], 1, device)),
            aggreg: vec![(
                Conv2d::init_in_groups([wide, wide], SCALE, 1, wide, device),
                Conv2d::init_in_groups([wide, wide], 1, 1, wide / head_dim, device),
            )],
            proj: ConvNorm::normed(Conv2d::init([2 * channels, channels], 1, device), device),
            head_dim,
        };
        let bottleneck = InvertedBottleneck::init([channels, channels], expand_ratio, 1, activation, device);
        EfficientVit { context_module: Main { main: attention }, local_module: Main { main: bottleneck } }
    }
}

/// The module.
#[derive(Module, Debug)]
pub struct EfficientVit {
    /// Attention.
    pub context_module: Main<LinearAttention>,
    /// Inverted bottleneck.
    pub local_module: Main<InvertedBottleneck>,
}

impl EfficientVit {
    /// Applies the module.
    ///
    /// # Shapes
    /// - `x` and output: `[batch, height, width, channels]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.context_module.main.forward(x.clone()) + x;
        self.local_module.main.forward(x.clone()) + x
    }

    /// Folds batch normalizations, for inference.
    pub fn fold(self) -> Self {
        Self {
            context_module: Main { main: self.context_module.main.fold() },
            local_module: Main { main: self.local_module.main.fold() },
        }
    }
}

/// Attention whose similarity is `ReLU(q) · ReLU(k)`, so that keys and values are summed once for all queries (`LiteMLA`). Every head attends twice: with its
/// queries, keys and values, and with those of their neighbourhood.
#[derive(Module, Debug)]
pub struct LinearAttention {
    /// Queries, keys and values, head by head.
    pub qkv: ConvNorm,
    /// Neighbourhoods: depthwise, then a product within each head's queries, keys and values.
    pub aggreg: Vec<(Conv2d, Conv2d)>,
    /// Output projection.
    pub proj: ConvNorm,
    /// Channels per head.
    pub head_dim: usize,
}

impl LinearAttention {
    /// Applies the attention, without the residual connection.
    ///
    /// # Shapes
    /// - `x` and output: `[batch, height, width, channels]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.proj.forward(self.attend(x), Activation::None)
    }

    /// What the heads find, before the output projection.
    ///
    /// # Shapes
    /// - `x`: `[batch, height, width, channels]`, output: `[batch, height, width, scales · channels]`
    pub fn attend(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, _] = x.dims();
        let (tokens, dim) = (height * width, self.head_dim);
        let qkv = self.qkv.forward(x, Activation::None);
        let mut scales = vec![qkv.clone()];
        for (depthwise, grouped) in &self.aggreg {
            let gathered = conv2d_nhwc(depthwise, qkv.clone(), Activation::None);
            scales.push(self.within_groups(grouped, gathered));
        }
        let qkv = Tensor::cat(scales, 3);
        let heads = qkv.dims()[3] / (3 * dim);
        let qkv: Tensor<5> = qkv.reshape([batch, tokens, heads, 3, dim]).permute([3, 0, 2, 1, 4]);
        let part = |index: usize| qkv.clone().slice([index..index + 1]).squeeze_dim::<4>(0);
        let (q, k, v) = (relu(part(0)), relu(part(1)), part(2));
        let k = k.swap_dims(2, 3);
        let sums: Tensor<4> = matmul(k.clone(), v);
        let numerator = matmul(q.clone(), sums);
        let denominator = matmul(q, k.sum_dim(3)) + ATTENTION_EPSILON;
        (numerator / denominator).permute([0, 2, 1, 3]).reshape([batch, height, width, heads * dim])
    }

    /// A 1×1 convolution in groups of a head's channels.
    fn within_groups(&self, conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, channels] = x.dims();
        let (tokens, dim) = (batch * height * width, self.head_dim);
        let groups = channels / dim;
        let x: Tensor<3> = x.reshape([tokens, groups, dim]).swap_dims(0, 1);
        let weight: Tensor<3> = conv.weight.val().reshape([groups, dim, dim]).swap_dims(1, 2);
        matmul(x, weight).swap_dims(0, 1).reshape([batch, height, width, channels])
    }

    fn fold(self) -> Self {
        Self { proj: self.proj.fold(), ..self }
    }
}

/// Inverted bottleneck with biases, normalized after the last convolution (`MBConv` with `fewer_norm`).
#[derive(Module, Debug)]
pub struct InvertedBottleneck {
    /// Widening.
    pub inverted_conv: ConvNorm,
    /// Depthwise 3×3, with the stride.
    pub depth_conv: ConvNorm,
    /// Narrowing.
    pub point_conv: ConvNorm,
    /// What follows the first two.
    #[module(skip)]
    pub activation: Activation,
}

impl InvertedBottleneck {
    /// Creates the block with random weights.
    pub fn init(
        [channels_in, channels]: [usize; 2],
        expand_ratio: usize,
        stride: usize,
        activation: Activation,
        device: &Device,
    ) -> Self {
        let hidden = channels_in * expand_ratio;
        let depthwise = Conv2d::init_in_groups([hidden, hidden], 3, stride, hidden, device);
        Self {
            inverted_conv: ConvNorm::plain(Conv2d::init([channels_in, hidden], 1, device).with_bias()),
            depth_conv: ConvNorm::plain(depthwise.with_bias()),
            point_conv: ConvNorm::normed(Conv2d::init([hidden, channels], 1, device), device),
            activation,
        }
    }

    /// Applies the block, without a residual connection.
    ///
    /// # Shapes
    /// - `x`: `[batch, height, width, channels_in]`
    /// - output: `[batch, height / stride, width / stride, channels]` (rounded up)
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.point_conv.forward(self.widened(x), Activation::None)
    }

    /// The hidden map that is narrowed.
    pub fn widened(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.inverted_conv.forward(x, self.activation);
        self.depth_conv.forward(x, self.activation)
    }

    /// Folds the normalization, for inference.
    pub fn fold(self) -> Self {
        Self { point_conv: self.point_conv.fold(), ..self }
    }
}
