//! Where to ask a person next: the places whose answer is expected to change the mask most.
//!
//! Ours. A region that may be wrong counts by how many of its pixels are wrong in expectation, near the place that is asked: the answer decides what is around it, and a
//! thin rim along an edge is not decided by one point.

use serde::Serialize;

use super::entropy::binary_entropy;
use crate::metrics::{Region, regions};

/// Side of the grid that is looked at, in cells.
const GRID: usize = 256;
/// Cells that are wrong less probably than this are none to ask about.
const LEAST_DOUBT: f32 = 0.15;
/// An answer decides what is around the place, up to this many times its depth in the region.
const REACH: f64 = 2.0;
/// Places nearer than this to what was said already, as a share of the image's longer side, are not asked.
const NEAREST: f64 = 0.012;
/// Suggestions at most.
pub const MOST_SUGGESTIONS: usize = 3;

/// A place to ask about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Suggestion {
    /// Column in pixels of the image, in the middle of a pixel.
    pub x: f64,
    /// Row.
    pub y: f64,
    /// How much the DSC is expected to rise by the answer, 0–1.
    pub expected_gain: f64,
    /// Probability that the place is inside of the object.
    pub probability: f64,
}

/// What is known of every pixel.
#[derive(Debug, Clone, Copy)]
pub struct Doubt<'a> {
    /// 1 inside, 0 outside.
    pub mask: &'a [u8],
    /// Probability of being inside.
    pub probability: &'a [f32],
    /// What the members disagree on, in bits.
    pub epistemic: &'a [f32],
    /// Pixels of a row.
    pub width: usize,
}

impl Doubt<'_> {
    /// The places to ask about, the most promising first; at most [`MOST_SUGGESTIONS`]. `said` are places in pixels that are known already.
    pub fn suggestions(&self, said: &[[f64; 2]]) -> Vec<Suggestion> {
        let height = self.mask.len().checked_div(self.width).unwrap_or(0);
        let step = self.width.max(height).div_ceil(GRID).max(1);
        let (columns, rows) = (self.width.div_ceil(step), height.div_ceil(step));
        let pixel = |cell: usize| {
            let middle = |index: usize, end: usize| (index * step + step / 2).min(end - 1);
            middle(cell / columns, height) * self.width + middle(cell % columns, self.width)
        };
        let doubt: Vec<f32> = (0..columns * rows).map(|cell| self.doubt(pixel(cell))).collect();
        let inside: Vec<bool> = (0..columns * rows).map(|cell| self.mask[pixel(cell)] != 0).collect();
        // |mask| and the expected |truth|, in cells.
        let area: f64 = (0..columns * rows)
            .map(|cell| f64::from(u8::from(inside[cell])) + f64::from(self.probability[pixel(cell)]))
            .sum();
        let nearest = (NEAREST * self.width.max(height) as f64).max(1.0);
        let is_open = |cell: usize| {
            let place = pixel(cell);
            let [x, y] = [(place % self.width) as f64 + 0.5, (place / self.width) as f64 + 0.5];
            said.iter().all(|known| (x - known[0]).hypot(y - known[1]) >= nearest)
        };
        let mut found: Vec<Suggestion> = Vec::new();
        for side in [true, false] {
            for region in regions(columns, columns * rows, |cell| inside[cell] == side && doubt[cell] >= LEAST_DOUBT) {
                let Some((cell, wrong)) = middle(&region, columns, &doubt, &is_open) else { continue };
                let place = pixel(cell);
                let disagreement = self.disagreement(place);
                found.push(Suggestion {
                    x: (place % self.width) as f64 + 0.5,
                    y: (place / self.width) as f64 + 0.5,
                    expected_gain: (disagreement * 2.0 * wrong / area.max(1.0)).min(1.0),
                    probability: f64::from(self.probability[place]),
                });
            }
        }
        found.sort_by(|a, b| b.expected_gain.total_cmp(&a.expected_gain));
        found.truncate(MOST_SUGGESTIONS);
        found
    }

    /// Probability that the mask is wrong at a pixel.
    fn doubt(&self, pixel: usize) -> f32 {
        match self.mask[pixel] {
            0 => self.probability[pixel],
            _ => 1.0 - self.probability[pixel],
        }
    }

    /// From ½ to 1: doubt that all members share is less likely to be settled by an answer than doubt that they disagree on.
    fn disagreement(&self, pixel: usize) -> f64 {
        let total = binary_entropy(self.probability[pixel]).max(1e-6);
        0.5 + 0.5 * f64::from((self.epistemic[pixel] / total).clamp(0.0, 1.0))
    }
}

/// The open cell of a region to ask about, deep in it and doubtful, and how many cells around it are wrong in expectation.
fn middle(region: &Region, columns: usize, doubt: &[f32], is_open: &impl Fn(usize) -> bool) -> Option<(usize, f64)> {
    let depths = region.depths(columns);
    let worth = |(&cell, depth): (&usize, &f64)| depth * f64::from(doubt[cell]);
    let open = region.pixels.iter().zip(&depths).enumerate().filter(|(_, (cell, _))| is_open(**cell));
    let (place, _) = open.map(|(place, of)| (place, worth(of))).max_by(|a, b| a.1.total_cmp(&b.1))?;
    let [x, y] = [region.pixels[place] % columns, region.pixels[place] / columns];
    let reach = REACH * depths[place];
    let is_near = |cell: usize| {
        let [dx, dy] = [(cell % columns).abs_diff(x), (cell / columns).abs_diff(y)];
        (dx as f64).hypot(dy as f64) <= reach
    };
    let near = region.pixels.iter().filter(|&&cell| is_near(cell));
    Some((region.pixels[place], near.map(|&cell| f64::from(doubt[cell])).sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sure square, a doubtful block beside it and a thin doubtful rim under it.
    fn scene() -> (Vec<u8>, Vec<f32>) {
        let (mut mask, mut probability) = (vec![0; 60 * 40], vec![0.01; 60 * 40]);
        for y in 10..30 {
            for x in 10..30 {
                mask[y * 60 + x] = 1;
                probability[y * 60 + x] = 0.99;
            }
            for x in 31..40 {
                probability[y * 60 + x] = 0.4;
            }
        }
        (10..30).for_each(|x| probability[31 * 60 + x] = 0.45);
        (mask, probability)
    }

    #[test]
    fn the_thick_doubtful_region_comes_first() {
        let (mask, probability) = scene();
        let epistemic = vec![0.0; mask.len()];
        let doubt = Doubt { mask: &mask, probability: &probability, epistemic: &epistemic, width: 60 };
        let found = doubt.suggestions(&[]);
        assert_eq!(found.len(), 2);
        assert!((33.0..38.0).contains(&found[0].x) && (12.0..28.0).contains(&found[0].y), "{found:?}");
        assert!(found[0].expected_gain > 3.0 * found[1].expected_gain && found[0].expected_gain < 1.0);
        assert_eq!((found[0].probability * 10.0).round(), 4.0);
        // What was answered is not asked again, but elsewhere in the same region, of which it may have decided little.
        let next = doubt.suggestions(&[[found[0].x, found[0].y]]);
        assert_eq!(next.len(), 2);
        assert!((next[0].x - found[0].x).hypot(next[0].y - found[0].y) >= 1.0 && next[0].x > 31.0, "{next:?}");
        let all: Vec<[f64; 2]> = (0..60 * 40).map(|pixel| [(pixel % 60) as f64, (pixel / 60) as f64]).collect();
        assert!(doubt.suggestions(&all).is_empty());
    }

    #[test]
    fn disagreement_raises_what_is_expected() {
        let (mask, probability) = scene();
        let gain = |bits: f32| {
            let epistemic = vec![bits; mask.len()];
            Doubt { mask: &mask, probability: &probability, epistemic: &epistemic, width: 60 }.suggestions(&[])[0]
                .expected_gain
        };
        assert!(gain(0.8) > 1.5 * gain(0.0));
    }

    #[test]
    fn nothing_is_asked_where_everything_is_sure() {
        for (mask, probability) in [(vec![0; 9], vec![0.0; 9]), (vec![1; 9], vec![1.0; 9]), (vec![], vec![])] {
            let epistemic = vec![0.0; mask.len()];
            let doubt = Doubt { mask: &mask, probability: &probability, epistemic: &epistemic, width: 3 };
            assert!(doubt.suggestions(&[]).is_empty());
        }
    }

    #[test]
    fn large_images_are_looked_at_coarsely() {
        let (width, height) = (2000, 900);
        let mask = vec![0; width * height];
        let is_doubtful =
            |pixel: usize| (1200..1500).contains(&(pixel % width)) && (300..600).contains(&(pixel / width));
        let probability: Vec<f32> =
            (0..width * height).map(|pixel| if is_doubtful(pixel) { 0.4 } else { 0.0 }).collect();
        let epistemic = vec![0.0; mask.len()];
        let doubt = Doubt { mask: &mask, probability: &probability, epistemic: &epistemic, width };
        let found = doubt.suggestions(&[])[0];
        assert!((found.x - 1350.0).abs() < 20.0 && (found.y - 450.0).abs() < 20.0, "{found:?}");
    }
}
