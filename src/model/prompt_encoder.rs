//! SAM's prompt encoder: boxes, points and a mask prompt to embeddings.
//!
//! Source: Kirillov et al., *Segment Anything*, 2023 (`prompt_encoder.py`). Field names are the checkpoint's keys.

use std::f64::consts::TAU;

use burn::module::{Module, Param};
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::common::{LayerNorm2d, LayerNorm2dConfig};
use super::layers::{Conv2d, Embedding, Gelu};
use crate::kernels::{Activation, gelu, linear};

/// Sizes of a [`PromptEncoder`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptEncoderConfig {
    /// Channels of the embeddings; even.
    pub embed_dim: usize,
    /// Side of the image embedding, in tokens.
    pub embedding_size: usize,
    /// Side of the network's input, in pixels: the scale of the prompts' coordinates.
    pub input_size: usize,
    /// Hidden channels of the mask prompt's encoder; a multiple of 4.
    pub mask_in_chans: usize,
}

impl PromptEncoderConfig {
    /// Creates the encoder with random weights.
    pub fn init(&self, device: &Device) -> PromptEncoder {
        let embedding = || Embedding::init(1, self.embed_dim, device);
        let conv = |channels_in, channels_out, kernel| {
            Conv2d::init_in_groups([channels_in, channels_out], kernel, kernel, 1, device).with_bias()
        };
        let hidden = self.mask_in_chans;
        let normal = Distribution::Normal(0.0, 1.0);
        PromptEncoder {
            pe_layer: PositionEmbeddingRandom {
                positional_encoding_gaussian_matrix: Param::from_tensor(Tensor::random(
                    [2, self.embed_dim / 2],
                    normal,
                    device,
                )),
            },
            point_embeddings: (0..4).map(|_| embedding()).collect(),
            not_a_point_embed: embedding(),
            mask_downscaling: (
                conv(1, hidden / 4, 2),
                LayerNorm2dConfig { channels: hidden / 4 }.init(device),
                Gelu,
                conv(hidden / 4, hidden, 2),
                LayerNorm2dConfig { channels: hidden }.init(device),
                Gelu,
                conv(hidden, self.embed_dim, 1),
            ),
            no_mask_embed: embedding(),
            embedding_size: self.embedding_size,
            input_size: self.input_size,
        }
    }
}

/// Logit of the inside of a mask prompt that is a plain mask; the outside has its negative.
pub const PLAIN_MASK_LOGIT: f32 = 5.0;

/// A box `[x0, y0, x1, y1]` in pixels of the network's input.
pub type InputBox = [f32; 4];

/// What a point prompt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PointLabel {
    /// The point is outside the object.
    Background,
    /// The point is inside the object.
    Foreground,
}

/// A point prompt, in pixels of the network's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InputPoint {
    /// Column.
    pub x: f32,
    /// Row.
    pub y: f32,
    /// Which side of the object's edge it is on.
    pub label: PointLabel,
}

/// The prompts for one mask.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InputPrompt {
    /// Points, possibly none.
    pub points: Vec<InputPoint>,
    /// A box, if any.
    pub bounding_box: Option<InputBox>,
}

impl From<InputBox> for InputPrompt {
    fn from(bounding_box: InputBox) -> Self {
        Self { points: Vec::new(), bounding_box: Some(bounding_box) }
    }
}

/// The encoder.
#[derive(Module, Debug)]
pub struct PromptEncoder {
    /// Encoding of coordinates.
    pub pe_layer: PositionEmbeddingRandom,
    /// Kinds of points: background, foreground, box's first corner, box's second corner.
    pub point_embeddings: Vec<Embedding>,
    /// Fills the place of a missing point.
    pub not_a_point_embed: Embedding,
    /// Mask prompt to dense embedding.
    pub mask_downscaling: (Conv2d, LayerNorm2d, Gelu, Conv2d, LayerNorm2d, Gelu, Conv2d),
    /// Dense embedding where there is no mask prompt.
    pub no_mask_embed: Embedding,
    embedding_size: usize,
    input_size: usize,
}

/// Row of the kinds table that stands for a missing point; the four point kinds follow it.
const NOT_A_POINT: i32 = 0;

impl PromptEncoder {
    /// Embeds points and boxes. Every prompt must have as many points as the first, and a box where the first has one.
    ///
    /// # Shapes
    /// - output: `[prompts, points + 2, embed_dim]` with boxes, `[prompts, points + 1, embed_dim]` without (SAM pads with
    ///   a missing point)
    pub fn embed_sparse(&self, prompts: &[InputPrompt]) -> Tensor<3> {
        let device = self.no_mask_embed.weight.device();
        let mut coordinates = Vec::new();
        let mut kinds = Vec::new();
        for prompt in prompts {
            for point in &prompt.points {
                coordinates.extend([point.x, point.y]);
                kinds.push(match point.label {
                    PointLabel::Background => 1,
                    PointLabel::Foreground => 2,
                });
            }
            match prompt.bounding_box {
                Some(corners) => {
                    coordinates.extend(corners);
                    kinds.extend([3, 4]);
                }
                None => {
                    coordinates.extend([0.0, 0.0]);
                    kinds.push(NOT_A_POINT);
                }
            }
        }
        let count = kinds.len();
        let is_point: Vec<f32> = kinds.iter().map(|&kind| f32::from(kind != NOT_A_POINT)).collect();

        let coordinates = Tensor::<2>::from_data(TensorData::new(coordinates, [count, 2]), &device);
        let kinds = Tensor::<1, Int>::from_data(TensorData::new(kinds, [count]), &device);
        let is_point = Tensor::<2>::from_data(TensorData::new(is_point, [count, 1]), &device);

        let encoding = self.pe_layer.forward((coordinates + 0.5) / self.input_size as f64);
        let [_, embed_dim] = encoding.dims();
        let embedding = encoding * is_point + self.kinds_table().select(0, kinds);
        embedding.reshape([prompts.len(), count / prompts.len(), embed_dim])
    }

    /// The dense embedding of prompts without a mask.
    ///
    /// # Shapes
    /// - output: `[1, 1, embed_dim]`, to be broadcast over prompts and tokens
    pub fn no_mask(&self) -> Tensor<3> {
        self.no_mask_embed.weight.val().unsqueeze()
    }

    /// The dense embedding of mask prompts: low-res logits of an earlier pass.
    ///
    /// # Shapes
    /// - `masks`: `[prompts, 4 · embedding_size, 4 · embedding_size]`
    /// - output: `[prompts, embedding_size², embed_dim]`
    pub fn embed_masks(&self, masks: Tensor<3>) -> Tensor<3> {
        let (conv1, norm1, _, conv2, norm2, _, conv3) = &self.mask_downscaling;
        let [prompts, height, width] = masks.dims();
        let x = masks.reshape([prompts, height, width, 1]);
        let x = gelu(norm1.forward(patch_conv(conv1, x)));
        let x = gelu(norm2.forward(patch_conv(conv2, x)));
        let x = patch_conv(conv3, x);
        let [_, height, width, embed_dim] = x.dims();
        x.reshape([prompts, height * width, embed_dim])
    }

    /// The position encoding of every token of the image embedding.
    ///
    /// # Shapes
    /// - output: `[1, embedding_size², embed_dim]`
    pub fn dense_pe(&self) -> Tensor<3> {
        let size = self.embedding_size;
        let centre = |index: usize| (index as f32 + 0.5) / size as f32;
        let coordinates: Vec<f32> =
            (0..size * size).flat_map(|token| [centre(token % size), centre(token / size)]).collect();
        let device = self.no_mask_embed.weight.device();
        let coordinates = Tensor::<2>::from_data(TensorData::new(coordinates, [size * size, 2]), &device);
        self.pe_layer.forward(coordinates).unsqueeze()
    }

    fn kinds_table(&self) -> Tensor<2> {
        let rows = std::iter::once(&self.not_a_point_embed).chain(&self.point_embeddings);
        Tensor::cat(rows.map(|embedding| embedding.weight.val()).collect(), 0)
    }
}

/// A convolution whose stride is its kernel, as a matrix product over patches.
///
/// # Shapes
/// - `x`: `[batch, height, width, channels_in]`
/// - output: `[batch, height / kernel, width / kernel, channels_out]`
fn patch_conv(conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
    let [batch, height, width, channels_in] = x.dims();
    let kernel = conv.kernel;
    let [channels_out, _, _, _] = conv.weight.dims();
    let (rows, columns) = (height / kernel, width / kernel);
    let patches = x
        .reshape([batch, rows, kernel, columns, kernel, channels_in])
        .permute([0, 1, 3, 5, 2, 4])
        .reshape([batch * rows * columns, channels_in * kernel * kernel]);
    let weight = conv.weight.val().reshape([channels_out, channels_in * kernel * kernel]).transpose();
    let bias = conv.bias.as_ref().map(|bias| bias.val());
    linear(patches, weight, bias, Activation::None).reshape([batch, rows, columns, channels_out])
}

/// Random Fourier features of positions.
#[derive(Module, Debug)]
pub struct PositionEmbeddingRandom {
    /// Frequencies, `[2, embed_dim / 2]`.
    pub positional_encoding_gaussian_matrix: Param<Tensor<2>>,
}

impl PositionEmbeddingRandom {
    /// Encodes positions.
    ///
    /// # Shapes
    /// - `coordinates`: `[points, 2]`, x and y in 0–1
    /// - output: `[points, embed_dim]`
    pub fn forward(&self, coordinates: Tensor<2>) -> Tensor<2> {
        let [count, _] = coordinates.dims();
        let coordinates = coordinates * 2.0 - 1.0;
        let frequencies = self.positional_encoding_gaussian_matrix.val();
        let [_, features] = frequencies.dims();
        let of_axis = |axis: usize| {
            coordinates.clone().slice([0..count, axis..axis + 1])
                * frequencies.clone().slice([axis..axis + 1, 0..features])
        };
        let phase = (of_axis(0) + of_axis(1)) * TAU;
        Tensor::cat(vec![phase.clone().sin(), phase.cos()], 1)
    }
}
