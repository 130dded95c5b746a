//! Image files.

use std::path::Path;

use umedsam_picture::{OwnedPixels, Picture, read_picture};

use super::npz::read_npz_image;
use crate::error::{Error, Result};
use crate::image::ImageView;
use crate::volume::nifti::{Nifti, is_nifti};
use crate::volume::{Axis, SliceValues, Turn, Volume};

/// A decoded image file.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageFile {
    /// The image.
    pub picture: Picture,
    /// The boxes that the file brings (`.npz` only).
    pub boxes: Vec<[f64; 4]>,
    /// From the stored slice of a volume to the upright picture; `None` of pictures.
    pub turn: Option<Turn>,
}

/// A slice of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceChoice {
    /// Counted from 0 along the axis; of a single slice it need not be said.
    pub slice: Option<usize>,
    /// The axis that slices are taken across.
    pub axis: Axis,
    /// Which of a file's volumes.
    pub frame: usize,
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
    Ok(ImageFile { picture, boxes: Vec::new(), turn: None })
}

/// As [`read_image`], or the slice of a NIfTI volume, upright, in the file's units.
///
/// # Errors
/// [`Error::File`] if it cannot be read or decoded; [`Error::InvalidOption`] if there is no such slice, or a slice is chosen of what is no volume.
pub fn read_image_or_slice(path: &Path, wants_boxes: bool, choice: SliceChoice) -> Result<ImageFile> {
    let bytes = std::fs::read(path).map_err(|error| Error::file(path, error))?;
    if !is_nifti(&bytes) {
        if let Some(slice) = choice.slice {
            let message = format!("slice is {slice}, but {} is no volume; leave it out", path.display());
            return Err(Error::InvalidOption(message));
        }
        drop(bytes);
        return read_image(path, wants_boxes);
    }
    let volume = Nifti::new(bytes).map_err(|error| Error::file(path, error))?.with_frame(choice.frame)?;
    let count = volume.geometry().size[choice.axis as usize];
    let Some(index) = choice.slice.or((count == 1).then_some(0)) else {
        return Err(Error::InvalidOption(format!(
            "{} is a volume; choose one of its slices 0 to {} across axis {} with --slice",
            path.display(),
            count - 1,
            choice.axis as usize
        )));
    };
    let slice = volume.slice(choice.axis, index)?;
    let [width, height] = slice.size;
    let pixels = match slice.values {
        SliceValues::U8(values) => OwnedPixels::U8(values),
        SliceValues::F32(values) => OwnedPixels::F32(values),
    };
    let picture = Picture { pixels, width, height, channels: slice.channels };
    Ok(ImageFile { picture, boxes: Vec::new(), turn: Some(slice.turn) })
}
