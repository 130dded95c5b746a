//! How well the pixels' probabilities and uncertainties fit what turned out true.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::reliability::Reliability;
use crate::uncertainty::{binary_entropy, sigmoid};

/// Bins of uncertainty. Wide enough in logits to reach 10⁻⁷ bits and fine enough that ties do not matter.
const UNCERTAINTY_BINS: usize = 1024;

/// The logit at which the last bin begins.
const LARGEST_LOGIT: f32 = 20.0;

/// Smallest probability that the NLL gives to what turned out true.
const SMALLEST_LIKELIHOOD: f64 = 1e-7;

/// What is left to sum up of pixels to get [`PixelMetrics`]; sums of images are added with [`PixelStatistics::add`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Sparse", into = "Sparse")]
pub struct PixelStatistics {
    pixels: f64,
    squared_error: f64,
    negative_log_likelihood: f64,
    reliability: Reliability,
    /// Pixels classified rightly and wrongly, by uncertainty.
    by_uncertainty: Vec<[f64; 2]>,
}

impl Default for PixelStatistics {
    fn default() -> Self {
        Self {
            pixels: 0.0,
            squared_error: 0.0,
            negative_log_likelihood: 0.0,
            reliability: Reliability::default(),
            by_uncertainty: vec![[0.0; 2]; UNCERTAINTY_BINS],
        }
    }
}

/// Calibration and error detection over some pixels. `None` where there is nothing to measure, such as an AUROC without errors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PixelMetrics {
    /// Share of misclassified pixels.
    pub error_rate: f64,
    /// Expected calibration error: mean distance between the probability and the share that is inside, over 15 equal bins of
    /// the probability (Guo et al. 2017, for the foreground class).
    pub ece: f64,
    /// Mean squared error of the probability.
    pub brier: f64,
    /// Mean negative log-likelihood, in nats; probabilities are clipped at 10⁻⁷.
    pub nll: f64,
    /// How surely a misclassified pixel is more uncertain than a rightly classified one: area under the ROC curve.
    pub auroc: Option<f64>,
    /// Area under the risk-coverage curve: mean error rate among the most certain pixels, over all coverages (Geifman 2017).
    pub aurc: f64,
    /// What of the AURC an ideal ordering would avoid (Geifman 2019).
    pub eaurc: f64,
    /// Uncertainty-error overlap: best Dice of {uncertainty > t} with the misclassified pixels, over all t (Jungo 2020).
    pub ueo: Option<f64>,
}

impl PixelStatistics {
    /// Adds a pixel: its probability of being inside, its uncertainty in bits, its place in the mask and in the truth.
    pub fn push(&mut self, probability: f32, uncertainty: f32, predicted: bool, actual: bool) {
        let p = f64::from(probability);
        let truth = f64::from(u8::from(actual));
        self.pixels += 1.0;
        self.squared_error += (p - truth).powi(2);
        let likelihood = if actual { p } else { 1.0 - p };
        self.negative_log_likelihood -= likelihood.max(SMALLEST_LIKELIHOOD).ln();
        self.reliability.push(p, truth);
        self.by_uncertainty[uncertainty_bin(uncertainty)][usize::from(predicted != actual)] += 1.0;
    }

    /// Number of pixels, or their weight.
    pub fn pixels(&self) -> f64 {
        self.pixels
    }

    /// Adds other pixels, each counted `weight` times.
    pub fn add(&mut self, other: &Self, weight: f64) {
        self.pixels += weight * other.pixels;
        self.squared_error += weight * other.squared_error;
        self.negative_log_likelihood += weight * other.negative_log_likelihood;
        self.reliability.add(&other.reliability, weight);
        for (sum, other) in self.by_uncertainty.as_flattened_mut().iter_mut().zip(other.by_uncertainty.as_flattened()) {
            *sum += weight * other;
        }
    }

    /// The metrics; `None` without pixels.
    pub fn metrics(&self) -> Option<PixelMetrics> {
        if self.pixels <= 0.0 {
            return None;
        }
        let wrong: f64 = self.by_uncertainty.iter().map(|bin| bin[1]).sum();
        let error_rate = wrong / self.pixels;
        let aurc = self.aurc();
        let ideal = match 1.0 - error_rate {
            right if right > 0.0 => error_rate + right * right.ln(),
            _ => 1.0,
        };
        Some(PixelMetrics {
            error_rate,
            ece: self.reliability.ece()?,
            brier: self.squared_error / self.pixels,
            nll: self.negative_log_likelihood / self.pixels,
            auroc: self.auroc(),
            aurc,
            eaurc: aurc - ideal,
            ueo: self.ueo(),
        })
    }

    /// Per bin of the reliability diagram that has pixels: mean probability, share inside, share of all pixels.
    pub fn reliability(&self) -> Vec<[f64; 3]> {
        self.reliability.diagram()
    }

    /// The risk-coverage curve: share of the pixels, the most certain first, and the error rate among them.
    pub fn risk_coverage(&self) -> Vec<[f64; 2]> {
        let (mut pixels, mut wrong) = (0.0, 0.0);
        let mut curve = Vec::new();
        for bin in self.by_uncertainty.iter().filter(|bin| bin[0] + bin[1] > 0.0) {
            pixels += bin[0] + bin[1];
            wrong += bin[1];
            curve.push([pixels / self.pixels, wrong / pixels]);
        }
        curve
    }

    fn auroc(&self) -> Option<f64> {
        let (mut right_below, mut wrong_total, mut pairs) = (0.0, 0.0, 0.0);
        for [right, wrong] in &self.by_uncertainty {
            pairs += wrong * (right_below + 0.5 * right);
            right_below += right;
            wrong_total += wrong;
        }
        (right_below > 0.0 && wrong_total > 0.0).then(|| pairs / (right_below * wrong_total))
    }

    /// Within a bin the errors are spread evenly, over which the integral of the risk is exact.
    fn aurc(&self) -> f64 {
        let (mut pixels, mut wrong, mut area) = (0.0, 0.0, 0.0);
        for &[bin_right, bin_wrong] in &self.by_uncertainty {
            let size: f64 = bin_right + bin_wrong;
            if size > 0.0 {
                let rate = bin_wrong / size;
                area += bin_wrong;
                if pixels > 0.0 {
                    area += (wrong - rate * pixels) * ((pixels + size) / pixels).ln();
                }
                pixels += size;
                wrong += bin_wrong;
            }
        }
        area / self.pixels
    }

    fn ueo(&self) -> Option<f64> {
        let total: f64 = self.by_uncertainty.iter().map(|bin| bin[1]).sum();
        let (mut above, mut wrong_above, mut best) = (0.0, 0.0, 0f64);
        for [right, wrong] in self.by_uncertainty.iter().rev() {
            above += right + wrong;
            wrong_above += wrong;
            best = best.max(2.0 * wrong_above / (above + total));
        }
        (total > 0.0).then_some(best)
    }
}

/// Bins are equally wide in the logit whose entropy the uncertainty is.
fn uncertainty_bin(uncertainty: f32) -> usize {
    static BOUNDS: OnceLock<Vec<f32>> = OnceLock::new();
    let bounds = BOUNDS.get_or_init(|| {
        let logit = |bin: usize| LARGEST_LOGIT * (1.0 - bin as f32 / (UNCERTAINTY_BINS - 1) as f32);
        (0..UNCERTAINTY_BINS - 1).map(|bin| binary_entropy(sigmoid(-logit(bin)))).collect()
    });
    bounds.partition_point(|&bound| bound <= uncertainty)
}

/// [`PixelStatistics`] without the empty bins of uncertainty.
#[derive(Serialize, Deserialize)]
struct Sparse {
    pixels: f64,
    squared_error: f64,
    negative_log_likelihood: f64,
    reliability: Reliability,
    by_uncertainty: Vec<(usize, f64, f64)>,
}

impl From<PixelStatistics> for Sparse {
    fn from(statistics: PixelStatistics) -> Self {
        let bins = statistics.by_uncertainty.iter().enumerate();
        let by_uncertainty = bins.map(|(index, &[right, wrong])| (index, right, wrong));
        Self {
            pixels: statistics.pixels,
            squared_error: statistics.squared_error,
            negative_log_likelihood: statistics.negative_log_likelihood,
            reliability: statistics.reliability,
            by_uncertainty: by_uncertainty.filter(|&(_, right, wrong)| right + wrong > 0.0).collect(),
        }
    }
}

impl From<Sparse> for PixelStatistics {
    fn from(sparse: Sparse) -> Self {
        let mut by_uncertainty = vec![[0.0; 2]; UNCERTAINTY_BINS];
        for (index, right, wrong) in sparse.by_uncertainty {
            if let Some(bin) = by_uncertainty.get_mut(index) {
                *bin = [right, wrong];
            }
        }
        Self {
            pixels: sparse.pixels,
            squared_error: sparse.squared_error,
            negative_log_likelihood: sparse.negative_log_likelihood,
            reliability: sparse.reliability,
            by_uncertainty,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(pixels: &[(f32, f32, bool, bool)]) -> PixelStatistics {
        let mut statistics = PixelStatistics::default();
        for &(probability, uncertainty, predicted, actual) in pixels {
            statistics.push(probability, uncertainty, predicted, actual);
        }
        statistics
    }

    fn close(actual: f64, expected: f64) -> bool {
        (actual - expected).abs() < 1e-6
    }

    #[test]
    fn calibration_by_hand() {
        // Two pixels at 0.9, one of them inside; two at 0.1, none inside.
        let pixels =
            [(0.9, 0.5, true, true), (0.9, 0.5, true, false), (0.1, 0.5, false, false), (0.1, 0.5, false, false)];
        let metrics = statistics(&pixels).metrics().unwrap();
        assert!(close(metrics.ece, (2.0 * 0.4 + 2.0 * 0.1) / 4.0));
        assert!(close(metrics.brier, (0.01 + 0.81 + 0.01 + 0.01) / 4.0));
        assert!(close(metrics.nll, -(3.0 * 0.9f64.ln() + 0.1f64.ln()) / 4.0));
        assert_eq!(metrics.error_rate, 0.25);
    }

    #[test]
    fn error_detection_by_hand() {
        // Uncertainties 0.1, 0.2, 0.3, 0.4; the third pixel is wrong.
        let pixels = [(0.9, 0.1, true, true), (0.9, 0.2, true, true), (0.9, 0.3, true, false), (0.9, 0.4, true, true)];
        let metrics = statistics(&pixels).metrics().unwrap();
        assert!(close(metrics.auroc.unwrap(), 2.0 / 3.0));
        // The best threshold keeps two pixels, one of them wrong.
        assert!(close(metrics.ueo.unwrap(), 2.0 / 3.0));
        // ∫ errors(x) / x over (2, 3] and (3, 4].
        let integral = (1.0 - 2.0 * 1.5f64.ln()) + (4.0f64 / 3.0).ln();
        assert!(close(metrics.aurc, integral / 4.0), "{}", metrics.aurc);
        let ideal = 0.25 + 0.75 * 0.75f64.ln();
        assert!(close(metrics.eaurc, integral / 4.0 - ideal));
    }

    #[test]
    fn a_perfect_order_has_no_excess_risk() {
        let pixels: Vec<_> = (0..1000).map(|index| (0.5, index as f32 / 1000.0, true, index < 900)).collect();
        let metrics = statistics(&pixels).metrics().unwrap();
        // Not exactly 1: neighbours share bins.
        assert!(metrics.auroc.unwrap() > 0.9999);
        assert!(metrics.eaurc.abs() < 1e-3, "{}", metrics.eaurc);
        assert!(metrics.ueo.unwrap() > 0.98);
    }

    #[test]
    fn nothing_to_measure_is_none() {
        assert_eq!(PixelStatistics::default().metrics(), None);
        let metrics = statistics(&[(1.0, 0.0, true, true)]).metrics().unwrap();
        assert_eq!((metrics.auroc, metrics.ueo, metrics.aurc, metrics.eaurc), (None, None, 0.0, 0.0));
        let metrics = statistics(&[(0.0, 0.0, false, true)]).metrics().unwrap();
        assert_eq!((metrics.auroc, metrics.error_rate, metrics.aurc), (None, 1.0, 1.0));
        assert!(metrics.nll.is_finite());
    }

    #[test]
    fn sums_are_added_with_their_weight_and_survive_json() {
        let one = statistics(&[(0.8, 0.7, true, true), (0.3, 0.9, false, true)]);
        let mut twice = one.clone();
        twice.add(&one, 1.0);
        assert_eq!(twice.metrics(), one.metrics());
        assert_eq!(twice.pixels(), 4.0);
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<PixelStatistics>(&text).unwrap(), one);
    }
}
