//! Uncertainty-aware medical image segmentation that runs natively and entirely in the browser.
//!
//! Data flows one way: image → input → embedding → prompt → logits → mask and uncertainty. [`segment::Segmenter`] does it in
//! that order; the other modules are its parts.

#![warn(missing_docs)]

#[cfg(feature = "cli")]
pub mod data;
pub mod error;
#[cfg(feature = "cli")]
pub mod eval;
pub mod image;
pub mod kernels;
pub mod metrics;
pub mod model;
pub mod propagation;
mod random;
pub mod segment;
#[cfg(feature = "cli")]
pub mod simulated_user;
#[cfg(feature = "train")]
pub mod train;
pub mod uncertainty;
#[cfg(feature = "cli")]
pub mod volume;
#[cfg(target_family = "wasm")]
pub mod web;
pub mod weights;

pub use error::{Error, Result};
