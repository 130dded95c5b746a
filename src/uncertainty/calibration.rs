//! What was learned on images with masks, so that numbers mean what they say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::agreement::Agreement;
use super::guarantee::{AreaThresholds, PerObjectThresholds};
use super::options::UncertaintyOptions;
use super::prompt_kind::PromptKind;
use super::shift::ShiftAlarm;

/// Calibration of one network, stored in its weight file by `umedsam calibrate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// SHA-256 of the checkpoint that it was learned for.
    pub source_sha256: String,
    /// What it was learned on: guarantees hold for images drawn as these were.
    pub data: CalibrationData,
    /// What was learned, for each kind of ensemble; the first is the default.
    pub settings: Vec<Setting>,
    /// What its images look like; `None` of a calibration that cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift: Option<ShiftAlarm>,
}

/// Images that a calibration was learned on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationData {
    /// In words.
    pub description: String,
    /// Number of images.
    pub cases: usize,
    /// Number of boxes.
    pub boxes: usize,
    /// Images by modality.
    pub modalities: BTreeMap<String, usize>,
}

/// What was learned for one kind of ensemble.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The ensemble; its seed does not matter.
    pub options: UncertaintyOptions,
    /// Whether it is for small boxes that are seen in a crop of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub zoom: bool,
    /// The kind of prompt.
    #[serde(default, skip_serializing_if = "is_box")]
    pub prompt: PromptKind,
    /// Logits to calibrated logits.
    pub scaling: Scaling,
    /// Thresholds by α, rising.
    pub conformal: Vec<ConformalThresholds>,
    /// Agreement to an expected DSC.
    pub expected_dsc: ExpectedDsc,
    /// When to ask for a second look.
    pub review: ReviewRule,
    /// Thresholds that hold for single objects, rising by α, then δ; empty where none were learned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_object: Vec<PerObjectThresholds>,
    /// Thresholds of the area's interval, rising by coverage; empty where none were learned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub area: Vec<AreaThresholds>,
}

fn is_box(kind: &PromptKind) -> bool {
    *kind == PromptKind::Box
}

/// Logits to calibrated logits: `z / temperature + bias` (Guo et al. 2017; Platt 1999).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// Above 1 where the network is too sure of itself.
    pub temperature: f32,
    /// Below 0 where masks are too large.
    pub bias: f32,
}

impl Default for Scaling {
    fn default() -> Self {
        Self { temperature: 1.0, bias: 0.0 }
    }
}

impl Scaling {
    /// The calibrated logit.
    pub fn apply(&self, logit: f32) -> f32 {
        logit / self.temperature + self.bias
    }
}

/// Thresholds on the calibrated probability that bound risks by `alpha` (conformal risk control, Angelopoulos et al. 2022).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConformalThresholds {
    /// The bound, 0–1.
    pub alpha: f64,
    /// Outer mask: probability at least this; the whole image if there is no such threshold.
    pub outer: Option<f32>,
    /// Inner mask: probability at least this; empty if there is no such threshold.
    pub inner: Option<f32>,
}

impl ConformalThresholds {
    /// The outer mask: where the probability reaches its threshold, and the mask itself.
    pub fn outer_mask(&self, probability: &[f32], mask: &[u8]) -> Vec<u8> {
        let is_outer = |p: f32| self.outer.is_none_or(|threshold| p >= threshold);
        probability.iter().zip(mask).map(|(&p, &inside)| u8::from(inside != 0 || is_outer(p))).collect()
    }

    /// The inner mask: where the probability reaches its threshold within the mask.
    pub fn inner_mask(&self, probability: &[f32], mask: &[u8]) -> Vec<u8> {
        let is_inner = |p: f32| self.inner.is_some_and(|threshold| p >= threshold);
        probability.iter().zip(mask).map(|(&p, &inside)| u8::from(inside != 0 && is_inner(p))).collect()
    }
}

/// A linear model of the DSC, clipped to 0–1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedDsc {
    /// Constant term.
    pub intercept: f64,
    /// Weight of [`Agreement::soft_dice`].
    pub soft_dice: f64,
    /// Weight of [`Agreement::member_dice`].
    pub member_dice: f64,
    /// Weight of [`Agreement::predicted_dice`].
    pub predicted_dice: f64,
    /// Mean distance from the true DSC on images that the model was not fitted to, by cross-validation.
    pub mean_absolute_error: f64,
}

impl Default for ExpectedDsc {
    /// Without calibration: what the probabilities predict.
    fn default() -> Self {
        Self { intercept: 0.0, soft_dice: 1.0, member_dice: 0.0, predicted_dice: 0.0, mean_absolute_error: f64::NAN }
    }
}

impl ExpectedDsc {
    /// The expected DSC, 0–1.
    pub fn predict(&self, agreement: &Agreement) -> f64 {
        let Agreement { soft_dice, member_dice, predicted_dice } = agreement;
        let sum = self.intercept
            + self.soft_dice * soft_dice
            + self.member_dice * member_dice
            + self.predicted_dice * predicted_dice;
        sum.clamp(0.0, 1.0)
    }
}

/// When a mask needs a second look.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewRule {
    /// Masks with a DSC below this are poor.
    pub poor_dsc: f64,
    /// Masks with an expected DSC below this are flagged.
    pub threshold: f64,
    /// Share of the poor masks that is flagged at least, in expectation.
    pub sensitivity: f64,
    /// Share of the masks of the calibration images that it flags.
    pub flagged: f64,
}

/// Whether a calibration was made for what it is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CalibrationUse {
    /// For this kind of ensemble: probabilities are calibrated and guarantees hold.
    Fitted,
    /// For another kind of ensemble: probabilities are about right, guarantees are not given.
    Nearest,
    /// Not at all: probabilities are the network's own.
    None,
}

/// The largest weight of a model of the DSC, far above any that is fitted.
const LARGEST_WEIGHT: f64 = 1e6;

impl Calibration {
    /// Whether something was learned for small boxes that are seen in crops.
    pub fn knows_zoom(&self) -> bool {
        self.settings.iter().any(|setting| setting.zoom)
    }

    /// What was learned for these options, of a kind of prompt in the whole image or in crops, or for the most similar ones.
    pub fn setting(
        &self,
        options: &UncertaintyOptions,
        zoom: bool,
        kind: PromptKind,
    ) -> Option<(&Setting, CalibrationUse)> {
        let is_it = |setting: &&Setting| {
            setting.prompt == kind && setting.zoom == zoom && setting.options.same_ensemble(options)
        };
        if let Some(setting) = self.settings.iter().find(is_it) {
            return Some((setting, CalibrationUse::Fitted));
        }
        let distance = |setting: &&Setting| {
            let other = &setting.options;
            let kind_of_ensemble = usize::from(other.is_single_pass() != options.is_single_pass());
            (
                usize::from(setting.prompt != kind),
                usize::from(setting.zoom != zoom),
                kind_of_ensemble,
                usize::from(other.flips != options.flips),
                other.samples.abs_diff(options.samples),
            )
        };
        self.settings.iter().min_by_key(distance).map(|setting| (setting, CalibrationUse::Nearest))
    }

    /// What is wrong with the values, if anything.
    ///
    /// # Errors
    /// A message that names the value.
    pub fn check(&self) -> Result<(), String> {
        for setting in &self.settings {
            let Setting { options, scaling, conformal, expected_dsc, review, .. } = setting;
            options.checked().map_err(|error| error.to_string())?;
            if !(scaling.temperature > 0.0 && scaling.temperature.is_finite() && scaling.bias.is_finite()) {
                return Err(format!("impossible scaling {scaling:?}"));
            }
            if conformal.iter().any(|row| !(row.alpha > 0.0 && row.alpha < 1.0))
                || !conformal.is_sorted_by_key(|row| row.alpha)
            {
                return Err("the conformal thresholds are not sorted by an α in 0–1".into());
            }
            let thresholds = conformal.iter().flat_map(|row| [row.outer, row.inner]).flatten();
            if let Some(threshold) = thresholds.into_iter().find(|threshold| !(0.0..=1.0).contains(threshold)) {
                return Err(format!("a conformal threshold is {threshold}, not a probability"));
            }
            let ExpectedDsc { intercept, soft_dice, member_dice, predicted_dice, .. } = expected_dsc;
            // Larger ones could overflow to what is no number.
            let numbers = [intercept, soft_dice, member_dice, predicted_dice, &review.threshold];
            if let Some(number) = numbers.into_iter().find(|number| number.is_nan() || number.abs() > LARGEST_WEIGHT) {
                return Err(format!("the expected DSC's model has {number}; at most {LARGEST_WEIGHT}"));
            }
            setting.check_objects()?;
        }
        self.shift.as_ref().map_or(Ok(()), ShiftAlarm::check)?;
        match self.settings.is_empty() {
            true => Err("the calibration is empty".into()),
            false => Ok(()),
        }
    }
}

impl Setting {
    /// The thresholds for a bound: those of the largest α of the table that is not above it, and that α; no thresholds below all.
    pub fn thresholds(&self, alpha: f64) -> ConformalThresholds {
        let rows = self.conformal.partition_point(|row| row.alpha <= alpha + 1e-9);
        match rows.checked_sub(1) {
            Some(row) => self.conformal[row],
            None => ConformalThresholds { alpha, outer: None, inner: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration() -> Calibration {
        let row = |alpha, outer, inner| ConformalThresholds { alpha, outer, inner };
        let setting = |options, zoom| Setting {
            zoom,
            prompt: PromptKind::Box,
            options,
            scaling: Scaling::default(),
            conformal: vec![row(0.05, None, Some(0.9)), row(0.1, Some(0.2), Some(0.7))],
            expected_dsc: ExpectedDsc::default(),
            review: ReviewRule { poor_dsc: 0.7, threshold: 0.8, sensitivity: 0.9, flagged: 0.2 },
            per_object: Vec::new(),
            area: Vec::new(),
        };
        Calibration {
            source_sha256: String::new(),
            data: CalibrationData { description: String::new(), cases: 1, boxes: 1, modalities: BTreeMap::new() },
            settings: vec![
                setting(UncertaintyOptions { samples: 8, ..Default::default() }, false),
                setting(UncertaintyOptions::single_pass(), false),
                setting(UncertaintyOptions::single_pass(), true),
            ],
            shift: None,
        }
    }

    #[test]
    fn thresholds_never_promise_more_than_was_learned() {
        let calibration = calibration();
        let setting = &calibration.settings[0];
        assert_eq!(setting.thresholds(0.1).outer, Some(0.2));
        assert_eq!(setting.thresholds(0.099).inner, Some(0.9));
        assert_eq!(setting.thresholds(0.4).inner, Some(0.7));
        let none = setting.thresholds(0.01);
        assert_eq!(
            (none.outer_mask(&[0.0, 1.0], &[0, 1]), none.inner_mask(&[0.0, 1.0], &[0, 1])),
            (vec![1, 1], vec![0, 0])
        );
        assert_eq!(setting.thresholds(0.1).outer_mask(&[0.19, 0.2, 0.1], &[0, 0, 1]), [0, 1, 1]);
    }

    #[test]
    fn the_most_similar_setting_is_used() {
        let calibration = calibration();
        let used = |options: UncertaintyOptions| {
            let (setting, state) = calibration.setting(&options, false, PromptKind::Box).unwrap();
            assert!(!setting.zoom);
            (setting.options.samples, state)
        };
        let options = calibration.settings[0].options;
        assert_eq!(used(UncertaintyOptions { seed: 3, ..options }), (8, CalibrationUse::Fitted));
        assert_eq!(used(UncertaintyOptions { samples: 2, ..options }), (8, CalibrationUse::Nearest));
        assert_eq!(used(UncertaintyOptions::single_pass()), (0, CalibrationUse::Fitted));
        // In crops only what was learned in crops is fitted, and nearer than the same ensemble in whole images.
        for (options, state) in
            [(UncertaintyOptions::single_pass(), CalibrationUse::Fitted), (options, CalibrationUse::Nearest)]
        {
            let (setting, found) = calibration.setting(&options, true, PromptKind::Box).unwrap();
            assert!(setting.zoom && found == state);
        }
    }

    #[test]
    fn impossible_values_are_refused() {
        assert_eq!(calibration().check(), Ok(()));
        let mut broken = calibration();
        broken.settings[0].scaling.temperature = 0.0;
        assert!(broken.check().unwrap_err().contains("temperature"));
        let mut broken = calibration();
        broken.settings[1].conformal.reverse();
        assert!(broken.check().is_err());
        let mut broken = calibration();
        broken.settings[0].conformal[1].outer = Some(f32::INFINITY);
        assert!(broken.check().unwrap_err().contains("inf"));
        let mut broken = calibration();
        broken.settings[0].expected_dsc.soft_dice = 1e300;
        assert!(broken.check().is_err());
        let mut broken = calibration();
        broken.settings[2].area = vec![AreaThresholds { coverage: 1.0, smallest: None, largest: None }];
        assert!(broken.check().unwrap_err().contains("coverage: 1.0"));
        let mut broken = calibration();
        broken.settings.clear();
        assert!(broken.check().is_err());
    }
}
