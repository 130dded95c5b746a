//! A person who corrects masks, simulated: clicks where a mask is wrong, for training and for measuring.
//!
//! Source: the interactive track of the CVPR 2025 challenge (its evaluation script): the next click lies in the largest connected part of the error, where its
//! edge is farthest; it is a foreground click where the mask misses something and a background click where it spills over.

use crate::metrics::{Region, regions};
use crate::model::prompt_encoder::{InputPoint, PointLabel};

/// A click on a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Click {
    /// Column.
    pub x: usize,
    /// Row.
    pub y: usize,
    /// Whether the pixel belongs to the object.
    pub label: PointLabel,
}

impl From<Click> for InputPoint {
    /// A click on a pixel of the network's input: SAM counts from the middle of the first pixel.
    fn from(Click { x, y, label }: Click) -> Self {
        Self { x: x as f32, y: y as f32, label }
    }
}

/// A connected part of what a mask has wrong; pixels that touch at a corner are connected.
#[derive(Debug, Clone)]
pub struct ErrorRegion {
    label: PointLabel,
    width: usize,
    /// Pixels, and their distance to the nearest pixel outside; outside of the image counts too.
    pixels: Vec<(usize, f64)>,
}

/// A click near the middle is at least this share of the largest distance away from the edge.
const NEAR_THE_MIDDLE: f64 = 0.5;

impl ErrorRegion {
    /// The largest connected part of the error, missed and spilled apart; `None` if mask and truth are the same.
    ///
    /// # Shapes
    /// - `mask`, `truth`: rows of `width` pixels, non-zero meaning inside
    pub fn largest(mask: &[u8], truth: &[u8], width: usize) -> Option<Self> {
        let missed = largest_region(width, mask.len(), |pixel| truth[pixel] != 0 && mask[pixel] == 0);
        let spilled = largest_region(width, mask.len(), |pixel| truth[pixel] == 0 && mask[pixel] != 0);
        let (label, region) = match missed.pixels.len() >= spilled.pixels.len() {
            true => (PointLabel::Foreground, missed),
            false => (PointLabel::Background, spilled),
        };
        let depths = region.depths(width);
        let pixels: Vec<(usize, f64)> = region.pixels.into_iter().zip(depths).collect();
        (!pixels.is_empty()).then_some(Self { label, width, pixels })
    }

    /// Number of pixels.
    pub fn area(&self) -> usize {
        self.pixels.len()
    }

    /// The click of the protocol: the pixel that is farthest from the edge, the first of several.
    pub fn middle(&self) -> Click {
        let first_largest = |best: (usize, f64), &next: &(usize, f64)| if next.1 > best.1 { next } else { best };
        self.click(self.pixels.iter().fold(self.pixels[0], first_largest).0)
    }

    /// A click as a person might set it, at least half as far from the edge as the middle is.
    pub fn near_the_middle(&self, random: &mut impl FnMut() -> u64) -> Click {
        let largest = self.pixels.iter().fold(0.0f64, |largest, (_, depth)| largest.max(*depth));
        let inner: Vec<usize> = self
            .pixels
            .iter()
            .filter(|(_, depth)| *depth >= NEAR_THE_MIDDLE * largest)
            .map(|(pixel, _)| *pixel)
            .collect();
        self.click(inner[(random() % inner.len() as u64) as usize])
    }

    /// A stroke across the region: two of its pixels by chance.
    pub fn stroke(&self, random: &mut impl FnMut() -> u64) -> [Click; 2] {
        let mut end = || self.pixels[(random() % self.pixels.len() as u64) as usize].0;
        [end(), end()].map(|pixel| self.click(pixel))
    }

    fn click(&self, pixel: usize) -> Click {
        Click { x: pixel % self.width, y: pixel / self.width, label: self.label }
    }
}

/// The largest connected part of a set, the first of several; empty without pixels.
fn largest_region(width: usize, count: usize, is_in: impl Fn(usize) -> bool) -> Region {
    let larger = |largest: Region, next: Region| if next.pixels.len() > largest.pixels.len() { next } else { largest };
    regions(width, count, is_in).into_iter().fold(Region { pixels: Vec::new() }, larger)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix64;

    fn pixels(rows: &[&str]) -> (Vec<u8>, usize) {
        (rows.concat().bytes().map(|byte| u8::from(byte == b'#')).collect(), rows[0].len())
    }

    #[test]
    fn the_largest_error_is_clicked_in_its_middle() {
        let (truth, width) = pixels(&["#####..", "#####..", "#####..", "......."]);
        let empty = vec![0; truth.len()];
        let click = ErrorRegion::largest(&empty, &truth, width).unwrap().middle();
        assert_eq!(click, Click { x: 1, y: 1, label: PointLabel::Foreground });
        // What is missed by two columns is smaller than what spills over.
        let (mask, _) = pixels(&["...####", "...####", "...####", "....###"]);
        let region = ErrorRegion::largest(&mask, &truth, width).unwrap();
        assert_eq!((region.area(), region.middle().label), (9, PointLabel::Foreground));
        let (mask, _) = pixels(&["..#####", "..#####", "..#####", "..#####"]);
        let region = ErrorRegion::largest(&mask, &truth, width).unwrap();
        assert_eq!((region.area(), region.middle().label), (11, PointLabel::Background));
        assert!(ErrorRegion::largest(&truth, &truth, width).is_none());
    }

    #[test]
    fn noisy_clicks_stay_in_the_region_and_near_its_middle() {
        let mut truth = vec![0; 400];
        (0..400).filter(|pixel| (3..14).contains(&(pixel % 20)) && pixel / 20 >= 6).for_each(|pixel| truth[pixel] = 1);
        let region = ErrorRegion::largest(&[0; 400], &truth, 20).unwrap();
        let mut numbers = SplitMix64::new(3);
        let mut random = || numbers.next();
        let clicks: Vec<Click> = (0..200).map(|_| region.near_the_middle(&mut random)).collect();
        assert!(clicks.iter().all(|click| (5..=11).contains(&click.x) && (8..=17).contains(&click.y)), "{clicks:?}");
        assert!(clicks.iter().any(|click| *click != clicks[0]));
        assert!(region.stroke(&mut random).iter().all(|click| truth[click.y * 20 + click.x] == 1));
    }
}
