//! What holds of single objects with high probability, beside what holds in expectation.

use serde::{Deserialize, Serialize};

use super::calibration::{ConformalThresholds, Setting};

/// Coverage of [`Segmentation::area_interval`](crate::segment::Segmentation::area_interval).
pub const AREA_COVERAGE: f64 = 0.9;
/// How far a bound may be above a calibrated one by rounding.
const ROUNDING: f64 = 1e-9;

/// Thresholds on the calibrated probability whose masks hold for a single object with high probability: of a random object of a new image, the outer mask
/// misses at most a share of `alpha` with probability 1 − `delta`, and at most a share of `alpha` of the inner mask is wrong with that probability, each by itself.
///
/// Source: Lee, Barber and Willett, *Distribution-free inference with hierarchical data*, 2023; see [`fit_objects`](super::fit_objects).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerObjectThresholds {
    /// The bound, 0–1.
    pub alpha: f64,
    /// How often the bound may fail, 0–1.
    pub delta: f64,
    /// Outer mask: probability at least this; the whole image if there is no such threshold.
    pub outer: Option<f32>,
    /// Inner mask: probability at least this; empty if there is no such threshold.
    pub inner: Option<f32>,
}

/// Thresholds on the calibrated probability between whose areas the area of a random object of a new image lies with probability `coverage`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AreaThresholds {
    /// Probability that the area is in the interval, 0–1.
    pub coverage: f64,
    /// The area is at least that of {probability ≥ this}; at least 0 if there is no such threshold.
    pub smallest: Option<f32>,
    /// The area is at most that of {probability ≥ this}; at most the whole image if there is no such threshold.
    pub largest: Option<f32>,
}

impl AreaThresholds {
    /// The interval of the area in pixels, widened to contain the mask's own `area`.
    pub fn interval(&self, probability: &[f32], area: usize) -> [usize; 2] {
        let reaching = |threshold: f32| probability.iter().filter(|&&p| p >= threshold).count();
        let low = self.smallest.map_or(0, reaching);
        let high = self.largest.map_or(probability.len(), reaching);
        [low.min(area), high.max(area)]
    }
}

/// What holds of a result's outer and inner mask, for images like those of the calibration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Guarantee {
    /// Bound of the share of the object that the outer mask misses, and of the share of the inner mask that is wrong: the calibrated one that was used, not above
    /// the one that was asked for.
    pub alpha: f64,
    /// How often the bound may fail for an object, likewise; `None` of a bound that holds in expectation.
    pub delta: Option<f64>,
}

impl Setting {
    /// The thresholds for a bound that holds in expectation, or with `delta` for single objects, and what holds with them: α and δ are rounded down to calibrated
    /// ones. Where those are too strict for all that was calibrated there are no thresholds: the outer mask is the whole image, the inner one empty, and both
    /// hold. `None` if nothing was calibrated for single objects.
    pub fn guaranteed(&self, alpha: f64, delta: Option<f64>) -> Option<(ConformalThresholds, Guarantee)> {
        let Some(delta) = delta else {
            let thresholds = self.thresholds(alpha);
            return Some((thresholds, Guarantee { alpha: thresholds.alpha, delta: None }));
        };
        if self.per_object.is_empty() {
            return None;
        }
        let is_within = |row: &&PerObjectThresholds| row.alpha <= alpha + ROUNDING && row.delta <= delta + ROUNDING;
        let unbounded = PerObjectThresholds { alpha, delta, outer: None, inner: None };
        // The table is sorted by α, then δ.
        let row = self.per_object.iter().rfind(is_within).copied().unwrap_or(unbounded);
        let PerObjectThresholds { alpha, delta, outer, inner } = row;
        Some((ConformalThresholds { alpha, outer, inner }, Guarantee { alpha, delta: Some(delta) }))
    }

    /// The thresholds of the interval of the area with this coverage or the next larger one; `None` if none was calibrated.
    pub fn area_thresholds(&self, coverage: f64) -> Option<AreaThresholds> {
        self.area.iter().find(|row| row.coverage >= coverage - ROUNDING).copied()
    }

    /// What is wrong with what is said of single objects, if anything.
    pub(super) fn check_objects(&self) -> Result<(), String> {
        let is_share = |share: f64| share > 0.0 && share < 1.0;
        let is_threshold = |threshold: Option<f32>| threshold.is_none_or(|threshold| (0.0..=1.0).contains(&threshold));
        for row in &self.per_object {
            if !(is_share(row.alpha) && is_share(row.delta) && is_threshold(row.outer) && is_threshold(row.inner)) {
                return Err(format!("impossible thresholds for single objects {row:?}"));
            }
        }
        if !self.per_object.is_sorted_by(|a, b| (a.alpha, a.delta) < (b.alpha, b.delta)) {
            return Err("the thresholds for single objects are not sorted by α and δ".into());
        }
        for row in &self.area {
            if !(is_share(row.coverage) && is_threshold(row.smallest) && is_threshold(row.largest)) {
                return Err(format!("impossible thresholds of the area {row:?}"));
            }
        }
        match self.area.is_sorted_by(|a, b| a.coverage < b.coverage) {
            true => Ok(()),
            false => Err("the thresholds of the area are not sorted by their coverage".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uncertainty::{ExpectedDsc, PromptKind, ReviewRule, Scaling, UncertaintyOptions};

    fn setting() -> Setting {
        let row = |alpha, delta, outer, inner| PerObjectThresholds { alpha, delta, outer, inner };
        let area = |coverage, smallest, largest| AreaThresholds { coverage, smallest, largest };
        Setting {
            zoom: false,
            prompt: PromptKind::Box,
            options: UncertaintyOptions::single_pass(),
            scaling: Scaling::default(),
            conformal: vec![ConformalThresholds { alpha: 0.1, outer: Some(0.3), inner: Some(0.6) }],
            // JSON has no NaN.
            expected_dsc: ExpectedDsc { mean_absolute_error: 0.0, ..Default::default() },
            review: ReviewRule { poor_dsc: 0.7, threshold: 0.8, sensitivity: 0.9, flagged: 0.2 },
            per_object: vec![
                row(0.1, 0.1, None, Some(0.95)),
                row(0.1, 0.2, Some(0.1), Some(0.9)),
                row(0.3, 0.1, Some(0.15), Some(0.8)),
                row(0.3, 0.2, Some(0.2), Some(0.7)),
            ],
            area: vec![area(0.8, Some(0.7), Some(0.3)), area(0.95, None, Some(0.1))],
        }
    }

    #[test]
    fn both_bounds_are_rounded_down_to_calibrated_ones() {
        let setting = setting();
        let found = |alpha, delta| {
            let (thresholds, guarantee) = setting.guaranteed(alpha, Some(delta)).unwrap();
            assert_eq!(thresholds.alpha, guarantee.alpha);
            (guarantee.alpha, guarantee.delta.unwrap(), thresholds.outer, thresholds.inner)
        };
        assert_eq!(found(0.1, 0.2), (0.1, 0.2, Some(0.1), Some(0.9)));
        assert_eq!(found(0.29, 0.19), (0.1, 0.1, None, Some(0.95)));
        assert_eq!(found(0.9, 0.9), (0.3, 0.2, Some(0.2), Some(0.7)));
        assert_eq!(found(0.3 - 1e-12, 0.1), (0.3, 0.1, Some(0.15), Some(0.8)));
        // Stricter than all: the whole image and nothing, of which what was asked for holds.
        assert_eq!(found(0.05, 0.2), (0.05, 0.2, None, None));
        assert_eq!(found(0.3, 0.01), (0.3, 0.01, None, None));
    }

    #[test]
    fn without_delta_it_is_the_bound_in_expectation() {
        let setting = setting();
        let (thresholds, guarantee) = setting.guaranteed(0.15, None).unwrap();
        assert_eq!((thresholds.outer, guarantee), (Some(0.3), Guarantee { alpha: 0.1, delta: None }));
        let (thresholds, guarantee) = setting.guaranteed(0.02, None).unwrap();
        assert_eq!((thresholds.outer, thresholds.inner, guarantee.alpha), (None, None, 0.02));
        let old = Setting { per_object: Vec::new(), area: Vec::new(), ..setting };
        assert_eq!((old.guaranteed(0.1, Some(0.1)), old.area_thresholds(0.9)), (None, None));
        assert!(old.guaranteed(0.1, None).is_some());
    }

    #[test]
    fn areas_have_intervals_that_contain_the_mask() {
        let setting = setting();
        let probability = [0.05, 0.1, 0.3, 0.5, 0.7, 0.9];
        let interval = |coverage: f64, area| setting.area_thresholds(coverage).unwrap().interval(&probability, area);
        assert_eq!(interval(0.8, 3), [2, 4]);
        assert_eq!((interval(0.8, 1), interval(0.8, 6)), ([1, 4], [2, 6]));
        // The next larger coverage; no lower bound but 0.
        assert_eq!(interval(0.9, 3), [0, 5]);
        assert_eq!(setting.area_thresholds(0.99), None);
        let unbounded = AreaThresholds { coverage: 0.9, smallest: None, largest: None };
        assert_eq!(unbounded.interval(&probability, 3), [0, 6]);
    }

    #[test]
    fn old_weights_load_and_impossible_values_are_refused() {
        let whole = setting();
        assert_eq!(whole.check_objects(), Ok(()));
        let old = Setting { per_object: Vec::new(), area: Vec::new(), ..whole.clone() };
        let text = serde_json::to_string(&old).unwrap();
        assert!(!text.contains("per_object") && !text.contains("area"), "{text}");
        assert_eq!(serde_json::from_str::<Setting>(&text).unwrap(), old);
        let text = serde_json::to_string(&whole).unwrap();
        assert_eq!(serde_json::from_str::<Setting>(&text).unwrap(), whole);
        let broken = |change: fn(&mut Setting)| {
            let mut setting = setting();
            change(&mut setting);
            setting.check_objects().unwrap_err()
        };
        assert!(broken(|setting| setting.per_object[1].delta = 1.0).contains("delta: 1.0"));
        assert!(broken(|setting| setting.per_object[1].outer = Some(f32::NAN)).contains("NaN"));
        assert!(broken(|setting| setting.per_object.reverse()).contains("sorted"));
        assert!(broken(|setting| setting.area[0].coverage = f64::NAN).contains("NaN"));
        assert!(broken(|setting| setting.area[0].largest = Some(1.5)).contains("1.5"));
        assert!(broken(|setting| setting.area.reverse()).contains("sorted"));
    }
}
