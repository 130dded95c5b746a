//! Agreement with several raters, over many structures.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::raters::{AreaFigures, RaterFigures, RaterReliability, RaterScores};
use super::report::{CaseReport, PIXELS_PER_CASE};
use crate::metrics::RaterBins;

/// Agreement with raters; figures are means over structures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RaterReport {
    /// Structures that raters outlined.
    pub n: usize,
    /// Mean number of raters whose outlines differ.
    pub raters: f64,
    /// Calibration over the pixels that boxes are judged by.
    pub region: RaterEce,
    /// Calibration over the whole images.
    pub whole: RaterEce,
    /// What the network says beside the raters.
    pub ours: RaterFigures,
    /// Its mask as if it were sure of it.
    pub mask: RaterFigures,
    /// The area by the ensemble's members; `None` of a single pass.
    pub members: Option<AreaFigures>,
    /// What the mean of all other raters says beside each; `None` of a single rater.
    pub human: Option<RaterFigures>,
}

/// Expected calibration errors in 50 equal bins of the probability of being inside. A structure counts as at most 4000 pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RaterEce {
    /// Beside each rater, by number from 0, over the pixels of all structures together.
    pub by_rater: BTreeMap<usize, f64>,
    /// Their mean.
    pub mean_of_raters: Option<f64>,
    /// Beside the mean of the raters: mean distance of the mean probability from the mean share of the raters, over bins.
    pub of_mean_rater: Option<f64>,
    /// Of every structure by itself, mean over raters and structures.
    pub by_structure: Option<f64>,
    /// As `mean_of_raters`, of the mean of the other raters beside each.
    pub human: Option<f64>,
    /// As `by_structure`, of the mean of the other raters beside each.
    pub human_by_structure: Option<f64>,
}

impl RaterReport {
    /// Sums up; `None` without raters.
    pub fn new(cases: &[&CaseReport]) -> Option<Self> {
        let all: Vec<&RaterScores> = cases.iter().flat_map(|case| &case.scores.raters).collect();
        let count = all.len() as f64;
        if all.is_empty() {
            return None;
        }
        let members: Vec<AreaFigures> = all.iter().filter_map(|scores| scores.members).collect();
        let human: Vec<RaterFigures> = all.iter().filter_map(|scores| scores.human).collect();
        Some(Self {
            n: all.len(),
            raters: all.iter().map(|scores| scores.raters.len() as f64).sum::<f64>() / count,
            region: RaterEce::new(&all, |scores| &scores.region),
            whole: RaterEce::new(&all, |scores| &scores.whole),
            ours: figures(&all.iter().map(|scores| scores.ours).collect::<Vec<_>>())?,
            mask: figures(&all.iter().map(|scores| scores.mask).collect::<Vec<_>>())?,
            members: area(&members),
            human: figures(&human),
        })
    }
}

impl RaterEce {
    fn new(all: &[&RaterScores], of: fn(&RaterScores) -> &RaterReliability) -> Self {
        let mut by_rater: BTreeMap<usize, [RaterBins; 2]> = BTreeMap::new();
        let mut of_mean = RaterBins::default();
        let (mut by_structure, mut human_by_structure) = (Vec::new(), Vec::new());
        for scores in all {
            let RaterReliability { each, mean, human } = of(scores);
            let weight = (PIXELS_PER_CASE / mean.pixels().max(1.0)).min(1.0);
            of_mean.add(mean, weight);
            for (kind, all) in [each, human].into_iter().enumerate() {
                for (&rater, reliability) in scores.raters.iter().zip(all) {
                    by_rater.entry(rater).or_default()[kind].add(reliability, weight);
                }
            }
            let eces = |all: &[RaterBins]| all.iter().filter_map(RaterBins::ece).collect();
            by_structure.extend(mean_of(eces(each)));
            human_by_structure.extend(mean_of(eces(human)));
        }
        let of_kind = |kind: usize| {
            let all = by_rater.iter();
            all.filter_map(|(&rater, sums)| Some((rater, sums[kind].ece()?))).collect::<BTreeMap<_, _>>()
        };
        let (ours, human) = (of_kind(0), of_kind(1));
        Self {
            mean_of_raters: mean_of(ours.values().copied().collect()),
            by_rater: ours,
            of_mean_rater: of_mean.ece(),
            by_structure: mean_of(by_structure),
            human: mean_of(human.into_values().collect()),
            human_by_structure: mean_of(human_by_structure),
        }
    }
}

fn mean_of(values: Vec<f64>) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn area(all: &[AreaFigures]) -> Option<AreaFigures> {
    let mean = |value: fn(&AreaFigures) -> f64| mean_of(all.iter().map(value).collect());
    Some(AreaFigures {
        crps: mean(|area| area.crps)?,
        coverage: mean(|area| area.coverage)?,
        width: mean(|area| area.width)?,
        bias: mean(|area| area.bias)?,
    })
}

fn figures(all: &[RaterFigures]) -> Option<RaterFigures> {
    let mean = |value: fn(&RaterFigures) -> f64| mean_of(all.iter().map(value).collect());
    let correlation = |map: fn(&RaterFigures) -> Option<[f64; 2]>| {
        let found: Vec<[f64; 2]> = all.iter().filter_map(map).collect();
        let kind = |kind: usize| mean_of(found.iter().map(|pair| pair[kind]).collect());
        Some([kind(0)?, kind(1)?])
    };
    Some(RaterFigures {
        dsc: mean(|figures| figures.dsc)?,
        qubiq: mean(|figures| figures.qubiq)?,
        area: area(&all.iter().map(|figures| figures.area).collect::<Vec<_>>())?,
        total: correlation(|figures| figures.total),
        epistemic: correlation(|figures| figures.epistemic),
    })
}
