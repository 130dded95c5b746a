//! Pixel loss.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::cross_entropy::cross_entropy_map;

/// Focal loss: `−α (1 − p_t)^γ ln p_t`, with p_t the probability of what is true.
///
/// Source: Lin et al., *Focal Loss for Dense Object Detection*, 2017; α and γ as in UU-Mamba. From logits: there is one sigmoid, not two.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Focal {
    /// Weight of both classes.
    pub alpha: f64,
    /// How little sure pixels count.
    pub gamma: f64,
}

impl Default for Focal {
    fn default() -> Self {
        Self { alpha: 0.5, gamma: 2.0 }
    }
}

impl Focal {
    /// The mean over all pixels.
    ///
    /// # Shapes
    /// - `logits`, `target`: `[batch, height, width]`
    /// - output: `[1]`
    pub fn forward(&self, logits: Tensor<3>, target: Tensor<3>) -> Tensor<1> {
        let cross_entropy = cross_entropy_map(logits, target);
        let other = cross_entropy.clone().neg().exp().neg() + 1.0;
        (other.powf_scalar(self.gamma) * cross_entropy).mean() * self.alpha
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{example, gradient, tensor, value};
    use super::*;

    #[test]
    fn values_by_hand() {
        let loss = Focal::default().forward(tensor(&[0.0], [1, 1, 1]), tensor(&[1.0], [1, 1, 1]));
        assert!((value(loss) - 0.5 * 0.25 * 2f64.ln()).abs() < 1e-6);
        let p = 1.0 / (1.0 + (-1.5f64).exp());
        let loss = Focal { alpha: 0.25, gamma: 1.0 }.forward(tensor(&[1.5], [1, 1, 1]), tensor(&[0.0], [1, 1, 1]));
        assert!((value(loss) - -0.25 * p * (1.0 - p).ln()).abs() < 1e-6);
    }

    #[test]
    fn gradients_match_finite_differences() {
        let (logits, target, shape) = example();
        gradient(&logits, shape, |x| {
            let target = Tensor::from_data(burn::tensor::TensorData::new(target.clone(), shape), &x.device());
            Focal::default().forward(x, target) * 10.0
        });
    }
}
