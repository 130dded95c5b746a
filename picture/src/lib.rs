//! Image files and pixel buffers as umedsam's network is to see them: file → samples as stored → upright, composited over black → 8 bits by a window.
//!
//! The command line links it; in the browser it is a wasm module of its own, so that both read a file to the same bytes and no canvas is in between.

mod alpha;
mod buffer;
mod error;
#[cfg(feature = "files")]
mod file;
#[cfg(all(feature = "js", target_family = "wasm"))]
pub mod js;
#[cfg(feature = "files")]
mod sniff;
#[cfg(all(feature = "web", target_family = "wasm"))]
mod web;
#[cfg(feature = "files")]
mod whole;
mod window;

pub use buffer::{ImageView, Pixels};
pub use error::{Error, Result};
#[cfg(feature = "files")]
pub use file::{OwnedPixels, Picture, read_picture};
#[cfg(feature = "files")]
pub use sniff::{Kind, kind_of};
pub use window::Window;

/// An 8-bit image, row by row, channels of a pixel side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image8 {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// `height · width · channels` values.
    pub data: Vec<u8>,
}
