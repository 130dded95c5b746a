//! Losses on mask logits, one file each.
//!
//! All take logits and targets `[batch, height, width]`, targets 0 or 1, and give the mean over the batch as one value `[1]`.

mod boundary;
mod cross_entropy;
mod dice;
mod focal;
mod iou;
mod uncertainty_aware;

pub use boundary::{boundary, signed_distance};
pub use cross_entropy::{binary_cross_entropy, cross_entropy_map};
pub use dice::{Denominator, dice};
pub use focal::Focal;
pub use iou::{iou_regression, true_iou};
pub use uncertainty_aware::UncertaintyAware;

#[cfg(test)]
pub(crate) mod check {
    //! Gradients by finite differences.

    use burn::tensor::{Device, Tensor, TensorData};

    /// Compares the gradient of `loss` with respect to logits with central differences.
    #[track_caller]
    pub fn gradient(logits: &[f32], shape: [usize; 3], loss: impl Fn(Tensor<3>) -> Tensor<1>) {
        const STEP: f32 = 1e-2;
        let device = Device::flex().autodiff();
        let tensor = |values: &[f32]| Tensor::<3>::from_data(TensorData::new(values.to_vec(), shape), &device);
        let value = |values: &[f32]| f64::from(loss(tensor(values)).into_data().try_to_vec::<f32>().unwrap()[0]);
        let input = tensor(logits).require_grad();
        let gradients = loss(input.clone()).backward();
        let actual: Vec<f32> = input.grad(&gradients).unwrap().into_data().try_to_vec().unwrap();
        for (index, actual) in actual.iter().enumerate() {
            let moved = |by: f32| {
                let mut values = logits.to_vec();
                values[index] += by;
                value(&values)
            };
            let expected = (moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP);
            let difference = (f64::from(*actual) - expected).abs();
            assert!(difference < 2e-4 + 0.01 * expected.abs(), "{index}: the gradient is {actual}, not {expected}");
        }
    }

    /// Logits and targets that look like nothing in particular.
    pub fn example() -> (Vec<f32>, Vec<f32>, [usize; 3]) {
        let logits = (0..12).map(|index| ((index * 7 % 12) as f32 - 5.5) * 0.6).collect();
        let target = (0..12).map(|index| (index % 3 == 0 || index == 7) as u8 as f32).collect();
        (logits, target, [2, 2, 3])
    }

    /// A tensor for tests.
    pub fn tensor(values: &[f32], shape: [usize; 3]) -> Tensor<3> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
    }

    /// The one value of a loss.
    pub fn value(loss: Tensor<1>) -> f64 {
        f64::from(loss.into_data().try_to_vec::<f32>().unwrap()[0])
    }
}
