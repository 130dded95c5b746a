//! Loss of the predicted IoU.

use burn::tensor::Tensor;

/// IoU of each thresholded mask with its target; 1 if both are empty. No gradient passes.
///
/// # Shapes
/// - `logits`, `target`: `[batch, height, width]`
/// - output: `[batch]`
pub fn true_iou(logits: Tensor<3>, target: Tensor<3>) -> Tensor<1> {
    /// So that 0 / 0 is 1.
    const TINY: f64 = 1e-7;
    let [batch, ..] = logits.dims();
    let sum = |x: Tensor<3>| x.flatten::<2>(1, 2).sum_dim(1).reshape([batch]);
    let mask = logits.detach().greater_elem(0.0).float();
    let both = sum(mask.clone() * target.clone());
    let either = sum(mask) + sum(target) - both.clone();
    (both + TINY) / (either + TINY)
}

/// Mean squared distance of the predicted IoU from the true one, as LiteMedSAM trains it.
///
/// # Shapes
/// - `predicted`: `[batch]`
/// - `logits`, `target`: `[batch, height, width]`
/// - output: `[1]`
pub fn iou_regression(predicted: Tensor<1>, logits: Tensor<3>, target: Tensor<3>) -> Tensor<1> {
    (predicted - true_iou(logits, target)).square().mean()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::check::{tensor, value};
    use super::*;

    #[test]
    fn values_by_hand() {
        let logits = tensor(&[3.0, 1.0, -1.0, -2.0, -1.0, -1.0, -1.0, -1.0], [2, 2, 2]);
        let target = tensor(&[1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0], [2, 2, 2]);
        let ious: Vec<f32> = true_iou(logits.clone(), target.clone()).into_data().try_to_vec().unwrap();
        assert!((ious[0] - 1.0 / 3.0).abs() < 1e-6 && (ious[1] - 1.0).abs() < 1e-6);
        let predicted = Tensor::<1>::from_data([0.5, 0.5], &Device::flex());
        let expected = ((0.5f64 - 1.0 / 3.0).powi(2) + 0.25) / 2.0;
        assert!((value(iou_regression(predicted, logits, target)) - expected).abs() < 1e-6);
    }

    #[test]
    fn the_gradient_goes_to_the_prediction_only() {
        let device = Device::flex().autodiff();
        let logits = Tensor::<3>::from_data([[[1.0, -1.0]]], &device).require_grad();
        let target = Tensor::<3>::from_data([[[1.0, 1.0]]], &device);
        let predicted = Tensor::<1>::from_data([0.75], &device).require_grad();
        let gradients = iou_regression(predicted.clone(), logits.clone(), target).backward();
        let gradient: Vec<f32> = predicted.grad(&gradients).unwrap().into_data().try_to_vec().unwrap();
        assert!((gradient[0] - 0.5).abs() < 1e-6);
        assert!(logits.grad(&gradients).is_none());
    }
}
