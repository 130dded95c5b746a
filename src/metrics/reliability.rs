//! How well probabilities are calibrated.

use serde::{Deserialize, Serialize};

/// Bins of the reliability diagram and of the ECE, equally wide in probability.
pub const RELIABILITY_BINS: usize = 15;

/// Sums of pixels by their probability: all that an expected calibration error needs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reliability {
    /// Pixels, sum of probabilities and pixels inside the truth, by probability.
    bins: [[f64; 3]; RELIABILITY_BINS],
}

impl Reliability {
    /// Adds a pixel: its probability of being inside, and whether it is.
    pub fn push(&mut self, probability: f32, actual: bool) {
        let p = f64::from(probability);
        let bin = ((p * RELIABILITY_BINS as f64) as usize).min(RELIABILITY_BINS - 1);
        let [pixels, probabilities, inside] = &mut self.bins[bin];
        *pixels += 1.0;
        *probabilities += p;
        *inside += f64::from(u8::from(actual));
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

    /// Expected calibration error: mean distance between the probability and the share that is inside (Guo et al. 2017, for the foreground class); `None` without
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
