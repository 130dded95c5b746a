//! What a loss is made of.

use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// The loss of a batch and what it is made of, each `[1]`.
#[derive(Debug, Clone)]
pub struct Losses {
    /// What is minimised.
    pub total: Tensor<1>,
    /// Dice, cross-entropy, focal, squared error of the predicted IoU, boundary, mean squared difference to the teacher's embedding (0 where they are
    /// not used).
    pub terms: [Tensor<1>; 6],
}

/// The values of [`Losses`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LossValues {
    /// What is minimised.
    pub total: f64,
    /// Dice.
    pub region: f64,
    /// Cross-entropy.
    pub distribution: f64,
    /// Focal.
    pub pixel: f64,
    /// Squared error of the predicted IoU.
    pub iou: f64,
    /// Boundary.
    pub boundary: f64,
    /// Mean squared difference to the teacher's embedding.
    #[serde(default)]
    pub embedding: f64,
}

impl LossValues {
    /// The mean of several.
    pub fn mean(all: &[Self]) -> Self {
        let mean = |value: fn(&Self) -> f64| all.iter().map(value).sum::<f64>() / all.len().max(1) as f64;
        Self {
            total: mean(|values| values.total),
            region: mean(|values| values.region),
            distribution: mean(|values| values.distribution),
            pixel: mean(|values| values.pixel),
            iou: mean(|values| values.iou),
            boundary: mean(|values| values.boundary),
            embedding: mean(|values| values.embedding),
        }
    }
}

impl Losses {
    pub(super) fn none(device: &Device) -> Self {
        let zero = || Tensor::zeros([1], device);
        Self { total: zero(), terms: std::array::from_fn(|_| zero()) }
    }

    /// Reads the values from the device.
    pub fn values(&self) -> LossValues {
        let all = std::iter::once(&self.total).chain(&self.terms).cloned().collect();
        let values: Vec<f32> = Tensor::cat(all, 0).into_data().try_into_vec().expect("losses are f32");
        let [total, region, distribution, pixel, iou, boundary, embedding] =
            std::array::from_fn(|term| f64::from(values[term]));
        LossValues { total, region, distribution, pixel, iou, boundary, embedding }
    }
}
