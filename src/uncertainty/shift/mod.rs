//! Whether an image is unlike those of the calibration, so that nothing that was learned on them is promised of it.
//!
//! An embedding's channels, averaged over the image, say what kind of image it is ([`features`]). Two scores tell how unlike it is: the distance to the nearest of
//! some typical images ([`ShiftAlarm`]; a coarse form of the nearest-neighbour distance of Sun et al., *Out-of-Distribution Detection with Deep Nearest Neighbors*,
//! 2022), and a classifier's that was shown made-up images as well (Hendrycks et al., *Deep Anomaly Detection with Outlier Exposure*, 2019). The scores of the
//! calibration's images turn them into a p-value (conformal; Bates et al., *Testing for Outliers with Conformal p-values*, 2023).

mod alarm;
mod features;
#[cfg(feature = "cli")]
mod fit;
mod numbers;

pub use alarm::{SHIFT_LEVEL, Shift, ShiftAlarm};
pub use features::{features, features_of_tensor};
#[cfg(feature = "cli")]
pub use fit::{ShiftImages, fit_shift_alarm};
