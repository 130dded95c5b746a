//! What doubt along the outline of masks and doubt elsewhere are worth.

use serde::{Deserialize, Serialize};

use super::case::BoxScores;
use super::mask_scores::MaskScores;
use super::report::CaseReport;
use crate::metrics::spearman;

/// Parts that masks are cut into by their doubt.
const QUARTERS: usize = 4;

/// Doubt and errors of a group's masks, along the outline (a band of a tenth of the object's radius, at least 2 pixels of 256, to both sides) and elsewhere. Every
/// mask counts the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DoubtReport {
    /// Number of masks.
    pub n: usize,
    /// Mean share of a mask's doubt that lies along its outline, 0–1.
    pub share_along_outline: f64,
    /// Mean share of a mask's wrong pixels that lie there, of masks with any; `None` without.
    pub errors_along_outline: Option<f64>,
    /// Along the outline.
    pub boundary: DoubtPart,
    /// Elsewhere.
    pub scattered: DoubtPart,
}

/// One of both parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DoubtPart {
    /// Mean doubt, in bits a pixel of the mask.
    pub bits: f64,
    /// Mean number of wrong pixels a pixel of the mask.
    pub errors: f64,
    /// Wrong pixels a bit of doubt; `None` without doubt.
    pub errors_per_bit: Option<f64>,
    /// Spearman's correlation of the doubt with 1 − DSC, over masks.
    pub correlation: Option<f64>,
    /// The same with the wrong pixels of the same place, a pixel of the mask.
    pub errors_here: Option<f64>,
    /// The same with the wrong pixels of the other place.
    pub errors_there: Option<f64>,
    /// Mean DSC of each quarter of the masks, from the least doubt to the most; empty of fewer than four masks.
    pub dsc_by_quarter: Vec<f64>,
}

impl DoubtReport {
    /// Of images whose masks were measured; `None` without any.
    pub fn new(cases: &[&CaseReport]) -> Option<Self> {
        let boxes = cases.iter().flat_map(|case| &case.scores.boxes);
        let masks: Vec<(&BoxScores, &MaskScores)> =
            boxes.filter_map(|found| Some((found, found.mask.as_ref()?))).collect();
        let share = |[along, elsewhere]: [f64; 2]| (along + elsewhere > 0.0).then(|| along / (along + elsewhere));
        let mean = |values: Vec<f64>| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        Some(Self {
            n: masks.len(),
            share_along_outline: mean(masks.iter().filter_map(|(_, mask)| share(mask.doubt)).collect())?,
            errors_along_outline: mean(masks.iter().filter_map(|(_, mask)| share(mask.errors)).collect()),
            boundary: DoubtPart::new(&masks, 0),
            scattered: DoubtPart::new(&masks, 1),
        })
    }
}

impl DoubtPart {
    fn new(masks: &[(&BoxScores, &MaskScores)], part: usize) -> Self {
        let mean = |value: &dyn Fn(&MaskScores) -> f64| {
            masks.iter().map(|(_, mask)| value(mask)).sum::<f64>() / masks.len().max(1) as f64
        };
        let (bits, errors) = (mean(&|mask| mask.doubt[part]), mean(&|mask| mask.errors[part]));
        let doubt: Vec<f64> = masks.iter().map(|(_, mask)| mask.doubt[part]).collect();
        let correlation = |value: &dyn Fn(&BoxScores, &MaskScores) -> f64| {
            spearman(&doubt, &masks.iter().map(|(found, mask)| value(found, mask)).collect::<Vec<_>>())
        };
        let mut by_doubt: Vec<(f64, f64)> = masks.iter().map(|(found, mask)| (mask.doubt[part], found.dsc)).collect();
        by_doubt.sort_by(|a, b| a.0.total_cmp(&b.0));
        let quarter = |number: usize| {
            let [from, to] = [number, number + 1].map(|end| end * by_doubt.len() / QUARTERS);
            by_doubt[from..to].iter().map(|(_, dsc)| dsc).sum::<f64>() / (to - from) as f64
        };
        Self {
            bits,
            errors,
            errors_per_bit: (bits > 0.0).then(|| errors / bits),
            correlation: correlation(&|found, _| 1.0 - found.dsc),
            errors_here: correlation(&|_, mask| mask.errors[part]),
            errors_there: correlation(&|_, mask| mask.errors[1 - part]),
            dsc_by_quarter: (0..QUARTERS).filter(|_| by_doubt.len() >= QUARTERS).map(quarter).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::report::tests::case;

    #[test]
    fn doubt_and_errors_by_hand() {
        let with = |dsc: f64, doubt, errors| {
            let mut found = case("CT", dsc);
            let mask = found.scores.boxes[0].mask.get_or_insert_with(|| unreachable!("it has one"));
            (mask.doubt, mask.errors) = (doubt, errors);
            found
        };
        let cases = [
            with(0.9, [0.3, 0.1], [0.1, 0.0]),
            with(0.8, [0.2, 0.2], [0.1, 0.1]),
            with(0.5, [0.1, 0.7], [0.0, 0.6]),
            with(1.0, [0.2, 0.0], [0.0, 0.0]),
        ];
        let report = DoubtReport::new(&cases.iter().collect::<Vec<_>>()).unwrap();
        assert!((report.share_along_outline - (0.75 + 0.5 + 0.125 + 1.0) / 4.0).abs() < 1e-12);
        assert!((report.errors_along_outline.unwrap() - (1.0 + 0.5 + 0.0) / 3.0).abs() < 1e-12);
        assert!((report.boundary.errors_per_bit.unwrap() - 0.2 / 0.8).abs() < 1e-12);
        assert!((report.scattered.errors_per_bit.unwrap() - 0.7).abs() < 1e-12);
        assert!((report.scattered.correlation.unwrap() - 1.0).abs() < 1e-12);
        // Ranks of the scattered doubt 1, 2, 3, 0; of errors along outlines 2½, 2½, ½, ½, and elsewhere ½, 2, 3, ½.
        assert!((report.scattered.errors_there.unwrap() - 0.0).abs() < 1e-12);
        assert!((report.scattered.errors_here.unwrap() - 4.5 / (5.0f64 * 4.5).sqrt()).abs() < 1e-12);
        assert_eq!(report.scattered.dsc_by_quarter, [1.0, 0.9, 0.8, 0.5]);
        assert!(DoubtReport::new(&[]).is_none());
    }
}
