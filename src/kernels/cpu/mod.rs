//! Kernels for the CPU: matrix products, convolutions and attention on channels-last f32, for inference at batch 1.
//!
//! What this layer removes: a tensor library runs a network op by op and writes every activation to memory. Here a block of
//! the encoder is one pass over its input in tiles whose intermediate activations stay in the second-level cache.

mod activation;
mod conv3x3;
mod conv_next;
mod cross_attention;
mod depthwise;
mod gelu;
mod gemm;
#[cfg(not(target_family = "wasm"))]
pub mod gradients;
mod layer_norm;
mod linear_attention;
mod mb_conv;
mod mlp;
#[cfg(not(target_family = "wasm"))]
pub mod products;
mod resampling;
mod simd;
#[cfg(test)]
mod tests;
mod threads;
mod upscaling;
mod window_attention;

pub use activation::Activation;
pub use conv_next::ConvNext;
pub use conv3x3::{Neck, conv3x3, pack_conv3x3};
pub use cross_attention::{Attended, TILE, TokenKeys, TokenQueries};
pub use depthwise::Depthwise;
pub use gelu::gelu;
pub use gemm::{PackedMatrix, Residual, gemm};
pub use layer_norm::LayerNorm;
pub use linear_attention::linear_attention;
pub use mb_conv::MbConv;
pub use mlp::Mlp;
pub use resampling::{add_upsampled, padded};
pub use simd::Isa;
pub use threads::for_each_task;
pub(crate) use threads::{SharedSlice, for_each_chunk, with_scratch};
pub use upscaling::Upscaling;
pub use window_attention::{WindowAttention, WindowAttentionWeights};
