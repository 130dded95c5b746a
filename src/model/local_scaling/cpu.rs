//! [`LocalScaling`] on kernels of our own.

use super::{FEATURES, LARGEST_BIAS, LARGEST_LOG_SCALE, LocalScaling};
use crate::kernels::cpu::{Activation, ConvNext, PackedMatrix, Residual, gemm};
use crate::model::packing::{conv_next, linear, pointwise};

/// A [`LocalScaling`] with its weights packed.
#[derive(Debug, Clone)]
pub struct LocalScalingCpu {
    input: PackedMatrix,
    blocks: Vec<ConvNext>,
    output: PackedMatrix,
    side: usize,
}

impl LocalScalingCpu {
    /// Packs the weights of a network on the CPU.
    pub fn new(network: &LocalScaling, side: usize) -> Self {
        Self {
            input: pointwise(&network.input),
            blocks: network.blocks.iter().map(conv_next).collect(),
            output: linear(&network.output),
            side,
        }
    }

    /// Side of the map.
    pub fn side(&self) -> usize {
        self.side
    }

    /// As [`LocalScaling::forward`], of one prompt.
    ///
    /// # Shapes
    /// - `map`: `[side, side, 3]`
    /// - output: `[side, side, 2]`
    ///
    /// # Panics
    /// If the map has another size.
    pub fn forward(&self, map: &[f32]) -> Vec<f32> {
        assert_eq!(map.len(), self.side * self.side * FEATURES, "a map of {} places a side", self.side);
        let mut x = product(map, &self.input);
        let mut next = vec![0.0; x.len()];
        for block in &self.blocks {
            block.forward(&x, self.side, self.side, &mut next);
            std::mem::swap(&mut x, &mut next);
        }
        let mut output = product(&x, &self.output);
        for place in output.as_chunks_mut::<2>().0 {
            place[0] = place[0].clamp(-LARGEST_LOG_SCALE, LARGEST_LOG_SCALE);
            place[1] = place[1].clamp(-LARGEST_BIAS, LARGEST_BIAS);
        }
        output
    }
}

fn product(x: &[f32], matrix: &PackedMatrix) -> Vec<f32> {
    let rows = x.len() / matrix.depth();
    let mut output = vec![0.0; rows * matrix.columns()];
    gemm(x, matrix.depth(), rows, matrix, Residual::None, Activation::None, &mut output, matrix.columns());
    output
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData, Tolerance};

    use super::super::LocalScalingConfig;
    use super::*;
    use crate::model::seeded::seeded;

    #[test]
    fn it_is_as_with_tensors() {
        let device = Device::flex();
        for config in [LocalScalingConfig::default(), LocalScalingConfig { side: 9, channels: 8, blocks: 1 }] {
            let network = seeded(config.init(&device), 6);
            let side = config.side;
            let map: Vec<f32> = (0..side * side * FEATURES).map(|index| (index as f32 * 0.37).sin()).collect();
            let actual = LocalScalingCpu::new(&network, side).forward(&map);
            let expected = network.forward(Tensor::from_data(TensorData::new(map, [1, side, side, FEATURES]), &device));
            TensorData::new(actual, [1, side, side, 2])
                .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::rel_abs(1e-3, 1e-4));
        }
    }
}
