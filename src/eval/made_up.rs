//! Pictures that are no medical images, made up to teach an alarm what is unlike.

use image::imageops::blur;
use image::{ImageBuffer, Luma};

use crate::random::SplitMix64;

/// A picture of 8 bits; `height · width · channels` values.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Row by row.
    pub pixels: Vec<u8>,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// 1 or 3.
    pub channels: usize,
}

/// Side of what is made of nothing, in pixels.
const SIDE: usize = 256;
const NOISES: usize = 60;
const RAMPS: usize = 24;
const LEAVES: usize = 90;

impl Picture {
    /// With bright and dark exchanged.
    #[must_use]
    pub fn inverted(&self) -> Self {
        Self { pixels: self.pixels.iter().map(|value| 255 - value).collect(), ..self.clone() }
    }

    /// Cut into `parts · parts` tiles that are put together in another order; what is beyond whole tiles is cut off.
    #[must_use]
    pub fn shuffled(&self, parts: usize, seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        let (columns, rows) = (self.width / parts, self.height / parts);
        let mut order: Vec<usize> = (0..parts * parts).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, (random.next() % (at as u64 + 1)) as usize);
        }
        let mut pixels = Vec::with_capacity(columns * rows * parts * parts * self.channels);
        for y in 0..rows * parts {
            for part in 0..parts {
                let from = order[y / rows * parts + part];
                let begin = ((from / parts * rows + y % rows) * self.width + from % parts * columns) * self.channels;
                pixels.extend_from_slice(&self.pixels[begin..begin + columns * self.channels]);
            }
        }
        Self { pixels, width: columns * parts, height: rows * parts, channels: self.channels }
    }
}

/// Pictures made of nothing: noise from fine to coarse, even and graded grey, and dead leaves, which have the edges of natural scenes (Lee, Mumford and Huang,
/// *Occlusion Models for Natural Images*, 2001).
pub fn made_up() -> Vec<Picture> {
    let noises = (0..NOISES).map(noise);
    noises.chain((0..RAMPS).map(ramp)).chain((0..LEAVES).map(leaves)).collect()
}

fn noise(number: usize) -> Picture {
    let mut random = Random::new(number as u64);
    let channels = if number.is_multiple_of(4) { 3 } else { 1 };
    let sigma = if number.is_multiple_of(3) { 0.0 } else { random.between(0.0, 10.0) };
    let power = 1 + number as i32 % 2;
    let planes = (0..channels).map(|_| {
        let plane = (0..SIDE * SIDE).map(|_| random.normal().powi(power)).collect();
        blurred(plane, sigma)
    });
    let planes: Vec<Vec<f32>> = planes.collect();
    let all = || planes.iter().flatten().copied();
    let (low, high) = (all().fold(f32::INFINITY, f32::min), all().fold(f32::NEG_INFINITY, f32::max));
    picture(&planes, |value| 255.0 * (value - low) / (high - low).max(1e-9))
}

fn ramp(number: usize) -> Picture {
    let mut random = Random::new(1000 + number as u64);
    let grey = random.between(0.0, 255.0);
    let [across, down] = [random.between(-90.0, 90.0), random.between(-90.0, 90.0)];
    let along = |at: usize| 2.0 * at as f32 / (SIDE - 1) as f32 - 1.0;
    let plane = (0..SIDE * SIDE).map(|at| grey + across * along(at % SIDE) + down * along(at / SIDE)).collect();
    picture(&[plane], |value| value)
}

fn leaves(number: usize) -> Picture {
    let mut random = Random::new(2000 + number as u64);
    let channels = if number.is_multiple_of(2) { 1 } else { 3 };
    let mut planes = vec![vec![0.0; SIDE * SIDE]; channels];
    for _ in 0..random.between(20.0, 250.0) as usize {
        let radius = (6.0 / random.between(0.01, 1.0) + 2.0).min(120.0);
        let [x, y] = [0; 2].map(|_| random.between(0.0, SIDE as f32));
        let (sine, cosine) = random.between(0.0, std::f32::consts::PI).sin_cos();
        let squeezed = random.between(0.3, 1.0);
        let is_box = random.between(0.0, 1.0) < 0.5;
        let colour: Vec<[f32; 2]> =
            (0..channels).map(|_| [random.between(0.0, 255.0), random.between(-1.0, 1.0)]).collect();
        for at in 0..SIDE * SIDE {
            let [dx, dy] = [(at % SIDE) as f32 - x, (at / SIDE) as f32 - y];
            let [u, v] = [dx * cosine + dy * sine, (dy * cosine - dx * sine) / squeezed];
            let is_inside = if is_box { u.abs().max(v.abs()) < radius } else { u * u + v * v < radius * radius };
            if is_inside {
                planes.iter_mut().zip(&colour).for_each(|(plane, [value, slope])| plane[at] = value + slope * u);
            }
        }
    }
    let (grain, sigma) = (random.between(0.0, 12.0), random.between(0.0, 1.2));
    for plane in &mut planes {
        plane.iter_mut().for_each(|value| *value += grain * random.normal());
        *plane = blurred(std::mem::take(plane), sigma);
    }
    picture(&planes, |value| value)
}

fn blurred(plane: Vec<f32>, sigma: f32) -> Vec<f32> {
    if sigma <= 0.0 {
        return plane;
    }
    let image = ImageBuffer::<Luma<f32>, _>::from_raw(SIDE as u32, SIDE as u32, plane).expect("a square");
    blur(&image, sigma).into_raw()
}

fn picture(planes: &[Vec<f32>], grey: impl Fn(f32) -> f32) -> Picture {
    let value = |at: usize| planes.iter().map(move |plane| plane[at]);
    let pixels = (0..SIDE * SIDE).flat_map(value).map(|value| grey(value).clamp(0.0, 255.0) as u8).collect();
    Picture { pixels, width: SIDE, height: SIDE, channels: planes.len() }
}

struct Random(SplitMix64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.0.next() >> 40) as f32 / (1u64 << 24) as f32)
    }

    /// Box and Muller's.
    fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.between(0.0, 1.0)).max(1e-7).ln()).sqrt();
        radius * self.between(0.0, std::f32::consts::TAU).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_put_together_in_another_order() {
        let picture = Picture { pixels: (0..30).collect(), width: 5, height: 6, channels: 1 };
        let shuffled = picture.shuffled(2, 3);
        assert_eq!((shuffled.width, shuffled.height, shuffled.pixels.len()), (4, 6, 24));
        let tile = |picture: &Picture, x: usize, y: usize| -> Vec<u8> {
            (0..3).flat_map(|row| picture.pixels[(y + row) * picture.width + x..][..2].to_vec()).collect()
        };
        let tiles = |picture: &Picture| -> Vec<Vec<u8>> {
            [(0, 0), (2, 0), (0, 3), (2, 3)].map(|(x, y)| tile(picture, x, y)).to_vec()
        };
        let (mut before, mut after) = (tiles(&picture), tiles(&shuffled));
        assert_ne!(before, after);
        before.sort();
        after.sort();
        assert_eq!(before, after);
        assert_eq!(picture.inverted().pixels[3], 252);
    }

    #[test]
    fn pictures_are_the_same_every_time_and_differ() {
        let pictures = made_up();
        assert_eq!(pictures.len(), NOISES + RAMPS + LEAVES);
        assert_eq!(pictures, made_up());
        for pair in pictures.windows(2) {
            assert_ne!(pair[0].pixels, pair[1].pixels);
        }
        for picture in &pictures {
            assert_eq!(picture.pixels.len(), SIDE * SIDE * picture.channels);
        }
        let spread = |picture: &Picture| picture.pixels.iter().max().unwrap() - picture.pixels.iter().min().unwrap();
        assert!(pictures[..NOISES].iter().all(|picture| spread(picture) > 250));
    }
}
