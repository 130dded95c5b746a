//! Volumes as umedsam's command line reads them: where their voxels are, their slices as people look at them, and the files they come from.
//!
//! The package's entries `umedsam/nifti` and `umedsam/dicom` do the same in the browser; both are tested on the same files against nibabel and pydicom.

pub mod dicom;
mod error;
pub mod geometry;
mod memory;
pub mod nifti;
mod open;
mod volume;

pub use dicom::{DicomFiles, Series, read_dicom, read_folder};
pub use error::{Error, Result};
pub use geometry::{Axis, Plane, SpaceGeometry, Turn};
pub use memory::InMemory;
pub use nifti::Nifti;
pub use open::{Choice, Opened, open};
pub use volume::{SliceValues, Volume, VolumeSlice};
