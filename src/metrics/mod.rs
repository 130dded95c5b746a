//! How well masks agree with a reference, and how well probabilities and uncertainties know where they do not.

mod distance;
mod overlap;
mod pixelwise;
mod proportion;
mod regions;
mod reliability;
mod surface;

pub use distance::squared_distance_transform;
pub use overlap::{Confusion, dsc};
pub use pixelwise::{PixelMetrics, PixelStatistics};
pub use proportion::{Proportion, clopper_pearson};
pub use regions::{Region, regions};
pub use reliability::{RELIABILITY_BINS, Reliability};
pub use surface::{Mask, contour_nsd, nsd};
