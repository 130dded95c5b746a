//! Region loss.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

/// What the overlap is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Denominator {
    /// `Σ p + Σ g`: the U-MedSAM group's "DC" (UU-Mamba).
    #[default]
    Plain,
    /// `Σ p² + Σ g²`: LiteMedSAM's (MONAI's `squared_pred`), and our reading of the paper's undefined "SD loss".
    Squared,
}

/// Added above and below, so that empty masks have a loss.
const SMOOTH: f64 = 1e-5;

/// Dice loss: `1 − (2 Σ p g + s) / (denominator + s)` with p = σ(logits) and s = 1e-5, the mean over the batch.
///
/// Source: Milletari et al., *V-Net*, 2016 (squared); Sudre et al. 2017.
///
/// # Shapes
/// - `logits`, `target`: `[batch, height, width]`
/// - output: `[1]`
pub fn dice(logits: Tensor<3>, target: Tensor<3>, denominator: Denominator) -> Tensor<1> {
    let p = sigmoid(logits);
    let sum = |x: Tensor<3>| x.flatten::<2>(1, 2).sum_dim(1);
    let overlap = sum(p.clone() * target.clone()) * 2.0 + SMOOTH;
    let total = match denominator {
        Denominator::Plain => sum(p) + sum(target),
        Denominator::Squared => sum(p.square()) + sum(target.square()),
    };
    (overlap / (total + SMOOTH)).neg().mean() + 1.0
}

#[cfg(test)]
mod tests {
    use super::super::check::{example, gradient, tensor, value};
    use super::*;

    #[test]
    fn values_by_hand() {
        // p = 0.5 everywhere; two of four pixels are inside.
        let logits = tensor(&[0.0; 4], [1, 2, 2]);
        let target = tensor(&[1.0, 1.0, 0.0, 0.0], [1, 2, 2]);
        let plain = value(dice(logits.clone(), target.clone(), Denominator::Plain));
        assert!((plain - (1.0 - 2.0 / 4.0)).abs() < 1e-5);
        let squared = value(dice(logits, target, Denominator::Squared));
        assert!((squared - (1.0 - 2.0 / 3.0)).abs() < 1e-5);
        // Each image of a batch counts the same.
        let logits = tensor(&[40.0, -40.0, 40.0, -40.0], [2, 1, 2]);
        let target = tensor(&[1.0, 0.0, 0.0, 1.0], [2, 1, 2]);
        assert!((value(dice(logits, target, Denominator::Plain)) - 0.5).abs() < 1e-5);
    }

    #[test]
    fn empty_masks_have_no_loss_where_nothing_is_predicted() {
        let loss = dice(tensor(&[-100.0; 4], [1, 2, 2]), tensor(&[0.0; 4], [1, 2, 2]), Denominator::Plain);
        assert!(value(loss).abs() < 1e-6);
    }

    #[test]
    fn gradients_match_finite_differences() {
        let (logits, target, shape) = example();
        for denominator in [Denominator::Plain, Denominator::Squared] {
            gradient(&logits, shape, |x| {
                let target = Tensor::from_data(burn::tensor::TensorData::new(target.clone(), shape), &x.device());
                dice(x, target, denominator)
            });
        }
    }
}
