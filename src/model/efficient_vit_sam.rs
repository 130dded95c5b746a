//! EfficientViT-SAM's image encoders L0–L2, as MedficientSAM uses them.
//!
//! Source: Zhang et al., *EfficientViT-SAM: Accelerated Segment Anything Model Without Accuracy Loss*, 2024; Le et al., *MedficientSAM*, CVPR 2024 challenge. Field
//! names are the checkpoints' keys. They run on tensors: natively on every device, in the browser on WebGPU.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::common::{LayerNorm2d, LayerNorm2dConfig};
use super::efficient_vit::{ConvNorm, EfficientVit, EfficientVitConfig, InvertedBottleneck, Main};
use super::layers::Conv2d;
use super::limits;
use crate::kernels::{Activation, matmul};

/// Sizes of an [`EfficientVitSam`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EfficientVitSamConfig {
    /// Side of the square input, in pixels; a multiple of 32.
    pub input_size: usize,
    /// Channels of each of the five stages.
    pub widths: Vec<usize>,
    /// Blocks of each stage, those that change the size not counted.
    pub depths: Vec<usize>,
    /// Blocks of the neck.
    pub neck_depth: usize,
    /// Channels per head of the attention.
    pub head_dim: usize,
    /// Side of the embedding, in tokens.
    pub embedding_size: usize,
    /// Channels of the embedding.
    pub out_channels: usize,
}

/// Widening of each stage's blocks; those that change the size widen four times as much.
const EXPAND_RATIOS: [usize; 5] = [1, 4, 4, 4, 6];
/// See [`EXPAND_RATIOS`].
const STRIDED_FACTOR: usize = 4;
/// `nn.GELU(approximate="tanh")`.
const ACTIVATION: Activation = Activation::GeluTanh;
/// The stages whose outputs the neck takes, in its order.
const NECK_STAGES: [usize; 3] = [4, 3, 2];

impl EfficientVitSamConfig {
    /// The smallest, 34.8 million parameters with LiteMedSAM's decoder.
    pub fn l0(input_size: usize) -> Self {
        Self::with_depths(input_size, [1, 1, 1, 4, 4], 4)
    }

    /// The middle one, 47.7 million parameters.
    pub fn l1(input_size: usize) -> Self {
        Self::with_depths(input_size, [1, 1, 1, 6, 6], 8)
    }

    /// The largest, 61.3 million parameters.
    pub fn l2(input_size: usize) -> Self {
        Self::with_depths(input_size, [1, 2, 2, 8, 8], 12)
    }

    fn with_depths(input_size: usize, depths: [usize; 5], neck_depth: usize) -> Self {
        Self {
            input_size,
            widths: vec![32, 64, 128, 256, 512],
            depths: depths.to_vec(),
            neck_depth,
            head_dim: 32,
            embedding_size: 64,
            out_channels: 256,
        }
    }

    /// What is wrong with the sizes, if anything.
    pub fn check(&self) -> Result<(), String> {
        limits::at_most(limits::SIDE, &[("input_size", &[self.input_size])])?;
        limits::at_most(limits::EMBEDDING_SIDE, &[("embedding_size", &[self.embedding_size])])?;
        limits::at_most(
            limits::WIDTH,
            &[("widths", &self.widths), ("head_dim", &[self.head_dim]), ("out_channels", &[self.out_channels])],
        )?;
        limits::at_most(limits::DEPTH, &[("depths", &self.depths), ("neck_depth", &[self.neck_depth])])?;
        let stages = EXPAND_RATIOS.len();
        if self.widths.len() != stages || self.depths.len() != stages {
            return Err(format!("EfficientViT-SAM has {stages} stages, got widths {:?}", self.widths));
        }
        let sizes = [self.input_size, self.head_dim, self.embedding_size, self.out_channels];
        if sizes.iter().chain(&self.widths).any(|&size| size == 0) {
            return Err("EfficientViT-SAM sizes must be positive".into());
        }
        if !self.input_size.is_multiple_of(1 << stages) {
            return Err(format!("input_size {} is not a multiple of {}", self.input_size, 1 << stages));
        }
        match self.widths[stages - 1].is_multiple_of(self.head_dim) {
            true => Ok(()),
            false => Err(format!("head_dim {} does not divide {}", self.head_dim, self.widths[stages - 1])),
        }
    }

    /// Creates the encoder with random weights.
    pub fn init(&self, device: &Device) -> EfficientVitSam {
        let mut channels_in = 3;
        let stages = (0..EXPAND_RATIOS.len())
            .map(|stage| {
                let op_list = self.stage(stage, channels_in, device);
                channels_in = self.widths[stage];
                OpList { op_list }
            })
            .collect();
        let width = self.out_channels;
        let input = |stage: usize| {
            let conv = Conv2d::init([self.widths[stage], width], 1, device);
            OpList { op_list: vec![ConvNorm::normed(conv, device)] }
        };
        let middle = (0..self.neck_depth).map(|_| Main { main: FusedMbConv::init([width; 2], 1, 1, device) });
        let output = ConvNorm::plain(Conv2d::init([width; 2], 1, device).with_bias());
        EfficientVitSam {
            backbone: Backbone { stages },
            neck: Neck {
                input_ops: NECK_STAGES.map(input).into(),
                middle: OpList { op_list: middle.collect() },
                output_ops: vec![OpList { op_list: vec![output] }],
                embedding_size: self.embedding_size,
            },
            norm: LayerNorm2dConfig { channels: width }.init(device),
        }
    }

    fn stage(&self, stage: usize, channels_in: usize, device: &Device) -> Vec<Block> {
        let width = self.widths[stage];
        let expand_ratio = EXPAND_RATIOS[stage];
        let entry = STRIDED_FACTOR * expand_ratio;
        let fused = |channels_in, expand_ratio, stride| {
            Block::Fused(Main { main: FusedMbConv::init([channels_in, width], expand_ratio, stride, device) })
        };
        let inverted = |channels_in, expand_ratio, stride| {
            Block::Inverted(Main {
                main: InvertedBottleneck::init([channels_in, width], expand_ratio, stride, ACTIVATION, device),
            })
        };
        let first = match stage {
            0 => {
                let conv = Conv2d::init_in_groups([channels_in, width], 3, 2, 1, device);
                Block::Stem(ConvNorm::normed(conv, device))
            }
            1 | 2 => fused(channels_in, entry, 2),
            _ => inverted(channels_in, entry, 2),
        };
        let attention =
            EfficientVitConfig { channels: width, head_dim: self.head_dim, expand_ratio, activation: ACTIVATION };
        let rest = (0..self.depths[stage]).map(|_| match stage {
            0 => Block::Residual(Main { main: ResBlock::init(width, device) }),
            1 | 2 => fused(width, expand_ratio, 1),
            3 => inverted(width, expand_ratio, 1),
            _ => Block::EfficientVit(attention.init(device)),
        });
        std::iter::once(first).chain(rest).collect()
    }
}

/// The encoder.
#[derive(Module, Debug)]
pub struct EfficientVitSam {
    /// Five stages, each at half the size of the one before.
    pub backbone: Backbone,
    /// Sums the last three stages' outputs at the embedding's size.
    pub neck: Neck,
    /// Normalization of the embedding.
    pub norm: LayerNorm2d,
}

/// The stages.
#[derive(Module, Debug)]
pub struct Backbone {
    /// Each stage's blocks.
    pub stages: Vec<OpList<Block>>,
}

/// Layers under the name that the checkpoints give a list of them.
#[derive(Module, Debug)]
pub struct OpList<M: Module> {
    /// The layers, first to last.
    pub op_list: Vec<M>,
}

impl EfficientVitSam {
    /// Encodes an image. After each of its [`EfficientVitSam::steps`] parts, `observe` gets the part's name and its output.
    ///
    /// # Shapes
    /// - `x`: `[batch, input_size, input_size, 3]`, values in 0–1
    /// - output: `[batch, embedding_size, embedding_size, out_channels]`
    pub fn forward(&self, x: Tensor<4>, observe: &mut dyn FnMut(&str, &Tensor<4>)) -> Tensor<4> {
        let mut x = x;
        let mut outputs = Vec::new();
        for (index, stage) in self.backbone.stages.iter().enumerate() {
            x = stage.op_list.iter().fold(x, |x, block| block.forward(x));
            observe(&format!("stage{index}"), &x);
            outputs.push(x.clone());
        }
        let x = self.norm.forward(self.neck.forward(&outputs));
        observe("neck", &x);
        x
    }

    /// How often [`EfficientVitSam::forward`] calls its observer.
    pub fn steps(&self) -> usize {
        self.backbone.stages.len() + 1
    }

    /// Folds batch normalizations, for inference.
    pub fn fold(self) -> Self {
        let fold_list = |list: OpList<Block>| OpList { op_list: list.op_list.into_iter().map(Block::fold).collect() };
        Self {
            backbone: Backbone { stages: self.backbone.stages.into_iter().map(fold_list).collect() },
            neck: self.neck.fold(),
            norm: self.norm,
        }
    }
}

/// A block of a stage; those that change the shape have no residual connection.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Block {
    /// 3×3 convolution of stride 2.
    Stem(ConvNorm),
    /// Two 3×3 convolutions.
    Residual(Main<ResBlock>),
    /// 3×3 convolution to more channels, and back.
    Fused(Main<FusedMbConv>),
    /// Inverted bottleneck.
    Inverted(Main<InvertedBottleneck>),
    /// Attention and inverted bottleneck.
    EfficientVit(EfficientVit),
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let output = match self {
            Self::Stem(conv) => return conv.forward(x, ACTIVATION),
            Self::EfficientVit(module) => return module.forward(x),
            Self::Residual(block) => block.main.forward(x.clone()),
            Self::Fused(block) => block.main.forward(x.clone()),
            Self::Inverted(block) => block.main.forward(x.clone()),
        };
        if output.dims() == x.dims() { output + x } else { output }
    }

    fn fold(self) -> Self {
        match self {
            Self::Stem(conv) => Self::Stem(conv.fold()),
            Self::Residual(block) => Self::Residual(Main { main: block.main.fold() }),
            Self::Fused(block) => Self::Fused(Main { main: block.main.fold() }),
            Self::Inverted(block) => Self::Inverted(Main { main: block.main.fold() }),
            Self::EfficientVit(module) => Self::EfficientVit(module.fold()),
        }
    }
}

/// Two 3×3 convolutions.
#[derive(Module, Debug)]
pub struct ResBlock {
    /// The first.
    pub conv1: ConvNorm,
    /// The second.
    pub conv2: ConvNorm,
}

impl ResBlock {
    fn init(channels: usize, device: &Device) -> Self {
        let conv = || ConvNorm::normed(Conv2d::init([channels; 2], 3, device), device);
        Self { conv1: conv(), conv2: conv() }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.conv2.forward(self.conv1.forward(x, ACTIVATION), Activation::None)
    }

    fn fold(self) -> Self {
        Self { conv1: self.conv1.fold(), conv2: self.conv2.fold() }
    }
}

/// 3×3 convolution to more channels, then 1×1 back.
#[derive(Module, Debug)]
pub struct FusedMbConv {
    /// Widening, with the stride.
    pub spatial_conv: ConvNorm,
    /// Narrowing.
    pub point_conv: ConvNorm,
}

impl FusedMbConv {
    fn init([channels_in, channels]: [usize; 2], expand_ratio: usize, stride: usize, device: &Device) -> Self {
        let hidden = channels_in * expand_ratio;
        let spatial = Conv2d::init_in_groups([channels_in, hidden], 3, stride, 1, device);
        Self {
            spatial_conv: ConvNorm::normed(spatial, device),
            point_conv: ConvNorm::normed(Conv2d::init([hidden, channels], 1, device), device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.point_conv.forward(self.spatial_conv.forward(x, ACTIVATION), Activation::None)
    }

    fn fold(self) -> Self {
        Self { spatial_conv: self.spatial_conv.fold(), point_conv: self.point_conv.fold() }
    }
}

/// From the last three stages' outputs to the embedding (`SamNeck`).
#[derive(Module, Debug)]
pub struct Neck {
    /// To the embedding's channels, the last stage first.
    pub input_ops: Vec<OpList<ConvNorm>>,
    /// Mixing of the sum, each with a residual connection.
    pub middle: OpList<Main<FusedMbConv>>,
    /// Output projection.
    pub output_ops: Vec<OpList<ConvNorm>>,
    embedding_size: usize,
}

impl Neck {
    fn forward(&self, outputs: &[Tensor<4>]) -> Tensor<4> {
        let size = self.embedding_size;
        let inputs = self.input_ops.iter().zip(NECK_STAGES).map(|(convs, stage)| {
            let narrowed = |x, conv: &ConvNorm| conv.forward(x, Activation::None);
            bicubic(convs.op_list.iter().fold(outputs[stage].clone(), narrowed), size)
        });
        let sum = inputs.reduce(|sum, input| sum + input).expect("the neck has inputs");
        let x = self.middle.op_list.iter().fold(sum, |x, block| block.main.forward(x.clone()) + x);
        self.output_ops.iter().flat_map(|list| &list.op_list).fold(x, |x, conv| conv.forward(x, Activation::None))
    }

    fn fold(self) -> Self {
        let fold_list =
            |list: OpList<ConvNorm>| OpList { op_list: list.op_list.into_iter().map(ConvNorm::fold).collect() };
        let fold_block = |block: Main<FusedMbConv>| Main { main: block.main.fold() };
        Self {
            input_ops: self.input_ops.into_iter().map(fold_list).collect(),
            middle: OpList { op_list: self.middle.op_list.into_iter().map(fold_block).collect() },
            output_ops: self.output_ops.into_iter().map(fold_list).collect(),
            ..self
        }
    }
}

/// Enlarges a square map to a side by bicubic interpolation between pixels' centres (`align_corners = false`).
///
/// # Shapes
/// - `x`: `[batch, side, side, channels]`, output: `[batch, size, size, channels]`
fn bicubic(x: Tensor<4>, size: usize) -> Tensor<4> {
    let [batch, side, _, channels] = x.dims();
    if side == size {
        return x;
    }
    let matrix = Tensor::<2>::from_data(TensorData::new(bicubic_matrix(side, size), [size, side]), &x.device());
    let matrix = matrix.unsqueeze::<3>();
    let x: Tensor<3> = x.reshape([batch, side, side * channels]);
    let x: Tensor<3> = matmul(matrix.clone(), x).reshape([batch * size, side, channels]);
    matmul(matrix, x).reshape([batch, size, size, channels])
}

/// The matrix `[size, side]` of a bicubic interpolation along one side; what lies outside repeats the edge.
fn bicubic_matrix(side: usize, size: usize) -> Vec<f32> {
    /// PyTorch's.
    const A: f64 = -0.75;
    let weight = |distance: f64| match distance.abs() {
        d if d <= 1.0 => ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0,
        d if d < 2.0 => (((d - 5.0) * d + 8.0) * d - 4.0) * A,
        _ => 0.0,
    };
    let mut matrix = vec![0f32; size * side];
    for (index, row) in matrix.chunks_exact_mut(side).enumerate() {
        let place = (index as f64 + 0.5) * side as f64 / size as f64 - 0.5;
        for neighbour in -1..=2 {
            let column = place.floor() + f64::from(neighbour);
            row[column.clamp(0.0, side as f64 - 1.0) as usize] += weight(place - column) as f32;
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bicubic_weights_sum_to_one_and_keep_the_values_they_meet() {
        for (side, size) in [(8, 64), (16, 64), (32, 64), (3, 7), (5, 15)] {
            for row in bicubic_matrix(side, size).chunks_exact(side) {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            }
        }
        // Every third place of three times the length is a place of the original.
        for (index, row) in bicubic_matrix(5, 15).chunks_exact(5).enumerate().skip(1).step_by(3) {
            assert!(row.iter().enumerate().all(|(column, weight)| {
                let expected = if column == index / 3 { 1.0 } else { 0.0 };
                (weight - expected).abs() < 1e-6
            }));
        }
    }
}
