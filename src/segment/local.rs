//! How far each place of a mask is to be trusted: what [`LocalScaling`](crate::model::local_scaling::LocalScaling) sees, and what becomes of its answer.

use crate::image::Geometry;
use crate::model::local_scaling::LocalScalingCpu;
use crate::model::prompt_encoder::InputBox;

/// How far the region reaches beyond box and mask, as a share of their sides: as far as uncertainty is measured.
const MARGIN: f64 = 0.125;
/// The size of a region whose feature is 0, as a share of the low-res mask.
const COMMON_SHARE: f64 = 0.25;

/// The part of a low-res mask around an object.
#[derive(Debug, Clone)]
pub(super) struct Region {
    /// x0, y0, x1, y1 in pixels of the low-res mask.
    corners: [f64; 4],
    /// The prompt's box, likewise.
    bounding_box: [f64; 4],
    low_res_size: usize,
    side: usize,
}

impl Region {
    /// What is around a box and the mask found in it, to be resampled to `side · side` places.
    ///
    /// # Shapes
    /// - `logits`: `[low_res_size, low_res_size]`
    pub fn around(logits: &[f32], bounding_box: InputBox, geometry: &Geometry, side: usize) -> Self {
        let low_res_size = logits.len().isqrt();
        let share = low_res_size as f64 / geometry.input_size as f64;
        let bounding_box = bounding_box.map(|corner| f64::from(corner) * share);
        let (width, height) = geometry.resized();
        let extent = [width, height].map(|length| length as f64 * share);
        let [mut x0, mut y0, mut x1, mut y1] = bounding_box;
        for (index, _) in logits.iter().enumerate().filter(|(_, logit)| **logit > 0.0) {
            let [x, y] = [index % low_res_size, index / low_res_size].map(|place| place as f64);
            if x < extent[0] && y < extent[1] {
                (x0, y0, x1, y1) = (x0.min(x), y0.min(y), x1.max(x + 1.0), y1.max(y + 1.0));
            }
        }
        let [dx, dy] = [x1 - x0, y1 - y0].map(|length| MARGIN * length);
        let within = |from: f64, to: f64, length: f64| {
            let (from, to) = (from.max(0.0), to.min(length));
            // A region is at least two pixels wide.
            if to - from >= 2.0 { [from, to] } else { [(to - 2.0).max(0.0), (to - 2.0).max(0.0) + 2.0] }
        };
        let [left, right] = within(x0 - dx, x1 + dx, extent[0]);
        let [top, bottom] = within(y0 - dy, y1 + dy, extent[1]);
        Self { corners: [left, top, right, bottom], bounding_box, low_res_size, side }
    }

    fn axes(&self) -> [Axis; 2] {
        let [x0, y0, x1, y1] = self.corners;
        [Axis::new(x0, x1, self.low_res_size, self.side), Axis::new(y0, y1, self.low_res_size, self.side)]
    }

    /// Resamples a low-res map to the region's places.
    ///
    /// # Shapes
    /// - `map`: `[low_res_size, low_res_size]`
    /// - output: `[side, side]`
    pub fn resample(&self, map: &[f32]) -> Vec<f32> {
        let [columns, rows] = self.axes();
        let all = columns.range();
        let mut row = vec![0.0f32; all.len()];
        let mut output = vec![0.0f32; self.side * self.side];
        for ((first, weights), output) in rows.places.iter().zip(output.chunks_exact_mut(self.side)) {
            row.fill(0.0);
            for (y, weight) in (*first..).zip(weights) {
                let values = &map[y * self.low_res_size..][all.clone()];
                row.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
            }
            for ((first, weights), output) in columns.places.iter().zip(output) {
                *output = row[first - all.start..].iter().zip(weights).map(|(value, weight)| value * weight).sum();
            }
        }
        output
    }

    /// The logit of each place, whether it is in the box, and the size of the region.
    ///
    /// # Shapes
    /// - `logits`: `[low_res_size, low_res_size]`
    /// - output: `[side, side, 3]`
    pub fn features(&self, logits: &[f32]) -> Vec<f32> {
        let [x0, y0, x1, y1] = self.corners;
        let [left, top, right, bottom] = self.bounding_box;
        let place = |index: usize, from: f64, to: f64| from + (index as f64 + 0.5) / self.side as f64 * (to - from);
        let size = ((x1 - x0).max(y1 - y0) / (COMMON_SHARE * self.low_res_size as f64)).ln() as f32;
        let logits = self.resample(logits);
        let features = |(index, logit): (usize, f32)| {
            let (x, y) = (place(index % self.side, x0, x1), place(index / self.side, y0, y1));
            let is_inside = x > left && x < right && y > top && y < bottom;
            [logit, f32::from(u8::from(is_inside)), size]
        };
        logits.into_iter().enumerate().flat_map(features).collect()
    }

    /// What the network says of the region, at its place in the image.
    ///
    /// # Shapes
    /// - `values`: `[side, side, 2]`
    fn answer(&self, values: Vec<f32>, geometry: &Geometry) -> LocalMap {
        let pixels = geometry.input_size as f64 / self.low_res_size as f64 / geometry.scale();
        LocalMap { corners: self.corners.map(|corner| corner * pixels), side: self.side, values }
    }
}

/// From the pixels of a line to places of a part of it, by triangles as wide as the places are far apart, at least two pixels: bilinear without holes.
struct Axis {
    /// Of each place the first pixel and the weights from there on.
    places: Vec<(usize, Vec<f32>)>,
}

impl Axis {
    fn new(from: f64, to: f64, length: usize, side: usize) -> Self {
        let step = (to - from) / side as f64;
        let reach = step.max(1.0);
        let place = |index: usize| {
            let centre = from + (index as f64 + 0.5) * step;
            let first = ((centre - reach).floor().max(0.0) as usize).min(length - 1);
            let end = ((centre + reach).ceil().max(1.0) as usize).clamp(first + 1, length);
            let weight = |pixel: usize| (1.0 - (pixel as f64 + 0.5 - centre).abs() / reach).max(0.0);
            let weights: Vec<f64> = (first..end).map(weight).collect();
            let sum: f64 = weights.iter().sum();
            match sum > 0.0 {
                true => (first, weights.into_iter().map(|weight| (weight / sum) as f32).collect()),
                // Beyond the line's end.
                false => (first, vec![1.0]),
            }
        };
        Self { places: (0..side).map(place).collect() }
    }

    /// The pixels that are looked at.
    fn range(&self) -> std::ops::Range<usize> {
        let first = self.places.iter().map(|(first, _)| *first).min().unwrap_or(0);
        let end = self.places.iter().map(|(first, weights)| first + weights.len()).max().unwrap_or(first);
        first..end
    }
}

/// Logarithmic scale and bias of logits around an object: `z' = z · e^s + b`. Beyond its region the values of the region's rim hold.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalMap {
    /// x0, y0, x1, y1 in pixels of what the network saw.
    corners: [f64; 4],
    side: usize,
    /// `[side, side, 2]`
    values: Vec<f32>,
}

impl LocalMap {
    /// What a network says of a box's logits.
    ///
    /// # Shapes
    /// - `logits`: `[low_res_size, low_res_size]`
    pub(super) fn new(network: &LocalScalingCpu, logits: &[f32], bounding_box: InputBox, geometry: &Geometry) -> Self {
        let region = Region::around(logits, bounding_box, geometry, network.side());
        region.answer(network.forward(&region.features(logits)), geometry)
    }

    /// Scales the logits of an image in place.
    ///
    /// # Shapes
    /// - `logits`: `[height, width]`
    pub fn apply(&self, logits: &mut [f32], width: usize) {
        let [x0, y0, x1, y1] = self.corners;
        let columns: Vec<(usize, f32)> = (0..width).map(|x| self.between(x, x0, x1)).collect();
        let row = 2 * self.side;
        let mut line = vec![0.0f32; row];
        for (y, logits) in logits.chunks_exact_mut(width).enumerate() {
            let (above, share) = self.between(y, y0, y1);
            let [above, below] = [above, above + 1].map(|row_of| &self.values[row_of * row..][..row]);
            for (value, (above, below)) in line.iter_mut().zip(above.iter().zip(below)) {
                *value = above + share * (below - above);
            }
            for (logit, &(left, share)) in logits.iter_mut().zip(&columns) {
                let [a, b] = [0, 1].map(|part| {
                    let [left, right] = [line[2 * left + part], line[2 * left + 2 + part]];
                    left + share * (right - left)
                });
                *logit = *logit * a.exp() + b;
            }
        }
    }

    /// The place before a pixel's middle, and how far on towards the next it lies, 0–1.
    fn between(&self, pixel: usize, from: f64, to: f64) -> (usize, f32) {
        let place = (pixel as f64 + 0.5 - from) / (to - from) * self.side as f64 - 0.5;
        let place = place.clamp(0.0, (self.side - 1) as f64);
        let first = (place as usize).min(self.side - 2);
        (first, (place - first as f64) as f32)
    }
}

/// What is learned from: see [`Segmenter::local_features`](super::Segmenter::local_features).
#[derive(Debug, Clone)]
pub struct LocalFeatures {
    /// What is seen of each place, `[side, side, 3]`: the logit, whether it is in the box, the size of the region.
    pub map: Vec<f32>,
    /// The share of each place that is inside the truth, `[side, side]`.
    pub truth: Vec<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const GEOMETRY: Geometry = Geometry { width: 32, height: 16, input_size: 64 };

    #[test]
    fn regions_hold_box_and_mask_and_stay_in_the_image() {
        let mut logits = vec![-1.0; 64 * 64];
        let region = Region::around(&logits, [16.0, 8.0, 32.0, 24.0], &GEOMETRY, 8);
        assert_eq!(region.corners, [14.0, 6.0, 34.0, 26.0]);
        logits[40] = 1.0;
        assert_eq!(Region::around(&logits, [16.0, 8.0, 32.0, 24.0], &GEOMETRY, 8).corners, [12.875, 0.0, 44.125, 27.0]);
        // What the network sees below the image does not count.
        logits[40] = -1.0;
        logits[63 * 64] = 1.0;
        assert_eq!(Region::around(&logits, [0.0, 0.0, 64.0, 32.0], &GEOMETRY, 8).corners, [0.0, 0.0, 64.0, 32.0]);
        let thin = Region::around(&vec![-1.0; 64 * 64], [63.0, 31.0, 64.0, 32.0], &GEOMETRY, 8).corners;
        assert_eq!(thin, [62.0, 30.0, 64.0, 32.0]);
    }

    #[test]
    fn constant_maps_stay_constant_and_slopes_slopes() {
        let logits = vec![-1.0; 64 * 64];
        for corners in [[2.0, 3.0, 60.0, 30.0], [10.0, 10.0, 13.0, 12.0], [0.0, 0.0, 64.0, 32.0]] {
            let region = Region::around(&logits, corners, &GEOMETRY, 8);
            assert!(region.resample(&vec![3.0; 64 * 64]).iter().all(|value| (value - 3.0).abs() < 1e-5));
            let slope: Vec<f32> = (0..64 * 64).map(|index| (index % 64) as f32).collect();
            let found = region.resample(&slope);
            let [x0, _, x1, _] = region.corners;
            // Away from the rim of the low-res mask.
            for place in 2..6 {
                let expected = x0 + (place as f64 + 0.5) / 8.0 * (x1 - x0) - 0.5;
                assert!((f64::from(found[8 * 3 + place]) - expected).abs() < 0.2, "{found:?} {expected}");
            }
        }
    }

    #[test]
    fn maps_scale_where_they_lie_and_their_rim_holds_beyond() {
        let region = Region { corners: [16.0, 8.0, 32.0, 24.0], bounding_box: [0.0; 4], low_res_size: 64, side: 2 };
        let ln2 = 2f32.ln();
        let values = vec![0.0, 1.0, ln2, 1.0, 0.0, 1.0, ln2, 1.0];
        // Image pixels are two low-res pixels wide.
        let map = region.answer(values, &GEOMETRY);
        assert_eq!(map.corners, [8.0, 4.0, 16.0, 12.0]);
        let mut logits = vec![3.0; 32 * 16];
        map.apply(&mut logits, 32);
        for (x, expected) in [(0, 4.0), (9, 3.0 * 2f32.powf(0.0) + 1.0), (31, 7.0)] {
            for y in [0, 8, 15] {
                assert!((logits[y * 32 + x] - expected).abs() < 1e-5, "{x} {y}: {}", logits[y * 32 + x]);
            }
        }
    }
}
