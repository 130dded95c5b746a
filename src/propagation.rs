//! A prompt on one slice becomes an object of the volume: slice by slice outwards, each slice's box from the mask of the slice before it.
//!
//! Source: the challenge's baseline (`CVPR24_LiteMedSAM_infer.py`), which knows the slices that an object spans; [`Stop`] is for people, who mostly do not.

mod next_box;
mod options;

pub use options::{End, PropagationOptions, Stop};

use std::ops::RangeInclusive;

use crate::error::{Error, Result};
use crate::image::BoundingBox;
use crate::segment::{EncodedImage, Pace, PlacedPrompt, Prompt, SegmentOptions, Segmentation, Segmenter, Zoom};
use crate::uncertainty::CalibrationUse;
use next_box::next_box;

/// An object on its way through a volume. Whoever has the slices asks for the next one, encodes it and hands it over, until there is none.
///
/// First come the slices from the prompted one to the last, then those before it.
#[derive(Debug, Clone)]
pub struct Propagation {
    prompt: Prompt,
    /// Boxes of masks one pixel wide, which people may not give.
    takes_any_box: bool,
    slice: usize,
    range: RangeInclusive<usize>,
    stop: Stop,
    /// Number of the object, from 1.
    label: u8,
    /// The slice that is wanted.
    next: Option<usize>,
    /// What was found on the prompted slice.
    prompted: Option<Prompted>,
    /// The mask of the slice before.
    before: Vec<u8>,
    /// Slices without a mask, in a row.
    empty: usize,
}

#[derive(Debug, Clone)]
struct Prompted {
    mask: Vec<u8>,
    area: usize,
    /// Of the prompt, in order and within the image.
    bounding_box: Option<BoundingBox>,
    size: [usize; 2],
}

/// What was found on a slice.
#[derive(Debug, Clone)]
pub struct PropagatedSlice {
    /// The slice, from 0.
    pub slice: usize,
    /// Its result. On all slices but the prompted one probabilities are as calibrated for prompts of people, and nothing is guaranteed.
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
            takes_any_box: false,
            slice,
            range,
            stop: options.rules(),
            label: 1,
            next: Some(slice),
            prompted: None,
            before: Vec::new(),
            empty: 0,
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
        Ok(Self { takes_any_box: true, ..Self::new(prompt, middle, depth, &options)? })
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
        let mut segmentation = match &self.prompted {
            None => self.segment_prompted(segmenter, image, options, pace).await?,
            Some(prompted) => {
                self.segment_next(segmenter, image, &prompted.placed(image, &self.before, self.label)?, options, pace).await?
            }
        };
        if self.prompted.is_some() {
            segmentation.outer = None;
            segmentation.inner = None;
            if segmentation.calibration == CalibrationUse::Fitted {
                segmentation.calibration = CalibrationUse::Nearest;
            }
        }
        let end = self.take(slice, &segmentation, [image.geometry.width, image.geometry.height]);
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
        let mut found = match self.takes_any_box {
            true => segmenter.segment_checked(image, prompt, options, pace).await?,
            false => segmenter.segment_paced(image, prompt, options, pace).await?,
        };
        Ok(found.remove(0))
    }

    async fn segment_next(
        &self,
        segmenter: &Segmenter,
        image: &mut EncodedImage,
        placed: &PlacedPrompt,
        options: &SegmentOptions,
        pace: &mut impl Pace,
    ) -> Result<Segmentation> {
        let mut found = match (options.zoom, placed.bounding_box) {
            (Zoom::Auto | Zoom::On, Some(corners)) => {
                segmenter.segment_checked(image, &[corners.into()], options, pace).await?
            }
            _ => segmenter.segment_placed(image, std::slice::from_ref(placed), options).await?,
        };
        Ok(found.remove(0))
    }

    /// Takes a result in; says whether it ends its direction.
    fn take(&mut self, slice: usize, found: &Segmentation, size: [usize; 2]) -> Option<End> {
        let prompted_area = self.prompted.as_ref().map_or(found.area, |prompted| prompted.area);
        self.empty = if found.area == 0 { self.empty + 1 } else { 0 };
        let ended = self.stop.end(found, self.empty, prompted_area);
        let can_go_on = found.area > 0 || self.bounding_box().or(found.bounding_box).is_some();
        let end = ended.or_else(|| (!can_go_on).then_some(End::Empty));
        if self.prompted.is_none() {
            let bounding_box = found.bounding_box;
            self.prompted = Some(Prompted { mask: found.mask.clone(), area: found.area, bounding_box, size });
            if end.is_some() {
                self.next = None;
                return end;
            }
        }
        self.before.clone_from(&found.mask);
        let goes_up = slice >= self.slice;
        self.next = match goes_up {
            true if end.is_none() && slice < *self.range.end() => Some(slice + 1),
            true => self.turn_back(),
            false => (end.is_none() && slice > *self.range.start()).then(|| slice - 1),
        };
        end
    }

    /// The slice before the prompted one, with its mask.
    fn turn_back(&mut self) -> Option<usize> {
        self.empty = 0;
        self.before = self.prompted.as_ref().map(|prompted| prompted.mask.clone()).unwrap_or_default();
        (self.slice > *self.range.start()).then(|| self.slice - 1)
    }

    fn bounding_box(&self) -> Option<BoundingBox> {
        self.prompted.as_ref().and_then(|prompted| prompted.bounding_box)
    }
}

impl Prompted {
    /// The prompt of a slice beside one with the mask `before`: the box around it, or the box that was given if it is empty.
    fn placed(&self, image: &EncodedImage, before: &[u8], label: u8) -> Result<PlacedPrompt> {
        let geometry = &image.geometry;
        if [geometry.width, geometry.height] != self.size {
            let [width, height] = self.size;
            return Err(Error::InvalidImage(format!(
                "the slice has {}×{} pixels, those before {width}×{height}",
                geometry.width, geometry.height
            )));
        }
        next_box(before, label, geometry)
            .or_else(|| self.bounding_box.map(|corners| PlacedPrompt::of_box(corners, geometry)))
            .ok_or_else(|| Error::InvalidPrompt("the slice before has no mask, and there is no box".into()))
    }
}
