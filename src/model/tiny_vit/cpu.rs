//! TinyViT on kernels of our own, for inference on the CPU at batch 1.
//!
//! The network is [`super::TinyVit`]'s; what differs is that a block is one pass over its map, so that hidden activations of four times the
//! map's size never exist, and that weights are packed once for the processor's vectors.

use super::{Attention, Block, PatchMerging, TinyVit, TinyVitBlock};
use crate::error::Result;
use crate::kernels::cpu::{
    Activation, Depthwise, MbConv, Mlp, Neck, PackedMatrix, Residual, WindowAttention, WindowAttentionWeights, gemm,
    pack_conv3x3,
};
use crate::model::image_encoder::Observe;
use crate::model::packing::{bias_values, depthwise, layer_norm, layer_norm_2d, linear, pointwise, values};

/// A folded [`TinyVit`] with its weights packed.
#[derive(Debug, Clone)]
pub struct TinyVitCpu {
    patch_embed: [PackedMatrix; 2],
    stages: Vec<Stage>,
    neck: Neck,
}

#[derive(Debug, Clone)]
struct Stage {
    blocks: Vec<StageBlock>,
    downsample: Option<MbConv>,
}

#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
enum StageBlock {
    MbConv(MbConv),
    Attention { attention: WindowAttention, local_conv: Depthwise, mlp: Mlp },
}

impl TinyVitCpu {
    /// Packs the weights of a folded network on the CPU.
    pub fn new(network: &TinyVit) -> Self {
        let (first, _, second) = &network.patch_embed.seq;
        let (conv1, norm1, conv2, norm2) = &network.neck;
        let [channels_out, channels_in, ..] = conv2.weight.dims();
        let stage = |stage: &super::Stage| Stage {
            blocks: stage.blocks.iter().map(StageBlock::new).collect(),
            downsample: stage.downsample.as_ref().map(merging),
        };
        Self {
            patch_embed: [pointwise(&first.c), pointwise(&second.c)],
            stages: network.layers.iter().map(stage).collect(),
            neck: Neck {
                conv1: pointwise(conv1),
                norm1: layer_norm_2d(norm1),
                conv2: pack_conv3x3(&values(&conv2.weight), channels_out, channels_in),
                norm2: layer_norm_2d(norm2),
            },
        }
    }

    /// Encodes an image; `observe` is called as often as [`TinyVit::forward`] calls it, with the same names and the activations' values.
    ///
    /// # Shapes
    /// - `input`: `[side, side, 3]`, values in 0–1
    /// - output: `[embedding_size, embedding_size, out_channels]`
    ///
    /// # Errors
    /// The observer's.
    pub async fn forward(&self, input: &[f32], mut side: usize, observe: &mut impl Observe) -> Result<Vec<f32>> {
        let [first, second] = &self.patch_embed;
        let length = self.longest_map(side);
        let [mut x, mut y] = [0, 1].map(|_| vec![0f32; length]);
        let pixels = side * side;
        let mut channels = second.columns();
        gemm(input, first.depth(), pixels, first, Residual::None, Activation::Gelu, &mut y, first.columns());
        gemm(&y, first.columns(), pixels, second, Residual::None, Activation::None, &mut x, channels);
        observe("patch_embed", &x[..pixels * channels]).await?;
        for (index, stage) in self.stages.iter().enumerate() {
            for block in &stage.blocks {
                block.forward(&mut x, &mut y, side, channels);
                observe("block", &x[..side * side * channels]).await?;
            }
            if let Some(downsample) = &stage.downsample {
                let (side_in, channels_in) = (side, channels);
                side = side_in.div_ceil(downsample.conv2.stride());
                channels = downsample.conv3.columns();
                let output = &mut y[..side * side * channels];
                downsample.forward(&x[..side_in * side_in * channels_in], side_in, side_in, output);
                std::mem::swap(&mut x, &mut y);
            }
            observe(&format!("layers.{index}"), &x[..side * side * channels]).await?;
        }
        let mut embedding = vec![0f32; side * side * self.neck.conv1.columns()];
        let padded = &mut y[..self.neck.padded_length(side, side)];
        self.neck.forward(&x[..side * side * channels], side, side, padded, &mut embedding);
        observe("neck", &embedding).await?;
        Ok(embedding)
    }

    /// Values of the largest map that is written to memory.
    fn longest_map(&self, mut side: usize) -> usize {
        let [first, second] = &self.patch_embed;
        let mut longest = side * side * first.columns().max(second.columns());
        for downsample in self.stages.iter().filter_map(|stage| stage.downsample.as_ref()) {
            side = side.div_ceil(downsample.conv2.stride());
            longest = longest.max(side * side * downsample.conv3.columns());
        }
        longest.max(self.neck.padded_length(side, side))
    }
}

impl StageBlock {
    fn new(block: &Block) -> Self {
        match block {
            Block::MbConv(block) => Self::MbConv(MbConv {
                conv1: Some(pointwise(&block.conv1.c)),
                conv2: depthwise(&block.conv2.c),
                conv3: pointwise(&block.conv3.c),
                activation: Activation::Gelu,
                residual: true,
                output_activation: Activation::Gelu,
            }),
            Block::TinyVit(TinyVitBlock { attn, local_conv, mlp }) => Self::Attention {
                attention: window_attention(attn),
                local_conv: depthwise(&local_conv.c),
                mlp: Mlp { norm: layer_norm(&mlp.norm), fc1: linear(&mlp.fc1), fc2: linear(&mlp.fc2) },
            },
        }
    }

    /// Replaces the map in `x`; `y` is as long and holds nothing that is needed.
    fn forward(&self, x: &mut Vec<f32>, y: &mut Vec<f32>, side: usize, channels: usize) {
        let length = side * side * channels;
        match self {
            Self::MbConv(block) => block.forward(&x[..length], side, side, &mut y[..length]),
            Self::Attention { attention, local_conv, mlp } => {
                attention.forward(&mut x[..length], side, side);
                mlp.forward_after(local_conv, &x[..length], side, side, &mut y[..length]);
            }
        }
        std::mem::swap(x, y);
    }
}

fn merging(merging: &PatchMerging) -> MbConv {
    MbConv {
        conv1: Some(pointwise(&merging.conv1.c)),
        conv2: depthwise(&merging.conv2.c),
        conv3: pointwise(&merging.conv3.c),
        activation: Activation::Gelu,
        residual: false,
        output_activation: Activation::None,
    }
}

fn window_attention(attention: &Attention) -> WindowAttention {
    let [dim, _] = attention.qkv.weight.dims();
    WindowAttention::new(
        layer_norm(&attention.norm),
        WindowAttentionWeights {
            dim,
            heads: attention.num_heads,
            window: attention.window_size,
            qkv: &values(&attention.qkv.weight),
            qkv_bias: &bias_values(attention.qkv.bias.as_ref(), 3 * dim),
            proj: &values(&attention.proj.weight),
            proj_bias: &bias_values(attention.proj.bias.as_ref(), dim),
            biases: &values(&attention.attention_biases),
        },
    )
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData, Tolerance};

    use super::super::TinyVitConfig;
    use super::*;
    use crate::model::Config;
    use crate::model::image_encoder::{ImageEncoder, ImageEncoderCpu};

    #[test]
    fn every_part_is_as_with_tensors() {
        let device = Device::flex();
        let ImageEncoder::TinyVit(network) = Config::tiny().init_seeded(5, &device).image_encoder else {
            unreachable!("it is a TinyViT");
        };
        let network = network.fold();
        let side = TinyVitConfig::tiny().input_size;
        let input: Vec<f32> = (0..side * side * 3).map(|index| (index as f32 * 0.37).sin().abs()).collect();
        let mut expected = Vec::new();
        let tensor = Tensor::<4>::from_data(TensorData::new(input.clone(), [1, side, side, 3]), &device);
        network.forward(tensor, &mut |name, activation| expected.push((name.to_string(), activation.to_data())));
        assert_eq!(expected.len(), network.steps());
        let mut parts = expected.iter();
        let packed = ImageEncoderCpu::TinyVit(TinyVitCpu::new(&network));
        let output = packed.forward(&input, side, &mut |name, activation| {
            let (expected_name, expected) = parts.next().unwrap();
            assert_eq!(name, expected_name);
            let actual = TensorData::new(activation.to_vec(), expected.shape().clone());
            actual.assert_approx_eq::<f32>(expected, Tolerance::rel_abs(1e-3, 1e-4));
        });
        assert!(parts.next().is_none());
        let actual = TensorData::new(output, expected.last().unwrap().1.shape().clone());
        actual.assert_approx_eq::<f32>(&expected.last().unwrap().1, Tolerance::rel_abs(1e-3, 1e-4));
    }
}
