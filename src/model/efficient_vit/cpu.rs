//! EfficientViT's module on kernels of our own.

use super::{ATTENTION_EPSILON, EfficientVit};
use crate::kernels::cpu::{Activation, Depthwise, MbConv, PackedMatrix, Residual, gemm, linear_attention};
use crate::model::packing::{depthwise, pointwise, values};

/// A folded [`EfficientVit`] with its weights packed.
#[derive(Debug, Clone)]
pub struct EfficientVitCpu {
    qkv: PackedMatrix,
    /// Per scale, the depthwise convolution and each group's product.
    scales: Vec<(Depthwise, Vec<PackedMatrix>)>,
    proj: PackedMatrix,
    head_dim: usize,
    bottleneck: MbConv,
}

impl EfficientVitCpu {
    /// Packs the weights of a folded module on the CPU.
    pub fn new(module: &EfficientVit) -> Self {
        let attention = &module.context_module.main;
        let dim = attention.head_dim;
        let groups = |conv: &crate::model::layers::Conv2d| {
            values(&conv.weight)
                .chunks_exact(dim * dim)
                .map(|group| PackedMatrix::from_transposed(group, dim, dim))
                .collect()
        };
        let bottleneck = &module.local_module.main;
        Self {
            qkv: pointwise(&attention.qkv.conv),
            scales: attention.aggreg.iter().map(|(near, grouped)| (depthwise(near), groups(grouped))).collect(),
            proj: pointwise(&attention.proj.conv),
            head_dim: dim,
            bottleneck: MbConv {
                conv1: Some(pointwise(&bottleneck.inverted_conv.conv)),
                conv2: depthwise(&bottleneck.depth_conv.conv),
                conv3: pointwise(&bottleneck.point_conv.conv),
                activation: bottleneck.activation,
                residual: true,
                output_activation: Activation::None,
            },
        }
    }

    /// Applies the module, on all threads.
    ///
    /// # Shapes
    /// - `x` and output: `[height, width, channels]`
    pub fn forward(&self, x: &[f32], height: usize, width: usize) -> Vec<f32> {
        let tokens = height * width;
        let (channels, wide) = (self.qkv.depth(), self.qkv.columns());
        let (dim, scales) = (self.head_dim, 1 + self.scales.len());
        // Every scale's queries, keys and values side by side.
        let all = scales * wide;
        let mut qkv = vec![0.0; tokens * all];
        gemm(x, channels, tokens, &self.qkv, Residual::None, Activation::None, &mut qkv, all);
        let own: Vec<f32> = qkv.chunks_exact(all).flat_map(|token| &token[..wide]).copied().collect();
        let mut gathered = vec![0.0; own.len()];
        for (scale, (near, groups)) in self.scales.iter().enumerate() {
            near.forward(&own, height, width, Activation::None, &mut gathered);
            for (group, matrix) in groups.iter().enumerate() {
                let output = &mut qkv[(scale + 1) * wide + group * dim..];
                let input = &gathered[group * dim..];
                gemm(input, wide, tokens, matrix, Residual::None, Activation::None, output, all);
            }
        }
        let mut attended = vec![0.0; tokens * all / 3];
        linear_attention(&qkv, all / (3 * dim), dim, ATTENTION_EPSILON as f32, &mut attended);
        let mut sum = vec![0.0; tokens * channels];
        let residual = Residual::Matrix { values: x, stride: channels };
        gemm(&attended, all / 3, tokens, &self.proj, residual, Activation::None, &mut sum, channels);
        let mut output = vec![0.0; sum.len()];
        self.bottleneck.forward(&sum, height, width, &mut output);
        output
    }
}
