//! The mask decoder on kernels of our own, for inference on the CPU.
//!
//! The network is [`super::MaskDecoder`]'s. What differs is the order of work: the prompt tokens of a layer do not wait for the image tokens of the
//! layer before, so that "image looks at prompts" of one layer, "prompts look at image" of the next, and after the last layer the upscaling are one
//! pass over the image, tile by tile. The image tokens are written once, between the layers, and nothing else of their size.
//!
//! What the first layer makes of the image alone is computed once per image, see [`PreparedImage`].

mod arithmetic;
mod attention;
mod mask_prompt;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::OnceLock;

use super::{MaskDecoder, MaskOutput};
use crate::kernels::cpu::{
    Attended, LayerNorm, PackedMatrix, SharedSlice, TILE, TokenKeys, TokenQueries, Upscaling, for_each_chunk,
    for_each_task, with_scratch,
};
use crate::model::packing::{layer_norm, layer_norm_2d, linear, mlp, spreading, values};
use crate::model::prompt_encoder::PromptEncoder;
use crate::model::transformer::TwoWayAttentionBlock;
use arithmetic::{add_and_normalize, add_into, apply, dot, relu, sum, through};
use attention::{ImageToToken, SelfAttention, TokenToImage};
use mask_prompt::MaskPrompts;

/// Parts of the image that are attended to by themselves and then put together: a fixed number, so that results do not depend on the number of
/// threads.
const PARTS: usize = 4;
/// Pixels of the low-res mask per image token and direction.
const UPSCALE: usize = 4;

/// A [`MaskDecoder`] with its weights packed, and what belongs to every image.
#[derive(Debug, Clone)]
pub struct MaskDecoderCpu {
    dim: usize,
    /// IoU token and mask tokens, `[own, dim]`.
    own_tokens: Vec<f32>,
    layers: Vec<Layer>,
    final_attn: TokenToImage,
    norm_final: LayerNorm,
    upscaling: Upscaling,
    hypernetworks: Vec<Vec<PackedMatrix>>,
    iou_head: Vec<PackedMatrix>,
    /// Position encoding of the image tokens, `[tokens, dim]`.
    image_pe: Vec<f32>,
    /// Added to the embedding where there is no mask prompt, `[dim]`.
    no_mask: Vec<f32>,
    mask_prompts: MaskPrompts,
}

#[derive(Debug, Clone)]
struct Layer {
    self_attn: SelfAttention,
    norm1: LayerNorm,
    token_to_image: TokenToImage,
    norm2: LayerNorm,
    mlp: [PackedMatrix; 2],
    norm3: LayerNorm,
    image_to_token: ImageToToken,
    norm4: LayerNorm,
    skip_first_layer_pe: bool,
}

impl MaskDecoderCpu {
    /// Packs the weights of a decoder on the CPU, with the image's position encoding `[tokens, dim]` and what the prompt encoder does with masks.
    pub fn new(decoder: &MaskDecoder, image_pe: Vec<f32>, prompt_encoder: &PromptEncoder) -> Self {
        let no_mask = values(&prompt_encoder.no_mask_embed.weight);
        let (conv1, norm, _, conv2, _) = &decoder.output_upscaling;
        let own = [values(&decoder.iou_token.weight), values(&decoder.mask_tokens.weight)];
        Self {
            dim: no_mask.len(),
            own_tokens: own.concat(),
            layers: decoder.transformer.layers.iter().map(Layer::new).collect(),
            final_attn: TokenToImage::new(&decoder.transformer.final_attn_token_to_image),
            norm_final: layer_norm(&decoder.transformer.norm_final_attn),
            upscaling: Upscaling { conv1: spreading(conv1), norm: layer_norm_2d(norm), conv2: spreading(conv2) },
            hypernetworks: decoder.output_hypernetworks_mlps.iter().map(mlp).collect(),
            iou_head: mlp(&decoder.iou_prediction_head),
            image_pe,
            mask_prompts: MaskPrompts::new(prompt_encoder, &decoder.transformer.layers[0]),
            no_mask,
        }
    }

    /// Computes what all prompts on an image share.
    ///
    /// # Shapes
    /// - `embedding`: `[side, side, dim]`
    pub fn prepare(&self, embedding: Vec<f32>) -> PreparedImage {
        let mut tokens = embedding;
        for token in tokens.chunks_exact_mut(self.dim) {
            token.iter_mut().zip(&self.no_mask).for_each(|(value, no_mask)| *value += no_mask);
        }
        let placed = sum(&tokens, &self.image_pe);
        let Layer { token_to_image, image_to_token, .. } = &self.layers[0];
        PreparedImage {
            keys: apply(&token_to_image.image_k_proj, &placed),
            values: apply(&token_to_image.image_v_proj, &tokens),
            queries: apply(&image_to_token.image_q_proj, &placed),
            tokens,
        }
    }

    /// The embedding `[side, side, dim]` that an image was prepared from.
    pub fn embedding(&self, image: &PreparedImage) -> Vec<f32> {
        let mut tokens = image.tokens.clone();
        for token in tokens.chunks_exact_mut(self.dim) {
            token.iter_mut().zip(&self.no_mask).for_each(|(value, no_mask)| *value -= no_mask);
        }
        tokens
    }

    /// What prompts with a mask prompt share: as [`MaskDecoderCpu::prepare`], of the mask's embedding instead of that of no mask.
    ///
    /// # Shapes
    /// - `logits`: `[4 · side, 4 · side]`
    pub fn with_mask_prompt(&self, image: &PreparedImage, logits: &[f32]) -> PreparedImage {
        self.mask_prompts.add(image, logits)
    }

    /// Decodes masks for prompts on one image, prepared for their mask prompt. Returns the low-res logits and the predicted IoU.
    ///
    /// # Shapes
    /// - `sparse`: `[K, points, dim]`
    /// - output: `[K, wanted, 4 · side, 4 · side]` and `[K, wanted]`
    pub fn forward(
        &self,
        image: &PreparedImage,
        sparse: &[f32],
        prompts: usize,
        output: MaskOutput,
    ) -> (Vec<f32>, Vec<f32>) {
        let wanted = output.wanted(self.hypernetworks.len());
        let values = image.tokens.len();
        let pixels = values / self.dim * UPSCALE * UPSCALE;
        let mut memory =
            Memory { map: vec![0.0; values], upscaled: vec![0.0; pixels * self.upscaling.conv2.columns() / 4] };
        let (mut logits, mut ious) = (vec![0.0; prompts * wanted.len() * pixels], Vec::new());
        let masks = logits.chunks_exact_mut(wanted.len() * pixels);
        for (sparse, masks) in sparse.chunks_exact(sparse.len() / prompts.max(1)).zip(masks) {
            let tokens = self.decode(image, sparse, &mut memory);
            for (mask, logits) in wanted.clone().zip(masks.chunks_exact_mut(pixels)) {
                let token = &tokens[(mask + 1) * self.dim..][..self.dim];
                let classifier = through(&self.hypernetworks[mask], token.to_vec());
                classify(&memory.upscaled, &classifier, logits);
            }
            let iou = through(&self.iou_head, tokens[..self.dim].to_vec());
            ious.extend_from_slice(&iou[wanted.clone()]);
        }
        (logits, ious)
    }

    /// The predicted IoU of one prompt's single mask, without the mask.
    ///
    /// # Shapes
    /// - `sparse`: `[points, dim]`
    pub fn predicted_iou(&self, image: &PreparedImage, sparse: &[f32]) -> f32 {
        let mut memory = Memory { map: vec![0.0; image.tokens.len()], upscaled: Vec::new() };
        let tokens = self.decode(image, sparse, &mut memory);
        through(&self.iou_head, tokens[..self.dim].to_vec())[0]
    }

    /// Returns the prompt tokens after the last attention; the upscaled image is in `memory`, if there is room for it.
    fn decode(&self, image: &PreparedImage, sparse: &[f32], memory: &mut Memory) -> Vec<f32> {
        let prompt = [&self.own_tokens[..], sparse].concat();
        let mut tokens = prompt.clone();
        let mut update: Option<(TokenKeys, &LayerNorm)> = None;
        for (index, layer) in self.layers.iter().enumerate() {
            layer.attend_to_themselves(&mut tokens, &prompt);
            let placed = sum(&tokens, &prompt);
            let taken = match &update {
                None => {
                    let queries = layer.token_to_image.queries_of_projected(&placed);
                    layer.token_to_image.finish_projected(&self.first_pass(image, &queries), tokens.len() / self.dim)
                }
                Some(update) => {
                    let queries = layer.token_to_image.queries(&placed);
                    let attended = self.pass(Source::of(image, index), update, &queries, memory, false);
                    layer.token_to_image.finish(&attended, tokens.len() / self.dim)
                }
            };
            add_and_normalize(&mut tokens, &taken, &layer.norm2);
            let [lin1, lin2] = &layer.mlp;
            let mut hidden = apply(lin1, &tokens);
            relu(&mut hidden);
            add_and_normalize(&mut tokens, &apply(lin2, &hidden), &layer.norm3);
            let keys = match index {
                0 => layer.image_to_token.keys_for_projected(&tokens, &prompt),
                _ => layer.image_to_token.keys(&tokens, &prompt),
            };
            update = Some((keys, &layer.norm4));
        }
        let queries = self.final_attn.queries(&sum(&tokens, &prompt));
        let update = update.expect("there is a layer");
        let attended = self.pass(Source::of(image, self.layers.len()), &update, &queries, memory, true);
        let taken = self.final_attn.finish(&attended, tokens.len() / self.dim);
        add_and_normalize(&mut tokens, &taken, &self.norm_final);
        tokens
    }

    /// What the tokens find in the image as it was encoded.
    fn first_pass(&self, image: &PreparedImage, queries: &TokenQueries) -> Attended {
        let internal = image.keys.len() / (image.tokens.len() / self.dim);
        self.in_parts(queries, queries.scratch(), |tokens, attended, scores| {
            let range = tokens.start * internal..tokens.end * internal;
            queries.attend(&image.keys[range.clone()], &image.values[range], attended, scores);
        })
    }

    /// One pass over the image: what the tokens bring to it is added, and what they look for is taken from it. The updated image is upscaled,
    /// or written to the memory's map.
    fn pass(
        &self,
        source: Source,
        (token_keys, norm): &(TokenKeys, &LayerNorm),
        queries: &TokenQueries,
        memory: &mut Memory,
        is_last: bool,
    ) -> Attended {
        let dim = self.dim;
        let upscaled_row = memory.upscaled.len() / (self.image_pe.len() / dim);
        let (map, upscaled) = (SharedSlice::new(&mut memory.map), SharedSlice::new(&mut memory.upscaled));
        let scores = queries.scratch().max(token_keys.scratch());
        self.in_parts(queries, 3 * TILE * dim + scores, |tokens, attended, scratch| {
            let (placed, rest) = scratch.split_at_mut(TILE * dim);
            let (updated, rest) = rest.split_at_mut(TILE * dim);
            let (hidden, scores) = rest.split_at_mut(TILE * dim);
            let range = tokens.start * dim..tokens.end * dim;
            let pe = &self.image_pe[range.clone()];
            let (placed, updated) = (&mut placed[..range.len()], &mut updated[..range.len()]);
            match source {
                Source::Image(image) => {
                    let depth = image.queries.len() / (image.tokens.len() / dim);
                    let queries = &image.queries[tokens.start * depth..tokens.end * depth];
                    token_keys.attend(queries, &image.tokens[range.clone()], updated, scores);
                }
                Source::Map => {
                    // SAFETY: each part has its own tokens, and what is read of them is no longer used when they are written.
                    let before = unsafe { map.part(range.clone()) };
                    add_into(placed, before, pe);
                    token_keys.attend(placed, before, updated, scores);
                }
            }
            norm.normalize_in_place(updated);
            add_into(placed, updated, pe);
            queries.attend(placed, updated, attended, scores);
            if is_last && upscaled_row > 0 {
                let pixels = tokens.start * upscaled_row..tokens.end * upscaled_row;
                // SAFETY: each part has its own tokens.
                self.upscaling.forward(updated, unsafe { upscaled.part(pixels) }, hidden);
            } else if !is_last {
                // SAFETY: each part has its own tokens.
                unsafe { map.part(range) }.copy_from_slice(updated);
            }
        })
    }

    /// Visits the image's tokens, at most [`TILE`] at a time, with scratch memory, and puts together what was attended to in each part of the image.
    fn in_parts(
        &self,
        queries: &TokenQueries,
        scratch: usize,
        visit: impl Fn(Range<usize>, &mut Attended, &mut [f32]) + Sync + Send,
    ) -> Attended {
        let count = self.image_pe.len() / self.dim;
        let parts: Vec<OnceLock<Attended>> = (0..PARTS).map(|_| OnceLock::new()).collect();
        for_each_task(PARTS, |part| {
            let mut attended = queries.begin();
            let tokens = part * count / PARTS..(part + 1) * count / PARTS;
            with_scratch(scratch, |scratch| {
                for first in tokens.clone().step_by(TILE) {
                    visit(first..tokens.end.min(first + TILE), &mut attended, scratch);
                }
            });
            parts[part].set(attended).ok().expect("each part has its turn once");
        });
        let mut parts = parts.into_iter().map(|part| part.into_inner().expect("every part had its turn"));
        let first = parts.next().expect("there are parts");
        parts.fold(first, |mut all, part| {
            all.merge(&part);
            all
        })
    }
}

/// What prompts on an image have in common: it is computed once, when the image is encoded.
///
/// The first layer's projections of the image do not depend on the prompt, and their products with the tokens are an eighth as long head by head as those
/// of [`TokenQueries::new`].
#[derive(Debug, Clone)]
pub struct PreparedImage {
    /// The embedding with the embedding of no mask added, `[tokens, dim]`.
    tokens: Vec<f32>,
    /// Projected for the first layer's tokens to look at, without bias, `[tokens, internal]`.
    keys: Vec<f32>,
    /// What they find, without bias, `[tokens, internal]`.
    values: Vec<f32>,
    /// What the image looks for in the first layer's tokens, `[tokens, internal]`.
    queries: Vec<f32>,
}

impl PreparedImage {
    /// The first value.
    pub fn first_value(&self) -> f32 {
        self.tokens[0]
    }
}

/// Reused from prompt to prompt.
struct Memory {
    /// The image tokens between the layers.
    map: Vec<f32>,
    /// The image tokens upscaled.
    upscaled: Vec<f32>,
}

/// Where the image tokens of a pass are.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// As they were encoded.
    Image(&'a PreparedImage),
    /// In the memory's map.
    Map,
}

impl<'a> Source<'a> {
    /// The first layer's update is the second pass, and the first whose result is written.
    fn of(image: &'a PreparedImage, pass: usize) -> Self {
        if pass < 2 { Self::Image(image) } else { Self::Map }
    }
}

impl Layer {
    fn new(layer: &TwoWayAttentionBlock) -> Self {
        Self {
            self_attn: SelfAttention::new(&layer.self_attn),
            norm1: layer_norm(&layer.norm1),
            token_to_image: TokenToImage::new(&layer.cross_attn_token_to_image),
            norm2: layer_norm(&layer.norm2),
            mlp: [linear(&layer.mlp.lin1), linear(&layer.mlp.lin2)],
            norm3: layer_norm(&layer.norm3),
            image_to_token: ImageToToken::new(&layer.cross_attn_image_to_token),
            norm4: layer_norm(&layer.norm4),
            skip_first_layer_pe: layer.skip_first_layer_pe,
        }
    }

    fn attend_to_themselves(&self, tokens: &mut Vec<f32>, prompt: &[f32]) {
        if self.skip_first_layer_pe {
            *tokens = self.self_attn.forward(tokens, tokens);
            self.norm1.normalize_in_place(tokens);
        } else {
            let attended = self.self_attn.forward(&sum(tokens, prompt), tokens);
            add_and_normalize(tokens, &attended, &self.norm1);
        }
    }
}

/// The logits of a mask from the upscaled image, in rows and columns.
///
/// # Shapes
/// - `upscaled`: `[side · side · 16, channels]`
/// - `classifier`: `[channels]`
/// - `logits`: `[4 · side, 4 · side]`
fn classify(upscaled: &[f32], classifier: &[f32], logits: &mut [f32]) {
    let width = logits.len().isqrt();
    let row = upscaled.len() / (width / UPSCALE);
    for_each_chunk(logits, UPSCALE * width, |index, logits| {
        let pixels = upscaled[index * row..][..row].chunks_exact(classifier.len());
        for (index, pixel) in pixels.enumerate() {
            let [token, first, second] = [index / 16, index / 4 % 4, index % 4];
            let y = first / 2 * 2 + second / 2;
            let x = token * UPSCALE + first % 2 * 2 + second % 2;
            logits[y * width + x] = dot(pixel, classifier);
        }
    });
}
