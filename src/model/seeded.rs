//! Weights drawn from a seed, independent of device and platform.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};

use crate::random::SplitMix64;

/// A module with weights drawn from a seed.
pub fn seeded<M: Module>(module: M, seed: u64) -> M {
    module.map(&mut SeededWeights::new(seed))
}

/// Replaces every float parameter by uniform values scaled by its fan-in.
struct SeededWeights {
    random: SplitMix64,
}

impl SeededWeights {
    fn new(seed: u64) -> Self {
        Self { random: SplitMix64::new(seed) }
    }

    /// A uniform value in −1…1.
    fn next(&mut self) -> f32 {
        (self.random.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

impl ModuleMapper for SeededWeights {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape: [usize; D] = param.shape().dims();
        let count: usize = shape.iter().product();
        // Vectors are norms and biases: around one keeps scales and variances positive.
        let (centre, scale) = match D {
            1 => (1.0, 0.25),
            _ => (0.0, (3.0 * shape[0] as f32 / count as f32).sqrt().max(0.05)),
        };
        let values: Vec<f32> = (0..count).map(|_| centre + scale * self.next()).collect();
        param.map(|tensor| Tensor::from_data(TensorData::new(values, shape), &tensor.device()))
    }
}
