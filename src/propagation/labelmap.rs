//! What is kept of a volume: labels, and probabilities of 8 bits.

use serde::Serialize;

/// Probabilities 0–1 as 0–255.
pub fn in_eight_bits(probability: &[f32]) -> Vec<u8> {
    probability.iter().map(|&value| (value * 255.0).round() as u8).collect()
}

/// Objects of a volume that never overlap: each voxel is of the most probable one whose mask it lies in, of the first of equals.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelmap {
    labels: Vec<u8>,
    /// Of the label's object, 0–255.
    probability: Vec<u8>,
}

impl Labelmap {
    /// Of so many voxels, without objects.
    pub fn new(voxels: usize) -> Self {
        Self { labels: vec![0; voxels], probability: vec![0; voxels] }
    }

    /// Puts the mask of an object, whose number is `label`, where `places` says that its pixels lie.
    pub fn put(&mut self, label: u8, mask: &[u8], probability: &[u8], places: impl Iterator<Item = usize>) {
        for ((place, &inside), &probability) in places.zip(mask).zip(probability) {
            let isnt_taken = self.labels[place] == 0 || probability > self.probability[place];
            if inside != 0 && isnt_taken {
                self.labels[place] = label;
                self.probability[place] = probability;
            }
        }
    }

    /// The numbers of the objects, 0 where there is none.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The same, without what was needed to make it.
    pub fn into_labels(self) -> Vec<u8> {
        self.labels
    }
}

/// How large an object is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct VolumeEstimate {
    /// Volume of the masks, ml.
    pub ml: f64,
    /// Bounds of an interval, ml: where the probability is at least 95 %, and where it is at least 5 %. It is the interval of 90 % if voxels are in doubt together,
    /// as those along an outline mostly are; its coverage is not guaranteed.
    pub interval_ml: [f64; 2],
}

/// Counts voxels by their probability.
#[derive(Debug, Clone, PartialEq)]
pub struct VoxelCounts {
    inside: u64,
    /// By probability of 8 bits.
    by_probability: [u64; 256],
}

impl Default for VoxelCounts {
    fn default() -> Self {
        Self { inside: 0, by_probability: [0; 256] }
    }
}

impl VoxelCounts {
    /// Takes the pixels of a slice in.
    pub fn add(&mut self, mask: &[u8], probability: &[u8]) {
        self.inside += mask.iter().map(|&inside| u64::from(inside != 0)).sum::<u64>();
        probability.iter().for_each(|&value| self.by_probability[usize::from(value)] += 1);
    }

    /// The volume, of voxels of so many mm³.
    pub fn volume(&self, voxel_mm3: f64) -> VolumeEstimate {
        let ml = |voxels: u64| voxels as f64 * voxel_mm3 / 1000.0;
        let at_least = |probability: f64| {
            let first = (probability * 255.0).ceil() as usize;
            self.by_probability[first..].iter().sum::<u64>()
        };
        let (low, high) = (at_least(0.95).min(self.inside), at_least(0.05).max(self.inside));
        VolumeEstimate { ml: ml(self.inside), interval_ml: [ml(low), ml(high)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voxels_are_of_the_most_probable_object() {
        let mut map = Labelmap::new(6);
        map.put(1, &[1, 1, 1, 0], &[200, 200, 100, 90], 0..4);
        map.put(2, &[1, 1, 0, 1], &[200, 201, 255, 10], 0..4);
        map.put(3, &[1], &[0], std::iter::once(5));
        assert_eq!(map.labels(), [1, 2, 1, 2, 0, 3]);
    }

    #[test]
    fn volumes_have_intervals_around_them() {
        let mut counts = VoxelCounts::default();
        counts.add(&[1, 1, 1, 0, 0], &[255, 243, 130, 20, 12]);
        // Voxels of 2 ml.
        let VolumeEstimate { ml, interval_ml } = counts.volume(2000.0);
        assert_eq!((ml, interval_ml), (6.0, [4.0, 8.0]));
        assert_eq!(VoxelCounts::default().volume(1.0).interval_ml, [0.0, 0.0]);
    }
}
