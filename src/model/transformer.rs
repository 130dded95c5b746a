//! SAM's two-way transformer: prompt tokens and image tokens attend to each other.
//!
//! Source: Kirillov et al., *Segment Anything*, 2023 (`transformer.py`). Field names are the checkpoint's keys.
//!
//! Image-side tensors may have batch 1 while the prompts have batch K: the first layer's image-side work is then done once for
//! all prompts and broadcast.

use burn::module::Module;
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::common::linear;
use super::layers::{LayerNorm, Linear};
use crate::kernels::matmul;

/// Sizes of a [`TwoWayTransformer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwoWayTransformerConfig {
    /// Number of layers.
    pub depth: usize,
    /// Channels of the tokens.
    pub embedding_dim: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Hidden channels of the MLPs.
    pub mlp_dim: usize,
}

/// Cross-attention works on `embedding_dim / ATTENTION_DOWNSAMPLE_RATE` channels.
const ATTENTION_DOWNSAMPLE_RATE: usize = 2;

impl TwoWayTransformerConfig {
    /// Creates the transformer with random weights.
    pub fn init(&self, device: &Device) -> TwoWayTransformer {
        let dim = self.embedding_dim;
        let norm = || LayerNorm::init(dim, device);
        let cross = || Attention::init(dim, dim / ATTENTION_DOWNSAMPLE_RATE, self.num_heads, device);
        let layer = |index: usize| TwoWayAttentionBlock {
            self_attn: Attention::init(dim, dim, self.num_heads, device),
            norm1: norm(),
            cross_attn_token_to_image: cross(),
            norm2: norm(),
            mlp: MlpBlock {
                lin1: Linear::init(dim, self.mlp_dim, device),
                lin2: Linear::init(self.mlp_dim, dim, device),
            },
            norm3: norm(),
            norm4: norm(),
            cross_attn_image_to_token: cross(),
            skip_first_layer_pe: index == 0,
        };
        TwoWayTransformer {
            layers: (0..self.depth).map(layer).collect(),
            final_attn_token_to_image: cross(),
            norm_final_attn: norm(),
        }
    }
}

/// The transformer.
#[derive(Module, Debug)]
pub struct TwoWayTransformer {
    /// The layers.
    pub layers: Vec<TwoWayAttentionBlock>,
    /// Last look of the prompt tokens at the image.
    pub final_attn_token_to_image: Attention,
    /// Normalization after it.
    pub norm_final_attn: LayerNorm,
}

impl TwoWayTransformer {
    /// Returns the processed prompt tokens and image tokens.
    ///
    /// # Shapes
    /// - `image`: `[1 or K, tokens, dim]`
    /// - `image_pe`: `[1, tokens, dim]`
    /// - `prompts`: `[K, points, dim]`
    /// - output: `[K, points, dim]` and `[K, tokens, dim]`
    pub fn forward(&self, image: Tensor<3>, image_pe: Tensor<3>, prompts: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        let mut queries = prompts.clone();
        let mut keys = image;
        for layer in &self.layers {
            (queries, keys) = layer.forward(queries, keys, prompts.clone(), image_pe.clone());
        }
        let attended =
            self.final_attn_token_to_image.forward(queries.clone() + prompts, keys.clone() + image_pe, keys.clone());
        (self.norm_final_attn.forward(queries + attended), keys)
    }
}

/// One layer: self-attention of the prompts, prompts to image, MLP, image to prompts.
#[derive(Module, Debug)]
pub struct TwoWayAttentionBlock {
    /// Self-attention of the prompt tokens.
    pub self_attn: Attention,
    /// After the self-attention.
    pub norm1: LayerNorm,
    /// Prompt tokens look at image tokens.
    pub cross_attn_token_to_image: Attention,
    /// After it.
    pub norm2: LayerNorm,
    /// MLP of the prompt tokens.
    pub mlp: MlpBlock,
    /// After the MLP.
    pub norm3: LayerNorm,
    /// After the image tokens' attention.
    pub norm4: LayerNorm,
    /// Image tokens look at prompt tokens.
    pub cross_attn_image_to_token: Attention,
    pub(super) skip_first_layer_pe: bool,
}

impl TwoWayAttentionBlock {
    fn forward(
        &self,
        queries: Tensor<3>,
        keys: Tensor<3>,
        query_pe: Tensor<3>,
        key_pe: Tensor<3>,
    ) -> (Tensor<3>, Tensor<3>) {
        let queries = match self.skip_first_layer_pe {
            true => self.self_attn.forward(queries.clone(), queries.clone(), queries),
            false => {
                let q = queries.clone() + query_pe.clone();
                self.self_attn.forward(q.clone(), q, queries.clone()) + queries
            }
        };
        let queries = self.norm1.forward(queries);

        let q = queries.clone() + query_pe.clone();
        let k = keys.clone() + key_pe;
        let attended = self.cross_attn_token_to_image.forward(q, k.clone(), keys.clone());
        let queries = self.norm2.forward(queries + attended);

        let hidden = self.mlp.forward(queries.clone());
        let queries = self.norm3.forward(queries + hidden);

        let q = queries.clone() + query_pe;
        let attended = self.cross_attn_image_to_token.forward(k, q, queries.clone());
        let keys = self.norm4.forward(keys + attended);
        (queries, keys)
    }
}

/// Two linear layers with ReLU between them.
#[derive(Module, Debug)]
pub struct MlpBlock {
    /// Widening.
    pub lin1: Linear,
    /// Narrowing.
    pub lin2: Linear,
}

impl MlpBlock {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        linear(&self.lin2, relu(linear(&self.lin1, x)))
    }
}

/// Multi-head attention whose inner width may be smaller than the tokens'.
#[derive(Module, Debug)]
pub struct Attention {
    /// Queries.
    pub q_proj: Linear,
    /// Keys.
    pub k_proj: Linear,
    /// Values.
    pub v_proj: Linear,
    /// Output.
    pub out_proj: Linear,
    pub(super) num_heads: usize,
}

impl Attention {
    fn init(dim: usize, internal_dim: usize, num_heads: usize, device: &Device) -> Self {
        let proj = || Linear::init(dim, internal_dim, device);
        Self {
            q_proj: proj(),
            k_proj: proj(),
            v_proj: proj(),
            out_proj: Linear::init(internal_dim, dim, device),
            num_heads,
        }
    }

    /// Attends from `q` to `k` and `v`; batches of 1 are broadcast.
    ///
    /// # Shapes
    /// - `q`: `[batch, queries, dim]`
    /// - `k`, `v`: `[batch, keys, dim]`
    /// - output: `[batch, queries, dim]`
    pub fn forward(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
        let [_, queries, _] = q.dims();
        let [_, keys, _] = k.dims();
        let [_, internal_dim] = self.q_proj.weight.dims();
        // Both are the same sums in another order. With few tokens on one side, projecting those instead of the many of the other side
        // takes less than half of the work.
        if queries * self.num_heads <= internal_dim && queries < keys {
            self.few_to_many(q, k, v)
        } else if keys * self.num_heads <= internal_dim && keys < queries {
            self.many_to_few(q, k, v)
        } else {
            self.project_all(q, k, v)
        }
    }

    pub(super) fn scale(&self) -> f64 {
        let [_, internal_dim] = self.q_proj.weight.dims();
        ((internal_dim / self.num_heads) as f64).powf(-0.5)
    }

    fn project_all(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
        let q = self.separate_heads(linear(&self.q_proj, q));
        let k = self.separate_heads(linear(&self.k_proj, k));
        let v = self.separate_heads(linear(&self.v_proj, v));
        let scores = matmul(q, k.transpose()) * self.scale();
        let x = matmul(softmax(scores, 3), v);
        linear(&self.out_proj, join_heads(x))
    }

    /// Few queries, many keys: every head's queries are taken through its key projection, `q (W_k k)ᵀ = (q W_kᵀ) kᵀ`, and the values are
    /// averaged before they are projected. The keys' bias shifts all scores of a query alike, which softmax takes away.
    fn few_to_many(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
        let [batch, queries, dim] = q.dims();
        let q = self.separate_heads(linear(&self.q_proj, q) * self.scale());
        let q = matmul(q, self.heads_of(&self.k_proj).transpose()).reshape([batch, self.num_heads * queries, dim]);
        let weights = softmax(matmul(q, k.transpose()), 2);
        let mean = matmul(weights, v);
        let [batch, _, dim] = mean.dims();
        let x = matmul(mean.reshape([batch, self.num_heads, queries, dim]), self.heads_of(&self.v_proj));
        let x = join_heads(x);
        let x = match &self.v_proj.bias {
            Some(bias) => x + bias.val().unsqueeze(),
            None => x,
        };
        linear(&self.out_proj, x)
    }

    /// Many queries, few keys: every head's keys are taken through its query projection, and its values through its part of the output
    /// projection.
    fn many_to_few(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
        let [key_batch, keys, dim] = k.dims();
        let heads = self.num_heads;
        let k = self.separate_heads(linear(&self.k_proj, k) * self.scale());
        let bias = self.q_proj.bias.as_ref().map(|bias| {
            let bias = bias.val();
            let [internal_dim] = bias.dims();
            matmul(k.clone(), bias.reshape([1, heads, internal_dim / heads, 1])).reshape([key_batch, 1, heads * keys])
        });
        let k = matmul(k, self.heads_of(&self.q_proj).transpose()).reshape([key_batch, heads * keys, dim]);
        let scores = matmul(q, k.transpose());
        let scores = match bias {
            Some(bias) => scores + bias,
            None => scores,
        };
        let [batch, queries, _] = scores.dims();
        let weights = softmax(scores.reshape([batch, queries, heads, keys]), 3).reshape([batch, queries, heads * keys]);

        let v = self.separate_heads(linear(&self.v_proj, v));
        let [internal_dim, dim] = self.out_proj.weight.dims();
        let out = self.out_proj.weight.val().reshape([1, heads, internal_dim / heads, dim]);
        let x = matmul(weights, matmul(v, out).reshape([key_batch, heads * keys, dim]));
        match &self.out_proj.bias {
            Some(bias) => x + bias.val().unsqueeze(),
            None => x,
        }
    }

    /// A projection's part of each head.
    ///
    /// # Shapes
    /// - output: `[1, heads, dim, internal_dim / heads]`
    fn heads_of(&self, projection: &Linear) -> Tensor<4> {
        let weight = projection.weight.val();
        let [dim, internal_dim] = weight.dims();
        weight.reshape([1, dim, self.num_heads, internal_dim / self.num_heads]).swap_dims(1, 2)
    }

    fn separate_heads(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, tokens, dim] = x.dims();
        x.reshape([batch, tokens, self.num_heads, dim / self.num_heads]).swap_dims(1, 2)
    }
}

/// # Shapes
/// - `x`: `[batch, heads, tokens, head_dim]`
/// - output: `[batch, tokens, heads · head_dim]`
fn join_heads(x: Tensor<4>) -> Tensor<3> {
    let [batch, heads, tokens, head_dim] = x.dims();
    x.swap_dims(1, 2).reshape([batch, tokens, heads * head_dim])
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    #[test]
    fn every_order_of_the_sums_is_the_same_attention() {
        let device = Device::flex();
        let attention = Attention::init(32, 16, 4, &device);
        let normal = |batch: usize, tokens: usize| {
            Tensor::<3>::random([batch, tokens, 32], Distribution::Normal(0.0, 1.0), &device)
        };
        for (few_batch, many_batch) in [(3, 1), (3, 3), (1, 1)] {
            let (few, many, values) = (normal(few_batch, 4), normal(many_batch, 50), normal(many_batch, 50));
            let expected = attention.project_all(few.clone(), many.clone(), values.clone()).into_data();
            let actual = attention.few_to_many(few.clone(), many.clone(), values).into_data();
            actual.assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
            let values = normal(few_batch, 4);
            let expected = attention.project_all(many.clone(), few.clone(), values.clone()).into_data();
            let actual = attention.many_to_few(many, few, values).into_data();
            actual.assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
        }
    }
}
