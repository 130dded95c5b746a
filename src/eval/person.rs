//! Somebody who prompts and corrects, for a calibration: the same every time for the same structure.

use crate::error::Result;
use crate::image::BoundingBox;
use crate::random::SplitMix64;
use crate::segment::{EncodedImage, Point, Previous, Prompt, SegmentOptions, Segmenter};
use crate::simulated_user::{Click, ErrorRegion};
use crate::uncertainty::UncertaintyOptions;
use crate::weights::sha256;

/// How far the sides of a drawn box lie outside of the tight one at most, as a share of its own.
const LOOSEST: f64 = 0.25;
/// Corrections at most.
const CORRECTIONS: u64 = 3;

/// Somebody who looks for one structure.
pub(super) struct Person<'a> {
    truth: &'a [u8],
    width: usize,
    random: SplitMix64,
}

impl<'a> Person<'a> {
    /// Somebody whose habits follow from a name.
    ///
    /// # Shapes
    /// - `truth`: rows of `width` pixels, non-zero meaning inside
    pub fn new(name: &str, truth: &'a [u8], width: usize) -> Self {
        let seed = sha256(name.as_bytes()).first_chunk().copied().expect("a hash has 32 bytes");
        Self { truth, width, random: SplitMix64::new(u64::from_le_bytes(seed)) }
    }

    /// What is around the structure, in pixels of the image.
    pub fn tight_box(&self) -> BoundingBox {
        let inside = || (0..self.truth.len()).filter(|&pixel| self.truth[pixel] != 0);
        let columns = || inside().map(|pixel| pixel % self.width);
        let rows = || inside().map(|pixel| pixel / self.width);
        let [x0, y0, x1, y1] =
            [columns().min(), rows().min(), columns().max(), rows().max()].map(Option::unwrap_or_default);
        BoundingBox([x0, y0, x1 + 1, y1 + 1].map(|corner| corner as f64))
    }

    /// A box that is too large by the same share on every side, from 0 to a quarter.
    pub fn drawn_box(&mut self, width: usize, height: usize) -> BoundingBox {
        let BoundingBox([x0, y0, x1, y1]) = self.tight_box();
        let share = LOOSEST * (self.random.next() >> 11) as f64 / (1u64 << 53) as f64;
        let [dx, dy] = [share * (x1 - x0), share * (y1 - y0)];
        BoundingBox([(x0 - dx).max(0.0), (y0 - dy).max(0.0), (x1 + dx).min(width as f64), (y1 + dy).min(height as f64)])
    }

    /// A click near the middle.
    pub fn click(&mut self) -> Prompt {
        let nothing = vec![0; self.truth.len()];
        let points = self.correction(&nothing).into_iter().collect();
        Prompt { points, ..Prompt::default() }
    }

    /// A box or a click, and one to three corrections of single passes.
    ///
    /// # Errors
    /// As [`Segmenter::segment_prompts`].
    pub fn corrected(&mut self, segmenter: &Segmenter, image: &mut EncodedImage, corners: [f64; 4]) -> Result<Prompt> {
        let mut prompt = match self.random.next() % 3 {
            0 => self.click(),
            _ => Prompt::from(corners),
        };
        let uncertainty = UncertaintyOptions::single_pass();
        let options = SegmentOptions { uncertainty, calibrated: false, ..Default::default() };
        for _ in 0..=self.random.next() % CORRECTIONS {
            let found = pollster::block_on(segmenter.segment_prompts(image, std::slice::from_ref(&prompt), &options))?;
            prompt.points.extend(self.correction(&found[0].mask));
            prompt.previous = Some(Previous::LowRes(found[0].low_res.clone()));
        }
        Ok(prompt)
    }

    fn correction(&mut self, mask: &[u8]) -> Option<Point> {
        let error = ErrorRegion::largest(mask, self.truth, self.width)?;
        let Click { x, y, label } = error.near_the_middle(&mut || self.random.next());
        Some(Point { x: x as f64 + 0.5, y: y as f64 + 0.5, label })
    }
}
