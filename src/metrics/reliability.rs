//! How well probabilities are calibrated.

use serde::{Deserialize, Serialize};

/// Bins of the reliability diagram and of the ECE, equally wide in probability.
pub const RELIABILITY_BINS: usize = 15;
/// Bins of the ECE beside raters.
///
/// Source: the number of bins that CURVAS, *Calibration and Uncertainty for multiRater Volume Assessment*, 2024, asks for; there of the confidence, here of the
/// probability of being inside.
pub const RATER_RELIABILITY_BINS: usize = 50;

/// [`Reliability`] beside one rater of several, or beside the share of all raters.
pub type RaterBins = Reliability<RATER_RELIABILITY_BINS>;

/// Sums of pixels by their probability: all that an expected calibration error needs. Each pixel belongs to the object, does not, or does by a share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reliability<const BINS: usize = RELIABILITY_BINS> {
    /// Pixels, sum of probabilities and sum of shares inside the truth, by probability.
    bins: Vec<[f64; 3]>,
}

impl<const BINS: usize> Default for Reliability<BINS> {
    fn default() -> Self {
        Self { bins: vec![[0.0; 3]; BINS] }
    }
}

impl<const BINS: usize> Reliability<BINS> {
    /// Adds a pixel: its probability of being inside, 0–1, and the share of it that is, 0–1.
    pub fn push(&mut self, probability: f64, inside: f64) {
        let bin = ((probability * BINS as f64) as usize).min(BINS - 1);
        let [pixels, probabilities, shares] = &mut self.bins[bin];
        *pixels += 1.0;
        *probabilities += probability;
        *shares += inside;
    }

    /// Adds other pixels, each counted `weight` times.
    pub fn add(&mut self, other: &Self, weight: f64) {
        for (sum, other) in self.bins.as_flattened_mut().iter_mut().zip(other.bins.as_flattened()) {
            *sum += weight * other;
        }
    }

    /// Number of pixels, or their weight.
    pub fn pixels(&self) -> f64 {
        self.bins.iter().map(|[pixels, ..]| pixels).sum()
    }

    /// Expected calibration error: mean distance between the probability and the share that is inside (Guo et al. 2017, for the foreground class), 0–1; `None` without
    /// pixels.
    pub fn ece(&self) -> Option<f64> {
        let pixels = self.pixels();
        (pixels > 0.0).then(|| self.bins.iter().map(|[_, sum, inside]| (sum - inside).abs()).sum::<f64>() / pixels)
    }

    /// Per bin that has pixels: mean probability, share inside, share of all pixels.
    pub fn diagram(&self) -> Vec<[f64; 3]> {
        let all = self.pixels();
        let filled = self.bins.iter().filter(|[pixels, ..]| *pixels > 0.0);
        filled.map(|[pixels, sum, inside]| [sum / pixels, inside / pixels, pixels / all]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_taken_bin_by_bin() {
        let mut found = RaterBins::default();
        assert_eq!(found.ece(), None);
        // Bin 5 (0.10–0.12): Σp 0.21, Σ share 0.5. Bin 49: Σp 1, Σ share 0.75.
        found.push(0.1, 0.5);
        found.push(0.11, 0.0);
        found.push(1.0, 0.75);
        assert!((found.ece().unwrap() - (0.29 + 0.25) / 3.0).abs() < 1e-12);
        // In one bin errors of both signs cancel, in two they do not.
        let mut apart = RaterBins::default();
        apart.push(0.2, 1.0);
        apart.push(0.8, 0.0);
        assert!((apart.ece().unwrap() - 0.8).abs() < 1e-12);
        found.add(&apart, 3.0);
        assert!((found.pixels() - 9.0).abs() < 1e-12);
        assert!((found.ece().unwrap() - (0.54 + 3.0 * 1.6) / 9.0).abs() < 1e-12);
    }
}
