//! One case, corrected click by click by a simulated person.
//!
//! Source: the interactive track of the CVPR 2025 challenge "Foundation Models for Interactive 3D Biomedical Image Segmentation" (first prompt, then clicks in the
//! largest error), here on images; NoC: Sofiiuk et al., *Reviving Iterative Training with Mask Guidance for Interactive Segmentation*, 2022.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::case::{BoxScores, CaseScores, MapKind, NSD_TOLERANCE, Risk, clipped, pixels_of_interest};
use super::embeddings::EmbeddingCache;
use super::mask_scores::MaskScores;
use super::raters::RaterScores;
use crate::data::{CaseBoxes, ChallengeCase};
use crate::error::{Error, Result};
use crate::image::BoundingBox;
use crate::metrics::{Confusion, Mask, PixelStatistics, Reliability, dsc, nsd, regions};
use crate::model::prompt_encoder::PointLabel;
use crate::random::SplitMix64;
use crate::segment::{
    EncodedImage, Point, Previous, Prompt, Scribble, SegmentOptions, Segmentation, Segmenter, Unpaced,
};
use crate::simulated_user::ErrorRegion;

/// From this many bits on a pixel is unsure.
const UNSURE_BITS: f32 = 0.5;

/// What a simulated person begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FirstPrompt {
    /// The case's box.
    #[default]
    Box,
    /// A click in the middle of the structure.
    Click,
    /// A stroke across the structure, as points.
    Stroke,
    /// The same stroke as a mask prompt, with a click at its first end.
    Painted,
}

/// Where a simulated person clicks next; every click says truthfully whether its place is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// In the middle of the largest error, which only who knows the truth can.
    #[default]
    Error,
    /// Where the result suggests.
    Suggested,
    /// In the middle of the largest region that is unsure by more than half a bit.
    LargestUnsure,
    /// At a pixel by chance that is unsure by more than half a bit.
    RandomUnsure,
}

/// How a simulated person corrects.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Clicks {
    /// Clicks after the first prompt, 0–100.
    pub count: usize,
    /// What comes first.
    pub first: FirstPrompt,
    /// Where the further ones are.
    #[serde(default)]
    pub policy: Policy,
}

/// The answer to a first prompt (round 0) or to a further click.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// DSC of the mask.
    pub dsc: f64,
    /// NSD of the mask at tolerance 2.
    pub nsd: f64,
    /// The expected DSC.
    pub expected_dsc: f64,
    /// Risks by α; empty without calibration.
    pub risks: Vec<Risk>,
}

/// Every round of a case's structures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Interaction {
    /// What the structures began with.
    pub first: FirstPrompt,
    /// By structure, by round, all of the same number.
    pub structures: Vec<Vec<Round>>,
    /// By round, the probabilities of the pixels around the structures.
    pub reliability: Vec<Reliability>,
    /// What was measured after the last click, as of a case without clicks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Box<CaseScores>>,
}

/// Plays with every structure of an image.
///
/// # Errors
/// [`Error::InvalidImage`] of a volume, and of a case without truth or with too few boxes; those of [`Segmenter::segment_prompts`].
pub fn play_case(
    segmenter: &Segmenter,
    case: &ChallengeCase,
    embeddings: &EmbeddingCache,
    options: &SegmentOptions,
    clicks: &Clicks,
    map: MapKind,
    alphas: &[f64],
) -> Result<CaseScores> {
    let (CaseBoxes::Image(boxes), Some(gts)) = (&case.boxes, &case.gts) else {
        return Err(Error::InvalidImage(
            "clicks are simulated on images with gts; this is a volume, or has none".into(),
        ));
    };
    let labels = usize::from(gts.iter().copied().max().unwrap_or(0));
    if labels == 0 || boxes.len() < labels {
        let count = boxes.len();
        return Err(Error::InvalidImage(format!(
            "the case has {labels} labels and {count} boxes; each label needs its box"
        )));
    }
    if clicks.policy != Policy::Error && options.uncertainty.is_single_pass() {
        return Err(Error::InvalidOption(
            "a single pass is unsure of nothing that could be asked; give the policy an ensemble".into(),
        ));
    }
    let boxes = clipped(&boxes[..labels], case)?;
    let shape = [case.width, case.height, case.channels];
    let mut image = embeddings.encode(segmenter, &case.imgs, shape, &options.uncertainty)?;
    let shift = pollster::block_on(segmenter.shift(&image))?;
    image.without_alarm();
    let mut interaction = Interaction {
        first: clicks.first,
        structures: Vec::new(),
        reliability: vec![Reliability::default(); clicks.count + 1],
        last: None,
    };
    let mut last = CaseScores::default();
    let mut pixels = PixelStatistics::default();
    for (label, corners) in (1..=labels as u8).zip(boxes) {
        let truth: Vec<u8> = gts.iter().map(|&value| u8::from(value == label)).collect();
        if truth.iter().all(|&inside| inside == 0) {
            continue;
        }
        let mut game = Game { segmenter, case, options, map, alphas, truth, interaction: &mut interaction };
        let found = game.play(&mut image, corners, clicks, &mut pixels)?;
        game.push_last(&found, label, &mut last);
    }
    let mean = |value: fn(&Round) -> f64, of: fn(&[Round]) -> Option<&Round>| {
        let rounds = interaction.structures.iter().filter_map(|rounds| of(rounds)).map(value);
        rounds.sum::<f64>() / interaction.structures.len().max(1) as f64
    };
    let (dsc, nsd) = (mean(|round| round.dsc, <[Round]>::first), mean(|round| round.nsd, <[Round]>::first));
    (last.dsc, last.nsd) = (mean(|round| round.dsc, <[Round]>::last), mean(|round| round.nsd, <[Round]>::last));
    interaction.last = Some(Box::new(last));
    Ok(CaseScores {
        dsc,
        nsd,
        contour_nsd: None,
        boxes: Vec::new(),
        pixels,
        raters: Vec::new(),
        shift,
        interaction: Some(interaction),
    })
}

/// One structure.
struct Game<'a> {
    segmenter: &'a Segmenter,
    case: &'a ChallengeCase,
    options: &'a SegmentOptions,
    map: MapKind,
    alphas: &'a [f64],
    truth: Vec<u8>,
    interaction: &'a mut Interaction,
}

impl Game<'_> {
    fn play(
        &mut self,
        image: &mut EncodedImage,
        corners: BoundingBox,
        clicks: &Clicks,
        pixels: &mut PixelStatistics,
    ) -> Result<Segmentation> {
        let mut prompt = match clicks.first {
            FirstPrompt::Box => Prompt::from(corners),
            FirstPrompt::Click => Prompt { points: vec![middle(&self.whole())], ..Prompt::default() },
            FirstPrompt::Stroke => {
                let scribbles = vec![Scribble { points: self.stroke(), label: PointLabel::Foreground }];
                Prompt { scribbles, ..Prompt::default() }
            }
            FirstPrompt::Painted => {
                let line = self.stroke();
                let points = vec![Point { x: line[0][0], y: line[0][1], label: PointLabel::Foreground }];
                let previous = Some(Previous::Mask(Arc::new(self.painted(&line))));
                Prompt { points, previous, ..Prompt::default() }
            }
        };
        let region = self.region();
        let mut rounds: Vec<Round> = Vec::with_capacity(clicks.count + 1);
        let mut found = self.answer(image, &prompt)?;
        self.push_pixels(&found, &region, pixels);
        loop {
            let reliability = self.reliability(&found, &region);
            self.interaction.reliability[rounds.len()].add(&reliability, 1.0);
            rounds.push(self.judge(&found));
            let next = self.next(&found, clicks.policy, rounds.len());
            let (false, Some(next)) = (rounds.len() > clicks.count, next) else { break };
            prompt.points.push(next);
            prompt.previous = Some(Previous::LowRes(found.low_res.clone()));
            found = self.answer(image, &prompt)?;
        }
        // A mask without error stays as it is.
        let last = self.reliability(&found, &region);
        while rounds.len() <= clicks.count {
            self.interaction.reliability[rounds.len()].add(&last, 1.0);
            rounds.push(rounds[rounds.len() - 1].clone());
        }
        self.interaction.structures.push(rounds);
        Ok(found)
    }

    /// What a case without clicks would be measured by, of the last answer.
    fn push_last(&self, found: &Segmentation, label: u8, last: &mut CaseScores) {
        let (region, width) = (self.region(), self.case.width);
        self.push_pixels(found, &region, &mut last.pixels);
        let truth: Vec<bool> = self.truth.iter().map(|&inside| inside != 0).collect();
        let is_single = self.options.uncertainty.is_single_pass();
        let [x0, y0, x1, y1] = self.tight_box();
        last.raters.extend(RaterScores::new(found, &self.case.raters, label, &region, None));
        let Round { dsc, expected_dsc, risks, .. } = self.judge(found);
        last.boxes.push(BoxScores {
            share: (x1 - x0).max(y1 - y0) / width.max(self.case.height) as f64,
            dsc,
            expected_dsc,
            needs_review: found.needs_review,
            risks,
            mask: Some(MaskScores::new(found, is_single, None, &truth, width, &region)),
            guarantees: None,
        });
    }

    /// All of the structure as an error.
    fn whole(&self) -> ErrorRegion {
        let nothing = vec![0; self.truth.len()];
        ErrorRegion::largest(&nothing, &self.truth, self.case.width).expect("the structure has pixels")
    }

    /// A straight line between two pixels of the structure as far as it stays within, the same every time.
    fn stroke(&self) -> Vec<[f64; 2]> {
        let whole = self.whole();
        let mut random = SplitMix64::new(whole.area() as u64);
        let [from, to] = whole.stroke(&mut || random.next()).map(|end| [end.x as f64 + 0.5, end.y as f64 + 0.5]);
        let length = (to[0] - from[0]).hypot(to[1] - from[1]).ceil().max(1.0);
        let along = |step: usize| [0, 1].map(|axis| from[axis] + (to[axis] - from[axis]) * step as f64 / length);
        let is_inside = |[x, y]: &[f64; 2]| self.truth[*y as usize * self.case.width + *x as usize] != 0;
        let last = (0..=length as usize).map(along).take_while(is_inside).last();
        vec![from, last.unwrap_or(from)]
    }

    /// A line two hundredths of the image wide, as a mask.
    fn painted(&self, line: &[[f64; 2]]) -> Vec<u8> {
        let (width, height) = (self.case.width, self.case.height);
        let reach = (0.01 * width.max(height) as f64).max(1.0);
        let ([x0, y0], [x1, y1]) = (line[0], line[line.len() - 1]);
        let squared = (x1 - x0).powi(2) + (y1 - y0).powi(2);
        let is_near = |pixel: usize| {
            let (x, y) = ((pixel % width) as f64 + 0.5, (pixel / width) as f64 + 0.5);
            let along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / squared.max(1e-9);
            let along = along.clamp(0.0, 1.0);
            (x - x0 - along * (x1 - x0)).hypot(y - y0 - along * (y1 - y0)) <= reach
        };
        (0..width * height).map(|pixel| u8::from(is_near(pixel))).collect()
    }

    /// The next click; `None` where there is nothing to ask.
    fn next(&self, found: &Segmentation, policy: Policy, round: usize) -> Option<Point> {
        let width = self.case.width;
        let unsure = |pixel: usize| found.uncertainty.total[pixel] > UNSURE_BITS;
        let pixel = match policy {
            Policy::Error => return ErrorRegion::largest(&found.mask, &self.truth, width).map(|error| middle(&error)),
            Policy::Suggested => {
                let place = found.suggestions.first()?;
                place.y as usize * width + place.x as usize
            }
            Policy::LargestUnsure => {
                let all = regions(width, self.truth.len(), unsure).into_iter();
                let region = all.max_by_key(|region| region.pixels.len())?;
                let depths = region.depths(width);
                *region.pixels.iter().zip(depths).max_by(|a, b| a.1.total_cmp(&b.1))?.0
            }
            Policy::RandomUnsure => {
                let all: Vec<usize> = (0..self.truth.len()).filter(|&pixel| unsure(pixel)).collect();
                let seed = (all.len() * 31 + round) as u64;
                *all.get((SplitMix64::new(seed).next() % all.len().max(1) as u64) as usize)?
            }
        };
        let label = if self.truth[pixel] != 0 { PointLabel::Foreground } else { PointLabel::Background };
        Some(Point { x: (pixel % width) as f64 + 0.5, y: (pixel / width) as f64 + 0.5, label })
    }

    fn answer(&self, image: &mut EncodedImage, prompt: &Prompt) -> Result<Segmentation> {
        let pace = &mut Unpaced(|_| ());
        let prompts = std::slice::from_ref(prompt);
        let mut found = pollster::block_on(self.segmenter.segment_checked(image, prompts, self.options, pace))?;
        Ok(found.remove(0))
    }

    fn judge(&self, found: &Segmentation) -> Round {
        let shape = [1, self.case.height, self.case.width];
        let dsc = dsc(&found.mask, &self.truth);
        let (mask, truth) = (Mask { values: &found.mask, shape }, Mask { values: &self.truth, shape });
        let risk = |&alpha: &f64| {
            let zoom = found.zoom.is_some();
            let thresholds = self.segmenter.thresholds(self.options, alpha, zoom, found.prompt_kind)?;
            let outer = thresholds.outer_mask(&found.probability, &found.mask);
            let inner = thresholds.inner_mask(&found.probability, &found.mask);
            Some(Risk {
                alpha,
                fnr: Confusion::of(&outer, &self.truth).false_negative_rate(),
                fpr: Confusion::of(&inner, &self.truth).false_positive_share(),
            })
        };
        Round {
            dsc,
            nsd: nsd(truth, mask, self.case.spacing, NSD_TOLERANCE),
            expected_dsc: found.expected_dsc,
            risks: self.alphas.iter().filter_map(risk).collect(),
        }
    }

    /// The corners of the truth, after the last pixel.
    fn tight_box(&self) -> [f64; 4] {
        let width = self.case.width;
        let inside = || (0..self.truth.len()).filter(|&pixel| self.truth[pixel] != 0);
        let columns = || inside().map(|pixel| pixel % width);
        let rows = || inside().map(|pixel| pixel / width);
        let corners = [columns().min(), rows().min(), columns().max(), rows().max()].map(Option::unwrap_or_default);
        let [x0, y0, x1, y1] = corners.map(|corner| corner as f64);
        [x0, y0, x1 + 1.0, y1 + 1.0]
    }

    /// The pixels that probabilities are judged by: as in a box's evaluation, around the truth's tight box.
    fn region(&self) -> Vec<usize> {
        pixels_of_interest(&BoundingBox(self.tight_box()), self.case.width, self.case.height)
    }

    fn reliability(&self, found: &Segmentation, region: &[usize]) -> Reliability {
        let mut reliability = Reliability::default();
        let inside = |pixel: usize| f64::from(u8::from(self.truth[pixel] != 0));
        region.iter().for_each(|&pixel| reliability.push(f64::from(found.probability[pixel]), inside(pixel)));
        reliability
    }

    fn push_pixels(&self, found: &Segmentation, region: &[usize], pixels: &mut PixelStatistics) {
        let map = self.map.of(&found.uncertainty);
        for &pixel in region {
            let actual = self.truth[pixel] != 0;
            pixels.push(found.probability[pixel], map[pixel], found.mask[pixel] != 0, actual);
        }
    }
}

/// A click in the middle of a region, in the middle of its pixel.
fn middle(region: &ErrorRegion) -> Point {
    let click = region.middle();
    Point { x: click.x as f64 + 0.5, y: click.y as f64 + 0.5, label: click.label }
}
