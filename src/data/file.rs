//! Image files.

use std::path::Path;

use umedsam_picture::{Picture, read_picture};

use super::npz::read_npz_image;
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

/// Reads a picture as [`read_picture`] does, or a 2D challenge case, told apart by what is in the file. Boxes are read where they are wanted.
///
/// # Errors
/// [`Error::File`] if it cannot be read or decoded.
pub fn read_image(path: &Path, wants_boxes: bool) -> Result<ImageFile> {
    let bytes = std::fs::read(path).map_err(|error| Error::file(path, error))?;
    let is_named_npz = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz"));
    if is_named_npz || bytes.starts_with(b"PK\x03\x04") {
        drop(bytes);
        return read_npz_image(path, wants_boxes);
    }
    let picture = read_picture(&bytes).map_err(|error| Error::file(path, error))?;
    Ok(ImageFile { picture, boxes: Vec::new() })
}
