//! One structure that several raters outlined: what the probabilities say beside what the raters say, and what each rater says beside the others.

use serde::{Deserialize, Serialize};

use super::area::AreaBelief;
use crate::metrics::{RaterBins, dsc, pearson, spearman, threshold_dice};
use crate::segment::Segmentation;
use crate::uncertainty::binary_entropy;

/// Share of the raters' areas that an interval is meant to hold.
pub const AREA_INTERVAL: f64 = 0.9;

/// Of one structure of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RaterScores {
    /// Raters in the file.
    pub given: usize,
    /// Those that are used, by their number in the file from 0: outlines that are the same pixel by pixel count once.
    pub raters: Vec<usize>,
    /// Pixels that the box is judged by.
    pub region: RaterReliability,
    /// All pixels of the image.
    pub whole: RaterReliability,
    /// What the network says beside the raters.
    pub ours: RaterFigures,
    /// The same of the network's mask alone, as if it were sure of it.
    pub mask: RaterFigures,
    /// The interval and the sample of the ensemble's members' areas instead of the soft mask's; `None` of a single pass.
    pub members: Option<AreaFigures>,
    /// What the mean of all other raters says beside each rater; `None` of a single rater.
    pub human: Option<RaterFigures>,
}

/// Calibration beside raters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RaterReliability {
    /// Of the probability, beside each rater.
    pub each: Vec<RaterBins>,
    /// Beside the mean of the raters.
    pub mean: RaterBins,
    /// Of the mean of the other raters, beside each rater; empty of a single rater.
    pub human: Vec<RaterBins>,
}

/// Agreement with raters, means over them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RaterFigures {
    /// DSC of the mask with each rater's; of raters that of the others' majority with each.
    pub dsc: f64,
    /// QUBIQ's score beside the mean of the raters; of raters that of one rater's mask beside the mean of the others.
    pub qubiq: f64,
    /// Agreement of the area.
    pub area: AreaFigures,
    /// Pearson's correlation of the total uncertainty with the raters' disagreement, the entropy of their mean, over the region's pixels; of raters the disagreement of
    /// every second of them with that of the others. `None` where one does not vary.
    pub total: Option<[f64; 2]>,
    /// The same of the epistemic uncertainty.
    pub epistemic: Option<[f64; 2]>,
}

/// Agreement of an area with the raters', in shares of their mean area.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AreaFigures {
    /// Continuous ranked probability score, mean over raters; 0 is best.
    pub crps: f64,
    /// Share of the raters whose area lies in the interval, 0–1.
    pub coverage: f64,
    /// Width of the interval.
    pub width: f64,
    /// Mean of what is believed less the raters' mean.
    pub bias: f64,
}

/// The raters' masks of a label, without those that repeat an earlier one pixel by pixel, by their number.
pub fn distinct(raters: &[Vec<u8>], label: u8) -> Vec<(usize, Vec<u8>)> {
    let mut kept: Vec<(usize, Vec<u8>)> = Vec::new();
    for (number, labels) in raters.iter().enumerate() {
        let mask: Vec<u8> = labels.iter().map(|&value| u8::from(value == label)).collect();
        if kept.iter().all(|(_, other)| *other != mask) {
            kept.push((number, mask));
        }
    }
    kept
}

/// What is compared with raters.
#[derive(Debug, Clone, Copy)]
struct Said<'a> {
    mask: &'a [u8],
    probability: &'a [f32],
    total: &'a [f32],
    epistemic: &'a [f32],
}

impl RaterScores {
    /// Compares; `None` without raters.
    ///
    /// # Shapes
    /// - `raters`: labels of the image's pixels, of each rater
    /// - `region`: places of the pixels that the box is judged by
    /// - `members`: areas of the ensemble's members, in pixels
    pub fn new(
        found: &Segmentation,
        raters: &[Vec<u8>],
        label: u8,
        region: &[usize],
        members: Option<&[f64]>,
    ) -> Option<Self> {
        let (mask, probability) = (&found.mask[..], &found.probability[..]);
        let (total, epistemic) = (&found.uncertainty.total[..], &found.uncertainty.epistemic[..]);
        let said = Said { mask, probability, total, epistemic };
        Self::compared(said, &AreaBelief::of(found), raters, label, region, members)
    }

    fn compared(
        said: Said,
        belief: &AreaBelief,
        raters: &[Vec<u8>],
        label: u8,
        region: &[usize],
        members: Option<&[f64]>,
    ) -> Option<Self> {
        let (numbers, masks): (Vec<usize>, Vec<Vec<u8>>) = distinct(raters, label).into_iter().unzip();
        let all = Outlines::new(masks)?;
        let probability: Vec<f64> = said.probability.iter().map(|&p| f64::from(p)).collect();
        let binary: Vec<f64> = said.mask.iter().map(|&inside| f64::from(u8::from(inside != 0))).collect();
        let disagreement = all.disagreement(region);
        let correlation = |map: &[f32]| {
            let map: Vec<f64> = region.iter().map(|&pixel| f64::from(map[pixel])).collect();
            Some([pearson(&map, &disagreement)?, spearman(&map, &disagreement)?])
        };
        let of_mask = all.masks.iter().map(|mask| dsc(said.mask, mask)).sum::<f64>() / all.masks.len() as f64;
        let figures = |soft: &[f64], belief: &AreaBelief, [total, epistemic]: [Option<[f64; 2]>; 2]| RaterFigures {
            dsc: of_mask,
            qubiq: threshold_dice(soft, &all.mean),
            area: all.area(belief),
            total,
            epistemic,
        };
        let whole: Vec<usize> = (0..probability.len()).collect();
        let sure = AreaBelief::of_areas(vec![binary.iter().sum()]);
        Some(Self {
            given: raters.len(),
            raters: numbers,
            region: all.reliability(&probability, region),
            whole: all.reliability(&probability, &whole),
            ours: figures(&probability, belief, [correlation(said.total), correlation(said.epistemic)]),
            mask: figures(&binary, &sure, [None; 2]),
            members: members.map(|areas| all.area(&AreaBelief::of_areas(areas.to_vec()))),
            human: all.human(region),
        })
    }
}

/// Masks of different raters.
struct Outlines {
    masks: Vec<Vec<u8>>,
    /// Share of the raters that say inside.
    mean: Vec<f64>,
    areas: Vec<f64>,
}

impl Outlines {
    fn new(masks: Vec<Vec<u8>>) -> Option<Self> {
        let count = masks.len() as f64;
        let mean = |pixel: usize| masks.iter().map(|mask| f64::from(mask[pixel])).sum::<f64>() / count;
        let mean = (0..masks.first()?.len()).map(mean).collect();
        let areas = masks.iter().map(|mask| mask.iter().map(|&inside| f64::from(inside)).sum()).collect();
        Some(Self { masks, mean, areas })
    }

    /// The entropy of the raters' mean, in bits; the same to the last bit where as many say inside as elsewhere outside.
    fn disagreement(&self, region: &[usize]) -> Vec<f64> {
        let count = self.masks.len() as f64;
        let entropy = |&pixel: &usize| {
            let inside = (self.mean[pixel] * count).round();
            f64::from(binary_entropy((inside.min(count - inside) / count) as f32))
        };
        region.iter().map(entropy).collect()
    }

    /// The others, without one.
    fn without(&self, rater: usize) -> Option<Self> {
        let others = self.masks.iter().enumerate().filter(|(other, _)| *other != rater);
        Self::new(others.map(|(_, mask)| mask.clone()).collect())
    }

    fn reliability(&self, probability: &[f64], pixels: &[usize]) -> RaterReliability {
        let beside = |soft: &[f64], inside: &dyn Fn(usize) -> f64| {
            let mut sums = RaterBins::default();
            pixels.iter().for_each(|&pixel| sums.push(soft[pixel], inside(pixel)));
            sums
        };
        let count = self.masks.len() as f64;
        let human = |mask: &Vec<u8>| {
            let mut sums = RaterBins::default();
            for &pixel in pixels {
                let own = f64::from(mask[pixel]);
                let others = (self.mean[pixel] * count - own) / (count - 1.0);
                sums.push(others.clamp(0.0, 1.0), own);
            }
            sums
        };
        RaterReliability {
            each: self.masks.iter().map(|mask| beside(probability, &|pixel| f64::from(mask[pixel]))).collect(),
            mean: beside(probability, &|pixel| self.mean[pixel]),
            human: if self.masks.len() > 1 { self.masks.iter().map(human).collect() } else { Vec::new() },
        }
    }

    fn area(&self, belief: &AreaBelief) -> AreaFigures {
        let count = self.areas.len() as f64;
        let mean = self.areas.iter().sum::<f64>() / count;
        let [low, high] = belief.interval;
        let held = self.areas.iter().filter(|area| (low..=high).contains(*area)).count();
        let unit = mean.max(1.0);
        AreaFigures {
            crps: self.areas.iter().map(|&area| belief.crps(area)).sum::<f64>() / count / unit,
            coverage: held as f64 / count,
            width: (high - low) / unit,
            bias: (belief.mean() - mean) / unit,
        }
    }

    /// Each rater beside the others.
    fn human(&self, region: &[usize]) -> Option<RaterFigures> {
        let count = self.masks.len() as f64;
        let (mut dsc_sum, mut qubiq, mut area) = (0.0, 0.0, [0.0; 4]);
        for (rater, mask) in self.masks.iter().enumerate() {
            let others = self.without(rater)?;
            let majority: Vec<u8> = others.mean.iter().map(|&share| u8::from(share >= 0.5)).collect();
            dsc_sum += dsc(&majority, mask);
            let own: Vec<f64> = mask.iter().map(|&inside| f64::from(inside)).collect();
            qubiq += threshold_dice(&own, &others.mean);
            let alone = Self { masks: Vec::new(), mean: Vec::new(), areas: vec![self.areas[rater]] };
            let AreaFigures { crps, coverage, width, bias } = alone.area(&AreaBelief::of_areas(others.areas));
            // In shares of the raters' mean area, as elsewhere.
            let unit = self.areas[rater].max(1.0) / (self.areas.iter().sum::<f64>() / count).max(1.0);
            for (sum, value) in area.iter_mut().zip([crps * unit, coverage, width * unit, bias * unit]) {
                *sum += value;
            }
        }
        let half = |odd: bool| {
            let masks = self.masks.iter().enumerate().filter(|(rater, _)| (rater % 2 == 1) == odd);
            Self::new(masks.map(|(_, mask)| mask.clone()).collect())
        };
        let (a, b) = (half(false)?.disagreement(region), half(true)?.disagreement(region));
        let [crps, coverage, width, bias] = area.map(|sum| sum / count);
        Some(RaterFigures {
            dsc: dsc_sum / count,
            qubiq: qubiq / count,
            area: AreaFigures { crps, coverage, width, bias },
            total: pearson(&a, &b).zip(spearman(&a, &b)).map(|(pearson, spearman)| [pearson, spearman]),
            epistemic: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four pixels: all raters say the first, two of three the second, one the third.
    fn raters() -> Vec<Vec<u8>> {
        vec![vec![1, 1, 0, 0], vec![1, 1, 0, 0], vec![1, 0, 0, 0], vec![1, 1, 1, 0]]
    }

    fn compared(raters: &[Vec<u8>], probability: &[f32], members: Option<&[f64]>) -> Option<RaterScores> {
        let mask: Vec<u8> = probability.iter().map(|&p| u8::from(p > 0.5)).collect();
        let said = Said { mask: &mask, probability, total: &[0.0, 0.9, 0.5, 0.1], epistemic: &[0.0; 4] };
        let belief = AreaBelief::of_areas(vec![2.0]);
        RaterScores::compared(said, &belief, raters, 1, &[0, 1, 2], members)
    }

    #[test]
    fn figures_by_hand() {
        let scores = compared(&raters(), &[1.0, 0.75, 0.25, 0.25], Some(&[1.0, 3.0])).unwrap();
        // The second rater repeats the first.
        assert_eq!((scores.given, &scores.raters[..]), (4, &[0, 2, 3][..]));
        // The mask {0, 1} with areas 2, 1 and 3.
        assert!((scores.ours.dsc - (1.0 + 2.0 / 3.0 + 4.0 / 5.0) / 3.0).abs() < 1e-12);
        // Region: beside the first rater |0.75 − 1| + |0.25 − 0|, the others −; of the mean |0.75 − 2/3| + |0.25 − 1/3|, over three pixels.
        let ece = |reliability: &RaterBins| reliability.ece().unwrap();
        let each: Vec<f64> = scores.region.each.iter().map(ece).collect();
        for (found, expected) in each.iter().zip([0.5, 1.0, 1.0]) {
            assert!((found - expected / 3.0).abs() < 1e-12, "{each:?}");
        }
        assert!((ece(&scores.region.mean) - (1.0 / 12.0 + 1.0 / 12.0) / 3.0).abs() < 1e-12);
        // The fourth pixel, 0.25 outside, falls into the third's bin: |0.5 − 1/3|.
        assert!((ece(&scores.whole.mean) - (1.0 / 12.0 + 1.0 / 6.0) / 4.0).abs() < 1e-12);
        // QUBIQ: at 0.1–0.2 {0, 1, 2, 3} and {0, 1, 2}; 0.3 {0, 1} and {0, 1, 2}; 0.4–0.6 both {0, 1}; 0.7 {0, 1} and {0}; 0.8–0.9 both {0}.
        let expected = (2.0 * 6.0 / 7.0 + 4.0 / 5.0 + 3.0 + 2.0 / 3.0 + 2.0) / 9.0;
        assert!((scores.ours.qubiq - expected).abs() < 1e-12);
        // An area of 2 in units of the mean area 2: distances 0, 1, 1; one area of three is held.
        let AreaFigures { crps, coverage, width, bias } = scores.ours.area;
        assert!((crps - 1.0 / 3.0).abs() < 1e-12 && (coverage - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!((width, bias), (0.0, 0.0));
        // Members of 1 and 3: the interval 1.1–2.9 holds only 2. CRPS: 1, 1, 1 less ½ each.
        let members = scores.members.unwrap();
        assert!((members.coverage - 1.0 / 3.0).abs() < 1e-12 && (members.width - 0.9).abs() < 1e-12);
        assert!((members.crps - 0.25).abs() < 1e-12);
        // Raters are as unsure of the second as of the third, we are not: ranks (0, 2, 1) and (0, 1.5, 1.5).
        let [pearson, spearman] = scores.ours.total.unwrap();
        assert!((spearman - 1.5 / (2.0f64 * 1.5).sqrt()).abs() < 1e-12 && pearson > 0.8);
        assert_eq!(scores.ours.epistemic, None);
    }

    #[test]
    fn raters_beside_the_others_by_hand() {
        let human = compared(&raters(), &[1.0; 4], None).unwrap().human.unwrap();
        // Rater {0, 1}: the others' mean (1, ½, ½), majority {0, 1, 2}. {0}: (1, 1, ½), {0, 1, 2}. {0, 1, 2}: (1, ½, 0), {0, 1}.
        assert!((human.dsc - (4.0 / 5.0 + 1.0 / 2.0 + 4.0 / 5.0) / 3.0).abs() < 1e-12);
        let qubiq =
            (5.0 * 0.8 + 4.0 * 2.0 / 3.0) / 9.0 + (5.0 * 0.5 + 4.0 * 2.0 / 3.0) / 9.0 + (5.0 * 0.8 + 4.0 * 0.5) / 9.0;
        assert!((human.qubiq - qubiq / 3.0).abs() < 1e-12);
        // Areas of the others: 1 and 3 beside 2, 2 and 3 beside 1, 2 and 1 beside 3; over the mean area 2.
        assert!((human.area.crps - (0.5 + 1.25 + 1.25) / 3.0 / 2.0).abs() < 1e-12);
        assert!((human.area.coverage - 1.0 / 3.0).abs() < 1e-12 && human.area.bias.abs() < 1e-12);
    }

    #[test]
    fn one_rater_has_no_others_and_none_nothing() {
        assert_eq!(compared(&[], &[1.0; 4], None), None);
        let one = compared(&raters()[..2], &[1.0, 1.0, 0.0, 0.0], None).unwrap();
        assert_eq!((one.given, one.human, one.ours.total, one.ours.dsc), (2, None, None, 1.0));
        assert_eq!(one.region.each[0].ece(), Some(0.0));
        assert!(one.region.human.is_empty());
        // Nobody outlined anything, and neither did the network.
        let nothing = compared(&[vec![0; 4], vec![2; 4]], &[0.0; 4], Some(&[0.0])).unwrap();
        assert_eq!((nothing.raters.len(), nothing.ours.dsc, nothing.ours.qubiq), (1, 1.0, 1.0));
        let json = serde_json::to_string(&nothing).unwrap();
        assert!(!json.contains("NaN") && nothing.ours.area.crps.is_finite());
    }
}
