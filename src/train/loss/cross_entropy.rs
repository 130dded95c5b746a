//! Distribution loss.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;

/// Binary cross-entropy of every pixel, in nats, from logits z and targets g without overflow: `max(z, 0) − z g + ln(1 + e^{−|z|})`.
///
/// # Shapes
/// - `logits`, `target`, output: `[batch, height, width]`
pub fn cross_entropy_map(logits: Tensor<3>, target: Tensor<3>) -> Tensor<3> {
    relu(logits.clone()) - logits.clone() * target + logits.abs().neg().exp().log1p()
}

/// Mean binary cross-entropy on logits.
///
/// # Shapes
/// - `logits`, `target`: `[batch, height, width]`
/// - output: `[1]`
pub fn binary_cross_entropy(logits: Tensor<3>, target: Tensor<3>) -> Tensor<1> {
    cross_entropy_map(logits, target).mean()
}

#[cfg(test)]
mod tests {
    use super::super::check::{example, gradient, tensor, value};
    use super::*;

    #[test]
    fn values_by_hand() {
        let loss = binary_cross_entropy(tensor(&[0.0, 0.0], [1, 1, 2]), tensor(&[1.0, 0.0], [1, 1, 2]));
        assert!((value(loss) - 2f64.ln()).abs() < 1e-6);
        // −ln σ(2) = ln(1 + e⁻²).
        let loss = binary_cross_entropy(tensor(&[2.0], [1, 1, 1]), tensor(&[1.0], [1, 1, 1]));
        assert!((value(loss) - (-2f64).exp().ln_1p()).abs() < 1e-6);
        let loss = binary_cross_entropy(tensor(&[500.0, -500.0], [1, 1, 2]), tensor(&[0.0, 0.0], [1, 1, 2]));
        assert_eq!(value(loss), 250.0);
    }

    #[test]
    fn gradients_match_finite_differences() {
        let (logits, target, shape) = example();
        gradient(&logits, shape, |x| {
            let target = Tensor::from_data(burn::tensor::TensorData::new(target.clone(), shape), &x.device());
            binary_cross_entropy(x, target)
        });
    }
}
