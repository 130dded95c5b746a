//! The light encoder on kernels of our own, for inference on the CPU at batch 1.
//!
//! The network is [`super::Student`]'s; what differs is that a block is one pass over its map, so that hidden activations never exist as a whole, and that weights are
//! packed once for the processor's vectors.

use super::Student;
use super::trunk::{DEVIATION, MEAN, StudentMbConv};
use crate::error::Result;
use crate::kernels::cpu::{
    Activation, ConvNext, LayerNorm, MbConv, PackedMatrix, Residual, add_upsampled, conv3x3, for_each_chunk, gemm,
    pack_conv3x3, padded,
};
use crate::model::efficient_vit::EfficientVitCpu;
use crate::model::image_encoder::Observe;
use crate::model::layers::Conv2d;
use crate::model::packing::{bias_values, conv_next, depthwise, layer_norm_2d, pointwise, values};

/// A folded [`Student`] with its weights packed.
#[derive(Debug, Clone)]
pub struct StudentCpu {
    stem: PackedMatrix,
    stages: Vec<Vec<MbConv>>,
    /// Of the stages that the neck takes, with the stage; the finest first.
    laterals: Vec<(usize, PackedMatrix)>,
    efficient_vit: Vec<EfficientVitCpu>,
    detail: [PackedMatrix; 3],
    norm: LayerNorm,
    blocks: Vec<ConvNext>,
    out: PackedMatrix,
    out_norm: LayerNorm,
}

impl StudentCpu {
    /// Packs the weights of a folded network on the CPU.
    pub fn new(network: &Student) -> Self {
        let neck = &network.neck;
        let laterals = network.laterals.iter().copied().zip(neck.laterals.iter().map(pointwise));
        Self {
            stem: dense(&network.trunk.stem.c),
            stages: network.trunk.stages.iter().map(|blocks| blocks.iter().map(mb_conv).collect()).collect(),
            laterals: laterals.collect(),
            efficient_vit: network.efficient_vit.iter().map(EfficientVitCpu::new).collect(),
            detail: [dense(&neck.detail.conv1), dense(&neck.detail.conv2), pointwise(&neck.detail.conv3)],
            norm: layer_norm_2d(&neck.norm),
            blocks: neck.blocks.iter().map(conv_next).collect(),
            out: pointwise(&neck.out),
            out_norm: layer_norm_2d(&neck.out_norm),
        }
    }

    /// Encodes an image; `observe` is called as often as [`Student::forward`] calls it, with the same names and the activations' values.
    ///
    /// # Shapes
    /// - `input`: `[side, side, 3]`, values in 0–1
    /// - output: `[embedding_size, embedding_size, out_channels]`
    ///
    /// # Errors
    /// The observer's.
    pub async fn forward(&self, input: &[f32], side: usize, observe: &mut impl Observe) -> Result<Vec<f32>> {
        let centred: Vec<f32> = input.iter().map(|x| (x - MEAN as f32) / DEVIATION as f32).collect();
        let image = padded(&centred, [side, side, 3]);
        let mut side_of_map = side.div_ceil(2);
        let mut map = convolved(&image, side, &self.stem, Activation::Relu6);
        observe("stem", &map).await?;
        let mut maps = Vec::new();
        for (index, stage) in self.stages.iter().enumerate() {
            for block in stage {
                let next = side_of_map.div_ceil(block.conv2.stride());
                let mut output = vec![0.0; next * next * block.conv3.columns()];
                block.forward(&map, side_of_map, side_of_map, &mut output);
                (map, side_of_map) = (output, next);
            }
            observe(&format!("stages.{index}"), &map).await?;
            if let Some((_, lateral)) = self.laterals.iter().find(|(stage, _)| *stage == index) {
                maps.push((product(&map, lateral, Residual::None), side_of_map));
            }
        }

        // Stride 32 first.
        let mut maps = maps.into_iter().rev();
        let (mut sum, mut side_of_sum) = maps.next().expect("a checked configuration has stages of stride 2");
        let channels = self.norm_channels();
        for (level, (mut finer, side)) in maps.enumerate() {
            add_upsampled(&sum, [side_of_sum, side_of_sum, channels], &mut finer);
            (sum, side_of_sum) = (finer, side);
            // The second level is stride 16.
            if level == 0 {
                for module in &self.efficient_vit {
                    sum = module.forward(&sum, side, side);
                }
            }
        }
        observe("laterals", &sum).await?;

        let [conv1, conv2, conv3] = &self.detail;
        let half = side.div_ceil(2);
        let detail = convolved(&image, side, conv1, Activation::Gelu);
        let detail = convolved(&padded(&detail, [half, half, conv1.columns()]), half, conv2, Activation::Gelu);
        let mut sum = product(&detail, conv3, Residual::Matrix { values: &sum, stride: channels });
        normalize(&self.norm, &mut sum, channels);
        observe("detail", &sum).await?;
        let mut output = vec![0.0; sum.len()];
        for block in &self.blocks {
            block.forward(&sum, side_of_sum, side_of_sum, &mut output);
            std::mem::swap(&mut sum, &mut output);
        }
        observe("blocks", &sum).await?;
        let mut embedding = product(&sum, &self.out, Residual::None);
        normalize(&self.out_norm, &mut embedding, self.out.columns());
        observe("out", &embedding).await?;
        Ok(embedding)
    }

    fn norm_channels(&self) -> usize {
        self.out.depth()
    }
}

/// A 3×3 convolution of stride 2 of a padded square.
fn convolved(padded: &[f32], side: usize, conv: &PackedMatrix, activation: Activation) -> Vec<f32> {
    let half = side.div_ceil(2);
    let mut output = vec![0.0; half * half * conv.columns()];
    conv3x3(padded, [side, side], conv, 2, activation, &mut output);
    output
}

/// A 1×1 convolution.
fn product(x: &[f32], matrix: &PackedMatrix, residual: Residual) -> Vec<f32> {
    let rows = x.len() / matrix.depth();
    let mut output = vec![0.0; rows * matrix.columns()];
    gemm(x, matrix.depth(), rows, matrix, residual, Activation::None, &mut output, matrix.columns());
    output
}

fn normalize(norm: &LayerNorm, x: &mut [f32], channels: usize) {
    const PIXELS: usize = 64;
    for_each_chunk(x, PIXELS * channels, |_, x| norm.normalize_in_place(x));
}

/// A 3×3 convolution.
fn dense(conv: &Conv2d) -> PackedMatrix {
    let [channels_out, channels_in, ..] = conv.weight.dims();
    let packed = pack_conv3x3(&values(&conv.weight), channels_out, channels_in);
    packed.with_bias(&bias_values(conv.bias.as_ref(), channels_out))
}

fn mb_conv(block: &StudentMbConv) -> MbConv {
    MbConv {
        conv1: block.expand.as_ref().map(|expand| pointwise(&expand.c)),
        conv2: depthwise(&block.depthwise.c),
        conv3: pointwise(&block.project.c),
        activation: Activation::Relu6,
        residual: block.residual,
        output_activation: Activation::None,
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData, Tolerance};

    use super::super::StudentConfig;
    use super::*;
    use crate::model::image_encoder::ImageEncoderCpu;

    #[test]
    fn every_part_is_as_with_tensors() {
        let device = Device::flex();
        for (config, efficient_vit) in
            [(StudentConfig::tiny(), 1), (StudentConfig::tiny(), 0), (StudentConfig::lite0(), 2)]
        {
            let config = StudentConfig { efficient_vit, ..config };
            let network = crate::model::seeded::seeded(config.init(&device), 5).fold();
            let side = config.input_size;
            let input: Vec<f32> = (0..side * side * 3).map(|index| (index as f32 * 0.37).sin().abs()).collect();
            let mut expected = Vec::new();
            let tensor = Tensor::<4>::from_data(TensorData::new(input.clone(), [1, side, side, 3]), &device);
            network.forward(tensor, &mut |name, activation| expected.push((name.to_string(), activation.to_data())));
            assert_eq!(expected.len(), network.steps());
            let mut parts = expected.iter();
            let packed = ImageEncoderCpu::Student(StudentCpu::new(&network));
            let output = packed.forward(&input, side, &mut |name, activation| {
                let (expected_name, expected) = parts.next().unwrap();
                assert_eq!(name, expected_name);
                let actual = TensorData::new(activation.to_vec(), expected.shape().clone());
                actual.assert_approx_eq::<f32>(expected, Tolerance::rel_abs(1e-3, 1e-4));
            });
            assert!(parts.next().is_none());
            let expected = &expected.last().unwrap().1;
            TensorData::new(output, expected.shape().clone())
                .assert_approx_eq::<f32>(expected, Tolerance::rel_abs(1e-3, 1e-4));
        }
    }
}
