//! Random changes of an image and its labels at the input's scale.
//!
//! Source: flips from LiteMedSAM's training script; shift, scale and rotation from MedficientSAM's (albumentations' `ShiftScaleRotate`).

use rand::RngExt;

use super::config::{Affine, Augmentation, Intensity, Views};
use crate::image::{Flip, Geometry};

/// An image of the network's input with its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledInput {
    /// `input_size · input_size · 3` values in 0–1, the image at the top left.
    pub input: Vec<f32>,
    /// `input_size · input_size` labels.
    pub labels: Vec<u8>,
    /// Where the image lies.
    pub geometry: Geometry,
}

const CHANNELS: usize = 3;

impl LabelledInput {
    /// Draws and makes the changes.
    pub fn augmented(mut self, augmentation: &Augmentation, random: &mut impl RngExt) -> Self {
        if let Some(affine) = augmentation.affine.filter(|affine| random.random_bool(affine.probability)) {
            self = self.warped(&Warp::draw(&affine, &self.geometry, random));
        }
        if let Some(intensity) = augmentation.intensity.filter(|intensity| random.random_bool(intensity.probability)) {
            self.change_intensity(&intensity, random);
        }
        if augmentation.flips {
            for flip in [Flip::Horizontal, Flip::Vertical] {
                if random.random_bool(0.5) {
                    self.flip(flip);
                }
            }
        }
        self
    }

    /// A version of the image; see [`Views`]. Number 0 is the image itself.
    pub fn viewed(&self, views: &Views, number: usize, random: &mut impl RngExt) -> Self {
        let mut view = self.clone();
        if number == 0 {
            return view;
        }
        if random.random_bool(views.crop) {
            view = view.cropped(random.random_range(views.smallest_crop..=1.0), random);
        }
        for flip in [Flip::Horizontal, Flip::Vertical] {
            if random.random_bool(0.5) {
                view.flip(flip);
            }
        }
        if random.random_bool(views.turn) {
            view = view.turned();
        }
        if random.random_bool(0.5) && views.gamma > 0.0 {
            let gamma = random.random_range(-views.gamma..=views.gamma).exp() as f32;
            view.change_values(|value| value.powf(gamma));
        }
        if random.random_bool(views.invert) {
            view.change_values(|value| 1.0 - value);
        }
        view
    }

    /// A part of the image, its sides a share of the image's, at a random place, enlarged to the input.
    fn cropped(&self, share: f64, random: &mut impl RngExt) -> Self {
        let size = self.geometry.input_size;
        let (width, height) = self.geometry.resized();
        let part = |length: usize| ((length as f64 * share).round() as usize).clamp(1, length);
        let (part_width, part_height) = (part(width), part(height));
        let left = random.random_range(0..=width - part_width);
        let top = random.random_range(0..=height - part_height);
        let geometry = Geometry { width: part_width, height: part_height, input_size: size };
        let (new_width, new_height) = geometry.resized();
        let mut cropped = Self { input: vec![0.0; self.input.len()], labels: vec![0; self.labels.len()], geometry };
        // Between pixels' centres, as images are resized.
        let place = |index: usize, from: usize, to: usize| {
            ((index as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, from as f64 - 1.0)
        };
        for (x, y) in (0..new_height).flat_map(|y| (0..new_width).map(move |x| (x, y))) {
            let (source_x, source_y) = (place(x, part_width, new_width), place(y, part_height, new_height));
            let (x0, y0) = (source_x as usize, source_y as usize);
            let (x1, y1) = ((x0 + 1).min(part_width - 1), (y0 + 1).min(part_height - 1));
            let (right, down) = ((source_x - x0 as f64) as f32, (source_y - y0 as f64) as f32);
            let pixel = y * size + x;
            let source = |x: usize, y: usize| (top + y) * size + left + x;
            for channel in 0..CHANNELS {
                let value = |x: usize, y: usize| self.input[source(x, y) * CHANNELS + channel];
                let above = value(x0, y0) * (1.0 - right) + value(x1, y0) * right;
                let below = value(x0, y1) * (1.0 - right) + value(x1, y1) * right;
                cropped.input[pixel * CHANNELS + channel] = above * (1.0 - down) + below * down;
            }
            let nearest = source((source_x + 0.5) as usize, (source_y + 0.5) as usize);
            cropped.labels[pixel] = self.labels[nearest];
        }
        cropped.stretch_values();
        cropped
    }

    /// The image with rows and columns exchanged: with a flip, a quarter of a turn.
    fn turned(&self) -> Self {
        let size = self.geometry.input_size;
        let Geometry { width, height, .. } = self.geometry;
        let geometry = Geometry { width: height, height: width, input_size: size };
        let mut turned = Self { input: vec![0.0; self.input.len()], labels: vec![0; self.labels.len()], geometry };
        for (x, y) in (0..size).flat_map(|y| (0..size).map(move |x| (x, y))) {
            let (from, to) = (y * size + x, x * size + y);
            turned.labels[to] = self.labels[from];
            turned.input[to * CHANNELS..][..CHANNELS].copy_from_slice(&self.input[from * CHANNELS..][..CHANNELS]);
        }
        turned
    }

    /// Scales values to 0–1, as the input of an image of its own would be.
    fn stretch_values(&mut self) {
        let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
        self.change_values(|value| {
            (low, high) = (low.min(value), high.max(value));
            value
        });
        let range = (high - low).max(1e-8);
        self.change_values(|value| (value - low) / range);
    }

    fn change_values(&mut self, mut change: impl FnMut(f32) -> f32) {
        let (width, height) = self.geometry.resized();
        for row in self.input.chunks_exact_mut(self.geometry.input_size * CHANNELS).take(height) {
            row[..width * CHANNELS].iter_mut().for_each(|value| *value = change(*value));
        }
    }

    /// Mirrors image and labels.
    pub fn flip(&mut self, flip: Flip) {
        flip.apply_to_input(&mut self.input, &self.geometry, CHANNELS);
        flip.apply_to_input(&mut self.labels, &self.geometry, 1);
    }

    fn change_intensity(&mut self, intensity: &Intensity, random: &mut impl RngExt) {
        let mut within = |limit: f64| if limit > 0.0 { random.random_range(-limit..=limit) } else { 0.0 };
        let brightness = within(intensity.brightness) as f32;
        let contrast = 1.0 + within(intensity.contrast) as f32;
        let gamma = within(intensity.gamma).exp() as f32;
        self.change_values(|value| ((value - 0.5) * contrast + 0.5 + brightness).clamp(0.0, 1.0).powf(gamma));
    }

    /// What moves out of the image is lost, and what comes in is 0.
    fn warped(&self, warp: &Warp) -> Self {
        let size = self.geometry.input_size;
        let (width, height) = self.geometry.resized();
        let mut warped = Self { input: vec![0.0; self.input.len()], labels: vec![0; self.labels.len()], ..*self };
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            let [source_x, source_y] = warp.source(x as f64, y as f64);
            let pixel = y * size + x;
            let within = |x: f64, y: f64| (0.0..width as f64).contains(&x) && (0.0..height as f64).contains(&y);
            let (nearest_x, nearest_y) = ((source_x + 0.5).floor(), (source_y + 0.5).floor());
            if within(nearest_x, nearest_y) {
                warped.labels[pixel] = self.labels[nearest_y as usize * size + nearest_x as usize];
            }
            let (left, top) = (source_x.floor(), source_y.floor());
            for (x, y) in [(left, top), (left + 1.0, top), (left, top + 1.0), (left + 1.0, top + 1.0)] {
                if within(x, y) {
                    let weight = ((1.0 - (source_x - x).abs()) * (1.0 - (source_y - y).abs())) as f32;
                    let source = (y as usize * size + x as usize) * CHANNELS;
                    for channel in 0..CHANNELS {
                        warped.input[pixel * CHANNELS + channel] += weight * self.input[source + channel];
                    }
                }
            }
        }
        warped
    }
}

/// Where the pixels of a warped image come from.
struct Warp {
    centre: [f64; 2],
    shift: [f64; 2],
    /// `cos / scale` and `sin / scale` of the rotation.
    rotation: [f64; 2],
}

impl Warp {
    fn draw(affine: &Affine, geometry: &Geometry, random: &mut impl RngExt) -> Self {
        let mut within = |limit: f64| if limit > 0.0 { random.random_range(-limit..=limit) } else { 0.0 };
        let (width, height) = geometry.resized();
        let angle = within(affine.rotate).to_radians();
        let scale = 1.0 + within(affine.scale);
        Self {
            centre: [(width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0],
            shift: [within(affine.shift) * width as f64, within(affine.shift) * height as f64],
            rotation: [angle.cos() / scale, angle.sin() / scale],
        }
    }

    fn source(&self, x: f64, y: f64) -> [f64; 2] {
        let (x, y) = (x - self.centre[0] - self.shift[0], y - self.centre[1] - self.shift[1]);
        let [cos, sin] = self.rotation;
        [self.centre[0] + cos * x + sin * y, self.centre[1] - sin * x + cos * y]
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::super::sample::target;
    use super::*;

    /// An image of 16×8 pixels with a structure that is brighter than the rest.
    fn labelled() -> LabelledInput {
        let geometry = Geometry { width: 16, height: 8, input_size: 16 };
        let inside = |pixel: usize| (3..6).contains(&(pixel % 16)) && (1..5).contains(&(pixel / 16));
        let labels: Vec<u8> = (0..256).map(|pixel| u8::from(inside(pixel))).collect();
        let value = |pixel: usize| if pixel >= 128 { 0.0 } else { 0.25 + 0.5 * f32::from(labels[pixel]) };
        let input = (0..256).flat_map(|pixel| [value(pixel); 3]).collect();
        LabelledInput { input, labels, geometry }
    }

    #[track_caller]
    fn assert_image_fits_labels(labelled: &LabelledInput) {
        for (pixel, label) in labelled.input.chunks_exact(3).zip(&labelled.labels) {
            assert_eq!(pixel[0] > 0.5, *label == 1);
        }
    }

    #[test]
    fn flips_move_image_and_labels_alike() {
        for (flip, expected) in [(Flip::Horizontal, [10.0, 1.0, 12.0, 4.0]), (Flip::Vertical, [3.0, 3.0, 5.0, 6.0])] {
            let mut flipped = labelled();
            flipped.flip(flip);
            assert_eq!(target(&flipped.labels, 16, 1).unwrap().tight_box, expected);
            assert_image_fits_labels(&flipped);
            flipped.flip(flip);
            assert_eq!(flipped, labelled());
        }
    }

    #[test]
    fn warps_move_image_and_labels_alike() {
        let original = labelled();
        let [cx, cy] = [7.5, 3.5];
        let warp = |shift, rotation| Warp { centre: [cx, cy], shift, rotation };
        assert_eq!(original.warped(&warp([0.0; 2], [1.0, 0.0])), original);
        let moved = original.warped(&warp([2.0, 1.0], [1.0, 0.0]));
        assert_eq!(target(&moved.labels, 16, 1).unwrap().tight_box, [5.0, 2.0, 7.0, 5.0]);
        assert_image_fits_labels(&moved);
        // Half a turn is both flips.
        let turned = original.warped(&warp([0.0; 2], [-1.0, 0.0]));
        let mut flipped = original.clone();
        [Flip::Horizontal, Flip::Vertical].into_iter().for_each(|flip| flipped.flip(flip));
        assert_eq!(turned.labels, flipped.labels);
        let doubled = original.warped(&warp([0.0; 2], [0.5, 0.0]));
        let area = |labelled: &LabelledInput| labelled.labels.iter().filter(|label| **label == 1).count();
        assert!(area(&doubled) > 3 * area(&original) / 2);
    }

    #[test]
    fn everything_stays_in_range_and_follows_the_seed() {
        let augmentation = Augmentation {
            affine: Some(Affine { probability: 1.0, ..Affine::default() }),
            intensity: Some(Intensity { probability: 1.0, ..Intensity::default() }),
            ..Augmentation::default()
        };
        let draw = |seed| labelled().augmented(&augmentation, &mut StdRng::seed_from_u64(seed));
        for seed in 0..20 {
            let drawn = draw(seed);
            assert!(drawn.input.iter().all(|value| (0.0..=1.0).contains(value)));
            assert!(drawn.input[16 * 8 * 3..].iter().all(|value| *value == 0.0), "the padding stays empty");
            assert_eq!(drawn, draw(seed));
        }
        assert_ne!(draw(1), draw(2));
        let none = Augmentation { flips: false, ..Augmentation::default() };
        assert_eq!(labelled().augmented(&none, &mut StdRng::seed_from_u64(1)), labelled());
    }
}
