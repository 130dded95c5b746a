//! Scores of many cases, summed up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::case::{BoxScores, CaseScores};
use super::group::GroupReport;
use super::guarantees::GuaranteeReport;
use super::rater_report::RaterReport;
use super::rounds::{RoundSums, Rounds};
use crate::metrics::PixelStatistics;
use crate::uncertainty::Shift;

/// At most this many pixels of a case count, so that large images do not outweigh the others.
pub(super) const PIXELS_PER_CASE: f64 = 4000.0;

/// One case with its scores.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseReport {
    /// Path under the data folder.
    pub case: String,
    /// The folder under the data folder.
    pub modality: String,
    /// The folder under the modality's.
    pub dataset: String,
    /// The scores.
    pub scores: CaseScores,
}

impl CaseReport {
    /// The same case with the scores of the last round; `None` where no clicks were simulated.
    fn after_the_last_click(&self) -> Option<Self> {
        let scores = self.scores.interaction.as_ref()?.last.as_ref()?;
        Some(Self { scores: (**scores).clone(), ..self.clone() })
    }
}

/// A case that could not be evaluated.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// Path under the data folder.
    pub case: String,
    /// Why.
    pub message: String,
}

/// Mean false-negative rate of outer masks and false-positive share of inner masks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// Share of the truth outside the outer mask.
    pub fnr: f64,
    /// Share of the inner mask outside the truth.
    pub fpr: f64,
}

/// The metrics of a case or of a group of cases. DSC, NSD, expected DSC and conformal risks are means over cases (and within a case over
/// labels); the others are taken over the pixels of all cases together. `None` where there is nothing to measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Number of cases.
    pub n: usize,
    /// Dice similarity coefficient.
    pub dsc: f64,
    /// Normalized surface Dice at tolerance 2, as the challenge computes it.
    pub nsd: f64,
    /// Normalized surface Dice of the contours at tolerance 2; of images only.
    pub contour_nsd: Option<f64>,
    /// Share of misclassified pixels in the boxes' regions.
    pub error_rate: Option<f64>,
    /// Expected calibration error.
    pub ece: Option<f64>,
    /// Mean squared error of the probability.
    pub brier: Option<f64>,
    /// Mean negative log-likelihood, in nats.
    pub nll: Option<f64>,
    /// AUROC of the uncertainty for misclassified pixels.
    pub auroc: Option<f64>,
    /// Area under the risk-coverage curve.
    pub aurc: Option<f64>,
    /// Its excess over an ideal ordering's.
    pub eaurc: Option<f64>,
    /// Uncertainty-error overlap.
    pub ueo: Option<f64>,
    /// Mean distance of the expected DSC from the box's DSC.
    pub expected_dsc_mae: Option<f64>,
    /// Share of the boxes that are flagged; `None` without calibration.
    pub flagged: Option<f64>,
    /// Risks by α; empty without calibration.
    pub conformal: BTreeMap<String, Coverage>,
    /// Of every round, where clicks were simulated.
    #[serde(flatten)]
    pub interaction: Option<Rounds>,
}

/// A whole evaluation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// What was evaluated, and how.
    pub about: serde_json::Value,
    /// How often what is guaranteed of single objects held, of all and by modality; empty where nothing is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub guarantees: BTreeMap<String, GuaranteeReport>,
    /// All cases.
    pub overall: GroupReport,
    /// By modality.
    pub modalities: BTreeMap<String, GroupReport>,
    /// By dataset.
    pub datasets: BTreeMap<String, GroupReport>,
    /// All cases after the last click, where clicks were simulated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_round: Option<Box<GroupReport>>,
    /// Each case.
    pub cases: Vec<CaseSummary>,
    /// Files that could not be evaluated.
    pub failures: Vec<Failure>,
}

/// A case's metrics.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseSummary {
    /// Path under the data folder.
    pub case: String,
    /// The folder under the data folder.
    pub modality: String,
    /// The folder under the modality's.
    pub dataset: String,
    /// The metrics.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Each box: DSC, expected DSC, flag, risks, what the mask could be trusted by.
    pub boxes: Vec<BoxScores>,
    /// Agreement with several raters, where there are any.
    pub raters: Option<RaterReport>,
    /// How unlike the calibration's images it is; of images only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift: Option<Shift>,
}

impl Report {
    /// Sums up.
    ///
    /// # Panics
    /// If there are no cases.
    pub fn new(about: serde_json::Value, cases: &[CaseReport], failures: Vec<Failure>) -> Self {
        assert!(!cases.is_empty(), "a report has cases");
        let by = |key: fn(&CaseReport) -> &String| {
            let mut groups: BTreeMap<String, Vec<&CaseReport>> = BTreeMap::new();
            for case in cases {
                groups.entry(key(case).clone()).or_default().push(case);
            }
            groups.into_iter().map(|(name, cases)| (name, GroupReport::new(&cases))).collect()
        };
        let summaries = cases.iter().map(|case| CaseSummary {
            case: case.case.clone(),
            modality: case.modality.clone(),
            dataset: case.dataset.clone(),
            metrics: Sum::of(&[case], &[1.0]).metrics(),
            boxes: case.scores.boxes.clone(),
            raters: RaterReport::new(&[case]),
            shift: case.scores.shift,
        });
        let last: Vec<CaseReport> = cases.iter().filter_map(CaseReport::after_the_last_click).collect();
        let last_round = (!last.is_empty()).then(|| GroupReport::new(&last.iter().collect::<Vec<_>>()));
        Self {
            about,
            last_round: last_round.map(Box::new),
            guarantees: GuaranteeReport::by_modality(cases),
            overall: GroupReport::new(&cases.iter().collect::<Vec<_>>()),
            modalities: by(|case| &case.modality),
            datasets: by(|case| &case.dataset),
            cases: summaries.collect(),
            failures,
        }
    }
}

/// Weighted sums over cases.
#[derive(Default)]
pub(super) struct Sum {
    cases: usize,
    weight: f64,
    dsc: f64,
    nsd: f64,
    /// Sum, and weight of the cases that have it.
    contour_nsd: [f64; 2],
    pub pixels: PixelStatistics,
    /// Sum, and weight of the cases that have boxes.
    expected_dsc_error: [f64; 2],
    /// Flagged, and weight of the boxes that could be.
    flagged: [f64; 2],
    risks: BTreeMap<String, [f64; 3]>,
    rounds: RoundSums,
}

impl Sum {
    pub fn of(cases: &[&CaseReport], weights: &[f64]) -> Self {
        let mut sum = Self::default();
        for (case, &weight) in cases.iter().zip(weights).filter(|(_, weight)| **weight > 0.0) {
            sum.add(&case.scores, weight);
        }
        sum
    }

    fn add(&mut self, scores: &CaseScores, weight: f64) {
        self.cases += 1;
        self.weight += weight;
        self.dsc += weight * scores.dsc;
        self.nsd += weight * scores.nsd;
        if let Some(contour_nsd) = scores.contour_nsd {
            self.contour_nsd[0] += weight * contour_nsd;
            self.contour_nsd[1] += weight;
        }
        if let Some(interaction) = &scores.interaction {
            self.rounds.add(interaction, weight, PIXELS_PER_CASE);
        }
        let pixels = scores.pixels.pixels();
        self.pixels.add(&scores.pixels, weight * (PIXELS_PER_CASE / pixels.max(1.0)).min(1.0));
        let share = weight / scores.boxes.len().max(1) as f64;
        for found in &scores.boxes {
            self.expected_dsc_error[0] += share * (found.expected_dsc - found.dsc).abs();
            self.expected_dsc_error[1] += share;
            if let Some(needs_review) = found.needs_review {
                self.flagged[0] += share * f64::from(u8::from(needs_review));
                self.flagged[1] += share;
            }
            for risk in &found.risks {
                let sums = self.risks.entry(risk.alpha.to_string()).or_default();
                sums[0] += share * risk.fnr;
                sums[1] += share * risk.fpr;
                sums[2] += share;
            }
        }
    }

    pub fn metrics(&self) -> Metrics {
        let pixels = self.pixels.metrics();
        let mean = |sum: f64| sum / self.weight;
        Metrics {
            n: self.cases,
            dsc: mean(self.dsc),
            nsd: mean(self.nsd),
            contour_nsd: (self.contour_nsd[1] > 0.0).then(|| self.contour_nsd[0] / self.contour_nsd[1]),
            error_rate: pixels.map(|pixels| pixels.error_rate),
            ece: pixels.map(|pixels| pixels.ece),
            brier: pixels.map(|pixels| pixels.brier),
            nll: pixels.map(|pixels| pixels.nll),
            auroc: pixels.and_then(|pixels| pixels.auroc),
            aurc: pixels.map(|pixels| pixels.aurc),
            eaurc: pixels.map(|pixels| pixels.eaurc),
            ueo: pixels.and_then(|pixels| pixels.ueo),
            expected_dsc_mae: (self.expected_dsc_error[1] > 0.0)
                .then(|| self.expected_dsc_error[0] / self.expected_dsc_error[1]),
            flagged: (self.flagged[1] > 0.0).then(|| self.flagged[0] / self.flagged[1]),
            conformal: self
                .risks
                .iter()
                .map(|(alpha, [fnr, fpr, weight])| (alpha.clone(), Coverage { fnr: fnr / weight, fpr: fpr / weight }))
                .collect(),
            interaction: self.rounds.metrics(),
        }
    }
}

impl Metrics {
    /// Every metric that there is, by name.
    pub fn named(&self) -> Vec<(String, f64)> {
        let single = [
            ("dsc", Some(self.dsc)),
            ("nsd", Some(self.nsd)),
            ("contour_nsd", self.contour_nsd),
            ("error_rate", self.error_rate),
            ("ece", self.ece),
            ("brier", self.brier),
            ("nll", self.nll),
            ("auroc", self.auroc),
            ("aurc", self.aurc),
            ("eaurc", self.eaurc),
            ("ueo", self.ueo),
            ("expected_dsc_mae", self.expected_dsc_mae),
            ("flagged", self.flagged),
        ];
        let single = single.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_string(), value)));
        let risks = self.conformal.iter().flat_map(|(alpha, Coverage { fnr, fpr })| {
            [(format!("conformal.{alpha}.fnr"), *fnr), (format!("conformal.{alpha}.fpr"), *fpr)]
        });
        single.chain(risks).chain(self.interaction.iter().flat_map(Rounds::named)).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::eval::{MaskScores, Risk};

    pub fn case(modality: &str, dsc: f64) -> CaseReport {
        let mut pixels = PixelStatistics::default();
        pixels.push(0.9, 0.4, true, dsc > 0.5);
        pixels.push(0.2, 0.7, false, false);
        let risks = vec![Risk { alpha: 0.1, fnr: 1.0 - dsc, fpr: 0.5 }];
        let mask = MaskScores {
            area: 9.0,
            soft_dice: 0.9,
            predicted_iou: 0.8,
            member_dice: None,
            pairwise_dice: None,
            mean_entropy: 0.1,
            mean_epistemic: None,
            doubt: [0.2, 0.1],
            errors: [0.1, 0.0],
        };
        let needs_review = Some(dsc < 0.5);
        let found =
            BoxScores { share: 0.2, dsc, expected_dsc: 0.7, needs_review, risks, mask: Some(mask), guarantees: None };
        CaseReport {
            case: format!("{modality}-{dsc}"),
            modality: modality.into(),
            dataset: "d".into(),
            scores: CaseScores {
                dsc,
                nsd: dsc / 2.0,
                contour_nsd: None,
                boxes: vec![found],
                pixels,
                raters: Vec::new(),
                shift: None,
                interaction: None,
            },
        }
    }

    #[test]
    fn groups_are_means_with_intervals() {
        let cases = [case("CT", 0.8), case("CT", 0.4), case("MR", 0.9)];
        let report = Report::new(serde_json::json!({}), &cases, Vec::new());
        let overall = &report.overall.metrics;
        assert_eq!(overall.n, 3);
        assert!((overall.dsc - 0.7).abs() < 1e-12 && (overall.nsd - 0.35).abs() < 1e-12);
        assert!((overall.expected_dsc_mae.unwrap() - 0.2).abs() < 1e-12);
        assert!((overall.flagged.unwrap() - 1.0 / 3.0).abs() < 1e-12);
        assert!((overall.conformal["0.1"].fnr - 0.3).abs() < 1e-12);
        assert_eq!(report.modalities["CT"].metrics.n, 2);
        assert!((report.modalities["CT"].metrics.dsc - 0.6).abs() < 1e-12);
        let [low, high] = report.overall.ci["dsc"];
        assert!((0.4..0.7).contains(&low) && high > 0.7 && high <= 0.9, "{low} {high}");
        assert!(report.overall.ci.contains_key("conformal.0.1.fnr"));
        assert_eq!(report.modalities["MR"].ci["dsc"], [0.9, 0.9]);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["cases"][0]["modality"], "CT");
        assert!(json["overall"]["auroc"].is_number() && json["cases"][2]["auroc"].is_null());
    }

    #[test]
    fn large_images_do_not_outweigh_small_ones() {
        let mut large = case("CT", 0.8);
        large.scores.pixels = PixelStatistics::default();
        (0..40_000).for_each(|_| large.scores.pixels.push(0.5, 1.0, true, false));
        let mut small = case("CT", 0.8);
        small.scores.pixels = PixelStatistics::default();
        (0..4_000).for_each(|_| small.scores.pixels.push(0.5, 1.0, true, true));
        let report = Report::new(serde_json::json!({}), &[large, small], Vec::new());
        assert!((report.overall.metrics.error_rate.unwrap() - 0.5).abs() < 1e-9);
    }
}
