//! A person who corrects masks, simulated: clicks where a mask is wrong, for training and for measuring.
//!
//! Source: the interactive track of the CVPR 2025 challenge (its evaluation script): the next click lies in the largest connected part of the error, where its
//! edge is farthest; it is a foreground click where the mask misses something and a background click where it spills over.

use crate::metrics::squared_distance_transform;
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
        let missed = largest_component(width, mask.len(), |pixel| truth[pixel] != 0 && mask[pixel] == 0);
        let spilled = largest_component(width, mask.len(), |pixel| truth[pixel] == 0 && mask[pixel] != 0);
        let (label, pixels) = match missed.len() >= spilled.len() {
            true => (PointLabel::Foreground, missed),
            false => (PointLabel::Background, spilled),
        };
        (!pixels.is_empty()).then(|| Self { label, width, pixels: with_depths(pixels, width) })
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

/// The pixels of the largest connected part of a set, in order; the first of several.
fn largest_component(width: usize, count: usize, is_in: impl Fn(usize) -> bool) -> Vec<usize> {
    let height = count.checked_div(width).unwrap_or(0);
    let mut seen = vec![false; count];
    let (mut largest, mut open) = (Vec::new(), Vec::new());
    for start in 0..count {
        if seen[start] || !is_in(start) {
            continue;
        }
        seen[start] = true;
        open.push(start);
        let mut component = Vec::new();
        while let Some(pixel) = open.pop() {
            component.push(pixel);
            let [x, y] = [pixel % width, pixel / width];
            for y in y.saturating_sub(1)..(y + 2).min(height) {
                for next in y * width + x.saturating_sub(1)..y * width + (x + 2).min(width) {
                    if !seen[next] && is_in(next) {
                        seen[next] = true;
                        open.push(next);
                    }
                }
            }
        }
        if component.len() > largest.len() {
            largest = component;
        }
    }
    largest.sort_unstable();
    largest
}

/// Every pixel of a region with its distance to the nearest pixel that is not of it.
fn with_depths(pixels: Vec<usize>, width: usize) -> Vec<(usize, f64)> {
    let (first, last) = (pixels[0] / width, pixels[pixels.len() - 1] / width);
    let left = pixels.iter().map(|pixel| pixel % width).min().unwrap_or(0);
    let right = pixels.iter().map(|pixel| pixel % width).max().unwrap_or(0);
    // Only the part around the region, with a border that is not of it.
    let shape = [1, last - first + 3, right - left + 3];
    let place = |pixel: usize| (pixel / width - first + 1) * shape[2] + pixel % width - left + 1;
    let mut outside = vec![true; shape[1] * shape[2]];
    pixels.iter().for_each(|&pixel| outside[place(pixel)] = false);
    let squared = squared_distance_transform(&outside, shape, [1.0; 3]);
    pixels.into_iter().map(|pixel| (pixel, squared[place(pixel)].sqrt())).collect()
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
    fn parts_are_connected_at_corners_and_not_across_the_edge() {
        let (truth, width) = pixels(&["#....", ".#...", "..#..", "....#", "....#"]);
        let region = ErrorRegion::largest(&vec![0; truth.len()], &truth, width).unwrap();
        assert_eq!(region.area(), 3);
        let (truth, width) = pixels(&["..#", "#..", "#.."]);
        assert_eq!(ErrorRegion::largest(&vec![0; truth.len()], &truth, width).unwrap().area(), 2);
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
