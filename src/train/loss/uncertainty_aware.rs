//! Losses weighted by learned uncertainties.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

/// `Σ_i [ L_i / (2 σ_i²) + ln(1 + σ_i²) ]` with learnable σ_i.
///
/// Source: UU-Mamba's code, the companion work of U-MedSAM's group; after Kendall, Gal and Cipolla 2018, with Liebel and Körner's regulariser
/// 2018. The σ begin at 1 and have no weight decay.
#[derive(Module, Debug)]
pub struct UncertaintyAware {
    /// One σ per term.
    pub sigma: Param<Tensor<1>>,
}

impl UncertaintyAware {
    /// For some terms.
    pub fn new(terms: usize, device: &Device) -> Self {
        Self { sigma: Param::from_tensor(Tensor::ones([terms], device)) }
    }

    /// Combines the terms.
    ///
    /// # Shapes
    /// - `losses`: one value `[1]` per σ
    /// - output: `[1]`
    ///
    /// # Panics
    /// If there are not as many losses as σ.
    pub fn forward(&self, losses: Vec<Tensor<1>>) -> Tensor<1> {
        let variance = self.sigma.val().square();
        assert_eq!(variance.dims(), [losses.len()], "each loss has its σ");
        let losses = Tensor::cat(losses, 0);
        (losses / (variance.clone() * 2.0) + variance.log1p()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::value;
    use super::*;

    #[test]
    fn values_and_gradients_by_hand() {
        let device = Device::flex().autodiff();
        let mut combination = UncertaintyAware::new(2, &device);
        let loss = |value: f32| Tensor::<1>::from_data([value], &device).require_grad();
        let at_start = combination.forward(vec![loss(0.4), loss(3.0)]);
        assert!((value(at_start) - (0.2 + 1.5 + 2.0 * 2f64.ln())).abs() < 1e-6);

        combination.sigma = Param::from_tensor(Tensor::from_data([0.5, 2.0], &device));
        let losses = [loss(0.4), loss(3.0)];
        let total = combination.forward(losses.to_vec());
        let expected = 0.4 / 0.5 + 1.25f64.ln() + 3.0 / 8.0 + 5f64.ln();
        assert!((value(total.clone()) - expected).abs() < 1e-5);
        let gradients = total.backward();
        // ∂/∂σ = −L / σ³ + 2 σ / (1 + σ²)
        let sigma: Vec<f32> = combination.sigma.val().grad(&gradients).unwrap().into_data().try_to_vec().unwrap();
        for (actual, (sigma, loss)) in sigma.iter().zip([(0.5f64, 0.4), (2.0, 3.0)]) {
            let expected = -loss / sigma.powi(3) + 2.0 * sigma / (1.0 + sigma * sigma);
            assert!((f64::from(*actual) - expected).abs() < 1e-4, "{actual} is not {expected}");
        }
        let first: Vec<f32> = losses[0].grad(&gradients).unwrap().into_data().try_to_vec().unwrap();
        assert!((first[0] - 2.0).abs() < 1e-5);
    }
}
