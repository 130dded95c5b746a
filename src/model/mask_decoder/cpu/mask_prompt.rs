//! Mask prompts on the CPU: what they change in an image that was prepared without one.
//!
//! A mask's embedding is a 1×1 convolution of 16 hidden channels, and what the first layer makes of it is linear: so its projections are products of those 16
//! channels with matrices that are multiplied beforehand, a sixteenth of the work of projecting the embedding.

use super::PreparedImage;
use super::arithmetic::dot;
use crate::kernels::cpu::{Activation, LayerNorm, PackedMatrix, Residual, gelu, gemm};
use crate::model::layers::{Conv2d, Linear};
use crate::model::packing::{bias_values, layer_norm_2d, values};
use crate::model::prompt_encoder::PromptEncoder;
use crate::model::transformer::TwoWayAttentionBlock;

/// Pixels of a mask prompt per image token and direction: two convolutions of stride 2.
const PATCH: usize = 4;

/// What the prompt encoder does with masks, and the first layer with that.
#[derive(Debug, Clone)]
pub struct MaskPrompts {
    conv1: PackedMatrix,
    norm1: LayerNorm,
    conv2: PackedMatrix,
    norm2: LayerNorm,
    /// Hidden channels to the difference of the embeddings of the mask and of no mask.
    tokens: PackedMatrix,
    /// The same, projected as the first layer's tokens look at it,
    keys: PackedMatrix,
    /// as they find it,
    values: PackedMatrix,
    /// and as the image looks for it in them.
    queries: PackedMatrix,
}

impl MaskPrompts {
    /// Packs and multiplies the weights.
    pub fn new(encoder: &PromptEncoder, first_layer: &TwoWayAttentionBlock) -> Self {
        let (conv1, norm1, _, conv2, norm2, _, conv3) = &encoder.mask_downscaling;
        let [dim, hidden, ..] = conv3.weight.dims();
        // Rows of `hidden` channels, then the bias, from which the embedding of no mask is taken away.
        let weight = values(&conv3.weight);
        let mut rows: Vec<Vec<f32>> =
            (0..hidden).map(|channel| (0..dim).map(|feature| weight[feature * hidden + channel]).collect()).collect();
        let no_mask = values(&encoder.no_mask_embed.weight);
        rows.push(bias_values(conv3.bias.as_ref(), dim).iter().zip(no_mask).map(|(bias, none)| bias - none).collect());
        let projected = |linear: &Linear| -> Vec<Vec<f32>> {
            let [_, features] = linear.weight.dims();
            let weight = values(&linear.weight);
            let columns: Vec<Vec<f32>> =
                (0..features).map(|feature| weight.iter().skip(feature).step_by(features).copied().collect()).collect();
            rows.iter().map(|row| columns.iter().map(|column| dot(row, column)).collect()).collect()
        };
        let to_image = &first_layer.cross_attn_token_to_image;
        Self {
            conv1: patches(conv1),
            norm1: layer_norm_2d(norm1),
            conv2: patches(conv2),
            norm2: layer_norm_2d(norm2),
            tokens: packed(&rows),
            keys: packed(&projected(&to_image.k_proj)),
            values: packed(&projected(&to_image.v_proj)),
            queries: packed(&projected(&first_layer.cross_attn_image_to_token.q_proj)),
        }
    }

    /// The image with a mask prompt instead of none.
    ///
    /// # Shapes
    /// - `logits`: `[4 · side, 4 · side]`
    pub fn add(&self, image: &PreparedImage, logits: &[f32]) -> PreparedImage {
        let hidden = self.hidden(logits);
        let added = |values: &[f32], matrix: &PackedMatrix| {
            let mut sum = vec![0.0; values.len()];
            let columns = matrix.columns();
            let residual = Residual::Matrix { values, stride: columns };
            let tokens = values.len() / columns;
            gemm(&hidden, matrix.depth(), tokens, matrix, residual, Activation::None, &mut sum, columns);
            sum
        };
        PreparedImage {
            tokens: added(&image.tokens, &self.tokens),
            keys: added(&image.keys, &self.keys),
            values: added(&image.values, &self.values),
            queries: added(&image.queries, &self.queries),
        }
    }

    /// `[tokens, hidden]`
    fn hidden(&self, logits: &[f32]) -> Vec<f32> {
        let width = logits.len().isqrt();
        let side = width / PATCH;
        // Every token's sixteen pixels side by side: its four patches of two by two, one after the other.
        let mut pixels = Vec::with_capacity(logits.len());
        for token in 0..side * side {
            let corner = (token / side * width + token % side) * PATCH;
            for place in 0..PATCH * PATCH {
                let [patch, pixel] = [place / 4, place % 4];
                let (y, x) = (patch / 2 * 2 + pixel / 2, patch % 2 * 2 + pixel % 2);
                pixels.push(logits[corner + y * width + x]);
            }
        }
        let first = step(&self.conv1, &self.norm1, &pixels);
        step(&self.conv2, &self.norm2, &first)
    }
}

/// A convolution of patches that lie one after the other, normalized and activated.
fn step(conv: &PackedMatrix, norm: &LayerNorm, patches: &[f32]) -> Vec<f32> {
    let rows = patches.len() / conv.depth();
    let mut output = vec![0.0; rows * conv.columns()];
    gemm(patches, conv.depth(), rows, conv, Residual::None, Activation::None, &mut output, conv.columns());
    norm.normalize_in_place(&mut output);
    gelu(&mut output);
    output
}

/// A 2×2 convolution of stride 2 as a matrix of patches, pixel by pixel, channels of a pixel side by side.
fn patches(conv: &Conv2d) -> PackedMatrix {
    let [channels_out, channels_in, height, width] = conv.weight.dims();
    let weight = values(&conv.weight);
    let pixels = height * width;
    let matrix: Vec<f32> = (0..weight.len())
        .map(|index| {
            let (row, output) = (index / channels_out, index % channels_out);
            let (pixel, input) = (row / channels_in, row % channels_in);
            weight[(output * channels_in + input) * pixels + pixel]
        })
        .collect();
    PackedMatrix::new(&matrix, pixels * channels_in, channels_out)
        .with_bias(&bias_values(conv.bias.as_ref(), channels_out))
}

/// A matrix whose last row is its bias.
fn packed(rows: &[Vec<f32>]) -> PackedMatrix {
    let (bias, rows) = rows.split_last().expect("there is a bias");
    PackedMatrix::new(&rows.concat(), rows.len(), bias.len()).with_bias(bias)
}
