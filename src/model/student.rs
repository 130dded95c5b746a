//! The light image encoder: a student of LiteMedSAM's, with 15 times fewer products.
//!
//! A convolutional trunk works at strides 2 to 32; its maps are summed at stride 4 from the deepest up, together with a shallow detail branch that sees the pixels, and
//! a few blocks at stride 4 mix them into the embedding that LiteMedSAM's prompt encoder and mask decoder take.
//!
//! Source: the trunk is EfficientNet-Lite0 (Tan and Le, *EfficientNet*, ICML 2019, without squeeze-and-excitation and with ReLU6), so that its ImageNet weights can
//! begin it; the modules at stride 16 are EfficientViT's (Cai et al., *EfficientViT: Multi-Scale Linear Attention for High-Resolution Dense Prediction*, ICCV 2023), the
//! family that U-MedSAM (arXiv 2408.08881) takes; the blocks are ConvNeXt's (Liu et al., *A ConvNet for the 2020s*, CVPR 2022). The combination is ours.

#[cfg(feature = "train")]
mod adapt;
mod cpu;
mod neck;
mod trunk;

pub use cpu::StudentCpu;
pub use neck::{ConvNextBlock, Detail, Neck};
pub use trunk::{StudentMbConv, Trunk};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::efficient_vit::{EfficientVit, EfficientVitConfig};
use super::limits;

/// Sizes of a [`Student`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudentConfig {
    /// Side of the square input, in pixels; a multiple of 32.
    pub input_size: usize,
    /// Channels of the trunk's first convolution.
    pub stem_channels: usize,
    /// The trunk's stages; their strides multiply to 16.
    pub stages: Vec<StageConfig>,
    /// Channels of the neck.
    pub neck_channels: usize,
    /// Channels of the two convolutions of the detail branch.
    pub detail_channels: [usize; 2],
    /// EfficientViT modules on the sum at stride 16.
    pub efficient_vit: usize,
    /// Channels per head of the EfficientViT modules' attention.
    pub head_dim: usize,
    /// ConvNeXt blocks at stride 4.
    pub blocks: usize,
    /// Channels of the embedding.
    pub out_channels: usize,
}

/// Blocks of one width in a [`Trunk`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// Channels of the output.
    pub channels: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Side of the depthwise kernel, 3 or 5.
    pub kernel: usize,
    /// Stride of the first block, 1 or 2.
    pub stride: usize,
    /// Widening inside of the blocks; 1 leaves the first convolution out.
    pub expand_ratio: usize,
}

/// Widening inside of the EfficientViT modules' inverted bottlenecks.
const EFFICIENT_VIT_EXPAND_RATIO: usize = 4;
/// Stride of the maps that the neck works on.
const NECK_STRIDE: usize = 4;

impl StudentConfig {
    /// The encoder that ships.
    pub fn lite0() -> Self {
        let stage = |channels, depth, kernel, stride, expand_ratio| StageConfig {
            channels,
            depth,
            kernel,
            stride,
            expand_ratio,
        };
        Self {
            input_size: 256,
            stem_channels: 32,
            stages: vec![
                stage(16, 1, 3, 1, 1),
                stage(24, 2, 3, 2, 6),
                stage(40, 2, 5, 2, 6),
                stage(80, 3, 3, 2, 6),
                stage(112, 3, 5, 1, 6),
                stage(192, 4, 5, 2, 6),
                stage(320, 1, 3, 1, 6),
            ],
            neck_channels: 128,
            detail_channels: [32, 64],
            efficient_vit: 0,
            head_dim: 32,
            blocks: 3,
            out_channels: 256,
        }
    }

    /// A small encoder of the same code, for fast tests.
    pub fn tiny() -> Self {
        let stage = |channels, kernel, stride, expand_ratio| StageConfig {
            channels,
            depth: 1 + usize::from(stride == 1),
            kernel,
            stride,
            expand_ratio,
        };
        Self {
            input_size: 64,
            stem_channels: 6,
            stages: vec![
                stage(5, 3, 1, 1),
                stage(6, 3, 2, 3),
                stage(8, 5, 2, 2),
                stage(10, 5, 2, 2),
                stage(10, 3, 1, 2),
                stage(12, 3, 2, 2),
            ],
            neck_channels: 16,
            detail_channels: [4, 6],
            efficient_vit: 1,
            head_dim: 8,
            blocks: 2,
            out_channels: 32,
        }
    }

    /// Side of the embedding, in tokens.
    pub fn embedding_size(&self) -> usize {
        self.input_size / NECK_STRIDE
    }

    /// What is wrong with the sizes, if anything.
    pub fn check(&self) -> Result<(), String> {
        let of_stages = |size: fn(&StageConfig) -> usize| self.stages.iter().map(size).collect::<Vec<_>>();
        limits::at_most(limits::SIDE, &[("input_size", &[self.input_size])])?;
        limits::at_most(
            limits::WIDTH,
            &[
                ("stem_channels", &[self.stem_channels]),
                ("channels", &of_stages(|stage| stage.channels)),
                ("neck_channels", &[self.neck_channels]),
                ("detail_channels", &self.detail_channels),
                ("head_dim", &[self.head_dim]),
                ("out_channels", &[self.out_channels]),
            ],
        )?;
        limits::at_most(
            limits::DEPTH,
            &[
                ("the number of stages", &[self.stages.len()]),
                ("depth", &of_stages(|stage| stage.depth)),
                ("efficient_vit", &[self.efficient_vit]),
                ("blocks", &[self.blocks]),
            ],
        )?;
        limits::at_most(limits::FACTOR, &[("expand_ratio", &of_stages(|stage| stage.expand_ratio))])?;
        let sizes = [self.stem_channels, self.neck_channels, self.head_dim, self.out_channels, self.input_size];
        let stage_sizes = self.stages.iter().flat_map(|stage| [stage.channels, stage.depth, stage.expand_ratio]);
        if sizes.into_iter().chain(self.detail_channels).chain(stage_sizes).any(|size| size == 0) {
            return Err("student sizes must be positive".into());
        }
        if let Some(stage) = self.stages.iter().find(|stage| ![3, 5].contains(&stage.kernel)) {
            return Err(format!("a depthwise kernel of {} pixels; use 3 or 5", stage.kernel));
        }
        if self.stages.iter().any(|stage| ![1, 2].contains(&stage.stride)) || self.stride() != 32 {
            let strides: Vec<usize> = self.stages.iter().map(|stage| stage.stride).collect();
            return Err(format!("the stages' strides {strides:?} must be 1 or 2 and multiply to 16"));
        }
        if !self.input_size.is_multiple_of(self.stride()) {
            return Err(format!("input_size {} is not a multiple of {}", self.input_size, self.stride()));
        }
        if self.efficient_vit > 0 && !self.neck_channels.is_multiple_of(self.head_dim) {
            return Err(format!("head_dim {} does not divide neck_channels {}", self.head_dim, self.neck_channels));
        }
        Ok(())
    }

    /// Stride of the trunk's last map, the stem's included.
    fn stride(&self) -> usize {
        2 * self.stages.iter().map(|stage| stage.stride).product::<usize>()
    }

    /// The stages whose outputs the neck takes: the last of each stride from the neck's on.
    fn laterals(&self) -> Vec<usize> {
        let mut stride = 2;
        let strides: Vec<usize> = self
            .stages
            .iter()
            .map(|stage| {
                stride *= stage.stride;
                stride
            })
            .collect();
        let is_last = |index: usize| strides.get(index + 1) != Some(&strides[index]);
        (0..strides.len()).filter(|&index| strides[index] >= NECK_STRIDE && is_last(index)).collect()
    }

    /// Creates the encoder with random weights.
    pub fn init(&self, device: &Device) -> Student {
        let laterals = self.laterals();
        let channels: Vec<usize> = laterals.iter().map(|&stage| self.stages[stage].channels).collect();
        let efficient_vit = EfficientVitConfig {
            channels: self.neck_channels,
            head_dim: self.head_dim,
            expand_ratio: EFFICIENT_VIT_EXPAND_RATIO,
            activation: crate::kernels::Activation::Gelu,
        };
        Student {
            trunk: Trunk::init(self.stem_channels, &self.stages, device),
            neck: Neck::init(self, &channels, device),
            efficient_vit: (0..self.efficient_vit).map(|_| efficient_vit.init(device)).collect(),
            laterals,
        }
    }
}

/// The encoder.
#[derive(Module, Debug)]
pub struct Student {
    /// The convolutional trunk.
    pub trunk: Trunk,
    /// Sums the trunk's maps, and makes the embedding of them.
    pub neck: Neck,
    /// Modules on the sum at stride 16.
    pub efficient_vit: Vec<EfficientVit>,
    laterals: Vec<usize>,
}

impl Student {
    /// Encodes an image. After each of its [`Student::steps`] parts, `observe` gets the part's name and its output.
    ///
    /// # Shapes
    /// - `x`: `[batch, input_size, input_size, 3]`, values in 0–1
    /// - output: `[batch, embedding_size, embedding_size, out_channels]`
    pub fn forward(&self, x: Tensor<4>, observe: &mut dyn FnMut(&str, &Tensor<4>)) -> Tensor<4> {
        let x = trunk::centred(x);
        let mut maps = Vec::new();
        let mut map = self.trunk.stem.forward(x.clone(), crate::kernels::Activation::Relu6);
        observe("stem", &map);
        for (index, stage) in self.trunk.stages.iter().enumerate() {
            for block in stage {
                map = block.forward(map);
            }
            observe(&format!("stages.{index}"), &map);
            if self.laterals.contains(&index) {
                maps.push(map.clone());
            }
        }
        // Stride 32 first.
        let mut maps = maps.into_iter().zip(&self.neck.laterals).rev();
        let (deepest, lateral) = maps.next().expect("a checked configuration has stages of stride 2");
        let mut sum = neck::lateral(lateral, deepest);
        for (level, (map, lateral)) in maps.enumerate() {
            sum = neck::upsampled(sum) + neck::lateral(lateral, map);
            // The second level is stride 16.
            if level == 0 {
                sum = self.efficient_vit.iter().fold(sum, |sum, module| module.forward(sum));
            }
        }
        observe("laterals", &sum);
        let sum = self.neck.norm.forward(sum + self.neck.detail.forward(x));
        observe("detail", &sum);
        let x = self.neck.blocks.iter().fold(sum, |x, block| block.forward(x));
        observe("blocks", &x);
        let x = self.neck.embed(x);
        observe("out", &x);
        x
    }

    /// How often [`Student::forward`] calls its observer.
    pub fn steps(&self) -> usize {
        5 + self.trunk.stages.len()
    }

    /// Folds batch normalizations, for inference.
    pub fn fold(self) -> Self {
        Self {
            trunk: self.trunk.fold(),
            efficient_vit: self.efficient_vit.into_iter().map(EfficientVit::fold).collect(),
            ..self
        }
    }
}
