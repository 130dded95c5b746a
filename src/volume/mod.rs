//! Volumes: where their voxels are, their slices as people look at them, and the files they come from.

pub mod geometry;
pub mod nifti;
mod turned;

pub use geometry::{Axis, Plane, SpaceGeometry, Turn};

use crate::error::{Error, Result};

/// Values of a slice as they are stored, row by row, channels of a pixel side by side.
#[derive(Debug, Clone, PartialEq)]
pub enum SliceValues {
    /// 8 bits, which are shown as they are.
    U8(Vec<u8>),
    /// Everything else, in the file's units.
    F32(Vec<f32>),
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
    /// Where the voxels are.
    fn geometry(&self) -> &SpaceGeometry;
    /// Values of a voxel.
    fn channels(&self) -> usize;
    /// The values of a stored slice that is there.
    fn read(&self, axis: Axis, index: usize) -> SliceValues;

    /// A slice as people look at it, counted from 0 along a stored axis.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if there is no such slice.
    fn slice(&self, axis: Axis, index: usize) -> Result<VolumeSlice> {
        let count = self.geometry().size[axis as usize];
        if index >= count {
            return Err(Error::InvalidOption(format!(
                "slice is {index}; axis {} has slices 0 to {}",
                axis as usize,
                count - 1
            )));
        }
        let turn = self.geometry().turn(axis);
        let channels = self.channels();
        let values = match self.read(axis, index) {
            SliceValues::U8(values) => SliceValues::U8(turn.turned(&values, channels)),
            SliceValues::F32(values) => SliceValues::F32(turn.turned(&values, channels)),
        };
        Ok(VolumeSlice { values, size: turn.size(), channels, turn })
    }
}
