//! Which order of masks keeps the poor ones back: risk and coverage over whole masks and images.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::group::{BOOTSTRAP_DRAWS, resample};
use super::report::CaseReport;
use crate::metrics::{Ordered, Selected, mean_risk};

/// The order that the others are compared with: the mean Dice of all pairs of members (Zenk et al. 2025).
const BASELINE: &str = "pairwise_dice";

/// Risk and coverage of a group of cases, where the risk is 1 − DSC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Selective {
    /// Every mask counts the same.
    pub masks: Ranking,
    /// Every image counts the same, with the means over its masks.
    pub images: Ranking,
}

/// Orders of the same results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// Number of results.
    pub n: usize,
    /// AURC of the order by the risk itself.
    pub ideal: f64,
    /// AURC of an order by chance: the mean risk.
    pub random: f64,
    /// By name; only what every result has.
    pub orders: BTreeMap<String, OrderScores>,
}

/// One order.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OrderScores {
    /// Area under the risk–coverage curve.
    pub aurc: f64,
    /// The same as a multiple of the ideal order's; `None` where that is 0.
    pub of_ideal: Option<f64>,
    /// 95 % percentile interval of the multiple, by bootstrap over cases.
    pub of_ideal_ci: Option<[f64; 2]>,
    /// 95 % interval of the AURC less that of the members' pairwise Dice; `None` without members.
    pub beside_pairwise_ci: Option<[f64; 2]>,
}

impl Selective {
    /// Of images whose masks were measured; `None` without any.
    pub fn new(cases: &[&CaseReport]) -> Option<Self> {
        let (mut masks, mut images) = (Orders::default(), Orders::default());
        for (group, case) in cases.iter().enumerate() {
            let of_case: Vec<(Vec<(&str, f64)>, f64)> = (case.scores.boxes.iter())
                .filter_map(|found| Some((found.mask.as_ref()?.confidences(found.expected_dsc), 1.0 - found.dsc)))
                .collect();
            let mut means: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
            for (confidences, risk) in &of_case {
                masks.push(confidences, *risk, group);
                for &(name, value) in confidences {
                    let mean = means.entry(name).or_default();
                    *mean = (mean.0 + value / of_case.len() as f64, mean.1 + 1);
                }
            }
            let risk = of_case.iter().map(|(_, risk)| risk).sum::<f64>() / of_case.len().max(1) as f64;
            let means = means.into_iter().filter(|(_, (_, count))| *count == of_case.len());
            let means: Vec<(&str, f64)> = means.map(|(name, (mean, _))| (name, mean)).collect();
            if !of_case.is_empty() {
                images.push(&means, risk, group);
            }
        }
        Some(Self { masks: masks.ranking(cases.len())?, images: images.ranking(cases.len())? })
    }
}

/// Results by what they are put in order by.
#[derive(Debug, Default)]
pub(super) struct Orders {
    count: usize,
    by_name: BTreeMap<String, Vec<Selected>>,
}

impl Orders {
    /// Adds a result of case `group`.
    pub fn push(&mut self, confidences: &[(&str, f64)], risk: f64, group: usize) {
        self.count += 1;
        for &(name, confidence) in confidences {
            self.by_name.entry(name.into()).or_default().push(Selected { confidence, risk, group });
        }
    }

    /// Measures every order that all results have; `None` without results. `groups` is the number of cases.
    pub fn ranking(self, groups: usize) -> Option<Ranking> {
        let complete: BTreeMap<String, Vec<Selected>> =
            self.by_name.into_iter().filter(|(_, results)| results.len() == self.count).collect();
        let results = complete.values().next()?;
        let (ideal, random) = (Ordered::ideal(results), mean_risk(results)?);
        let orders: BTreeMap<String, Ordered> =
            complete.iter().map(|(name, results)| (name.clone(), Ordered::new(results.clone()))).collect();
        let all = |ordered: &Ordered| ordered.aurc(|_| 1);
        let ideal_aurc = all(&ideal)?;
        let draws = Draws::new(&ideal, &orders, groups);
        let scores = orders.iter().filter_map(|(name, ordered)| {
            let aurc = all(ordered)?;
            Some((
                name.clone(),
                OrderScores {
                    aurc,
                    of_ideal: (ideal_aurc > 0.0).then(|| aurc / ideal_aurc),
                    of_ideal_ci: draws.interval(name, |aurc, ideal, _| (ideal > 0.0).then(|| aurc / ideal)),
                    beside_pairwise_ci: draws.interval(name, |aurc, _, baseline| Some(aurc - baseline?)),
                },
            ))
        });
        Some(Ranking { n: self.count, ideal: ideal_aurc, random, orders: scores.collect() })
    }
}

/// Areas of every order in every draw of the bootstrap.
struct Draws {
    ideal: Vec<f64>,
    orders: BTreeMap<String, Vec<f64>>,
}

impl Draws {
    fn new(ideal: &Ordered, orders: &BTreeMap<String, Ordered>, groups: usize) -> Self {
        use rayon::prelude::*;
        let weights: Vec<Vec<f64>> = (0..BOOTSTRAP_DRAWS as u64).map(|draw| resample(groups, draw)).collect();
        let areas = |ordered: &Ordered| -> Vec<f64> {
            let area = |weights: &Vec<f64>| ordered.aurc(|group| weights[group] as u32).unwrap_or(f64::NAN);
            weights.par_iter().map(area).collect()
        };
        Self { ideal: areas(ideal), orders: orders.iter().map(|(name, order)| (name.clone(), areas(order))).collect() }
    }

    /// The middle 95 % of a number that is made of an order's area, the ideal one and the baseline's.
    fn interval(&self, name: &str, number: impl Fn(f64, f64, Option<f64>) -> Option<f64>) -> Option<[f64; 2]> {
        let (areas, baseline) = (&self.orders[name], self.orders.get(BASELINE));
        let of_draw = |draw: usize| number(areas[draw], self.ideal[draw], baseline.map(|baseline| baseline[draw]));
        let mut numbers: Vec<f64> = (0..areas.len()).filter_map(of_draw).filter(|number| number.is_finite()).collect();
        numbers.sort_by(f64::total_cmp);
        let last = numbers.len().checked_sub(1)?;
        Some([0.025, 0.975].map(|share| numbers[(last as f64 * share).round() as usize]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_compared_with_the_ideal_and_the_baseline() {
        let mut orders = Orders::default();
        // By the expected DSC as the risk is, by pairwise Dice the other way round, and one that not all have.
        for (group, risk) in [0.1, 0.2, 0.6].into_iter().enumerate() {
            let mut confidences = vec![("expected_dsc", 1.0 - risk), ("pairwise_dice", risk)];
            confidences.extend((group == 0).then_some(("member_dice", 0.5)));
            orders.push(&confidences, risk, group);
        }
        let ranking = orders.ranking(3).unwrap();
        assert_eq!(ranking.n, 3);
        // Mean risks 0.1, 0.15, 0.3, and the other way round 0.6, 0.4, 0.3.
        assert!((ranking.ideal - 0.55 / 3.0).abs() < 1e-12 && (ranking.random - 0.3).abs() < 1e-12);
        let names: Vec<&str> = ranking.orders.keys().map(String::as_str).collect();
        assert_eq!(names, ["expected_dsc", "pairwise_dice"]);
        assert!((ranking.orders["expected_dsc"].of_ideal.unwrap() - 1.0).abs() < 1e-12);
        assert!((ranking.orders["pairwise_dice"].aurc - 1.3 / 3.0).abs() < 1e-12);
        let [low, high] = ranking.orders["expected_dsc"].beside_pairwise_ci.unwrap();
        assert!(low < high && high <= 0.0, "{low} {high}");
        assert_eq!(ranking.orders["pairwise_dice"].beside_pairwise_ci, Some([0.0, 0.0]));
    }

    #[test]
    fn perfect_masks_have_no_multiple_and_no_masks_no_ranking() {
        let mut orders = Orders::default();
        orders.push(&[("expected_dsc", 0.9)], 0.0, 0);
        let ranking = orders.ranking(1).unwrap();
        let found = ranking.orders["expected_dsc"];
        assert_eq!((found.aurc, found.of_ideal, found.of_ideal_ci), (0.0, None, None));
        assert!(Orders::default().ranking(0).is_none() && Selective::new(&[]).is_none());
    }
}
