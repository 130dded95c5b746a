//! Image files and the challenge's `.npz` files (native only).

mod array;
mod file;
mod npz;

pub use file::{ImageFile, SliceChoice, read_image, read_image_or_slice};
pub use npz::{CaseBoxes, ChallengeCase, read_npz};
