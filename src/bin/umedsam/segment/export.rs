//! What files are made of: labels of the whole source, and maps of each object.

use std::collections::BTreeMap;

use umedsam::Result;
use umedsam::propagation::{Labelmap, in_eight_bits};
use umedsam::segment::Segmentation;
use umedsam_export::{Segment, Source};

use super::input::OpenVolume;

/// Colours that differ most in turn.
const COLORS: [[u8; 3]; 6] =
    [[230, 80, 60], [70, 170, 240], [110, 200, 90], [240, 190, 50], [180, 110, 220], [240, 140, 180]];

/// The source with what was found in it.
pub struct Exported<'a> {
    pub volume: Option<&'a OpenVolume>,
    /// Columns and rows of stored slices.
    pub stored: [usize; 2],
    /// The slices that were segmented; of a picture one.
    pub slices: Vec<usize>,
    pub labels: Labelmap,
    pub objects: Vec<ObjectMaps>,
}

/// What is known of an object, slice by slice, as they are stored.
#[derive(Default)]
pub struct ObjectMaps {
    /// 0–255.
    pub probability: BTreeMap<usize, Vec<u8>>,
    /// Bits; empty if nobody wants them.
    pub uncertainty: BTreeMap<usize, Vec<f32>>,
}

impl ObjectMaps {
    /// Takes a slice in.
    pub fn add(&mut self, slice: usize, found: &Segmentation, with_uncertainty: bool) {
        self.probability.insert(slice, in_eight_bits(&found.probability));
        if with_uncertainty {
            self.uncertainty.insert(slice, found.uncertainty.total.clone());
        }
    }
}

impl<'a> Exported<'a> {
    /// Of a picture.
    pub fn of_picture(stored: [usize; 2]) -> Self {
        let labels = Labelmap::new(stored[0] * stored[1]);
        Self { volume: None, stored, slices: Vec::new(), labels, objects: Vec::new() }
    }

    /// Of a volume.
    pub fn of_volume(volume: &'a OpenVolume) -> Self {
        let voxels = volume.geometry().size.iter().product();
        Self {
            volume: Some(volume),
            stored: volume.stored(),
            slices: Vec::new(),
            labels: Labelmap::new(voxels),
            objects: Vec::new(),
        }
    }

    /// Takes the mask of an object on a slice in.
    pub fn add(&mut self, object: usize, slice: usize, found: &Segmentation) {
        let label = (object + 1) as u8;
        let probability = in_eight_bits(&found.probability);
        match self.volume {
            Some(volume) => self.labels.put(label, &found.mask, &probability, volume.places(slice)),
            None => self.labels.put(label, &found.mask, &probability, 0..found.mask.len()),
        }
        if !self.slices.contains(&slice) {
            self.slices.push(slice);
        }
    }

    pub fn segments(&self) -> Vec<Segment> {
        let segment = |index: usize| Segment {
            label: format!("Object {}", index + 1),
            category: umedsam_export::Code::tissue(),
            kind: umedsam_export::Code::tissue(),
            color: Some(COLORS[index % COLORS.len()]),
        };
        (0..self.objects.len()).map(segment).collect()
    }

    /// The labels of a slice, as it is stored.
    pub fn labels_of(&self, slice: usize) -> Vec<u8> {
        let labels = self.labels.labels();
        match self.volume {
            Some(volume) => volume.places(slice).map(|place| labels[place]).collect(),
            None => labels.to_vec(),
        }
    }

    /// Slices as a whole volume, 0 elsewhere.
    pub fn dense<T: Copy + Default>(&self, slices: &BTreeMap<usize, Vec<T>>) -> Vec<T> {
        let mut all = vec![T::default(); self.labels.labels().len()];
        for (&slice, values) in slices {
            match self.volume {
                Some(volume) => volume.places(slice).zip(values).for_each(|(place, &value)| all[place] = value),
                None => all.copy_from_slice(values),
            }
        }
        all
    }

    /// An object's maps of the whole source with their names: probability 0–1, and uncertainty in bits.
    pub fn maps(&self, object: usize) -> [(&'static str, Vec<f32>); 2] {
        let maps = &self.objects[object];
        let probability = self.dense(&maps.probability).into_iter().map(|value: u8| f32::from(value) / 255.0).collect();
        [("probability", probability), ("uncertainty", self.dense(&maps.uncertainty))]
    }

    /// The DICOM series that was segmented.
    pub fn source(&self) -> Result<Option<Source>> {
        self.volume.map_or(Ok(None), OpenVolume::source)
    }
}
