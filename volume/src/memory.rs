//! Volumes that are read as a whole.

use crate::error::Result;
use crate::geometry::{Axis, SpaceGeometry};
use crate::volume::{SliceValues, Volume};

/// A volume whose voxels are in memory, as they are best when slices across other axes than the stored one are wanted in turn.
#[derive(Debug, Clone)]
pub struct InMemory {
    geometry: SpaceGeometry,
    channels: usize,
    values: SliceValues,
    windows: Vec<Option<[f64; 2]>>,
    is_inverted: bool,
    problems: Vec<String>,
}

impl InMemory {
    /// Reads every slice, 1 or 4 bytes a value.
    ///
    /// # Errors
    /// Those of [`Volume::read`].
    pub fn of(volume: &dyn Volume) -> Result<Self> {
        let geometry = volume.geometry().clone();
        let count = geometry.size[Axis::Slices as usize];
        let mut values = SliceValues::U8(Vec::new());
        for index in 0..count {
            values.append(volume.read(Axis::Slices, index)?);
        }
        Ok(Self {
            geometry,
            channels: volume.channels(),
            values,
            windows: (0..count).map(|index| volume.window(index)).collect(),
            is_inverted: volume.is_inverted(),
            problems: volume.problems().to_vec(),
        })
    }

    fn slice_of<T: Copy>(&self, values: &[T], axis: Axis, index: usize) -> Vec<T> {
        let places = self.geometry.places(axis, index);
        places.flat_map(|place| &values[place * self.channels..][..self.channels]).copied().collect()
    }
}

impl Volume for InMemory {
    fn geometry(&self) -> &SpaceGeometry {
        &self.geometry
    }

    fn channels(&self) -> usize {
        self.channels
    }

    fn read(&self, axis: Axis, index: usize) -> Result<SliceValues> {
        self.check_slice(axis, index)?;
        Ok(match &self.values {
            SliceValues::U8(values) => SliceValues::U8(self.slice_of(values, axis, index)),
            SliceValues::F32(values) => SliceValues::F32(self.slice_of(values, axis, index)),
        })
    }

    fn window(&self, index: usize) -> Option<[f64; 2]> {
        self.windows.get(index).copied().flatten()
    }

    fn is_inverted(&self) -> bool {
        self.is_inverted
    }

    fn problems(&self) -> &[String] {
        &self.problems
    }
}
