//! Many answers to one prompt, as one probability and its uncertainty.

use super::agreement::Agreement;
use super::calibration::Scaling;
use super::entropy::{LogitTable, binary_entropy, entropy_of_logit, sigmoid};

/// Uncertainty per pixel, in bits, 0–1; `total = aleatoric + epistemic`.
///
/// Source of the decomposition: Houlsby et al., *Bayesian Active Learning by Disagreement*, 2011; Kendall and Gal 2017.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UncertaintyMaps {
    /// Entropy of the mean probability: how unsure the answer is.
    pub total: Vec<f32>,
    /// Mean entropy of the members: how unsure each of them is, as where the image itself is unclear.
    pub aleatoric: Vec<f32>,
    /// What the members disagree on, their mutual information: how much the answer hangs on the exact box and hypothesis.
    pub epistemic: Vec<f32>,
}

/// The members' answers as they are added up.
#[derive(Debug)]
pub struct Ensemble {
    scaling: Scaling,
    mask: Vec<u8>,
    mask_area: usize,
    probability: Vec<f32>,
    entropy: Vec<f32>,
    weight: f32,
    member_dice: f64,
    member_weight: f64,
}

impl Ensemble {
    /// Begins with the logits of the prompt as it was given, which alone make the mask: 1 where they are positive.
    pub fn new(logits: &[f32], scaling: Scaling) -> Self {
        let mask: Vec<u8> = logits.iter().map(|&logit| u8::from(logit > 0.0)).collect();
        Self {
            scaling,
            mask_area: mask.iter().map(|&inside| usize::from(inside)).sum(),
            mask,
            probability: vec![0.0; logits.len()],
            entropy: vec![0.0; logits.len()],
            weight: 0.0,
            member_dice: 0.0,
            member_weight: 0.0,
        }
    }

    /// The result of a single pass, whose logits make the mask and, scaled locally, the probability.
    pub fn single(logits: &[f32], scaled: &[f32], scaling: Scaling) -> Self {
        let mut ensemble = Self::new(logits, scaling);
        ensemble.weight = 1.0;
        for ((probability, entropy), &logit) in ensemble.probability.iter_mut().zip(&mut ensemble.entropy).zip(scaled) {
            let logit = scaling.apply(logit);
            *probability = sigmoid(logit);
            *entropy = entropy_of_logit(logit);
        }
        ensemble
    }

    /// Adds a member's logits.
    pub fn add(&mut self, logits: &[f32], weight: f32) {
        let table = LogitTable::get();
        let sums = self.probability.iter_mut().zip(&mut self.entropy);
        let (mut area, mut both) = (0, 0);
        for ((sums, &logit), &inside) in sums.zip(logits).zip(&self.mask) {
            let [probability, entropy] = table.look_up(self.scaling.apply(logit));
            *sums.0 += weight * probability;
            *sums.1 += weight * entropy;
            let is_positive = usize::from(logit > 0.0);
            area += is_positive;
            both += is_positive & usize::from(inside);
        }
        self.weight += weight;
        let dice = match area + self.mask_area {
            0 => 1.0,
            total => 2.0 * both as f64 / total as f64,
        };
        self.member_dice += f64::from(weight) * dice;
        self.member_weight += f64::from(weight);
    }

    /// Mask, calibrated probability, uncertainty, and the agreement, for which the network's predicted IoU is needed.
    ///
    /// # Panics
    /// If there are no members.
    pub fn finish(mut self, predicted_iou: f32) -> (Vec<u8>, Vec<f32>, UncertaintyMaps, Agreement) {
        assert!(self.weight > 0.0, "an ensemble has members");
        let is_single = self.member_weight == 0.0;
        let share = 1.0 / self.weight;
        let (mut sum, mut sum_in_mask) = (0.0, 0.0);
        let mut total = Vec::with_capacity(self.mask.len());
        let mut epistemic = Vec::with_capacity(self.mask.len());
        for ((probability, entropy), &inside) in self.probability.iter_mut().zip(&mut self.entropy).zip(&self.mask) {
            *probability = (*probability * share).clamp(0.0, 1.0);
            *entropy = (*entropy * share).min(1.0);
            // The mean's entropy is never below the mean entropy but for rounding.
            let entropy_of_mean = if is_single { *entropy } else { binary_entropy(*probability).max(*entropy) };
            total.push(entropy_of_mean);
            epistemic.push(entropy_of_mean - *entropy);
            sum += f64::from(*probability);
            sum_in_mask += f64::from(*probability) * f64::from(inside);
        }
        let iou = f64::from(predicted_iou).clamp(0.0, 1.0);
        let agreement = Agreement {
            soft_dice: if self.mask_area == 0 { 0.0 } else { 2.0 * sum_in_mask / (self.mask_area as f64 + sum) },
            member_dice: if is_single { 1.0 } else { self.member_dice / self.member_weight },
            predicted_dice: 2.0 * iou / (1.0 + iou),
        };
        let maps = UncertaintyMaps { total, aleatoric: self.entropy, epistemic };
        (self.mask, self.probability, maps, agreement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Scaling = Scaling { temperature: 1.0, bias: 0.0 };

    #[test]
    fn agreement_and_disagreement_by_hand() {
        // One pixel that all call even, one of which half are sure that it is inside and half that it is not.
        let members = [[0.0, 20.0], [0.0, -20.0]];
        let mut ensemble = Ensemble::new(&members[0], PLAIN);
        members.iter().for_each(|member| ensemble.add(member, 0.5));
        let (mask, probability, maps, agreement) = ensemble.finish(1.0);
        assert_eq!(mask, [0, 1]);
        assert!(probability.iter().all(|p| (p - 0.5).abs() < 1e-6));
        for (actual, expected) in [(maps.total, [1.0, 1.0]), (maps.aleatoric, [1.0, 0.0]), (maps.epistemic, [0.0, 1.0])]
        {
            assert!(actual.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{actual:?} is not {expected:?}");
        }
        // Soft Dice: 2 · 0.5 / (1 + 1). The first member's mask is the mask, the second's is empty.
        assert!((agreement.soft_dice - 0.5).abs() < 1e-6);
        assert_eq!((agreement.member_dice, agreement.predicted_dice), (0.5, 1.0));
    }

    #[test]
    fn members_that_agree_have_no_epistemic_uncertainty() {
        let logits: Vec<f32> = (-200..200).map(|step| step as f32 / 20.0).collect();
        let mut ensemble = Ensemble::new(&logits, PLAIN);
        (0..9).for_each(|_| ensemble.add(&logits, 1.0));
        let (mask, probability, maps, _) = ensemble.finish(0.8);
        let (single_mask, single_probability, single_maps, agreement) =
            Ensemble::single(&logits, &logits, PLAIN).finish(0.8);
        assert_eq!(mask, single_mask);
        assert!(maps.epistemic.iter().all(|&value| (0.0..1e-4).contains(&value)));
        assert!(probability.iter().zip(&single_probability).all(|(a, b)| (a - b).abs() < 1e-5));
        assert!(maps.total.iter().zip(&single_maps.total).all(|(a, b)| (a - b).abs() < 1e-4));
        assert_eq!(single_maps.total, single_maps.aleatoric);
        assert!(single_maps.epistemic.iter().all(|&value| value == 0.0));
        assert_eq!(agreement.member_dice, 1.0);
    }

    #[test]
    fn scaling_changes_probabilities_and_not_the_mask() {
        let logits = [-1.0, 1.0, 3.0];
        let scaling = Scaling { temperature: 2.0, bias: -1.0 };
        let (mask, probability, ..) = Ensemble::single(&logits, &logits, scaling).finish(0.5);
        assert_eq!(mask, [0, 1, 1]);
        for (probability, logit) in probability.iter().zip([-1.5, -0.5, 0.5]) {
            assert_eq!(*probability, sigmoid(logit));
        }
    }

    #[test]
    fn empty_and_full_masks_are_defined() {
        let (mask, _, maps, agreement) = Ensemble::single(&[-30.0; 4], &[-30.0; 4], PLAIN).finish(-0.2);
        assert_eq!((mask, agreement.soft_dice, agreement.predicted_dice), (vec![0; 4], 0.0, 0.0));
        assert!(maps.total.iter().all(|value| value.is_finite()));
        let (mask, _, _, agreement) = Ensemble::single(&[30.0; 4], &[30.0; 4], PLAIN).finish(1.3);
        assert_eq!((mask, agreement.soft_dice, agreement.predicted_dice), (vec![1; 4], 1.0, 1.0));
    }
}
