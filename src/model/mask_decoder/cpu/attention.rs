//! Attention between prompt and image tokens, for the decoder on the CPU.

use super::arithmetic::{add_scaled, apply, dot, sum};
use crate::kernels::cpu::{Attended, PackedMatrix, TokenKeys, TokenQueries};
use crate::model::layers::Linear;
use crate::model::packing::{bias_values, linear, scaled_linear, values};
use crate::model::transformer::Attention;

/// Attention among the prompt tokens.
#[derive(Debug, Clone)]
pub struct SelfAttention {
    heads: usize,
    /// Scaled as the softmax wants it.
    q_proj: PackedMatrix,
    k_proj: PackedMatrix,
    v_proj: PackedMatrix,
    out_proj: PackedMatrix,
}

impl SelfAttention {
    pub fn new(attention: &Attention) -> Self {
        Self {
            heads: attention.num_heads,
            q_proj: scaled_linear(&attention.q_proj, attention.scale() as f32),
            k_proj: linear(&attention.k_proj),
            v_proj: linear(&attention.v_proj),
            out_proj: linear(&attention.out_proj),
        }
    }

    /// # Shapes
    /// - `queries` (also the keys) and `values`: `[tokens, dim]`
    pub fn forward(&self, queries: &[f32], values: &[f32]) -> Vec<f32> {
        let [q, k, v] =
            [(&self.q_proj, queries), (&self.k_proj, queries), (&self.v_proj, values)].map(|(proj, x)| apply(proj, x));
        let internal = self.q_proj.columns();
        let (tokens, head_dim) = (q.len() / internal, internal / self.heads);
        let mut mixed = vec![0.0; q.len()];
        for (token, head) in (0..tokens).flat_map(|token| (0..self.heads).map(move |head| (token, head))) {
            let part = |token: usize| token * internal + head * head_dim..token * internal + (head + 1) * head_dim;
            let scores: Vec<f32> = (0..tokens).map(|other| dot(&q[part(token)], &k[part(other)])).collect();
            let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let weights: Vec<f32> = scores.iter().map(|score| (score - largest).exp()).collect();
            let total: f32 = weights.iter().sum();
            for (other, weight) in weights.iter().enumerate() {
                add_scaled(&mut mixed[part(token)], &v[part(other)], weight / total);
            }
        }
        apply(&self.out_proj, &mixed)
    }
}

/// Prompt tokens look at image tokens.
#[derive(Debug, Clone)]
pub struct TokenToImage {
    heads: usize,
    /// Scaled as the softmax wants it.
    q_proj: PackedMatrix,
    /// `[internal, dim]`; the keys' bias shifts all scores of a query alike, which the softmax takes away.
    k_proj: Vec<f32>,
    /// The same for many tokens, `[dim, internal]`.
    pub image_k_proj: PackedMatrix,
    /// `[dim, internal]`
    v_proj: Vec<f32>,
    /// The same for many tokens.
    pub image_v_proj: PackedMatrix,
    v_bias: Vec<f32>,
    out_proj: PackedMatrix,
}

impl TokenToImage {
    pub fn new(attention: &Attention) -> Self {
        let [_, internal] = attention.v_proj.weight.dims();
        Self {
            heads: attention.num_heads,
            q_proj: scaled_linear(&attention.q_proj, attention.scale() as f32),
            k_proj: transposed(&attention.k_proj),
            image_k_proj: without_bias(&attention.k_proj),
            v_proj: values(&attention.v_proj.weight),
            image_v_proj: without_bias(&attention.v_proj),
            v_bias: bias_values(attention.v_proj.bias.as_ref(), internal),
            out_proj: linear(&attention.out_proj),
        }
    }

    pub fn queries(&self, tokens: &[f32]) -> TokenQueries {
        let dim = self.q_proj.depth();
        TokenQueries::new(&per_head(&apply(&self.q_proj, tokens), &self.k_proj, self.heads, dim), dim)
    }

    /// The means of the image tokens, projected.
    pub fn finish(&self, attended: &Attended, tokens: usize) -> Vec<f32> {
        let internal = self.v_bias.len();
        let head_dim = internal / self.heads;
        let mut mixed = self.v_bias.repeat(tokens);
        for (channel, weights) in self.v_proj.chunks_exact(internal).enumerate() {
            for (column, mixed) in mixed.chunks_exact_mut(head_dim).enumerate() {
                let head = column % self.heads;
                add_scaled(mixed, &weights[head * head_dim..][..head_dim], attended.mean(channel, 0, column));
            }
        }
        apply(&self.out_proj, &mixed)
    }

    /// Queries of an image's projected keys.
    pub fn queries_of_projected(&self, tokens: &[f32]) -> TokenQueries {
        TokenQueries::per_head(&apply(&self.q_proj, tokens), self.heads, self.v_bias.len() / self.heads)
    }

    /// The means of an image's projected values.
    pub fn finish_projected(&self, attended: &Attended, tokens: usize) -> Vec<f32> {
        let internal = self.v_bias.len();
        let head_dim = internal / self.heads;
        let mut mixed = self.v_bias.repeat(tokens);
        for (index, value) in mixed.iter_mut().enumerate() {
            let (token, channel) = (index / internal, index % internal);
            *value += attended.mean(channel % head_dim, channel / head_dim, token);
        }
        apply(&self.out_proj, &mixed)
    }
}

/// Image tokens look at prompt tokens.
#[derive(Debug, Clone)]
pub struct ImageToToken {
    heads: usize,
    /// `[internal, dim]`
    q_proj: Vec<f32>,
    q_bias: Vec<f32>,
    /// The same for many tokens, `[dim, internal]`.
    pub image_q_proj: PackedMatrix,
    /// Scaled as the softmax wants it.
    k_proj: PackedMatrix,
    v_proj: PackedMatrix,
    /// `[internal, dim]`
    out_proj: Vec<f32>,
    out_bias: Vec<f32>,
}

impl ImageToToken {
    pub fn new(attention: &Attention) -> Self {
        let [internal, dim] = attention.out_proj.weight.dims();
        Self {
            heads: attention.num_heads,
            q_proj: transposed(&attention.q_proj),
            q_bias: bias_values(attention.q_proj.bias.as_ref(), internal),
            image_q_proj: linear(&attention.q_proj),
            k_proj: scaled_linear(&attention.k_proj, attention.scale() as f32),
            v_proj: linear(&attention.v_proj),
            out_proj: values(&attention.out_proj.weight),
            out_bias: bias_values(attention.out_proj.bias.as_ref(), dim),
        }
    }

    pub fn keys(&self, tokens: &[f32], prompt: &[f32]) -> TokenKeys {
        let (dim, heads) = (self.out_bias.len(), self.heads);
        let keys = apply(&self.k_proj, &sum(tokens, prompt));
        let head_dim = self.q_bias.len() / heads;
        let score = |(column, key): (usize, &[f32])| dot(key, &self.q_bias[column % heads * head_dim..][..head_dim]);
        let scores: Vec<f32> = keys.chunks_exact(head_dim).enumerate().map(score).collect();
        let keys = per_head(&keys, &self.q_proj, heads, dim);
        TokenKeys::new(&keys, &scores, &self.brought(tokens), &self.out_bias, heads)
    }

    /// Keys for an image's projected queries: each column's in its head's place, among zeros.
    pub fn keys_for_projected(&self, tokens: &[f32], prompt: &[f32]) -> TokenKeys {
        let keys = apply(&self.k_proj, &sum(tokens, prompt));
        let internal = self.q_bias.len();
        let head_dim = internal / self.heads;
        let mut columns = vec![0.0; keys.len() / head_dim * internal];
        for (column, key) in keys.chunks_exact(head_dim).enumerate() {
            columns[column * internal + column % self.heads * head_dim..][..head_dim].copy_from_slice(key);
        }
        let scores = vec![0.0; keys.len() / head_dim];
        TokenKeys::new(&columns, &scores, &self.brought(tokens), &self.out_bias, self.heads)
    }

    /// What each column brings to the image, `[tokens · heads, dim]`.
    pub fn brought(&self, tokens: &[f32]) -> Vec<f32> {
        per_head(&apply(&self.v_proj, tokens), &self.out_proj, self.heads, self.out_bias.len())
    }
}

/// Every head's part of each token through its part of a projection: `[tokens · heads, dim]`.
///
/// # Shapes
/// - `tokens`: `[tokens, internal]`
/// - `projection`: `[internal, dim]`
pub fn per_head(tokens: &[f32], projection: &[f32], heads: usize, dim: usize) -> Vec<f32> {
    let head_dim = projection.len() / dim / heads;
    let mut columns = vec![0.0; tokens.len() / head_dim * dim];
    for (column, (output, token)) in columns.chunks_exact_mut(dim).zip(tokens.chunks_exact(head_dim)).enumerate() {
        let weights = projection[column % heads * head_dim * dim..].chunks_exact(dim);
        token.iter().zip(weights).for_each(|(value, weights)| add_scaled(output, weights, *value));
    }
    columns
}

/// A linear layer whose bias is added elsewhere.
pub fn without_bias(linear: &Linear) -> PackedMatrix {
    let [features_in, features_out] = linear.weight.dims();
    PackedMatrix::new(&values(&linear.weight), features_in, features_out)
}

/// The weight of a linear layer, `[features_out, features_in]`.
pub fn transposed(linear: &Linear) -> Vec<f32> {
    let [features_in, features_out] = linear.weight.dims();
    let weight = values(&linear.weight);
    (0..weight.len()).map(|index| weight[index % features_in * features_out + index / features_in]).collect()
}
