//! Masks and maps as files that viewers, PACS and scripts read.
//!
//! Writers take what was segmented ([`Source`], [`Grid`]) and values, and return bytes or text; they read no files, know no clock, and write the same bytes for the same
//! input.

mod codes;
mod color;
mod contours;
mod dataset;
mod error;
mod grid;
mod parametric;
mod rle;
mod segmentation;
mod source;
mod uid;
#[cfg(all(feature = "web", target_family = "wasm"))]
mod web;
mod writing;

pub use codes::Code;
pub use contours::{NamedMask, Polygon, Ring, geojson, polygons};
pub use error::{Error, Result};
pub use grid::{Grid, Voxels, nifti, seg_nrrd};
pub use parametric::{Quantity, parametric_map};
pub use rle::{coco, counts};
pub use segmentation::{LARGEST_FRACTION, Masks, Segment, segmentation};
pub use source::{Frame, Source, StudyText};
pub use writing::{Algorithm, Writing};
