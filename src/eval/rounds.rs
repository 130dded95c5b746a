//! Rounds of corrections of many cases, summed up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::clicks::{FirstPrompt, Interaction, Round};
use super::report::Coverage;
use crate::metrics::Reliability;

/// DSC in % that clicks are counted to.
const GOALS: [u32; 3] = [80, 85, 90];

/// The metrics of every round: means over cases, and within a case over structures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rounds {
    /// Round 0 answers the first prompt, each further one a click.
    pub rounds: Vec<RoundMetrics>,
    /// Number of clicks, by the DSC in % that they lead to.
    pub noc: BTreeMap<String, ClicksNeeded>,
    /// Area under the DSC of the rounds after the first, by trapezoids; `None` of fewer than two clicks.
    pub dsc_auc: Option<f64>,
    /// The same of the NSD.
    pub nsd_auc: Option<f64>,
}

/// The metrics of a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundMetrics {
    /// Dice similarity coefficient.
    pub dsc: f64,
    /// Normalized surface Dice at tolerance 2.
    pub nsd: f64,
    /// Expected calibration error of the pixels around the structures.
    pub ece: Option<f64>,
    /// Mean distance of the expected DSC from the DSC.
    pub expected_dsc_mae: f64,
    /// Risks by α; empty without calibration.
    pub conformal: BTreeMap<String, Coverage>,
}

/// How many clicks lead to a DSC: a first click counts, a first box does not.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClicksNeeded {
    /// The mean; where the DSC is never reached, all clicks count.
    pub mean: f64,
    /// The median.
    pub median: f64,
    /// Share of the structures that never reach it.
    pub never: f64,
}

impl Rounds {
    /// Every metric by name.
    pub fn named(&self) -> Vec<(String, f64)> {
        let rounds = self.rounds.iter().enumerate().flat_map(|(round, metrics)| {
            let name = move |metric: &str| format!("rounds.{round}.{metric}");
            let both = [(name("dsc"), metrics.dsc), (name("nsd"), metrics.nsd)];
            both.into_iter().chain(metrics.ece.map(|ece| (name("ece"), ece)))
        });
        let noc = self.noc.iter().flat_map(|(goal, needed)| {
            [(format!("noc.{goal}.mean"), needed.mean), (format!("noc.{goal}.never"), needed.never)]
        });
        let areas = [("dsc_auc", self.dsc_auc), ("nsd_auc", self.nsd_auc)];
        let areas = areas.into_iter().filter_map(|(name, area)| area.map(|area| (name.to_string(), area)));
        rounds.chain(noc).chain(areas).collect()
    }
}

/// Weighted sums over cases.
#[derive(Default)]
pub(super) struct RoundSums {
    weight: f64,
    rounds: Vec<RoundSum>,
    /// By goal, clicks needed (`None`: never) with their weight.
    needed: BTreeMap<u32, Vec<(Option<usize>, f64)>>,
    /// Clicks of those who never reach a goal.
    most: usize,
}

#[derive(Default)]
struct RoundSum {
    dsc: f64,
    nsd: f64,
    expected_dsc_error: f64,
    reliability: Reliability,
    risks: BTreeMap<String, [f64; 3]>,
}

impl RoundSums {
    pub fn add(&mut self, interaction: &Interaction, weight: f64, pixels_per_case: f64) {
        let share = weight / interaction.structures.len().max(1) as f64;
        let first_click = usize::from(interaction.first != FirstPrompt::Box);
        self.weight += if interaction.structures.is_empty() { 0.0 } else { weight };
        for rounds in &interaction.structures {
            self.rounds.resize_with(rounds.len().max(self.rounds.len()), RoundSum::default);
            self.rounds.iter_mut().zip(rounds).for_each(|(sum, round)| sum.add(round, share));
            self.most = self.most.max(rounds.len() - 1 + first_click);
            for goal in GOALS {
                let reached = rounds.iter().position(|round| round.dsc >= f64::from(goal) / 100.0);
                self.needed.entry(goal).or_default().push((reached.map(|round| round + first_click), share));
            }
        }
        for (sum, reliability) in self.rounds.iter_mut().zip(&interaction.reliability) {
            sum.reliability.add(reliability, weight * (pixels_per_case / reliability.pixels().max(1.0)).min(1.0));
        }
    }

    /// `None` where no clicks were simulated.
    pub fn metrics(&self) -> Option<Rounds> {
        if self.rounds.is_empty() {
            return None;
        }
        let rounds: Vec<RoundMetrics> = self.rounds.iter().map(|round| round.metrics(self.weight)).collect();
        let area = |value: fn(&RoundMetrics) -> f64| {
            let areas = rounds[1..].windows(2).map(|pair| (value(&pair[0]) + value(&pair[1])) / 2.0);
            (rounds.len() > 2).then(|| areas.sum::<f64>())
        };
        let (dsc_auc, nsd_auc) = (area(|round| round.dsc), area(|round| round.nsd));
        let noc = self.needed.iter().map(|(goal, needed)| (goal.to_string(), self.needed(needed))).collect();
        Some(Rounds { rounds, noc, dsc_auc, nsd_auc })
    }

    fn needed(&self, needed: &[(Option<usize>, f64)]) -> ClicksNeeded {
        let mut clicks: Vec<(f64, f64)> =
            needed.iter().map(|&(clicks, weight)| (clicks.unwrap_or(self.most) as f64, weight)).collect();
        clicks.sort_by(|a, b| a.0.total_cmp(&b.0));
        let never: f64 = needed.iter().filter(|(clicks, _)| clicks.is_none()).map(|(_, weight)| weight).sum();
        let mut below = 0.0;
        let median = clicks.iter().find(|(_, weight)| {
            below += weight;
            below >= self.weight / 2.0 - 1e-9
        });
        ClicksNeeded {
            mean: clicks.iter().map(|(clicks, weight)| clicks * weight).sum::<f64>() / self.weight,
            median: median.map_or(self.most as f64, |(clicks, _)| *clicks),
            // An empty sum is −0.
            never: never.max(0.0) / self.weight,
        }
    }
}

impl RoundSum {
    fn add(&mut self, round: &Round, share: f64) {
        self.dsc += share * round.dsc;
        self.nsd += share * round.nsd;
        self.expected_dsc_error += share * (round.expected_dsc - round.dsc).abs();
        for risk in &round.risks {
            let sums = self.risks.entry(risk.alpha.to_string()).or_default();
            sums[0] += share * risk.fnr;
            sums[1] += share * risk.fpr;
            sums[2] += share;
        }
    }

    fn metrics(&self, weight: f64) -> RoundMetrics {
        let risks = self.risks.iter();
        RoundMetrics {
            dsc: self.dsc / weight,
            nsd: self.nsd / weight,
            ece: self.reliability.ece(),
            expected_dsc_mae: self.expected_dsc_error / weight,
            conformal: risks
                .map(|(alpha, [fnr, fpr, weight])| (alpha.clone(), Coverage { fnr: fnr / weight, fpr: fpr / weight }))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interaction(first: FirstPrompt, structures: &[&[f64]]) -> Interaction {
        let round = |&dsc: &f64| Round { dsc, nsd: dsc / 2.0, expected_dsc: 0.9, risks: Vec::new() };
        let mut reliability = Reliability::default();
        reliability.push(0.5, 1.0);
        Interaction {
            first,
            structures: structures.iter().map(|rounds| rounds.iter().map(round).collect()).collect(),
            reliability: vec![reliability; structures[0].len()],
            last: None,
        }
    }

    #[test]
    fn clicks_are_counted_to_the_goal() {
        let mut sums = RoundSums::default();
        sums.add(&interaction(FirstPrompt::Box, &[&[0.81, 0.86, 0.91], &[0.7, 0.7, 0.84]]), 1.0, 4000.0);
        sums.add(&interaction(FirstPrompt::Box, &[&[0.95, 0.95, 0.95]]), 1.0, 4000.0);
        let rounds = sums.metrics().unwrap();
        assert!((rounds.rounds[0].dsc - (0.755 + 0.95) / 2.0).abs() < 1e-12);
        assert_eq!(rounds.rounds[0].ece, Some(0.5));
        let needed = rounds.noc["80"];
        // A quarter needs none, a quarter two, a half none.
        assert_eq!((needed.mean, needed.median, needed.never), (0.5, 0.0, 0.0));
        let needed = rounds.noc["90"];
        assert_eq!((needed.mean, needed.median, needed.never), (1.0, 0.0, 0.25));
        let [dsc_auc, nsd_auc] = [rounds.dsc_auc, rounds.nsd_auc].map(Option::unwrap);
        assert!((dsc_auc - (0.78 + 0.95 + 0.875 + 0.95) / 4.0).abs() < 1e-12);
        assert!((nsd_auc - dsc_auc / 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_first_click_is_a_click() {
        let mut sums = RoundSums::default();
        sums.add(&interaction(FirstPrompt::Click, &[&[0.92, 0.92], &[0.2, 0.3]]), 1.0, 4000.0);
        let needed = sums.metrics().unwrap().noc["90"];
        assert_eq!((needed.mean, needed.median, needed.never), (1.5, 1.0, 0.5));
    }
}
