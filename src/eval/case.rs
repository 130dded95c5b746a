//! One case.

use serde::{Deserialize, Serialize};

use super::clicks::Interaction;
use super::embeddings::EmbeddingCache;
use super::guarantees::ObjectGuarantees;
use super::mask_scores::MaskScores;
use super::members::MemberMasks;
use super::raters::RaterScores;
use super::volume;
use crate::data::{CaseBoxes, ChallengeCase};
use crate::error::{Error, Result};
use crate::image::BoundingBox;
use crate::metrics::{Confusion, Mask, PixelStatistics, contour_nsd, dsc, nsd};
use crate::segment::{EncodedImage, SegmentOptions, Segmentation, Segmenter, Zoom};
use crate::uncertainty::{Shift, UncertaintyMaps};

/// Tolerance of the NSD, in pixels of images and mm of volumes: the challenge's.
pub(super) const NSD_TOLERANCE: f64 = 2.0;
/// The challenge counts the NSD of a case as 0 where its DSC is not above this.
const LOWEST_DSC_WITH_NSD: f64 = 0.2;
/// Pixels are judged within the box enlarged by this share of its size on each side.
const REGION_MARGIN: f64 = 0.125;

/// Which map the error detection is measured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MapKind {
    /// Entropy of the mean.
    #[default]
    Total,
    /// Mean entropy.
    Aleatoric,
    /// Mutual information.
    Epistemic,
}

impl MapKind {
    /// This map.
    pub(super) fn of(self, maps: &UncertaintyMaps) -> &[f32] {
        match self {
            Self::Total => &maps.total,
            Self::Aleatoric => &maps.aleatoric,
            Self::Epistemic => &maps.epistemic,
        }
    }
}

/// Misses and false alarms of the conformal masks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Risk {
    /// The bound.
    pub alpha: f64,
    /// Share of the truth outside the outer mask.
    pub fnr: f64,
    /// Share of the inner mask outside the truth.
    pub fpr: f64,
}

/// What was measured of one box.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoxScores {
    /// The box's longer side as a share of the image's.
    #[serde(default)]
    pub share: f64,
    /// DSC of the box's own mask.
    pub dsc: f64,
    /// What was guaranteed of the object itself; of images only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guarantees: Option<ObjectGuarantees>,
    /// What was expected of it.
    pub expected_dsc: f64,
    /// Whether it was flagged; `None` without calibration.
    pub needs_review: Option<bool>,
    /// Risks by α; empty without calibration.
    pub risks: Vec<Risk>,
    /// What the mask could be trusted by; of images only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<MaskScores>,
}

/// What was measured of one case.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CaseScores {
    /// Mean DSC over labels.
    pub dsc: f64,
    /// Mean NSD over labels, by the challenge's definition, where an image is a volume of one slice.
    pub nsd: f64,
    /// Mean NSD of the contours over labels; of images only.
    pub contour_nsd: Option<f64>,
    /// Each box.
    pub boxes: Vec<BoxScores>,
    /// Pixels in the boxes' regions.
    pub pixels: PixelStatistics,
    /// Each structure of an image that several raters outlined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raters: Vec<RaterScores>,
    /// How unlike the calibration's images it is; of images only. What is measured of guarantees is measured whether they are withdrawn or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift: Option<Shift>,
    /// Every round, where clicks were simulated; the scores above are then the first round's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interaction: Option<Interaction>,
}

/// Segments a case and compares it with its truth.
///
/// # Errors
/// [`Error::InvalidImage`] if it has no truth or not a box for each label; those of [`Segmenter::segment`].
pub fn evaluate_case(
    segmenter: &Segmenter,
    case: &ChallengeCase,
    embeddings: &EmbeddingCache,
    options: &SegmentOptions,
    map: MapKind,
    alphas: &[f64],
) -> Result<CaseScores> {
    let gts = case.gts.as_ref().ok_or_else(|| Error::InvalidImage("the case has no gts to compare with".into()))?;
    let labels = usize::from(gts.iter().copied().max().unwrap_or(0));
    let boxes = match &case.boxes {
        CaseBoxes::Image(boxes) => boxes.len(),
        CaseBoxes::Volume(boxes) => boxes.len(),
    };
    if labels == 0 || boxes < labels {
        let message = format!("the case has {labels} labels and {boxes} boxes; each label needs its box");
        return Err(Error::InvalidImage(message));
    }
    let mut judge = Judge::new(case, gts, segmenter, options, map, alphas);
    match &case.boxes {
        CaseBoxes::Image(boxes) => {
            let mut image = embeddings.encode(
                segmenter,
                &case.imgs,
                [case.width, case.height, case.channels],
                &options.uncertainty,
            )?;
            judge.scores.shift = pollster::block_on(segmenter.shift(&image))?;
            image.without_alarm();
            for (index, corners) in clipped(&boxes[..labels], case)?.into_iter().enumerate() {
                let (found, members) = segment(segmenter, &mut image, corners, options)?;
                judge.slice(0, index, &found);
                judge.whole_mask(index, &found, members.as_ref());
                judge.finish_box(index);
            }
        }
        CaseBoxes::Volume(boxes) => {
            let mut slices = volume::Slices::new(segmenter, case, embeddings, options);
            for (index, corners) in boxes[..labels].iter().enumerate() {
                volume::segment(&mut slices, corners, index, |z, found| judge.slice(z, index, found))?;
                judge.finish_box(index);
            }
        }
    }
    Ok(judge.finish())
}

/// Segments a box, with its members' masks where they are all of the whole image.
fn segment(
    segmenter: &Segmenter,
    image: &mut EncodedImage,
    corners: BoundingBox,
    options: &SegmentOptions,
) -> Result<(Segmentation, Option<MemberMasks>)> {
    if options.zoom != Zoom::Off {
        return Ok((pollster::block_on(segmenter.segment_boxes(image, &[corners], options))?.remove(0), None));
    }
    let (found, members) = pollster::block_on(segmenter.segment_with_members(image, corners, options))?;
    Ok((found, Some(MemberMasks::new(&segmenter.member_masks(image, &members, options)))))
}

/// The boxes of an image, of which those of structures one pixel wide have no area.
pub(super) fn clipped(boxes: &[[f64; 4]], case: &ChallengeCase) -> Result<Vec<BoundingBox>> {
    let clipped = |&corners: &[f64; 4]| {
        if corners.iter().any(|coordinate| !coordinate.is_finite()) {
            return Err(Error::InvalidBox(format!("{corners:?}: coordinates must be finite numbers")));
        }
        let [x0, y0, x1, y1] = corners;
        let (width, height) = (case.width as f64, case.height as f64);
        let clip = |value: f64, end: f64| value.clamp(0.0, end);
        Ok(BoundingBox([
            clip(x0.min(x1), width),
            clip(y0.min(y1), height),
            clip(x0.max(x1), width),
            clip(y0.max(y1), height),
        ]))
    };
    boxes.iter().map(clipped).collect()
}

/// The pixels that a box is judged by: the box, enlarged by 12.5 % of its size on each side, within the image; columns and rows.
pub fn region_of_interest(corners: &BoundingBox, width: usize, height: usize) -> [std::ops::Range<usize>; 2] {
    let [x0, y0, x1, y1] = corners.0;
    let range = |low: f64, high: f64, end: usize| {
        let margin = (high - low) * REGION_MARGIN;
        let begin = (low - margin).max(0.0).floor() as usize;
        let end = ((high + margin).floor() as usize + 1).min(end);
        begin.min(end)..end
    };
    [range(x0, x1, width), range(y0, y1, height)]
}

/// The places of these pixels in the image.
pub(super) fn pixels_of_interest(corners: &BoundingBox, width: usize, height: usize) -> Vec<usize> {
    let [columns, rows] = region_of_interest(corners, width, height);
    rows.flat_map(|y| columns.clone().map(move |x| y * width + x)).collect()
}

/// Compares as segmentations come in.
struct Judge<'a> {
    case: &'a ChallengeCase,
    gts: &'a [u8],
    segmenter: &'a Segmenter,
    options: &'a SegmentOptions,
    map: MapKind,
    alphas: &'a [f64],
    /// The label map; a later box overwrites an earlier one.
    segs: Vec<u8>,
    /// Masks of the current box.
    current: Vec<u8>,
    outer: Vec<Vec<u8>>,
    inner: Vec<Vec<u8>>,
    guarantees: Option<ObjectGuarantees>,
    /// Sum of expected DSC weighted by area, and the area.
    expected: [f64; 2],
    needs_review: Option<bool>,
    has_risks: bool,
    share: f64,
    mask: Option<MaskScores>,
    scores: CaseScores,
}

impl<'a> Judge<'a> {
    fn new(
        case: &'a ChallengeCase,
        gts: &'a [u8],
        segmenter: &'a Segmenter,
        options: &'a SegmentOptions,
        map: MapKind,
        alphas: &'a [f64],
    ) -> Self {
        let blank = || vec![0; gts.len()];
        Self {
            case,
            gts,
            segmenter,
            options,
            map,
            alphas,
            segs: blank(),
            current: blank(),
            outer: alphas.iter().map(|_| blank()).collect(),
            inner: alphas.iter().map(|_| blank()).collect(),
            guarantees: None,
            expected: [0.0; 2],
            needs_review: None,
            has_risks: false,
            share: 0.0,
            mask: None,
            scores: CaseScores { contour_nsd: (case.depth == 1).then_some(0.0), ..Default::default() },
        }
    }

    /// Takes in slice `z` of box `index`.
    fn slice(&mut self, z: usize, index: usize, found: &Segmentation) {
        let size = self.case.width * self.case.height;
        let slice = z * size..(z + 1) * size;
        self.current[slice.clone()].copy_from_slice(&found.mask);
        for (position, &alpha) in self.alphas.iter().enumerate() {
            if let Some(thresholds) =
                self.segmenter.thresholds(self.options, alpha, found.zoom.is_some(), found.prompt_kind)
            {
                self.outer[position][slice.clone()]
                    .copy_from_slice(&thresholds.outer_mask(&found.probability, &found.mask));
                self.inner[position][slice.clone()]
                    .copy_from_slice(&thresholds.inner_mask(&found.probability, &found.mask));
            }
        }
        self.has_risks = self
            .segmenter
            .thresholds(self.options, self.options.alpha, found.zoom.is_some(), found.prompt_kind)
            .is_some();
        let bounding_box = found.bounding_box.expect("cases have boxes");
        let [x0, y0, x1, y1] = bounding_box.0;
        self.share = (x1 - x0).max(y1 - y0) / self.case.width.max(self.case.height) as f64;
        let area = found.area.max(1) as f64;
        self.expected[0] += area * found.expected_dsc;
        self.expected[1] += area;
        self.needs_review = match (self.needs_review, found.needs_review) {
            (Some(a), Some(b)) => Some(a || b),
            (a, b) => a.or(b),
        };
        let map = self.map.of(&found.uncertainty);
        let truth = &self.gts[slice];
        for pixel in pixels_of_interest(&bounding_box, self.case.width, self.case.height) {
            let actual = usize::from(truth[pixel]) == index + 1;
            self.scores.pixels.push(found.probability[pixel], map[pixel], found.mask[pixel] != 0, actual);
        }
    }

    /// Takes in the mask of box `index` of an image as a whole.
    fn whole_mask(&mut self, index: usize, found: &Segmentation, members: Option<&MemberMasks>) {
        let bounding_box = found.bounding_box.expect("cases have boxes");
        let region = pixels_of_interest(&bounding_box, self.case.width, self.case.height);
        let truth: Vec<bool> = self.gts.iter().map(|&value| usize::from(value) == index + 1).collect();
        self.guarantees = ObjectGuarantees::of(self.segmenter, self.options, found, &truth);
        let is_single = self.options.uncertainty.is_single_pass();
        self.mask = Some(MaskScores::new(found, is_single, members, &truth, self.case.width, &region));
        let areas = members.filter(|_| !is_single).map(MemberMasks::areas);
        let label = (index + 1) as u8;
        self.scores.raters.extend(RaterScores::new(found, &self.case.raters, label, &region, areas.as_deref()));
    }

    fn finish_box(&mut self, index: usize) {
        let label = (index + 1) as u8;
        let truth: Vec<u8> = self.gts.iter().map(|&value| u8::from(value == label)).collect();
        for (seg, _) in self.segs.iter_mut().zip(&self.current).filter(|(_, current)| **current != 0) {
            *seg = label;
        }
        let risk = |(position, &alpha): (usize, &f64)| Risk {
            alpha,
            fnr: Confusion::of(&self.outer[position], &truth).false_negative_rate(),
            fpr: Confusion::of(&self.inner[position], &truth).false_positive_share(),
        };
        self.scores.boxes.push(BoxScores {
            share: self.share,
            dsc: dsc(&self.current, &truth),
            guarantees: self.guarantees.take(),
            expected_dsc: self.expected[0] / self.expected[1].max(1.0),
            needs_review: self.needs_review,
            risks: self.alphas.iter().enumerate().filter(|_| self.has_risks).map(risk).collect(),
            mask: self.mask.take(),
        });
        self.current.fill(0);
        self.outer.iter_mut().chain(&mut self.inner).for_each(|mask| mask.fill(0));
        self.expected = [0.0; 2];
        self.needs_review = None;
    }

    fn finish(mut self) -> CaseScores {
        let shape = [self.case.depth, self.case.height, self.case.width];
        let labels = self.scores.boxes.len();
        let only = |labels: &[u8], label: u8| labels.iter().map(|&value| u8::from(value == label)).collect::<Vec<_>>();
        let pairs: Vec<_> = (1..=labels as u8).map(|label| (only(&self.segs, label), only(self.gts, label))).collect();
        self.scores.dsc = pairs.iter().map(|(found, truth)| dsc(found, truth)).sum::<f64>() / labels as f64;
        if self.scores.dsc > LOWEST_DSC_WITH_NSD {
            for (found, truth) in &pairs {
                let (found, truth) = (Mask { values: found, shape }, Mask { values: truth, shape });
                self.scores.nsd += nsd(truth, found, self.case.spacing, NSD_TOLERANCE) / labels as f64;
                if let Some(sum) = &mut self.scores.contour_nsd {
                    *sum += contour_nsd(truth, found, self.case.spacing, NSD_TOLERANCE) / labels as f64;
                }
            }
        }
        self.scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_a_quarter_larger_than_the_box() {
        let [columns, rows] = region_of_interest(&BoundingBox([8.0, 16.0, 16.0, 32.0]), 100, 100);
        assert_eq!((columns, rows), (7..18, 14..35));
        let [columns, rows] = region_of_interest(&BoundingBox([0.0, 0.0, 10.0, 10.0]), 10, 9);
        assert_eq!((columns, rows), (0..10, 0..9));
    }
}
