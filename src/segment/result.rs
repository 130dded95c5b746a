//! Answers of the network to what people get.

use std::sync::Arc;

use serde::Serialize;

use super::{Crop, LowResMask, MaskSource, PlacedPrompt, SegmentOptions, Segmenter};
use crate::image::{BoundingBox, Flip, Geometry};
use crate::uncertainty::{
    AREA_COVERAGE, Agreement, AreaThresholds, Calibration, CalibrationUse, ConformalThresholds, Doubt, Ensemble,
    ExpectedDsc, Guarantee, PromptKind, ReviewRule, Scaling, Shift, Suggestion, UncertaintyMaps,
};

/// What the network says of one prompt.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Segmentation {
    /// The box as it was used: in order and within the image; `None` of a prompt without one.
    #[serde(rename = "box")]
    pub bounding_box: Option<BoundingBox>,
    /// 1 inside, 0 outside; `height · width` values, row by row.
    #[serde(skip)]
    pub mask: Vec<u8>,
    /// Probability of being inside, 0–1; `height · width` values.
    #[serde(skip)]
    pub probability: Vec<f32>,
    /// Uncertainty in bits; `height · width` values each.
    #[serde(skip)]
    pub uncertainty: UncertaintyMaps,
    /// Contains the mask and, for images like those of the calibration, all but a share of `alpha` of the object, as `guarantee` says. `None` where nothing
    /// was calibrated for this.
    #[serde(skip)]
    pub outer: Option<Vec<u8>>,
    /// Lies in the mask and consists, for images like those of the calibration, of the object but for a share of `alpha`, as `guarantee` says. `None` as above.
    #[serde(skip)]
    pub inner: Option<Vec<u8>>,
    /// What holds of `outer` and `inner`. `None` where nothing was calibrated for this, and of [`MaskSource::Consensus`], whose inner mask was not.
    pub guarantee: Option<Guarantee>,
    /// The network's own estimate of the mask's IoU with the truth; near 0–1 but not bounded.
    pub predicted_iou: f32,
    /// The DSC that is to be expected of the mask, 0–1.
    pub expected_dsc: f64,
    /// Whether someone should look, for the expected DSC is low or the image unlike the calibration's; `None` without calibration.
    pub needs_review: Option<bool>,
    /// How unlike the calibration's images this one is: with an alarm, nothing is promised of it, and `outer`, `inner`, `guarantee` and `area_interval` are `None`.
    /// `None` where the weights do not know.
    pub shift: Option<Shift>,
    /// Whether the numbers are calibrated for these options.
    pub calibration: CalibrationUse,
    /// What the expected DSC is made of.
    #[serde(skip)]
    pub agreement: Agreement,
    /// Pixels inside the mask.
    pub area: usize,
    /// Between how many pixels the object's area is in 90 % of the objects of images like those of the calibration; contains `area`. `None` where nothing was
    /// calibrated for this.
    pub area_interval: Option<[usize; 2]>,
    /// The network's answer before it was enlarged, to be corrected: see [`Prompt::previous`](super::Prompt::previous).
    #[serde(skip)]
    pub low_res: LowResMask,
    /// Where to ask a person next, the most promising first; empty of a single pass, which has no members to disagree.
    pub suggestions: Vec<Suggestion>,
    /// What the prompt was made of, by which the calibration was chosen.
    pub prompt_kind: PromptKind,
    /// The part of the image that was looked at by itself; `None` if it was the whole.
    pub zoom: Option<Crop>,
}

impl Segmentation {
    /// Promises nothing any more.
    pub(crate) fn withdraw(&mut self) {
        self.outer = None;
        self.inner = None;
        self.guarantee = None;
        self.area_interval = None;
    }
}

/// What the decoder says of one member of an ensemble.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Number of the perturbed box; 0 is the box as it was given.
    pub sample: usize,
    /// How the image was mirrored.
    pub flip: Option<Flip>,
    /// Low-res logits of the single mask, then, if asked for, of the multimask hypotheses.
    pub logits: Vec<Vec<f32>>,
    /// Predicted IoU of each.
    pub ious: Vec<f32>,
}

impl Answer {
    /// Whether this is the answer to the box as it was given, which makes the mask.
    pub fn is_plain(&self) -> bool {
        self.sample == 0 && self.flip.is_none()
    }

    /// Weight of each hypothesis, 1 together: `multimask` of it for the multimask hypotheses, in proportion to their predicted IoU.
    pub(super) fn weights(&self, multimask: f64) -> Vec<f32> {
        let ious: Vec<f64> = self.ious[1..].iter().map(|&iou| f64::from(iou).clamp(1e-3, 1.0)).collect();
        let sum: f64 = ious.iter().sum();
        let single = if ious.is_empty() { 1.0 } else { 1.0 - multimask };
        std::iter::once(single)
            .chain(ious.iter().map(|iou| multimask * iou / sum))
            .map(|weight| weight as f32)
            .collect()
    }
}

/// What calibration says for some options.
pub(super) struct Calibrated {
    pub(super) scaling: Scaling,
    pub(super) thresholds: Option<ConformalThresholds>,
    guarantee: Option<Guarantee>,
    pub(super) area: Option<AreaThresholds>,
    pub(super) expected_dsc: ExpectedDsc,
    pub(super) review: Option<ReviewRule>,
    pub(super) state: CalibrationUse,
    kind: PromptKind,
}

impl Calibrated {
    /// What a calibration says, or nothing.
    pub(super) fn new(
        calibration: Option<&Calibration>,
        options: &SegmentOptions,
        zoom: bool,
        kind: PromptKind,
    ) -> Self {
        match calibration.and_then(|calibration| calibration.setting(&options.uncertainty, zoom, kind)) {
            Some((setting, state)) => {
                let fitted = Some(setting).filter(|_| state == CalibrationUse::Fitted);
                let guaranteed = fitted.and_then(|setting| setting.guaranteed(options.alpha, options.delta));
                Self {
                    scaling: setting.scaling,
                    thresholds: guaranteed.map(|(thresholds, _)| thresholds),
                    guarantee: guaranteed.map(|(_, guarantee)| guarantee),
                    area: fitted.and_then(|setting| setting.area_thresholds(AREA_COVERAGE)),
                    expected_dsc: setting.expected_dsc,
                    review: Some(setting.review),
                    state,
                    kind,
                }
            }
            None => Self {
                scaling: Scaling::default(),
                thresholds: None,
                guarantee: None,
                area: None,
                expected_dsc: ExpectedDsc::default(),
                review: None,
                state: CalibrationUse::None,
                kind,
            },
        }
    }

    fn segmentation(
        &self,
        ensemble: Ensemble,
        predicted_iou: f32,
        low_res: LowResMask,
        prompt: &PlacedPrompt,
        geometry: &Geometry,
        options: &SegmentOptions,
    ) -> Segmentation {
        let (mask, probability, uncertainty, agreement) = ensemble.finish(predicted_iou);
        // The expected DSC stays that of the network's mask, for which it was learned.
        let mask = match options.mask {
            MaskSource::Network => mask,
            MaskSource::Consensus => probability.iter().map(|&probability| u8::from(probability > 0.5)).collect(),
        };
        let expected_dsc = self.expected_dsc.predict(&agreement);
        let suggestions = match options.uncertainty.is_single_pass() {
            true => Vec::new(),
            false => {
                let (width, epistemic) = (geometry.width, &uncertainty.epistemic[..]);
                Doubt { mask: &mask, probability: &probability, epistemic, width }.suggestions(&prompt.said(geometry))
            }
        };
        let area = mask.iter().map(|&inside| usize::from(inside)).sum();
        Segmentation {
            bounding_box: prompt.bounding_box,
            suggestions,
            guarantee: self.guarantee.filter(|_| options.mask == MaskSource::Network),
            area_interval: self.area.map(|thresholds| thresholds.interval(&probability, area)),
            outer: self.thresholds.map(|thresholds| thresholds.outer_mask(&probability, &mask)),
            inner: self.thresholds.map(|thresholds| thresholds.inner_mask(&probability, &mask)),
            zoom: None,
            shift: None,
            low_res,
            prompt_kind: self.kind,
            area,
            mask,
            probability,
            uncertainty,
            predicted_iou,
            expected_dsc,
            needs_review: self.review.map(|review| expected_dsc < review.threshold),
            calibration: self.state,
            agreement,
        }
    }
}

/// Answers to one box on their way to one segmentation.
pub(super) struct Combination<'a> {
    segmenter: &'a Segmenter,
    options: &'a SegmentOptions,
    calibrated: &'a Calibrated,
    geometry: Geometry,
    ensemble: Ensemble,
    predicted_iou: f32,
    low_res: LowResMask,
}

impl<'a> Combination<'a> {
    pub(super) fn new(
        segmenter: &'a Segmenter,
        options: &'a SegmentOptions,
        calibrated: &'a Calibrated,
        geometry: Geometry,
        plain: Answer,
    ) -> Self {
        let logits = segmenter.upsample(&plain.logits[0], None, &geometry);
        let ensemble = match options.uncertainty.is_single_pass() {
            true => Ensemble::single(&logits, calibrated.scaling),
            false => Ensemble::new(&logits, calibrated.scaling),
        };
        let predicted_iou = plain.ious[0];
        let low_res = LowResMask::default();
        let mut combination = Self { segmenter, options, calibrated, geometry, ensemble, predicted_iou, low_res };
        combination.add(&plain);
        let logits = plain.logits.into_iter().next().expect("there is a mask");
        combination.low_res.logits = Arc::new(logits);
        combination
    }

    pub(super) fn add(&mut self, answer: &Answer) {
        if self.options.uncertainty.is_single_pass() {
            return;
        }
        let weights = answer.weights(self.options.uncertainty.multimask);
        for (logits, weight) in answer.logits.iter().zip(weights).filter(|(_, weight)| *weight > 0.0) {
            self.ensemble.add(&self.segmenter.upsample(logits, answer.flip, &self.geometry), weight);
        }
    }

    pub(super) fn finish(self, prompt: &PlacedPrompt) -> Segmentation {
        let Self { ensemble, predicted_iou, low_res, geometry, options, .. } = self;
        self.calibrated.segmentation(ensemble, predicted_iou, low_res, prompt, &geometry, options)
    }
}
