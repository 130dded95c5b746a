//! TinyViT image encoder, as LiteMedSAM uses it.
//!
//! Source: Wu et al., *TinyViT: Fast Pretraining Distillation for Small Vision Transformers*, ECCV 2022, in MobileSAM's
//! variant (Zhang et al. 2023), with LiteMedSAM's 1×1 patch embedding and its third merge at stride 1. Field names are the
//! checkpoint's keys.

mod attention;
mod config;
mod cpu;

pub use attention::Attention;
pub use config::TinyVitConfig;
pub use cpu::TinyVitCpu;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::common::{ConvBn, ConvBnConfig, LayerNorm2d, LayerNorm2dConfig, conv2d_nhwc, linear, linear_gelu};
use super::layers::{Conv2d, Gelu, LayerNorm, Linear};
use crate::kernels::{Activation, gelu};

impl TinyVitConfig {
    /// Creates the encoder with random weights.
    pub fn init(&self, device: &Device) -> TinyVit {
        let dims = &self.embed_dims;
        let last = *dims.last().expect("a checked configuration has stages");
        let layers = (0..dims.len())
            .map(|stage| Stage {
                blocks: (0..self.depths[stage])
                    .map(|_| match stage {
                        0 => Block::MbConv(MbConv::init(dims[0], self.expand_ratio, device)),
                        _ => Block::TinyVit(TinyVitBlock::init(
                            dims[stage],
                            self.num_heads[stage],
                            self.window_sizes[stage],
                            self.expand_ratio,
                            device,
                        )),
                    })
                    .collect(),
                downsample: self
                    .merge_strides
                    .get(stage)
                    .map(|&stride| PatchMerging::init(dims[stage], dims[stage + 1], stride, device)),
            })
            .collect();
        let conv = |channels_in, kernel| Conv2d::init([channels_in, self.out_channels], kernel, device);
        let norm = LayerNorm2dConfig { channels: self.out_channels };
        TinyVit {
            patch_embed: PatchEmbed {
                seq: (
                    ConvBnConfig::pointwise(3, dims[0] / 2).init(device),
                    Gelu,
                    ConvBnConfig::pointwise(dims[0] / 2, dims[0]).init(device),
                ),
            },
            layers,
            neck: (conv(last, 1), norm.init(device), conv(self.out_channels, 3), norm.init(device)),
        }
    }
}

/// The encoder.
#[derive(Module, Debug)]
pub struct TinyVit {
    /// Pixels to tokens.
    pub patch_embed: PatchEmbed,
    /// The stages.
    pub layers: Vec<Stage>,
    /// Projection to the embedding's channels.
    pub neck: (Conv2d, LayerNorm2d, Conv2d, LayerNorm2d),
}

impl TinyVit {
    /// Encodes an image. After each of its [`TinyVit::steps`] parts, `observe` gets the part's name and its output.
    ///
    /// # Shapes
    /// - `x`: `[batch, input_size, input_size, 3]`, values in 0–1
    /// - output: `[batch, embedding_size, embedding_size, out_channels]`
    pub fn forward(&self, x: Tensor<4>, observe: &mut dyn FnMut(&str, &Tensor<4>)) -> Tensor<4> {
        let mut x = self.patch_embed.forward(x);
        observe("patch_embed", &x);
        for (index, layer) in self.layers.iter().enumerate() {
            for block in &layer.blocks {
                x = block.forward(x);
                observe("block", &x);
            }
            if let Some(downsample) = &layer.downsample {
                x = downsample.forward(x);
            }
            observe(&format!("layers.{index}"), &x);
        }
        let (conv1, norm1, conv2, norm2) = &self.neck;
        let x = norm1.forward(conv2d_nhwc(conv1, x, Activation::None));
        let x = norm2.forward(conv2d_nhwc(conv2, x, Activation::None));
        observe("neck", &x);
        x
    }

    /// How often [`TinyVit::forward`] calls its observer.
    pub fn steps(&self) -> usize {
        2 + self.layers.iter().map(|layer| layer.blocks.len() + 1).sum::<usize>()
    }

    /// Folds batch normalizations and expands attention biases, for inference.
    pub fn fold(self) -> Self {
        let (first, act, second) = self.patch_embed.seq;
        Self {
            patch_embed: PatchEmbed { seq: (first.fold(), act, second.fold()) },
            layers: self.layers.into_iter().map(Stage::fold).collect(),
            neck: self.neck,
        }
    }
}

/// Two pointwise convolutions on the pixels.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    /// Convolution, GELU, convolution.
    pub seq: (ConvBn, Gelu, ConvBn),
}

impl PatchEmbed {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (first, _, second) = &self.seq;
        second.forward(first.forward(x, Activation::Gelu), Activation::None)
    }
}

/// Blocks of one width and the merge to the next.
#[derive(Module, Debug)]
pub struct Stage {
    /// The blocks.
    pub blocks: Vec<Block>,
    /// The merge, absent in the last stage.
    pub downsample: Option<PatchMerging>,
}

impl Stage {
    fn fold(self) -> Self {
        let fold_block = |block| match block {
            Block::MbConv(block) => Block::MbConv(block.fold()),
            Block::TinyVit(block) => Block::TinyVit(block.fold()),
        };
        Self {
            blocks: self.blocks.into_iter().map(fold_block).collect(),
            downsample: self.downsample.map(PatchMerging::fold),
        }
    }
}

/// A block of a stage.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Block {
    /// Inverted bottleneck of the first stage.
    MbConv(MbConv),
    /// Window attention of the later stages.
    TinyVit(TinyVitBlock),
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::MbConv(block) => block.forward(x),
            Self::TinyVit(block) => block.forward(x),
        }
    }
}

/// Inverted bottleneck: widen, depthwise 3×3, narrow, with a residual connection.
#[derive(Module, Debug)]
pub struct MbConv {
    /// Widening.
    pub conv1: ConvBn,
    /// Depthwise.
    pub conv2: ConvBn,
    /// Narrowing.
    pub conv3: ConvBn,
}

impl MbConv {
    fn init(dim: usize, expand_ratio: usize, device: &Device) -> Self {
        let hidden = dim * expand_ratio;
        Self {
            conv1: ConvBnConfig::pointwise(dim, hidden).init(device),
            conv2: ConvBnConfig::depthwise(hidden, 3, 1).init(device),
            conv3: ConvBnConfig::pointwise(hidden, dim).init(device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let hidden = self.conv1.forward(x.clone(), Activation::Gelu);
        let hidden = self.conv2.forward(hidden, Activation::Gelu);
        gelu(self.conv3.forward(hidden, Activation::None) + x)
    }

    fn fold(self) -> Self {
        Self { conv1: self.conv1.fold(), conv2: self.conv2.fold(), conv3: self.conv3.fold() }
    }
}

/// Change of width between stages, with a stride.
#[derive(Module, Debug)]
pub struct PatchMerging {
    /// To the new width.
    pub conv1: ConvBn,
    /// Depthwise, with the stride.
    pub conv2: ConvBn,
    /// Mixing.
    pub conv3: ConvBn,
}

impl PatchMerging {
    fn init(dim: usize, out_dim: usize, stride: usize, device: &Device) -> Self {
        Self {
            conv1: ConvBnConfig::pointwise(dim, out_dim).init(device),
            conv2: ConvBnConfig::depthwise(out_dim, 3, stride).init(device),
            conv3: ConvBnConfig::pointwise(out_dim, out_dim).init(device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.conv1.forward(x, Activation::Gelu);
        let x = self.conv2.forward(x, Activation::Gelu);
        self.conv3.forward(x, Activation::None)
    }

    fn fold(self) -> Self {
        Self { conv1: self.conv1.fold(), conv2: self.conv2.fold(), conv3: self.conv3.fold() }
    }
}

/// Window attention, depthwise 3×3 and MLP, the first and last with residual connections.
#[derive(Module, Debug)]
pub struct TinyVitBlock {
    /// Attention within windows.
    pub attn: Attention,
    /// Depthwise convolution.
    pub local_conv: ConvBn,
    /// MLP.
    pub mlp: BlockMlp,
}

impl TinyVitBlock {
    fn init(dim: usize, num_heads: usize, window_size: usize, mlp_ratio: usize, device: &Device) -> Self {
        Self {
            attn: Attention::init(dim, num_heads, window_size, device),
            local_conv: ConvBnConfig::depthwise(dim, 3, 1).init(device),
            mlp: BlockMlp {
                norm: LayerNorm::init(dim, device),
                fc1: Linear::init(dim, dim * mlp_ratio, device),
                fc2: Linear::init(dim * mlp_ratio, dim, device),
            },
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.attn.forward_windows(x.clone()) + x;
        let x = self.local_conv.forward(x, Activation::None);
        self.mlp.forward(x.clone()) + x
    }

    fn fold(self) -> Self {
        Self { attn: self.attn.fold(), local_conv: self.local_conv.fold(), mlp: self.mlp }
    }
}

/// Normalization and two linear layers with GELU between them.
#[derive(Module, Debug)]
pub struct BlockMlp {
    /// Normalization of the input.
    pub norm: LayerNorm,
    /// Widening.
    pub fc1: Linear,
    /// Narrowing.
    pub fc2: Linear,
}

impl BlockMlp {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        linear(&self.fc2, linear_gelu(&self.fc1, self.norm.forward(x)))
    }
}
