//! Labelled images to training targets in the network's input.
//!
//! Source: LiteMedSAM's training script: label maps scaled to the input by nearest neighbour, boxes around the scaled mask, each side moved
//! outwards by up to 5 pixels at 256.

use rand::RngExt;

use super::config::Augmentation;
use crate::image::Geometry;
use crate::model::prompt_encoder::InputBox;

/// A structure to be segmented.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its label in the file.
    pub label: u8,
    /// 1 inside, 0 outside: `input_size · input_size` values, the image at the top left.
    pub mask: Vec<u8>,
    /// The tight box around the mask, `[x0, y0, x1, y1]` in pixels of the input, last pixels included.
    pub tight_box: InputBox,
}

/// A label map at the input's scale, the image at the top left and 0 around it. Labels that vanish there, such as objects of a pixel in a
/// large image, are gone.
///
/// # Shapes
/// - `labels`: `height · width` values of the geometry's image
/// - output: `input_size · input_size` values
pub fn scaled_labels(labels: &[u8], geometry: &Geometry) -> Vec<u8> {
    let size = geometry.input_size;
    let (width, height) = geometry.resized();
    // OpenCV's INTER_NEAREST: the source pixel at the destination's upper left corner.
    let source = |index: usize, resized: usize, original: usize| (index * original / resized).min(original - 1);
    let mut scaled = vec![0u8; size * size];
    for y in 0..height {
        let row = source(y, height, geometry.height) * geometry.width;
        for x in 0..width {
            scaled[y * size + x] = labels[row + source(x, width, geometry.width)];
        }
    }
    scaled
}

/// The labels in a label map but 0, in order.
pub fn labels_of(scaled: &[u8]) -> Vec<u8> {
    let mut is_there = [false; 256];
    scaled.iter().for_each(|&label| is_there[usize::from(label)] = true);
    (1..=u8::MAX).filter(|&label| is_there[usize::from(label)]).collect()
}

/// The structure with a label in a label map of `size · size` pixels; `None` if it has no pixel.
pub fn target(scaled: &[u8], size: usize, label: u8) -> Option<Target> {
    let mask: Vec<u8> = scaled.iter().map(|&value| u8::from(value == label)).collect();
    let (mut low, mut high) = ([size; 2], None::<[usize; 2]>);
    for pixel in (0..mask.len()).filter(|&pixel| mask[pixel] != 0) {
        let [x, y] = [pixel % size, pixel / size];
        low = [low[0].min(x), low[1].min(y)];
        let [right, bottom] = high.unwrap_or([x, y]);
        high = Some([right.max(x), bottom.max(y)]);
    }
    let [right, bottom] = high?;
    Some(Target { label, mask, tight_box: [low[0], low[1], right, bottom].map(|side| side as f32) })
}

impl Target {
    /// The box as an augmentation wants it.
    pub fn prompt(&self, augmentation: &Augmentation, geometry: &Geometry, random: &mut impl RngExt) -> InputBox {
        let Some(drawn) = augmentation.drawn_boxes.filter(|drawn| random.random_bool(drawn.probability)) else {
            return self.loosened_box(augmentation.box_shift, geometry, random);
        };
        let limit = drawn.outwards * random.random_range(0.0..=1.0f64).powf(drawn.power);
        let mut share = || random.random_range(-drawn.inwards..=limit.max(-drawn.inwards)) as f32;
        let shares: [f32; 4] = std::array::from_fn(|_| share());
        let shares = if random.random_bool(drawn.alike) { [shares[0]; 4] } else { shares };
        self.enlarged_box(shares, geometry)
    }

    /// The box with each side moved outwards by a share of the box's own width or height, within the image, at least a pixel wide.
    pub fn enlarged_box(&self, shares: [f32; 4], geometry: &Geometry) -> InputBox {
        let [x0, y0, x1, y1] = self.tight_box;
        let size = [x1 - x0 + 1.0, y1 - y0 + 1.0];
        let [left, top, right, bottom] = std::array::from_fn(|side| shares[side] * size[side % 2]);
        let (left, top) = (x0 - left, y0 - top);
        within(geometry, [left, top, (x1 + right).max(left + 1.0), (y1 + bottom).max(top + 1.0)])
    }

    /// The box as somebody might draw it: each side moved outwards by 0 to `shift` whole pixels, within the image, at least a pixel wide.
    pub fn loosened_box(&self, shift: u32, geometry: &Geometry, random: &mut impl RngExt) -> InputBox {
        let mut out = || random.random_range(0..=shift) as f32;
        let [x0, y0, x1, y1] = self.tight_box;
        within(geometry, [x0 - out(), y0 - out(), (x1 + out()).max(x0 + 1.0), (y1 + out()).max(y0 + 1.0)])
    }
}

fn within(geometry: &Geometry, corners: InputBox) -> InputBox {
    let (width, height) = geometry.resized();
    let ends = [width, height, width, height];
    std::array::from_fn(|side| corners[side].clamp(0.0, ends[side] as f32))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::super::config::DrawnBoxes;
    use super::*;

    const GEOMETRY: Geometry = Geometry { width: 8, height: 4, input_size: 16 };

    /// A 2×1 structure, one of a single pixel, and background.
    fn labels() -> Vec<u8> {
        let mut labels = vec![0; 32];
        labels[8 + 2] = 1;
        labels[8 + 3] = 1;
        labels[3 * 8 + 7] = 3;
        labels
    }

    fn targets(labels: &[u8], geometry: &Geometry) -> Vec<Target> {
        let scaled = scaled_labels(labels, geometry);
        let target = |label| target(&scaled, geometry.input_size, label).unwrap();
        labels_of(&scaled).into_iter().map(target).collect()
    }

    #[test]
    fn structures_are_scaled_and_boxed() {
        let targets = targets(&labels(), &GEOMETRY);
        assert_eq!(targets.iter().map(|target| target.label).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(targets[0].tight_box, [4.0, 2.0, 7.0, 3.0]);
        assert_eq!(targets[0].mask.iter().map(|&inside| usize::from(inside)).sum::<usize>(), 8);
        assert_eq!(targets[1].tight_box, [14.0, 6.0, 15.0, 7.0]);
    }

    #[test]
    fn what_vanishes_is_left_out() {
        let geometry = Geometry { width: 64, height: 64, input_size: 16 };
        let mut labels = vec![0; 64 * 64];
        labels[64 + 1] = 1;
        assert!(targets(&labels, &geometry).is_empty());
        assert!(targets(&vec![0; 64 * 64], &geometry).is_empty());
        assert_eq!(target(&[0; 4], 2, 1), None);
    }

    #[test]
    fn how_loose_drawn_boxes_are_follows_the_power() {
        let geometry = Geometry { width: 256, height: 256, input_size: 256 };
        let target = Target { label: 1, mask: Vec::new(), tight_box: [100.0, 100.0, 139.0, 139.0] };
        let mean = |power: f64| {
            let drawn = DrawnBoxes { probability: 1.0, inwards: 0.0, outwards: 0.4, power, alike: 1.0 };
            let augmentation = Augmentation { drawn_boxes: Some(drawn), ..Default::default() };
            let mut random = StdRng::seed_from_u64(4);
            let shares = (0..2000).map(|_| {
                let [x0, y0, x1, y1] = target.prompt(&augmentation, &geometry, &mut random);
                let shares = [100.0 - x0, 100.0 - y0, x1 - 139.0, y1 - 139.0].map(|out| out / 40.0);
                assert!(shares.iter().all(|share| (share - shares[0]).abs() < 1e-5), "sides differ: {shares:?}");
                f64::from(shares[0])
            });
            shares.sum::<f64>() / 2000.0
        };
        // A limit is 0.4 · u^power, a share half of it: 0.2 / (1 + power) in the mean.
        for power in [0.0, 0.5, 2.0] {
            let (mean, expected) = (mean(power), 0.2 / (1.0 + power));
            assert!((mean - expected).abs() < 0.01, "power {power}: {mean} instead of {expected}");
        }
    }

    #[test]
    fn loosened_boxes_reach_outwards_only() {
        let target = &targets(&labels(), &GEOMETRY)[1];
        let mut random = StdRng::seed_from_u64(1);
        let mut reached = [false; 4];
        for _ in 0..200 {
            let [x0, y0, x1, y1] = target.loosened_box(5, &GEOMETRY, &mut random);
            assert!((9.0..=14.0).contains(&x0) && (1.0..=6.0).contains(&y0));
            assert!((15.0..=16.0).contains(&x1) && (7.0..=8.0).contains(&y1));
            let limits = [x0 == 9.0, y0 == 1.0, x1 == 16.0, y1 == 8.0];
            reached.iter_mut().zip(limits).for_each(|(reached, limit)| *reached |= limit);
        }
        assert_eq!(reached, [true; 4]);
        assert_eq!(target.loosened_box(0, &GEOMETRY, &mut random), target.tight_box);
    }
}
