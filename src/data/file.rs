//! Image files.

use std::path::Path;

use umedsam_picture::{OwnedPixels, Picture, read_picture};

use super::npz::{CaseBoxes, ChallengeCase, read_npz};
use crate::error::{Error, Result};
use crate::image::ImageView;

/// A decoded image file.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageFile {
    /// The image.
    pub picture: Picture,
    /// The boxes that the file brings (`.npz` only).
    pub boxes: Vec<[f64; 4]>,
}

impl ImageFile {
    /// The image as a checked view.
    ///
    /// # Errors
    /// As [`ImageView::new`].
    pub fn view(&self) -> Result<ImageView<'_>> {
        Ok(self.picture.view()?)
    }
}

/// Reads a picture as [`read_picture`] does, or a 2D challenge case, told apart by what is in the file.
///
/// # Errors
/// [`Error::File`] if it cannot be read or decoded.
pub fn read_image(path: &Path) -> Result<ImageFile> {
    let bytes = std::fs::read(path).map_err(|error| Error::file(path, error))?;
    let is_named_npz = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz"));
    if !is_named_npz && !bytes.starts_with(b"PK\x03\x04") {
        let picture = read_picture(&bytes).map_err(|error| Error::file(path, error))?;
        return Ok(ImageFile { picture, boxes: Vec::new() });
    }
    drop(bytes);
    let ChallengeCase { imgs, depth, width, height, channels, boxes, .. } = read_npz(path)?;
    let CaseBoxes::Image(boxes) = boxes else {
        let message = format!("imgs is a 3D volume of {depth} slices; only 2D cases are supported here");
        return Err(Error::file(path, message));
    };
    Ok(ImageFile { picture: Picture { pixels: OwnedPixels::U8(imgs), width, height, channels }, boxes })
}
