//! From the trunk's maps and the pixels to the embedding.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::StudentConfig;
use crate::kernels::{Activation, matmul};
use crate::model::common::{LayerNorm2d, LayerNorm2dConfig, conv2d_nhwc, linear, linear_gelu};
use crate::model::layers::{Conv2d, Linear};

/// Widening inside of a [`ConvNextBlock`].
const EXPAND_RATIO: usize = 4;
/// What a [`ConvNextBlock`]'s branch begins scaled by.
const LAYER_SCALE: f64 = 0.1;
/// Side of a [`ConvNextBlock`]'s depthwise kernel.
const KERNEL: usize = 5;

/// The parts of the encoder that are not pretrained.
#[derive(Module, Debug)]
pub struct Neck {
    /// 1×1 convolutions of the trunk's maps, the finest first.
    pub laterals: Vec<Conv2d>,
    /// What sees the pixels.
    pub detail: Detail,
    /// Normalization of the sum.
    pub norm: LayerNorm2d,
    /// Mixing at stride 4.
    pub blocks: Vec<ConvNextBlock>,
    /// To the embedding's channels.
    pub out: Conv2d,
    /// Normalization of the embedding.
    pub out_norm: LayerNorm2d,
}

impl Neck {
    pub(super) fn init(config: &StudentConfig, lateral_channels: &[usize], device: &Device) -> Self {
        let channels = config.neck_channels;
        Self {
            laterals: lateral_channels
                .iter()
                .map(|&lateral| Conv2d::init([lateral, channels], 1, device).with_bias())
                .collect(),
            detail: Detail::init(config.detail_channels, channels, device),
            norm: LayerNorm2dConfig { channels }.init(device),
            blocks: (0..config.blocks).map(|_| ConvNextBlock::init(channels, device)).collect(),
            out: Conv2d::init([channels, config.out_channels], 1, device),
            out_norm: LayerNorm2dConfig { channels: config.out_channels }.init(device),
        }
    }

    /// The embedding.
    pub(super) fn embed(&self, x: Tensor<4>) -> Tensor<4> {
        self.out_norm.forward(conv2d_nhwc(&self.out, x, Activation::None))
    }
}

/// Applies a 1×1 convolution.
pub(super) fn lateral(conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    conv2d_nhwc(conv, x, Activation::None)
}

/// Doubles height and width, bilinear between pixels' centres (`align_corners = false`), by products with interpolation matrices: these train on every device.
///
/// # Shapes
/// - `x`: `[batch, height, width, channels]`
/// - output: `[batch, 2 · height, 2 · width, channels]`
pub(super) fn upsampled(x: Tensor<4>) -> Tensor<4> {
    let [batch, height, width, channels] = x.dims();
    let device = x.device();
    let rows = interpolation(height, &device).unsqueeze::<3>();
    let columns = interpolation(width, &device).unsqueeze::<3>();
    let x: Tensor<3> = x.reshape([batch, height, width * channels]);
    let x = matmul(rows, x);
    let x: Tensor<3> = x.reshape([batch * 2 * height, width, channels]);
    let x = matmul(columns, x);
    x.reshape([batch, 2 * height, 2 * width, channels])
}

/// The matrix `[2 · length, length]` that doubles a length.
fn interpolation(length: usize, device: &Device) -> Tensor<2> {
    let mut values = vec![0f32; 2 * length * length];
    for (index, row) in values.chunks_exact_mut(length).enumerate() {
        let [(near, share), (far, rest)] = neighbours(index, length);
        row[near] += share;
        row[far] += rest;
    }
    Tensor::from_data(TensorData::new(values, [2 * length, length]), device)
}

/// The two places, with their shares, that a place of twice the length lies between.
pub(super) fn neighbours(index: usize, length: usize) -> [(usize, f32); 2] {
    let near = index / 2;
    let far = if index.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(length - 1) };
    [(near, 0.75), (far, 0.25)]
}

/// A shallow branch from the pixels to stride 4: what the trunk's strides lose.
#[derive(Module, Debug)]
pub struct Detail {
    /// 3×3 convolution of stride 2.
    pub conv1: Conv2d,
    /// 3×3 convolution of stride 2.
    pub conv2: Conv2d,
    /// To the neck's channels.
    pub conv3: Conv2d,
}

impl Detail {
    fn init([first, second]: [usize; 2], channels: usize, device: &Device) -> Self {
        let strided = |channels| Conv2d::init_in_groups(channels, 3, 2, 1, device).with_bias();
        Self {
            conv1: strided([3, first]),
            conv2: strided([first, second]),
            conv3: Conv2d::init([second, channels], 1, device).with_bias(),
        }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = conv2d_nhwc(&self.conv1, x, Activation::Gelu);
        let x = conv2d_nhwc(&self.conv2, x, Activation::Gelu);
        conv2d_nhwc(&self.conv3, x, Activation::None)
    }
}

/// `x + γ · fc2(GELU(fc1(norm(depthwise(x)))))`.
#[derive(Module, Debug)]
pub struct ConvNextBlock {
    /// 5×5, each channel on its own.
    pub depthwise: Conv2d,
    /// Normalization of its output.
    pub norm: LayerNorm2d,
    /// Widening.
    pub fc1: Linear,
    /// Narrowing.
    pub fc2: Linear,
    /// γ, `[channels]`.
    pub scale: Param<Tensor<1>>,
}

impl ConvNextBlock {
    /// Creates the block with random weights.
    pub fn init(channels: usize, device: &Device) -> Self {
        Self {
            depthwise: Conv2d::init_in_groups([channels, channels], KERNEL, 1, channels, device).with_bias(),
            norm: LayerNorm2dConfig { channels }.init(device),
            fc1: Linear::init(channels, EXPAND_RATIO * channels, device),
            fc2: Linear::init(EXPAND_RATIO * channels, channels, device),
            scale: Param::from_tensor(Tensor::full([channels], LAYER_SCALE, device)),
        }
    }

    /// Applies the block.
    ///
    /// # Shapes
    /// - `x` and output: `[batch, height, width, channels]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let hidden = self.norm.forward(conv2d_nhwc(&self.depthwise, x.clone(), Activation::None));
        let hidden = linear(&self.fc2, linear_gelu(&self.fc1, hidden));
        x + hidden * self.scale.val().unsqueeze()
    }
}
