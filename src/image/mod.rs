//! Pixel buffers to network input, and logits to masks at the image's own size.
//!
//! Source: the preprocessing and postprocessing of the CVPR 2024 "Segment Anything in Medical Images on Laptop" baseline.

mod boxes;
mod flip;
mod geometry;
mod postprocess;
mod preprocess;
mod resize;
mod strokes;

pub use boxes::BoundingBox;
pub use flip::Flip;
pub use geometry::Geometry;
pub use postprocess::upsample_logits;
pub use preprocess::{Preprocessed, preprocess};
pub use resize::resize_area;
pub use strokes::points_along;
pub use umedsam_picture::{Image8, ImageView, Pixels, Window};
