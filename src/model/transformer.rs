//! SAM's two-way transformer: prompt tokens and image tokens attend to each other.
//!
//! Source: Kirillov et al., *Segment Anything*, 2023 (`transformer.py`). Field names are the checkpoint's keys.
//!
//! Image-side tensors may have batch 1 while the prompts have batch K: the first layer's image-side work is then done once for
//! all prompts and broadcast.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

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
        let norm = || LayerNormConfig::new(dim).init(device);
        let cross = || Attention::init(dim, dim / ATTENTION_DOWNSAMPLE_RATE, self.num_heads, device);
        let layer = |index: usize| TwoWayAttentionBlock {
            self_attn: Attention::init(dim, dim, self.num_heads, device),
            norm1: norm(),
            cross_attn_token_to_image: cross(),
            norm2: norm(),
            mlp: MlpBlock {
                lin1: LinearConfig::new(dim, self.mlp_dim).init(device),
                lin2: LinearConfig::new(self.mlp_dim, dim).init(device),
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
    skip_first_layer_pe: bool,
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
        self.lin2.forward(relu(self.lin1.forward(x)))
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
    num_heads: usize,
}

impl Attention {
    fn init(dim: usize, internal_dim: usize, num_heads: usize, device: &Device) -> Self {
        let proj = || LinearConfig::new(dim, internal_dim).init(device);
        Self {
            q_proj: proj(),
            k_proj: proj(),
            v_proj: proj(),
            out_proj: LinearConfig::new(internal_dim, dim).init(device),
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
        let q = self.separate_heads(self.q_proj.forward(q));
        let k = self.separate_heads(self.k_proj.forward(k));
        let v = self.separate_heads(self.v_proj.forward(v));
        let [_, _, _, head_dim] = q.dims();
        let scores = q.matmul(k.transpose()) * (head_dim as f64).powf(-0.5);
        let x = softmax(scores, 3).matmul(v);
        let [batch, heads, tokens, head_dim] = x.dims();
        self.out_proj.forward(x.swap_dims(1, 2).reshape([batch, tokens, heads * head_dim]))
    }

    fn separate_heads(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, tokens, dim] = x.dims();
        x.reshape([batch, tokens, self.num_heads, dim / self.num_heads]).swap_dims(1, 2)
    }
}
