//! Weights drawn from a seed, independent of device and platform.

use burn::module::{ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};

/// Replaces every float parameter by uniform values scaled by its fan-in, from SplitMix64.
pub struct SeededWeights {
    state: u64,
}

impl SeededWeights {
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// SplitMix64 (Steele et al. 2014), to a uniform value in −1…1.
    fn next(&mut self) -> f32 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 40) as f32 / (1u64 << 23) as f32 - 1.0
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
