//! Volumes of [`umedsam_volume`], and prompts and results on their slices.

mod turned;

pub use turned::Turned;
pub use umedsam_volume::*;
