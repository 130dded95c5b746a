//! SAM's mask decoder: image embedding and prompt embeddings to low-res mask logits and predicted IoU.
//!
//! Source: Kirillov et al., *Segment Anything*, 2023 (`mask_decoder.py`). Field names are the checkpoint's keys.

mod cpu;

pub use cpu::{MaskDecoderCpu, PreparedImage};

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::common::{LayerNorm2d, LayerNorm2dConfig, Mlp, MlpConfig};
use super::layers::{ConvTranspose2d, Embedding, Gelu};
use super::transformer::{TwoWayTransformer, TwoWayTransformerConfig};
use crate::kernels::{Activation, gelu, linear, matmul};

/// Sizes of a [`MaskDecoder`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskDecoderConfig {
    /// The transformer; its `embedding_dim` is a multiple of 8.
    pub transformer: TwoWayTransformerConfig,
    /// Masks of the multimask output.
    pub num_multimask_outputs: usize,
    /// Linear layers of the IoU head.
    pub iou_head_depth: usize,
    /// Hidden channels of the IoU head.
    pub iou_head_hidden_dim: usize,
    /// Whether the multimask outputs can be asked for. Without them a file is 0.8 MB smaller in 16 bits and its single mask the same: their tokens stay, the layers
    /// that make masks of them are gone.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub multimask: bool,
}

fn yes() -> bool {
    true
}

impl MaskDecoderConfig {
    /// Creates the decoder with random weights.
    pub fn init(&self, device: &Device) -> MaskDecoder {
        let dim = self.transformer.embedding_dim;
        let tokens = self.num_multimask_outputs + 1;
        let masks = if self.multimask { tokens } else { 1 };
        let upscale = |channels_in, channels_out| ConvTranspose2d::init([channels_in, channels_out], 2, device);
        let hypernetwork = MlpConfig { features: vec![dim, dim, dim, dim / 8] };
        let mut iou_features = vec![self.iou_head_hidden_dim; self.iou_head_depth + 1];
        iou_features[0] = dim;
        iou_features[self.iou_head_depth] = tokens;
        MaskDecoder {
            transformer: self.transformer.init(device),
            iou_token: Embedding::init(1, dim, device),
            mask_tokens: Embedding::init(tokens, dim, device),
            output_upscaling: (
                upscale(dim, dim / 4),
                LayerNorm2dConfig { channels: dim / 4 }.init(device),
                Gelu,
                upscale(dim / 4, dim / 8),
                Gelu,
            ),
            output_hypernetworks_mlps: (0..masks).map(|_| hypernetwork.init(device)).collect(),
            iou_prediction_head: MlpConfig { features: iou_features }.init(device),
        }
    }
}

/// Which masks the decoder gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaskOutput {
    /// One mask per prompt: for unambiguous prompts such as boxes.
    #[default]
    Single,
    /// Several hypotheses per prompt, each with its predicted IoU; none where the network has no multimask outputs.
    Multi,
    /// The single mask, then the hypotheses.
    All,
}

impl MaskOutput {
    /// Which of a decoder's masks these are.
    fn wanted(self, masks: usize) -> Range<usize> {
        match self {
            Self::Single => 0..1,
            Self::Multi => 1..masks,
            Self::All => 0..masks,
        }
    }
}

/// The decoder.
#[derive(Module, Debug)]
pub struct MaskDecoder {
    /// Attention between prompts and image.
    pub transformer: TwoWayTransformer,
    /// Token that becomes the predicted IoU.
    pub iou_token: Embedding,
    /// Tokens that become masks: the single mask first, then the multimask outputs.
    pub mask_tokens: Embedding,
    /// Image tokens to pixels of the low-res mask: two 2×2 transposed convolutions.
    pub output_upscaling: (ConvTranspose2d, LayerNorm2d, Gelu, ConvTranspose2d, Gelu),
    /// Mask token to the weights of a linear classifier of pixels, one per token; of the single mask's alone without multimask outputs.
    pub output_hypernetworks_mlps: Vec<Mlp>,
    /// IoU token to the predicted IoU of every mask.
    pub iou_prediction_head: Mlp,
}

/// What the decoder gives for K prompts with M masks each.
#[derive(Debug, Clone)]
pub struct MaskPrediction {
    /// Low-res mask logits, `[K, M, 4 · embedding_size, 4 · embedding_size]`.
    pub logits: Tensor<4>,
    /// Predicted IoU of each mask with the truth, `[K, M]`; near 0–1 but not bounded.
    pub iou: Tensor<2>,
}

impl MaskDecoder {
    /// Decodes masks for K prompts on one image.
    ///
    /// # Shapes
    /// - `embedding`: `[1, height, width, dim]`
    /// - `image_pe`: `[1, height · width, dim]`
    /// - `sparse`: `[K, points, dim]`
    /// - `dense`: `[1 or K, 1 or height · width, dim]`
    pub fn forward(
        &self,
        embedding: Tensor<4>,
        image_pe: Tensor<3>,
        sparse: Tensor<3>,
        dense: Tensor<3>,
        output: MaskOutput,
    ) -> MaskPrediction {
        let [_, height, width, dim] = embedding.dims();
        let [prompts, ..] = sparse.dims();
        let own = Tensor::cat(vec![self.iou_token.weight.val(), self.mask_tokens.weight.val()], 0);
        let [own_count, _] = own.dims();
        let own = own.unsqueeze::<3>().expand([prompts, own_count, dim]);
        let tokens = Tensor::cat(vec![own, sparse], 1);

        let image = embedding.reshape([1, height * width, dim]) + dense;
        let (tokens, image) = self.transformer.forward(image, image_pe, tokens);

        let wanted = output.wanted(self.output_hypernetworks_mlps.len());
        let upscaled = self.upscale(image);
        let logits = matmul(self.classifiers(&tokens, wanted.clone()), upscaled.transpose());
        // The transposed convolutions leave each token's 4×4 pixels together: put them in their rows and columns.
        let logits = logits
            .reshape([prompts, wanted.len(), height, width, 2, 2, 2, 2])
            .permute([0, 1, 2, 4, 6, 3, 5, 7])
            .reshape([prompts, wanted.len(), 4 * height, 4 * width]);

        let iou_token = tokens.slice([0..prompts, 0..1]).reshape([prompts, dim]);
        let iou = self.iou_prediction_head.forward(iou_token).slice([0..prompts, wanted]);
        MaskPrediction { logits, iou }
    }

    /// # Shapes
    /// - `tokens`: `[K, points, dim]`
    /// - output: `[K, wanted, dim / 8]`
    fn classifiers(&self, tokens: &Tensor<3>, wanted: Range<usize>) -> Tensor<3> {
        let [prompts, _, dim] = tokens.dims();
        let classifier = |mask: usize| {
            let token = tokens.clone().slice([0..prompts, mask + 1..mask + 2, 0..dim]);
            self.output_hypernetworks_mlps[mask].forward(token)
        };
        Tensor::cat(wanted.map(classifier).collect(), 1)
    }

    /// Both transposed convolutions have stride 2 and kernel 2, so that every token becomes 4×4 pixels independently of its
    /// neighbours, and matrix products do the work.
    ///
    /// # Shapes
    /// - `image`: `[K, tokens, dim]`
    /// - output: `[K, tokens · 16, dim / 8]`, the 16 pixels in the order row, column of the first, row, column of the second
    fn upscale(&self, image: Tensor<3>) -> Tensor<3> {
        let (conv1, norm, _, conv2, _) = &self.output_upscaling;
        let [prompts, tokens, dim] = image.dims();
        let x = image.reshape([prompts * tokens, dim]);
        let x = gelu(norm.forward(spread(conv1, x, Activation::None)));
        let x = spread(conv2, x, Activation::Gelu);
        x.reshape([prompts, tokens * 16, dim / 8])
    }
}

/// A 2×2 transposed convolution of stride 2 on separate pixels.
///
/// # Shapes
/// - `x`: `[pixels, channels_in]`
/// - output: `[pixels · 4, channels_out]`
fn spread(conv: &ConvTranspose2d, x: Tensor<2>, activation: Activation) -> Tensor<2> {
    let [pixels, channels_in] = x.dims();
    let weight = conv.weight.val();
    let [_, channels_out, ..] = weight.dims();
    let weight = weight.permute([0, 2, 3, 1]).reshape([channels_in, 4 * channels_out]);
    let bias = conv.bias.as_ref().map(|bias| bias.val().repeat(&[4]));
    linear(x, weight, bias, activation).reshape([pixels * 4, channels_out])
}
