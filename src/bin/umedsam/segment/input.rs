//! What the image is: a picture, or a volume.

use umedsam::data::{ImageFile, read_image};
use umedsam::image::Window;
use umedsam::volume::nifti::Nifti;
use umedsam::volume::{Axis, SpaceGeometry, Turn, Volume, VolumeSlice};
use umedsam::{Error, Result};
use umedsam_export::{Grid, Source, Voxels};
use umedsam_picture::{OwnedPixels, Picture};

use super::Arguments;

/// An image that was opened.
pub enum Input {
    Picture(ImageFile),
    Volume(OpenVolume),
}

/// A volume, and what files that are written of it refer to.
pub struct OpenVolume {
    file: Nifti,
    pub axis: Axis,
}

impl Input {
    /// Reads a picture; of a volume its headers.
    pub fn open(arguments: &Arguments) -> Result<Self> {
        let path = &arguments.image;
        let bytes = std::fs::read(path).map_err(|error| Error::file(path, error))?;
        if umedsam::volume::nifti::is_nifti(&bytes) {
            let file = Nifti::new(bytes).map_err(|error| Error::file(path, error))?.with_frame(arguments.frame)?;
            return Ok(Self::Volume(OpenVolume { file, axis: arguments.axis() }));
        }
        if let Some(slice) = arguments.slice {
            let message = format!("slice is {slice}, but {} is no volume; leave it out", path.display());
            return Err(Error::InvalidOption(message));
        }
        drop(bytes);
        Ok(Self::Picture(read_image(path, !arguments.has_prompts())?))
    }
}

impl OpenVolume {
    pub fn volume(&self) -> &dyn Volume {
        &self.file
    }

    pub fn geometry(&self) -> &SpaceGeometry {
        self.volume().geometry()
    }

    /// Slices across the axis.
    pub fn slices(&self) -> usize {
        self.geometry().size[self.axis as usize]
    }

    /// Columns and rows of its stored slices.
    pub fn stored(&self) -> [usize; 2] {
        self.axis.others().map(|axis| self.geometry().size[axis])
    }

    /// The slice that was chosen; of a single one it need not be said.
    pub fn chosen(&self, arguments: &Arguments) -> Result<usize> {
        let count = self.slices();
        let axis = self.axis as usize;
        match arguments.slice.or((count == 1).then_some(0)) {
            Some(index) if index < count => Ok(index),
            Some(index) => {
                Err(Error::InvalidOption(format!("slice is {index}; axis {axis} has slices 0 to {}", count - 1)))
            }
            None => Err(Error::InvalidOption(format!(
                "{} is a volume; choose one of its slices 0 to {} across axis {axis} with --slice",
                arguments.image.display(),
                count - 1,
            ))),
        }
    }

    /// A slice, upright, and how it is turned.
    pub fn slice(&self, index: usize) -> Result<(Picture, Turn)> {
        let VolumeSlice { values, size: [width, height], channels, turn } = self.volume().slice(self.axis, index)?;
        let pixels = match values {
            umedsam::volume::SliceValues::U8(values) => OwnedPixels::U8(values),
            umedsam::volume::SliceValues::F32(values) => OwnedPixels::F32(values),
        };
        Ok((Picture { pixels, width, height, channels }, turn))
    }

    /// The window that the file offers for a slice.
    pub fn window(&self, _index: usize) -> Window {
        Window::Auto
    }

    /// Whether high values are dark.
    pub fn is_inverted(&self) -> bool {
        false
    }

    /// The voxels that the pixels of a stored slice are, row by row.
    pub fn places(&self, index: usize) -> impl Iterator<Item = usize> + use<> {
        let size = self.geometry().size;
        let strides = [1, size[0], size[0] * size[1]];
        let [a, b] = self.axis.others();
        let begin = index * strides[self.axis as usize];
        (0..size[b]).flat_map(move |row| (0..size[a]).map(move |column| begin + row * strides[b] + column * strides[a]))
    }

    /// Where the voxels are, for files that are written; `None` of images without a place.
    pub fn grid(&self) -> Option<Grid> {
        let SpaceGeometry { size, affine } = self.geometry();
        let affine = affine.iter().flatten().copied().chain([0.0, 0.0, 0.0, 1.0]).collect();
        Some(Grid { size: *size, affine })
    }

    /// Volume of a voxel, mm³.
    pub fn voxel_mm3(&self) -> f64 {
        let [a, b, c] = self.geometry().affine;
        let determinant = a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0])
            + a[2] * (b[0] * c[1] - b[1] * c[0]);
        determinant.abs()
    }

    /// The DICOM series that files refer to; `None` of other volumes.
    pub fn source(&self) -> Result<Option<Source>> {
        Ok(None)
    }

    /// A NIfTI file of values on the volume's grid.
    pub fn nifti(&self, voxels: Voxels, description: &str) -> Result<Vec<u8>> {
        let grid = self.grid().ok_or_else(|| Error::InvalidOption("the images have no place in space".into()))?;
        umedsam_export::nifti(&grid, voxels, description).map_err(|error| Error::InvalidOption(error.to_string()))
    }
}
