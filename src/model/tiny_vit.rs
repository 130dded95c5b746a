//! TinyViT image encoder, as LiteMedSAM uses it.
//!
//! Source: Wu et al., *TinyViT: Fast Pretraining Distillation for Small Vision Transformers*, ECCV 2022, in MobileSAM's
//! variant (Zhang et al. 2023), with LiteMedSAM's 1×1 patch embedding and its third merge at stride 1. Field names are the
//! checkpoint's keys.

mod cpu;

pub use cpu::TinyVitCpu;

use burn::module::{Module, Param};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::common::{ConvBn, ConvBnConfig, LayerNorm2d, LayerNorm2dConfig, conv2d_nhwc, linear, linear_gelu};
use super::layers::{Conv2d, Gelu, LayerNorm, Linear, lazy};
use super::limits;
use crate::kernels::{Activation, gelu, matmul};

/// Sizes of a [`TinyVit`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TinyVitConfig {
    /// Side of the square input, in pixels; a multiple of 4.
    pub input_size: usize,
    /// Channels of each stage.
    pub embed_dims: Vec<usize>,
    /// Blocks of each stage; the first stage is convolutional, the others attend in windows.
    pub depths: Vec<usize>,
    /// Attention heads of each stage (the first stage's is unused).
    pub num_heads: Vec<usize>,
    /// Side of the attention windows of each stage, in tokens (the first stage's is unused).
    pub window_sizes: Vec<usize>,
    /// Stride of the merge that ends each stage but the last.
    pub merge_strides: Vec<usize>,
    /// Widening of the hidden layer, in the convolutional blocks and in the attention blocks' MLPs.
    pub expand_ratio: usize,
    /// Channels of the embedding.
    pub out_channels: usize,
}

impl TinyVitConfig {
    /// LiteMedSAM's encoder.
    pub fn litemedsam() -> Self {
        Self {
            input_size: 256,
            embed_dims: vec![64, 128, 160, 320],
            depths: vec![2, 2, 6, 2],
            num_heads: vec![2, 4, 5, 10],
            window_sizes: vec![7, 7, 14, 7],
            merge_strides: vec![2, 2, 1],
            expand_ratio: 4,
            out_channels: 256,
        }
    }

    /// A small encoder of the same code, for fast tests.
    pub fn tiny() -> Self {
        Self {
            input_size: 64,
            embed_dims: vec![8, 16, 16, 24],
            depths: vec![1, 1, 1, 1],
            num_heads: vec![1, 2, 2, 3],
            window_sizes: vec![3, 3, 5, 3],
            merge_strides: vec![2, 2, 1],
            expand_ratio: 2,
            out_channels: 32,
        }
    }

    /// Side of the embedding, in tokens.
    pub fn embedding_size(&self) -> usize {
        self.merge_strides.iter().fold(self.input_size, |size, stride| size / stride)
    }

    /// What is wrong with the sizes, if anything.
    pub fn check(&self) -> Result<(), String> {
        limits::at_most(limits::SIDE, &[("input_size", &[self.input_size])])?;
        let (widths, heads) = (&self.embed_dims, &self.num_heads);
        limits::at_most(
            limits::WIDTH,
            &[("embed_dims", widths), ("num_heads", heads), ("out_channels", &[self.out_channels])],
        )?;
        limits::at_most(limits::DEPTH, &[("the number of stages", &[widths.len()]), ("depths", &self.depths)])?;
        limits::at_most(limits::WINDOW, &[("window_sizes", &self.window_sizes)])?;
        limits::at_most(limits::FACTOR, &[("expand_ratio", &[self.expand_ratio])])?;
        let stages = self.embed_dims.len();
        let lengths = [self.depths.len(), self.num_heads.len(), self.window_sizes.len(), self.merge_strides.len() + 1];
        if stages < 2 || lengths.iter().any(|&length| length != stages) {
            return Err(format!("TinyViT needs one entry per stage, got {stages} embed_dims and {lengths:?}"));
        }
        let sizes = [self.input_size, self.expand_ratio, self.out_channels];
        let lists = [&self.embed_dims, &self.num_heads, &self.window_sizes, &self.merge_strides];
        if sizes.contains(&0) || lists.iter().any(|list| list.contains(&0)) {
            return Err("TinyViT sizes must be positive".into());
        }
        if !widths[0].is_multiple_of(2) {
            return Err(format!("the first stage has {} channels, not an even number", widths[0]));
        }
        // There are no kernels for others.
        if self.merge_strides.iter().any(|&stride| stride > 2) {
            return Err(format!("merge_strides {:?}; use 1 or 2", self.merge_strides));
        }
        if self.embed_dims.iter().zip(&self.num_heads).skip(1).any(|(dim, heads)| dim % heads != 0) {
            return Err(format!("num_heads {:?} must divide embed_dims {:?}", self.num_heads, self.embed_dims));
        }
        if !self.input_size.is_multiple_of(self.merge_strides.iter().product::<usize>()) {
            return Err(format!("input_size {} is not a multiple of the strides", self.input_size));
        }
        Ok(())
    }

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

/// Multi-head self-attention in a window, with a learned bias per head and per absolute offset (LeViT).
#[derive(Module, Debug)]
pub struct Attention {
    /// Normalization of the input.
    pub norm: LayerNorm,
    /// Queries, keys and values, head by head.
    pub qkv: Linear,
    /// Output projection.
    pub proj: Linear,
    /// Bias per head and offset, `[heads, window²]`.
    pub attention_biases: Param<Tensor<2>>,
    /// The same expanded to every pair of tokens, `[1, heads, window², window²]`; present once folded.
    pub ab: Option<Param<Tensor<4>>>,
    num_heads: usize,
    window_size: usize,
}

impl Attention {
    fn init(dim: usize, num_heads: usize, window_size: usize, device: &Device) -> Self {
        Self {
            norm: LayerNorm::init(dim, device),
            qkv: Linear::init(dim, 3 * dim, device),
            proj: Linear::init(dim, dim, device),
            attention_biases: lazy([num_heads, window_size * window_size], device, move |device| {
                Tensor::zeros([num_heads, window_size * window_size], device)
            }),
            ab: None,
            num_heads,
            window_size,
        }
    }

    /// Attends within windows; the image is padded with zeros to whole windows, and padded tokens take part.
    ///
    /// # Shapes
    /// - `x` and output: `[batch, height, width, dim]`
    fn forward_windows(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, dim] = x.dims();
        let window = self.window_size;
        let (rows, columns) = (height.div_ceil(window), width.div_ceil(window));
        let (padded_height, padded_width) = (rows * window, columns * window);
        let padded = [padded_height, padded_width] != [height, width];
        let x = match padded {
            true => {
                let device = x.device();
                let right = Tensor::zeros([batch, height, padded_width - width, dim], &device);
                let x = Tensor::cat(vec![x, right], 2);
                let below = Tensor::zeros([batch, padded_height - height, padded_width, dim], &device);
                Tensor::cat(vec![x, below], 1)
            }
            false => x,
        };
        let x = x.reshape([batch, rows, window, columns, window, dim]).permute([0, 1, 3, 2, 4, 5]).reshape([
            batch * rows * columns,
            window * window,
            dim,
        ]);
        let x = self
            .forward(x)
            .reshape([batch, rows, columns, window, window, dim])
            .permute([0, 1, 3, 2, 4, 5])
            .reshape([batch, padded_height, padded_width, dim]);
        match padded {
            true => x.slice([0..batch, 0..height, 0..width]),
            false => x,
        }
    }

    /// # Shapes
    /// - `x` and output: `[windows, window², dim]`
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [windows, tokens, dim] = x.dims();
        let heads = self.num_heads;
        let head_dim = dim / heads;
        let qkv = linear(&self.qkv, self.norm.forward(x))
            .reshape([windows, tokens, heads, 3, head_dim])
            .permute([3, 0, 2, 1, 4]);
        let part = |index: usize| qkv.clone().slice([index..index + 1]).reshape([windows, heads, tokens, head_dim]);
        let (q, k, v) = (part(0) * (head_dim as f64).powf(-0.5), part(1), part(2));
        let bias = match &self.ab {
            Some(bias) => bias.val(),
            None => self.expanded_biases(),
        };
        let attention = softmax(matmul(q, k.transpose()) + bias, 3);
        let x = matmul(attention, v).permute([0, 2, 1, 3]).reshape([windows, tokens, dim]);
        linear(&self.proj, x)
    }

    /// The bias of every pair of tokens. The offset (|Δrow|, |Δcolumn|) has index `|Δrow| · window + |Δcolumn|`: the order in
    /// which the reference meets the offsets when it walks all pairs row by row.
    ///
    /// # Shapes
    /// - output: `[1, heads, window², window²]`
    fn expanded_biases(&self) -> Tensor<4> {
        let window = self.window_size;
        let tokens = window * window;
        let offset = |from: usize, to: usize| {
            (from / window).abs_diff(to / window) * window + (from % window).abs_diff(to % window)
        };
        let index: Vec<i32> = (0..tokens * tokens).map(|pair| offset(pair / tokens, pair % tokens) as i32).collect();
        let biases = self.attention_biases.val();
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [tokens * tokens]), &biases.device());
        biases.select(1, index).reshape([1, self.num_heads, tokens, tokens])
    }

    fn fold(mut self) -> Self {
        self.ab = Some(Param::from_tensor(self.expanded_biases()));
        self
    }
}
