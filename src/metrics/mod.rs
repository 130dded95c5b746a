//! How well masks agree with a reference, and how well probabilities and uncertainties know where they do not.

mod correlation;
mod distance;
mod forecast;
mod overlap;
mod pixelwise;
mod proportion;
mod regions;
mod reliability;
mod selective;
mod soft_overlap;
mod surface;

pub use correlation::{pearson, spearman};
pub use distance::squared_distance_transform;
pub use forecast::{crps, quantile};
pub use overlap::{Confusion, dsc};
pub use pixelwise::{PixelMetrics, PixelStatistics};
pub use proportion::{Proportion, clopper_pearson};
pub use regions::{Region, regions};
pub use reliability::{RATER_RELIABILITY_BINS, RELIABILITY_BINS, RaterBins, Reliability};
pub use selective::{Ordered, Selected, mean_risk};
pub use soft_overlap::threshold_dice;
pub use surface::{Mask, contour_nsd, nsd};
