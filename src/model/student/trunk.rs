//! EfficientNet-Lite's trunk.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::StageConfig;
use crate::kernels::Activation;
use crate::model::common::{ConvBn, ConvBnConfig};

/// What EfficientNet adds to a variance.
const EPSILON: f64 = 1e-3;

/// The pixels as EfficientNet-Lite was trained on them, `(x − 127) / 128` of 8-bit values.
///
/// # Shapes
/// - `x` and output: `[batch, height, width, 3]`
pub(super) fn centred(x: Tensor<4>) -> Tensor<4> {
    (x - MEAN) / DEVIATION
}

/// The mean of pixels in 0–1 and what deviations from it are divided by.
pub(super) const MEAN: f64 = 127.0 / 255.0;
/// See [`MEAN`].
pub(super) const DEVIATION: f64 = 128.0 / 255.0;

/// A stem and stages of inverted bottlenecks.
#[derive(Module, Debug)]
pub struct Trunk {
    /// 3×3 convolution of stride 2.
    pub stem: ConvBn,
    /// The stages' blocks.
    pub stages: Vec<Vec<StudentMbConv>>,
}

impl Trunk {
    pub(super) fn init(stem_channels: usize, stages: &[StageConfig], device: &Device) -> Self {
        let mut channels_in = stem_channels;
        let stages = stages
            .iter()
            .map(|stage| {
                let block = |index: usize, channels_in: &mut usize| {
                    let stride = if index == 0 { stage.stride } else { 1 };
                    let block = StudentMbConv::init(*channels_in, stage, stride, device);
                    *channels_in = stage.channels;
                    block
                };
                (0..stage.depth).map(|index| block(index, &mut channels_in)).collect()
            })
            .collect();
        Self { stem: ConvBnConfig::dense([3, stem_channels], 3, 2).with_epsilon(EPSILON).init(device), stages }
    }

    pub(super) fn fold(self) -> Self {
        let stages = self.stages.into_iter();
        Self {
            stem: self.stem.fold(),
            stages: stages.map(|blocks| blocks.into_iter().map(StudentMbConv::fold).collect()).collect(),
        }
    }
}

/// Inverted bottleneck with ReLU6, none after the last convolution; a residual connection where the shape stays.
#[derive(Module, Debug)]
pub struct StudentMbConv {
    /// Widening; absent where the block does not widen.
    pub expand: Option<ConvBn>,
    /// Depthwise, with the stride.
    pub depthwise: ConvBn,
    /// Narrowing.
    pub project: ConvBn,
    /// Whether the input is added to the output.
    pub residual: bool,
}

impl StudentMbConv {
    fn init(channels_in: usize, stage: &StageConfig, stride: usize, device: &Device) -> Self {
        let hidden = channels_in * stage.expand_ratio;
        let pointwise = |from, to| ConvBnConfig::pointwise(from, to).with_epsilon(EPSILON).init(device);
        Self {
            expand: (stage.expand_ratio > 1).then(|| pointwise(channels_in, hidden)),
            depthwise: ConvBnConfig::depthwise(hidden, stage.kernel, stride).with_epsilon(EPSILON).init(device),
            project: pointwise(hidden, stage.channels),
            residual: stride == 1 && channels_in == stage.channels,
        }
    }

    /// Applies the block.
    ///
    /// # Shapes
    /// - `x`: `[batch, height, width, channels_in]`
    /// - output: `[batch, height / stride, width / stride, channels]` (rounded up)
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let hidden = match &self.expand {
            Some(expand) => expand.forward(x.clone(), Activation::Relu6),
            None => x.clone(),
        };
        let hidden = self.depthwise.forward(hidden, Activation::Relu6);
        let output = self.project.forward(hidden, Activation::None);
        if self.residual { output + x } else { output }
    }

    fn fold(self) -> Self {
        Self {
            expand: self.expand.map(ConvBn::fold),
            depthwise: self.depthwise.fold(),
            project: self.project.fold(),
            ..self
        }
    }
}
