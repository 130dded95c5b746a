//! Scores of a group of cases, with their intervals.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::doubt::DoubtReport;
use super::rater_report::RaterReport;
use super::report::{CaseReport, Metrics, Sum};
use super::selective::Selective;
use super::shift::ShiftReport;
use crate::random::SplitMix64;

/// Draws of the bootstrap.
pub(super) const BOOTSTRAP_DRAWS: usize = 1000;

/// A group's metrics with their intervals.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupReport {
    /// The metrics.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// 95 % percentile intervals (low, high) by bootstrap over cases; of risks as `conformal.ALPHA.fnr` and `.fpr`.
    pub ci: BTreeMap<String, [f64; 2]>,
    /// Per bin of the reliability diagram: mean probability, share inside, share of the pixels.
    pub reliability: Vec<[f64; 3]>,
    /// Share of the pixels kept, most certain first, and the error rate among them.
    pub risk_coverage: Vec<[f64; 2]>,
    /// Risk and coverage of whole masks and images; of images only.
    pub selective: Option<Selective>,
    /// Doubt along outlines and elsewhere; of images only.
    pub doubt: Option<DoubtReport>,
    /// Agreement with several raters, where there are any.
    pub raters: Option<RaterReport>,
    /// How often images were taken for unlike the calibration's; of images only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift: Option<ShiftReport>,
}

impl GroupReport {
    pub(super) fn new(cases: &[&CaseReport]) -> Self {
        let sum = Sum::of(cases, &vec![1.0; cases.len()]);
        let draws: Vec<Metrics> = (0..BOOTSTRAP_DRAWS as u64)
            .into_par_iter()
            .map(|draw| Sum::of(cases, &resample(cases.len(), draw)).metrics())
            .collect();
        let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for metrics in draws {
            for (name, value) in metrics.named() {
                values.entry(name).or_default().push(value);
            }
        }
        let ci = values.into_iter().map(|(name, mut values)| {
            values.sort_by(f64::total_cmp);
            let quantile = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
            (name, [quantile(0.025), quantile(0.975)])
        });
        let risk_coverage = thin(sum.pixels.risk_coverage());
        Self {
            metrics: sum.metrics(),
            ci: ci.collect(),
            reliability: sum.pixels.reliability(),
            risk_coverage,
            selective: Selective::new(cases),
            doubt: DoubtReport::new(cases),
            raters: RaterReport::new(cases),
            shift: ShiftReport::new(cases),
        }
    }
}

/// Keeps a hundred points of a curve and its end.
fn thin(curve: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    let step = curve.len().div_ceil(100).max(1);
    let last = curve.last().copied();
    let mut points: Vec<[f64; 2]> = curve.into_iter().step_by(step).collect();
    if points.last() != last.as_ref() {
        points.extend(last);
    }
    points
}

/// How often each case is drawn in one draw of the bootstrap.
pub(super) fn resample(count: usize, draw: u64) -> Vec<f64> {
    let mut random = SplitMix64::new(draw);
    let mut weights = vec![0.0; count];
    for _ in 0..count {
        weights[(((random.next() >> 32) * count as u64) >> 32) as usize] += 1.0;
    }
    weights
}
