//! How often images were taken for unlike the calibration's.

use serde::{Deserialize, Serialize};

use super::report::CaseReport;
use crate::metrics::Proportion;

/// How often the alarm went off in a group of images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ShiftReport {
    /// Images with an alarm, of all.
    pub alarms: Proportion,
    /// Median of the p-values; of images like those of the calibration ½ or more.
    pub median_p_value: f64,
}

impl ShiftReport {
    /// `None` where the weights do not know, and of volumes.
    pub(super) fn new(cases: &[&CaseReport]) -> Option<Self> {
        let shifts: Vec<_> = cases.iter().filter_map(|case| case.scores.shift).collect();
        let mut p_values: Vec<f64> = shifts.iter().map(|shift| shift.p_value).collect();
        p_values.sort_by(f64::total_cmp);
        let median_p_value = *p_values.get(p_values.len() / 2)?;
        Some(Self { alarms: Proportion::of(shifts.iter().map(|shift| shift.alarm)), median_p_value })
    }
}
