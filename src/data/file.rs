//! Image files.

use std::path::Path;

use image::{DynamicImage, ImageReader};

use super::npz::{CaseBoxes, read_npz};
use crate::error::{Error, Result};
use crate::image::{ImageView, Pixels};

/// Pixel values that own their memory.
#[derive(Debug, Clone, PartialEq)]
pub enum OwnedPixels {
    /// 8-bit.
    U8(Vec<u8>),
    /// 16-bit.
    U16(Vec<u16>),
}

/// A decoded image file.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageFile {
    /// The values, row by row.
    pub pixels: OwnedPixels,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// 1, 3 or 4.
    pub channels: usize,
    /// The boxes that the file brings (`.npz` only).
    pub boxes: Vec<[f64; 4]>,
}

impl ImageFile {
    /// The image as a checked view.
    ///
    /// # Errors
    /// As [`ImageView::new`].
    pub fn view(&self) -> Result<ImageView<'_>> {
        let pixels = match &self.pixels {
            OwnedPixels::U8(values) => Pixels::U8(values),
            OwnedPixels::U16(values) => Pixels::U16(values),
        };
        ImageView::new(pixels, self.width, self.height, self.channels)
    }
}

/// Reads a `.png`, `.jpg` or challenge `.npz` file.
///
/// # Errors
/// [`Error::File`] if it cannot be read or decoded.
pub fn read_image(path: &Path) -> Result<ImageFile> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz")) {
        let case = read_npz(path)?;
        let CaseBoxes::Image(boxes) = case.boxes else {
            let message = format!("imgs is a 3D volume of {} slices; only 2D cases are supported here", case.depth);
            return Err(Error::file(path, message));
        };
        let (width, height, channels) = (case.width, case.height, case.channels);
        return Ok(ImageFile { pixels: OwnedPixels::U8(case.imgs), width, height, channels, boxes });
    }
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let image = reader.map_err(|error| Error::file(path, error))?.decode().map_err(|error| Error::file(path, error))?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (pixels, channels) = match image {
        DynamicImage::ImageLuma8(image) => (OwnedPixels::U8(image.into_raw()), 1),
        DynamicImage::ImageLuma16(image) => (OwnedPixels::U16(image.into_raw()), 1),
        DynamicImage::ImageRgb16(image) => (OwnedPixels::U16(image.into_raw()), 3),
        DynamicImage::ImageRgba16(image) => (OwnedPixels::U16(image.into_raw()), 4),
        DynamicImage::ImageLumaA16(image) => {
            (OwnedPixels::U16(DynamicImage::ImageLumaA16(image).into_luma16().into_raw()), 1)
        }
        DynamicImage::ImageLumaA8(image) => {
            (OwnedPixels::U8(DynamicImage::ImageLumaA8(image).into_luma8().into_raw()), 1)
        }
        image => (OwnedPixels::U8(image.into_rgb8().into_raw()), 3),
    };
    Ok(ImageFile { pixels, width, height, channels, boxes: Vec::new() })
}
