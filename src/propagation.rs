//! A prompt on one slice becomes an object of the volume: slice by slice outwards, each slice's box from the mask of the slice before it.
//!
//! Source: the challenge's baseline (`CVPR24_LiteMedSAM_infer.py`), which knows the slices that an object spans; [`Stop`] is for people, who mostly do not.

mod labelmap;
mod next_box;
mod objects;
mod options;

pub use labelmap::{Labelmap, VolumeEstimate, VoxelCounts, in_eight_bits};
pub use objects::{EncodedSlices, propagate};
pub use options::{End, PropagationOptions, Stop};

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::image::BoundingBox;
use crate::metrics::regions;
use crate::model::prompt_encoder::PointLabel;
use crate::segment::{
    EncodedImage, Pace, PlacedPrompt, Point, Previous, Prompt, SegmentOptions, Segmentation, Segmenter, Zoom,
};
use crate::uncertainty::CalibrationUse;
use next_box::next_box;

/// An object on its way through a volume. Whoever has the slices asks for the next one, encodes it and hands it over, until there is none.
///
/// First come the slices from the prompted one to the last, then those before it.
#[derive(Debug, Clone)]
pub struct Propagation {
    prompt: Prompt,
    /// Boxes of the challenge's files may be those of masks one pixel wide, which people may not give.
    is_challenge: bool,
    slice: usize,
    range: RangeInclusive<usize>,
    stop: Stop,
    /// Number of the object, from 1.
    label: u8,
    /// The slice that is wanted.
    next: Option<usize>,
    /// What was found on the prompted slice.
    prompted: Option<Prompted>,
    /// What the slice before hands on.
    before: Before,
    /// The best predicted IoU of a second opinion so far.
    best_opinion: f32,
}

/// What was found on the prompted slice.
#[derive(Debug, Clone)]
struct Prompted {
    mask: Arc<Vec<u8>>,
    area: usize,
    /// Of the prompt, in order and within the image.
    bounding_box: Option<BoundingBox>,
    size: [usize; 2],
}

/// What a slice hands on to the next one.
#[derive(Debug, Clone)]
struct Before {
    mask: Arc<Vec<u8>>,
    /// The product of what was to be expected since the prompted slice.
    expected_dsc: f64,
    /// Slices without a mask, in a row.
    empty: usize,
}

impl Before {
    fn new(mask: Arc<Vec<u8>>) -> Self {
        Self { mask, expected_dsc: 1.0, empty: 0 }
    }
}

/// What was found on a slice.
#[derive(Debug, Clone)]
pub struct PropagatedSlice {
    /// The slice, from 0.
    pub slice: usize,
    /// Its result. On all slices but the prompted one probabilities are calibrated for prompts of people, nothing is guaranteed, and the expected DSC is the product of
    /// those since the prompted slice: each mask goes by the one before it, so that errors add up.
    pub segmentation: Segmentation,
    /// Why it is not part of the object, and nothing beyond it was looked at.
    pub end: Option<End>,
}

impl Propagation {
    /// Begins with a prompt on a slice of a volume of `depth` slices.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] that names the slice, range or rule that cannot be used. The prompt is checked on its slice.
    pub fn new(prompt: Prompt, slice: usize, depth: usize, options: &PropagationOptions) -> Result<Self> {
        let range = options.checked(slice, depth)?;
        Ok(Self {
            prompt,
            is_challenge: false,
            slice,
            range,
            stop: options.rules(),
            label: 1,
            next: Some(slice),
            prompted: None,
            before: Before::new(Arc::default()),
            best_opinion: 0.0,
        })
    }

    /// Begins with a box `[x0, y0, z0, x1, y1, z1]` around an object as the challenge's files have it: from the middle of its slices `z0` to `z1` to both ends, whatever
    /// is found.
    ///
    /// # Errors
    /// [`Error::InvalidBox`] if the box does not lie in the volume.
    pub fn of_box([x0, y0, z0, x1, y1, z1]: [f64; 6], depth: usize) -> Result<Self> {
        let corners = [x0, y0, z0, x1, y1, z1];
        if corners.iter().any(|value| !value.is_finite()) || z0 > z1 || z0 < 0.0 || z0 >= depth as f64 {
            let message =
                format!("{corners:?} does not lie in a volume of {depth} slices; use [x0, y0, z0, x1, y1, z1]");
            return Err(Error::InvalidBox(message));
        }
        let (z0, z1) = (z0 as usize, z1 as usize);
        let options = PropagationOptions { range: Some([z0, z1.min(depth - 1)]), stop: None };
        let prompt = BoundingBox([x0, y0, x1, y1]).into();
        let middle = (z0 + (z1 - z0) / 2).min(depth - 1);
        Ok(Self { is_challenge: true, ..Self::new(prompt, middle, depth, &options)? })
    }

    /// The same as the object of a number, from 1. The baseline scales masks down with the number as their value, so that small parts survive at high numbers.
    pub fn with_label(self, label: u8) -> Self {
        Self { label, ..self }
    }

    /// The slice that is wanted next; `None` at the end.
    pub fn next_slice(&self) -> Option<usize> {
        self.next
    }

    /// How many slices there are at most still, the next one included.
    pub fn most_left(&self) -> usize {
        match self.next {
            None => 0,
            Some(next) if next >= self.slice => self.range.end() - next + 1 + self.slice - self.range.start(),
            Some(next) => next - self.range.start() + 1,
        }
    }

    /// Segments the object on the slice that is wanted, and goes on. After an error the same slice is wanted still.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] at the end; [`Error::InvalidImage`] if the slice has another size than those before; those of
    /// [`Segmenter::segment_prompts`].
    pub async fn segment(
        &mut self,
        segmenter: &Segmenter,
        image: &mut EncodedImage,
        options: &SegmentOptions,
        pace: &mut impl Pace,
    ) -> Result<PropagatedSlice> {
        let Some(slice) = self.next else {
            return Err(Error::InvalidOption("the propagation is at its end; begin another".into()));
        };
        let size = [image.geometry.width, image.geometry.height];
        let Some(prompted) = &self.prompted else {
            let segmentation = self.segment_prompted(segmenter, image, options, pace).await?;
            let end = self.begin(slice, &segmentation, size);
            return Ok(PropagatedSlice { slice, segmentation, end });
        };
        prompted.check_size(size)?;
        let mut segmentation = self.segment_by_box(prompted, segmenter, image, options, pace).await?;
        let opinion = self.second_opinion(segmenter, image).await?;
        segmentation.withdraw();
        if segmentation.calibration == CalibrationUse::Fitted {
            segmentation.calibration = CalibrationUse::Nearest;
        }
        segmentation.expected_dsc *= self.before.expected_dsc;
        let threshold = segmenter.review_threshold(options, segmentation.prompt_kind);
        let is_unlike = segmentation.shift.is_some_and(|shift| shift.alarm);
        segmentation.needs_review = threshold.map(|threshold| is_unlike || segmentation.expected_dsc < threshold);
        let end = self.go_on(slice, &segmentation, opinion);
        Ok(PropagatedSlice { slice, segmentation, end })
    }

    async fn segment_prompted(
        &self,
        segmenter: &Segmenter,
        image: &mut EncodedImage,
        options: &SegmentOptions,
        pace: &mut impl Pace,
    ) -> Result<Segmentation> {
        let prompt = std::slice::from_ref(&self.prompt);
        let mut found = match self.is_challenge {
            true => segmenter.segment_checked(image, prompt, options, pace).await?,
            false => segmenter.segment_paced(image, prompt, options, pace).await?,
        };
        Ok(found.remove(0))
    }

    async fn segment_by_box(
        &self,
        prompted: &Prompted,
        segmenter: &Segmenter,
        image: &mut EncodedImage,
        options: &SegmentOptions,
        pace: &mut impl Pace,
    ) -> Result<Segmentation> {
        let placed = prompted.placed(image, &self.before.mask, self.label)?;
        let mut found = match (options.zoom, placed.bounding_box) {
            (Zoom::Auto | Zoom::On, Some(corners)) => {
                segmenter.segment_checked(image, &[corners.into()], options, pace).await?
            }
            _ => segmenter.segment_placed(image, &[placed], options).await?,
        };
        Ok(found.remove(0))
    }

    /// The predicted IoU of what a click in the middle of the mask before finds with that mask; `None` where nobody asks or the weights learned no corrections. A box
    /// is always filled with something; this is low where the object is not there any more.
    async fn second_opinion(&self, segmenter: &Segmenter, image: &EncodedImage) -> Result<Option<f32>> {
        let mask = &self.before.mask;
        let is_wanted = self.stop.presence > 0.0 && segmenter.metadata().config.corrections;
        let Some(point) = middle(mask, image.geometry.width).filter(|_| is_wanted) else { return Ok(None) };
        if image.is_flat_around(mask) {
            return Ok(Some(0.0));
        }
        let previous = Some(Previous::Mask(mask.clone()));
        let prompt = Prompt { points: vec![point], previous, ..Prompt::default() };
        let placed = segmenter.place(&prompt, image)?;
        Ok(Some(segmenter.predicted_iou(image, &placed).await?))
    }

    /// Takes the prompted slice in.
    fn begin(&mut self, slice: usize, found: &Segmentation, size: [usize; 2]) -> Option<End> {
        let bounding_box = found.bounding_box;
        let mask = Arc::new(found.mask.clone());
        self.prompted = Some(Prompted { mask: mask.clone(), area: found.area, bounding_box, size });
        self.before = Before::new(mask);
        let is_end = found.area == 0 && (self.stop.empty_slices == 1 || bounding_box.is_none());
        self.next = match is_end {
            true => None,
            false if slice < *self.range.end() => Some(slice + 1),
            false => self.turn_back(),
        };
        is_end.then_some(End::Empty)
    }

    /// Takes another slice in; says whether it ends its direction.
    fn go_on(&mut self, slice: usize, found: &Segmentation, opinion: Option<f32>) -> Option<End> {
        let prompted = self.prompted.as_ref().expect("the prompted slice came first");
        let empty = if found.area == 0 { self.before.empty + 1 } else { 0 };
        self.best_opinion = self.best_opinion.max(opinion.unwrap_or(0.0));
        let presence = opinion.map(|opinion| f64::from(opinion / self.best_opinion.max(f32::MIN_POSITIVE)));
        let ended = self.stop.end(found, empty, prompted.area, presence);
        let can_go_on = found.area > 0 || prompted.bounding_box.is_some();
        let end = ended.or_else(|| (!can_go_on).then_some(End::Empty));
        self.before = Before { mask: Arc::new(found.mask.clone()), expected_dsc: found.expected_dsc, empty };
        self.next = match slice > self.slice {
            true if end.is_none() && slice < *self.range.end() => Some(slice + 1),
            true => self.turn_back(),
            false => (end.is_none() && slice > *self.range.start()).then(|| slice - 1),
        };
        end
    }

    /// The slice before the prompted one, with its mask.
    fn turn_back(&mut self) -> Option<usize> {
        let mask = self.prompted.as_ref().map(|prompted| prompted.mask.clone()).unwrap_or_default();
        self.before = Before::new(mask);
        (self.slice > *self.range.start()).then(|| self.slice - 1)
    }
}

impl Prompted {
    /// The prompt of a slice beside one with the mask `before`: the box around it, or the box that was given if it is empty.
    fn placed(&self, image: &EncodedImage, before: &[u8], label: u8) -> Result<PlacedPrompt> {
        let geometry = &image.geometry;
        next_box(before, label, geometry)
            .or_else(|| self.bounding_box.map(|corners| PlacedPrompt::of_box(corners, geometry)))
            .ok_or_else(|| Error::InvalidPrompt("the slice before has no mask, and there is no box".into()))
    }

    fn check_size(&self, [width, height]: [usize; 2]) -> Result<()> {
        match self.size == [width, height] {
            true => Ok(()),
            false => {
                let [columns, rows] = self.size;
                let message = format!("the slice has {width}×{height} pixels, those before {columns}×{rows}");
                Err(Error::InvalidImage(message))
            }
        }
    }
}

/// The pixel of a mask that is farthest from its edge.
fn middle(mask: &[u8], width: usize) -> Option<Point> {
    let parts = regions(width, mask.len(), |pixel| mask[pixel] != 0);
    let largest = parts.into_iter().max_by_key(|part| part.pixels.len())?;
    let depths = largest.depths(width);
    let deepest = largest
        .pixels
        .iter()
        .zip(depths)
        .fold((0, 0.0f64), |best, (&pixel, depth)| if depth > best.1 { (pixel, depth) } else { best });
    let [x, y] = [deepest.0 % width, deepest.0 / width].map(|place| place as f64 + 0.5);
    Some(Point { x, y, label: PointLabel::Foreground })
}
