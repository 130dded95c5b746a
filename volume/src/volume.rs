//! What volumes of every format have in common.

use crate::error::{Error, Result};
use crate::geometry::{Axis, SpaceGeometry, Turn};

/// Values of a slice as they are stored, row by row, channels of a pixel side by side.
#[derive(Debug, Clone, PartialEq)]
pub enum SliceValues {
    /// 8 bits, which are shown as they are.
    U8(Vec<u8>),
    /// Everything else, in the file's units.
    F32(Vec<f32>),
}

impl SliceValues {
    /// Puts other values behind; all become floats where either are, since frames are scaled one by one.
    pub(crate) fn append(&mut self, other: Self) {
        if let (Self::U8(values), Self::U8(more)) = (&mut *self, &other) {
            values.extend_from_slice(more);
            return;
        }
        let floats = |values: Self| match values {
            Self::U8(values) => values.into_iter().map(f32::from).collect(),
            Self::F32(values) => values,
        };
        let mut values = floats(std::mem::replace(self, Self::U8(Vec::new())));
        values.append(&mut floats(other));
        *self = Self::F32(values);
    }
}

/// A slice, upright.
#[derive(Debug, Clone, PartialEq)]
pub struct VolumeSlice {
    /// Row by row, channels of a pixel side by side.
    pub values: SliceValues,
    /// Columns and rows of the upright picture.
    pub size: [usize; 2],
    /// 1, 3 or 4.
    pub channels: usize,
    /// From the stored slice to the picture and back.
    pub turn: Turn,
}

/// Voxels on a grid, read slice by slice.
pub trait Volume {
    /// Where the voxels are. Of images without a place ([`Volume::is_placed`]) only the size says something.
    fn geometry(&self) -> &SpaceGeometry;

    /// Values of a voxel: 1, 3 or 4.
    fn channels(&self) -> usize;

    /// The values of a stored slice.
    ///
    /// # Errors
    /// [`Error::Option`] if there is no such slice; [`Error::Invalid`] or [`Error::File`] if its pixels are damaged or cannot be read.
    fn read(&self, axis: Axis, index: usize) -> Result<SliceValues>;

    /// Centre and width, in the file's units, of the window that the file offers first for a slice across [`Axis::Slices`].
    fn window(&self, _index: usize) -> Option<[f64; 2]> {
        None
    }

    /// Whether low values are bright (MONOCHROME1).
    fn is_inverted(&self) -> bool {
        false
    }

    /// Whether the slices lie in space: ultrasound and photographs do not, and are read across [`Axis::Slices`] only.
    fn is_placed(&self) -> bool {
        true
    }

    /// What is odd about the files, in words.
    fn problems(&self) -> &[String];

    /// Refuses a slice that is not there.
    ///
    /// # Errors
    /// [`Error::Option`], with what there is.
    fn check_slice(&self, axis: Axis, index: usize) -> Result<()> {
        let count = self.geometry().size[axis as usize];
        let number = axis as usize;
        if axis != Axis::Slices && !self.is_placed() {
            return Err(Error::Option(format!(
                "axis is {number}, but the images have no place in space, so that they are no volume; use axis 2"
            )));
        }
        match index < count {
            true => Ok(()),
            false => Err(Error::Option(format!(
                "slice is {index}; axis {number} has slices 0 to {}",
                count.saturating_sub(1)
            ))),
        }
    }

    /// A slice as people look at it, counted from 0 along a stored axis.
    ///
    /// # Errors
    /// As [`Volume::read`].
    fn slice(&self, axis: Axis, index: usize) -> Result<VolumeSlice> {
        self.check_slice(axis, index)?;
        let turn = self.geometry().turn(axis);
        let channels = self.channels();
        let values = match self.read(axis, index)? {
            SliceValues::U8(values) => SliceValues::U8(turn.turned(&values, channels)),
            SliceValues::F32(values) => SliceValues::F32(turn.turned(&values, channels)),
        };
        Ok(VolumeSlice { values, size: turn.size(), channels, turn })
    }
}
