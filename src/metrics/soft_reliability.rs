//! How well probabilities are calibrated against one rater of several, or against the share of all raters.

use serde::{Deserialize, Serialize};

/// Bins of the probability, equally wide.
///
/// Source: the number of bins that CURVAS, *Calibration and Uncertainty for multiRater Volume Assessment*, 2024, asks for; there of the confidence, here of the
/// probability of being inside.
pub const SOFT_RELIABILITY_BINS: usize = 50;

/// Sums of pixels by their probability, of which each belongs to the object by a share from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SoftReliability {
    /// Pixels, sum of probabilities and sum of shares inside, by probability.
    bins: Vec<[f64; 3]>,
}

impl Default for SoftReliability {
    fn default() -> Self {
        Self { bins: vec![[0.0; 3]; SOFT_RELIABILITY_BINS] }
    }
}

impl SoftReliability {
    /// Adds a pixel: its probability of being inside, 0–1, and the share that is inside, 0–1.
    pub fn push(&mut self, probability: f64, inside: f64) {
        let bin = ((probability * SOFT_RELIABILITY_BINS as f64) as usize).min(SOFT_RELIABILITY_BINS - 1);
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

    /// Expected calibration error: `Σ_bins |Σ p − Σ share| / pixels`, 0–1; `None` without pixels.
    pub fn ece(&self) -> Option<f64> {
        let pixels = self.pixels();
        (pixels > 0.0).then(|| self.bins.iter().map(|[_, sum, inside]| (sum - inside).abs()).sum::<f64>() / pixels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_taken_bin_by_bin() {
        let mut found = SoftReliability::default();
        assert_eq!(found.ece(), None);
        // Bin 5 (0.10–0.12): Σp 0.21, Σ share 0.5. Bin 49: Σp 1, Σ share 0.75.
        found.push(0.1, 0.5);
        found.push(0.11, 0.0);
        found.push(1.0, 0.75);
        assert!((found.ece().unwrap() - (0.29 + 0.25) / 3.0).abs() < 1e-12);
        // In one bin errors of both signs cancel, in two they do not.
        let mut apart = SoftReliability::default();
        apart.push(0.2, 1.0);
        apart.push(0.8, 0.0);
        assert!((apart.ece().unwrap() - 0.8).abs() < 1e-12);
        found.add(&apart, 3.0);
        assert!((found.pixels() - 9.0).abs() < 1e-12);
        assert!((found.ece().unwrap() - (0.54 + 3.0 * 1.6) / 9.0).abs() < 1e-12);
    }
}
