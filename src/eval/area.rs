//! What is believed of a mask's area, to be compared with the areas that raters drew.

use super::raters::AREA_INTERVAL;
use crate::metrics::{crps, quantile};
use crate::segment::Segmentation;

/// Levels that the soft mask is cut at.
const LEVELS: usize = 100;

/// A sample of areas as a distribution, and the interval that holds the area by it; in pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct AreaBelief {
    sample: Vec<f64>,
    /// The interval, from low to high.
    pub interval: [f64; 2],
}

impl AreaBelief {
    /// What a segmentation believes: as if somebody drew all pixels above a level of the probability that is even from 0 to 1, so that the mean is the sum of the
    /// probabilities. The interval is the calibrated one; without calibration it reaches from the pixels of at least 95 % to those of at least 5 %, as that of
    /// volumes.
    pub fn of(found: &Segmentation) -> Self {
        Self::of_levels(&found.probability).with_interval(found.area_interval)
    }

    fn with_interval(self, calibrated: Option<[usize; 2]>) -> Self {
        let interval = calibrated.map_or(self.interval, |ends| ends.map(|end| end as f64));
        Self { interval, ..self }
    }

    fn of_levels(probability: &[f32]) -> Self {
        // Pixels by how many of the levels 0.005, 0.015, … they reach.
        let mut reached = [0usize; LEVELS + 1];
        for &p in probability {
            reached[((f64::from(p) * LEVELS as f64 + 0.5) as usize).min(LEVELS)] += 1;
        }
        let mut area = 0;
        let areas = (1..=LEVELS).rev().map(|level| {
            area += reached[level];
            area as f64
        });
        Self::of_areas(areas.collect())
    }

    /// The belief that is a sample of areas.
    ///
    /// # Panics
    /// If there is no area.
    pub fn of_areas(sample: Vec<f64>) -> Self {
        let outside = (1.0 - AREA_INTERVAL) / 2.0;
        let interval = [outside, 1.0 - outside].map(|share| quantile(&sample, share));
        Self { sample, interval }
    }

    /// The mean area.
    pub fn mean(&self) -> f64 {
        self.sample.iter().sum::<f64>() / self.sample.len() as f64
    }

    /// Continuous ranked probability score of an area that was drawn, in pixels.
    pub fn crps(&self, area: f64) -> f64 {
        crps(&self.sample, area)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_areas() {
        // One sure pixel, one of one half: 1 pixel above it, 2 below.
        let belief = AreaBelief::of_levels(&[1.0, 0.5, 0.0]);
        assert!((belief.mean() - 1.5).abs() < 1e-12);
        assert_eq!(belief.interval, [1.0, 2.0]);
        // Either as likely: E|X − 1| − ½ E|X − X'| = ½ − ¼.
        assert!((belief.crps(1.0) - 0.25).abs() < 1e-12);
        let calibrated = belief.clone().with_interval(Some([0, 3]));
        assert_eq!((calibrated.interval, calibrated.mean()), ([0.0, 3.0], belief.mean()));
        assert_eq!(belief.clone().with_interval(None), belief);
        let empty = AreaBelief::of_levels(&[0.0; 5]);
        assert_eq!((empty.mean(), empty.interval, empty.crps(3.0)), (0.0, [0.0; 2], 3.0));
    }

    #[test]
    fn the_interval_leaves_a_tenth_out() {
        let belief = AreaBelief::of_areas((0..=100).map(f64::from).collect());
        assert!(belief.interval.iter().zip([5.0, 95.0]).all(|(found, expected)| (found - expected).abs() < 1e-9));
        assert_eq!(AreaBelief::of_areas(vec![7.0]).interval, [7.0, 7.0]);
    }
}
