//! Image files and the challenge's `.npz` files (native only).

mod array;
mod file;
mod npz;

pub use file::{ImageFile, read_image};
pub use npz::{CaseBoxes, ChallengeCase, read_npz};
