//! What a whole mask of an image could be trusted by, and where its doubt and its errors are.

use serde::{Deserialize, Serialize};

use super::members::MemberMasks;
use crate::segment::Segmentation;
use crate::uncertainty::{DoubtSplit, OutlineBand};

/// Of one mask of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaskScores {
    /// Pixels inside the mask.
    pub area: f64,
    /// The DSC that the probabilities predict, 0–1.
    pub soft_dice: f64,
    /// The network's own estimate of the IoU, near 0–1.
    pub predicted_iou: f64,
    /// Mean Dice of the other members with the mask, 0–1; `None` of a single pass, as all of the members.
    pub member_dice: Option<f64>,
    /// Mean Dice over all pairs of members, 0–1; `None` where small boxes may be looked at closer.
    pub pairwise_dice: Option<f64>,
    /// Mean total uncertainty of the pixels that the box is judged by, in bits.
    pub mean_entropy: f64,
    /// Mean epistemic uncertainty of the same pixels, in bits.
    pub mean_epistemic: Option<f64>,
    /// Total uncertainty of the whole image along the mask's outline and elsewhere, in bits a pixel of the mask.
    pub doubt: [f64; 2],
    /// Misclassified pixels of the whole image along the mask's outline and elsewhere, as a share of the mask's pixels.
    pub errors: [f64; 2],
}

impl MaskScores {
    /// Measures a mask.
    ///
    /// # Shapes
    /// - `truth`: as the mask, rows of `width` pixels
    /// - `region`: places of the pixels that the box is judged by
    pub fn new(
        found: &Segmentation,
        is_single: bool,
        members: Option<&MemberMasks>,
        truth: &[bool],
        width: usize,
        region: &[usize],
    ) -> Self {
        let mean =
            |map: &[f32]| region.iter().map(|&pixel| f64::from(map[pixel])).sum::<f64>() / region.len().max(1) as f64;
        let area = found.mask.iter().filter(|&&inside| inside != 0).count() as f64;
        let band = OutlineBand::new(&found.mask, width);
        let of_area =
            |DoubtSplit { boundary, scattered }: DoubtSplit| [boundary, scattered].map(|sum| sum / area.max(1.0));
        let wrong = found.mask.iter().zip(truth).map(|(&inside, &actual)| f64::from(u8::from((inside != 0) != actual)));
        Self {
            area,
            soft_dice: found.agreement.soft_dice,
            predicted_iou: f64::from(found.predicted_iou),
            member_dice: (!is_single).then_some(found.agreement.member_dice),
            pairwise_dice: members.and_then(MemberMasks::pairwise_dice),
            mean_entropy: mean(&found.uncertainty.total),
            mean_epistemic: (!is_single).then(|| mean(&found.uncertainty.epistemic)),
            doubt: of_area(band.split(found.uncertainty.total.iter().map(|&bits| f64::from(bits)))),
            errors: of_area(band.split(wrong)),
        }
    }

    /// What masks can be put in order by: a name, and a number that is the higher the surer.
    pub fn confidences(&self, expected_dsc: f64) -> Vec<(&'static str, f64)> {
        let all = [
            ("expected_dsc", Some(expected_dsc)),
            ("pairwise_dice", self.pairwise_dice),
            ("member_dice", self.member_dice),
            ("soft_dice", Some(self.soft_dice)),
            ("predicted_iou", Some(self.predicted_iou)),
            ("mean_entropy", Some(-self.mean_entropy)),
            ("mean_epistemic", self.mean_epistemic.map(|bits| -bits)),
            ("area", Some(self.area)),
            ("boundary_doubt", Some(-self.doubt[0])),
            ("scattered_doubt", Some(-self.doubt[1])),
        ];
        all.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect()
    }
}
