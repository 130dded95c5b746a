//! What the image is: a picture, or a volume.

use umedsam::data::{ImageFile, read_image};
use umedsam::image::Window;
use umedsam::volume::{Axis, Choice, InMemory, Opened, SliceValues, SpaceGeometry, Turn, Volume, VolumeSlice};
use umedsam::{Error, Result};
use umedsam_export::{Grid, Source, Voxels};
use umedsam_picture::{OwnedPixels, Picture};

use super::Arguments;

/// An image that was opened.
pub enum Input {
    Picture(ImageFile),
    Volume(Box<OpenVolume>),
}

/// A volume, and what files that are written of it refer to.
pub struct OpenVolume {
    file: Opened,
    /// The same, where slices across other axes are wanted in turn: of a series each takes all of its files.
    in_memory: Option<InMemory>,
    pub axis: Axis,
}

impl Input {
    /// Reads a picture; of a volume its headers.
    pub fn open(arguments: &Arguments) -> Result<Self> {
        let path = &arguments.image;
        let choice = Choice { frame: arguments.frame, series: arguments.series };
        if let Some(file) = umedsam::volume::open(path, choice)? {
            let axis = arguments.axis();
            let is_across_files = matches!(file, Opened::Dicom(_)) && axis != Axis::Slices && arguments.propagate;
            let in_memory = is_across_files.then(|| InMemory::of(file.volume())).transpose()?;
            return Ok(Self::Volume(Box::new(OpenVolume { file, in_memory, axis })));
        }
        let picture = read_image(path, !arguments.has_prompts())?;
        match arguments.slice {
            Some(slice) => {
                let message = format!("slice is {slice}, but {} is no volume; leave it out", path.display());
                Err(Error::InvalidOption(message))
            }
            None => Ok(Self::Picture(picture)),
        }
    }
}

impl OpenVolume {
    pub fn volume(&self) -> &dyn Volume {
        match &self.in_memory {
            Some(volume) => volume,
            None => self.file.volume(),
        }
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

    /// How slices are turned.
    pub fn turn(&self) -> Turn {
        self.geometry().turn(self.axis)
    }

    /// A slice, upright.
    pub fn slice(&self, index: usize) -> Result<Picture> {
        let VolumeSlice { values, size: [width, height], channels, .. } = self.volume().slice(self.axis, index)?;
        let pixels = match values {
            SliceValues::U8(values) => OwnedPixels::U8(values),
            SliceValues::F32(values) => OwnedPixels::F32(values),
        };
        Ok(Picture { pixels, width, height, channels })
    }

    /// The window that the file offers for a slice; for slices across other axes that of the middle one.
    pub fn window(&self, index: usize) -> Window {
        let stored = if self.axis == Axis::Slices { index } else { self.geometry().size[2] / 2 };
        match self.volume().window(stored) {
            Some([center, width]) => Window::Level { center, width },
            None => Window::Auto,
        }
    }

    /// The voxels that the pixels of a stored slice are, row by row.
    pub fn places(&self, index: usize) -> impl Iterator<Item = usize> + use<> {
        self.geometry().places(self.axis, index)
    }

    /// Where the voxels are, for files that are written; `None` of images without a place.
    pub fn grid(&self) -> Option<Grid> {
        let SpaceGeometry { size, affine } = self.geometry();
        let affine = affine.iter().flatten().copied().chain([0.0, 0.0, 0.0, 1.0]).collect();
        self.volume().is_placed().then_some(Grid { size: *size, affine })
    }

    /// The DICOM series that files refer to; `None` of other volumes.
    pub fn source(&self) -> Result<Option<Source>> {
        match &self.file {
            Opened::Dicom(series) => Ok(Some(series.source()?)),
            Opened::Nifti(_) => Ok(None),
        }
    }

    /// A NIfTI file of values on the volume's grid, with the header of the file if it is one.
    pub fn nifti(&self, voxels: Voxels, description: &str) -> Result<Vec<u8>> {
        if let Opened::Nifti(file) = &self.file {
            return Ok(file.written(voxels)?);
        }
        let grid = self.grid().ok_or_else(|| Error::InvalidOption("the images have no place in space".into()))?;
        umedsam_export::nifti(&grid, voxels, description).map_err(|error| Error::InvalidOption(error.to_string()))
    }
}
