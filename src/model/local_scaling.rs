//! Local scaling: the temperature and the bias of each place of a mask.
//!
//! One temperature for all pixels cannot tell an outline that the network mostly gets right from one that it mostly gets wrong. A small network looks at the
//! logits around an object and at the box, and says how far they are to be trusted: `z' = z · e^s + b`, with maps `s` and `b`. The mask stays the network's.
//!
//! Source of the idea: Ding et al., *Local Temperature Scaling for Probability Calibration*, 2021, whose network sees the image too. That this one does not, is ours:
//! with the decoder's pixels and tokens it learned its training images by heart, and was worse on datasets that it had not seen (`docs/uncertainty.md`).

mod cpu;

pub use cpu::LocalScalingCpu;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::common::{conv2d_nhwc, linear};
use super::layers::{Conv2d, Linear};
use super::student::ConvNextBlock;
use crate::kernels::Activation;

/// Largest change of a logit's logarithmic scale, either way.
pub const LARGEST_LOG_SCALE: f32 = 2.0;
/// Largest bias of a logit, either way.
pub const LARGEST_BIAS: f32 = 8.0;
/// What is seen of each place: the logit, whether it is in the box, and the size of the region.
pub const FEATURES: usize = 3;

/// Sizes of a [`LocalScaling`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalScalingConfig {
    /// Side of the map that the region around the object is resampled to.
    pub side: usize,
    /// Channels of the hidden map.
    pub channels: usize,
    /// Blocks.
    pub blocks: usize,
}

impl Default for LocalScalingConfig {
    fn default() -> Self {
        Self { side: 48, channels: 24, blocks: 2 }
    }
}

impl LocalScalingConfig {
    /// What is wrong with the sizes, if anything.
    pub fn check(&self) -> Result<(), String> {
        let Self { side, channels, blocks } = self;
        match (8..=128).contains(side) && (8..=256).contains(channels) && channels.is_multiple_of(8) && *blocks <= 16 {
            true => Ok(()),
            false => Err(format!(
                "local_scaling has side {side}, channels {channels}, blocks {blocks}; use a side of 8–128, channels of 8–256 in eights, at most 16 blocks"
            )),
        }
    }

    /// Creates the network with random weights.
    pub fn init(&self, device: &Device) -> LocalScaling {
        LocalScaling {
            input: Conv2d::init([FEATURES, self.channels], 1, device).with_bias(),
            blocks: (0..self.blocks).map(|_| ConvNextBlock::init(self.channels, device)).collect(),
            output: Linear::init(self.channels, 2, device),
        }
    }
}

/// The network. It is so small that it runs on the CPU beside networks on every device.
#[derive(Module, Debug)]
pub struct LocalScaling {
    /// What is seen of each place, to the hidden channels.
    pub input: Conv2d,
    /// Mixing.
    pub blocks: Vec<ConvNextBlock>,
    /// To logarithmic scale and bias.
    pub output: Linear,
}

impl LocalScaling {
    /// Logarithmic scale and bias of each place, within [`LARGEST_LOG_SCALE`] and [`LARGEST_BIAS`].
    ///
    /// # Shapes
    /// - `map`: `[batch, side, side, 3]`, see [`FEATURES`]
    /// - output: `[batch, side, side, 2]`
    pub fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, _] = map.dims();
        let mut x = conv2d_nhwc(&self.input, map, Activation::None);
        for block in &self.blocks {
            x = block.forward(x);
        }
        let output = linear(&self.output, x);
        let part = |index: usize, largest: f32| {
            output.clone().slice([0..batch, 0..height, 0..width, index..index + 1]).clamp(-largest, largest)
        };
        Tensor::cat(vec![part(0, LARGEST_LOG_SCALE), part(1, LARGEST_BIAS)], 3)
    }
}
