//! From image and prompts to masks and uncertainty: the order of work, for every device.

mod decode;
mod encode;
mod image;
#[cfg(feature = "cli")]
mod members;
mod network;
mod options;
mod pace;
mod placed;
mod prompt;
mod result;
mod zoom;

pub use image::EncodedImage;
pub use options::{MaskSource, SegmentOptions};
pub use pace::{Pace, Unpaced};
pub use placed::PlacedPrompt;
pub use prompt::{LowResMask, MOST_POINTS, Point, Previous, Prompt, Scribble};
pub use result::{Answer, Segmentation};
pub use zoom::{Crop, Zoom};

pub(crate) use pace::at_once;

use burn::tensor::Device;

use crate::error::{Error, Result};
use crate::image::{BoundingBox, Flip, Geometry, upsample_logits};
use crate::model::InferenceModel;
use crate::uncertainty::{Calibration, ConformalThresholds, PromptKind, Shift, ShiftAlarm};
use crate::weights::{self, Metadata};
use image::Features;
use network::{Network, read};
use pace::Part;
use result::{Calibrated, Combination};

/// A network on a device, ready to segment.
#[derive(Debug, Clone)]
pub struct Segmenter {
    network: Network,
    metadata: Metadata,
}

impl Segmenter {
    /// Reads weights onto a device.
    ///
    /// # Errors
    /// [`Error::Weights`] if they cannot be used; [`Error::DeviceUnavailable`] if their network does not run on the device.
    pub fn from_weights(bytes: Vec<u8>, device: &Device) -> Result<Self> {
        let (network, metadata) = weights::load(bytes, device)?;
        let segmenter = Self::new(network.into_inference(), metadata, device);
        // In the browser operations on tensors have kernels for WebGPU only.
        if cfg!(target_family = "wasm") && segmenter.network.encodes_on_cpu_tensors() {
            return Err(Error::DeviceUnavailable(
                "EfficientViT-SAM's image encoder runs on WebGPU only; use device \"webgpu\", or weights with a light encoder".into(),
            ));
        }
        Ok(segmenter)
    }

    /// Uses a network that is there already.
    pub fn new(model: InferenceModel, metadata: Metadata, device: &Device) -> Self {
        Self { network: Network::new(model, device), metadata }
    }

    /// What the weights say of themselves.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The same network with another calibration.
    pub fn with_calibration(&self, calibration: Calibration) -> Self {
        let metadata = Metadata { calibration: Some(calibration), ..self.metadata.clone() };
        Self { metadata, ..self.clone() }
    }

    /// The network.
    pub fn model(&self) -> &InferenceModel {
        self.network.model()
    }

    /// Segments what is in each box. Parts of the image that are looked at by themselves are encoded and kept in the image.
    ///
    /// # Errors
    /// As [`Segmenter::segment_prompts`].
    pub async fn segment(
        &self,
        image: &mut EncodedImage,
        boxes: &[[f64; 4]],
        options: &SegmentOptions,
    ) -> Result<Vec<Segmentation>> {
        let prompts: Vec<Prompt> = boxes.iter().map(|&corners| corners.into()).collect();
        self.segment_prompts(image, &prompts, options).await
    }

    /// Segments an object for each prompt.
    ///
    /// # Errors
    /// Before any work, [`Error::InvalidBox`] and [`Error::InvalidPrompt`] if a prompt cannot be used and [`Error::InvalidOption`] if an option cannot, or
    /// needs flips that are not encoded; [`Error::Computation`] if the device fails.
    pub async fn segment_prompts(
        &self,
        image: &mut EncodedImage,
        prompts: &[Prompt],
        options: &SegmentOptions,
    ) -> Result<Vec<Segmentation>> {
        self.segment_paced(image, prompts, options, &mut Unpaced(|_| ())).await
    }

    /// As [`Segmenter::segment_prompts`], at somebody's pace.
    ///
    /// # Errors
    /// As [`Segmenter::segment_prompts`], and the pace's.
    pub async fn segment_paced(
        &self,
        image: &mut EncodedImage,
        prompts: &[Prompt],
        options: &SegmentOptions,
        pace: &mut impl Pace,
    ) -> Result<Vec<Segmentation>> {
        let Geometry { width, height, .. } = image.geometry;
        let low_res_size = self.metadata.config.low_res_size();
        let prompts = prompts
            .iter()
            .map(|prompt| prompt.clone().checked(width, height, low_res_size))
            .collect::<Result<Vec<_>>>()?;
        self.segment_checked(image, &prompts, options, pace).await
    }

    /// As [`Segmenter::segment`] for boxes that need no check, such as those of masks one pixel wide in challenge files.
    ///
    /// # Errors
    /// As [`Segmenter::segment`], but for the boxes.
    pub async fn segment_boxes(
        &self,
        image: &mut EncodedImage,
        boxes: &[BoundingBox],
        options: &SegmentOptions,
    ) -> Result<Vec<Segmentation>> {
        let prompts: Vec<Prompt> = boxes.iter().map(|&corners| corners.into()).collect();
        self.segment_checked(image, &prompts, options, &mut Unpaced(|_| ())).await
    }

    /// As [`Segmenter::segment_prompts`] for prompts that need no check, such as the boxes of masks one pixel wide in challenge files.
    pub(crate) async fn segment_checked(
        &self,
        image: &mut EncodedImage,
        prompts: &[Prompt],
        options: &SegmentOptions,
        pace: &mut impl Pace,
    ) -> Result<Vec<Segmentation>> {
        let options = options.checked()?;
        let whole = image.geometry;
        let zooms = image.pixels.is_some() && self.zooms(options.zoom);
        let places: Vec<Option<Crop>> =
            prompts.iter().map(|prompt| zooms.then(|| Crop::of_prompt(prompt, &whole)).flatten()).collect();
        let low_res_size = self.metadata.config.low_res_size();
        let mut placed = Vec::with_capacity(prompts.len());
        for (prompt, &crop) in prompts.iter().zip(&places) {
            let seen = crop.map_or(whole, |crop| crop.geometry(whole.input_size));
            placed.push(PlacedPrompt::new(prompt, &seen, crop, &whole, low_res_size)?);
        }
        let mut segmentations = Vec::with_capacity(prompts.len());
        for together in places.chunk_by(|a, b| a == b) {
            let share = |count: usize| count as f64 / places.len() as f64;
            let begin = segmentations.len();
            let [from, to] = [begin, begin + together.len()].map(share);
            let placed = &placed[begin..begin + together.len()];
            let mut part = Part { whole: pace, from, to };
            let Some(crop) = together[0] else {
                segmentations.extend(self.segment_seen(image, placed, &options, false, &mut part).await?);
                continue;
            };
            // The encode takes about as long as the ensemble.
            let middle = (from + to) / 2.0;
            part.to = middle;
            let encoded = self.encoded_crop(image, crop, &options.uncertainty, &mut part).await?;
            (part.from, part.to) = (middle, to);
            let found = self.segment_seen(encoded, placed, &options, true, &mut part).await?;
            segmentations.extend(found.into_iter().zip(placed).map(|(found, prompt)| {
                let calibrated = self.calibrated(&options, true, prompt.kind);
                crop.whole(found, &calibrated, [whole.width, whole.height])
            }));
        }
        self.judge(image, &options, &mut segmentations).await?;
        Ok(segmentations)
    }

    /// Whether small boxes are seen in crops.
    fn zooms(&self, zoom: Zoom) -> bool {
        match zoom {
            Zoom::Off => false,
            Zoom::On => true,
            Zoom::Auto => self.metadata.calibration.as_ref().is_some_and(Calibration::knows_zoom),
        }
    }

    /// Checks a prompt and places it in the whole image.
    ///
    /// # Errors
    /// [`Error::InvalidBox`] and [`Error::InvalidPrompt`] if it cannot be used.
    pub fn place(&self, prompt: &Prompt, image: &EncodedImage) -> Result<PlacedPrompt> {
        let geometry = image.geometry;
        let low_res_size = self.metadata.config.low_res_size();
        let prompt = prompt.clone().checked(geometry.width, geometry.height, low_res_size)?;
        PlacedPrompt::new(&prompt, &geometry, None, &geometry, low_res_size)
    }

    /// The network's own estimate of the IoU of a placed prompt's mask, which costs less than the mask. See [`Segmentation::predicted_iou`].
    ///
    /// # Errors
    /// [`Error::Computation`] if the device fails.
    pub async fn predicted_iou(&self, image: &EncodedImage, prompt: &PlacedPrompt) -> Result<f32> {
        let mask_prompt = prompt.mask_prompt.as_ref().map(|mask| mask.as_slice());
        self.network.predicted_iou(&image.embedding, &prompt.input, mask_prompt).await
    }

    /// Segments prompts that are placed already, in the whole image.
    ///
    /// # Errors
    /// As [`Segmenter::segment_prompts`], but for the prompts.
    pub async fn segment_placed(
        &self,
        image: &EncodedImage,
        prompts: &[PlacedPrompt],
        options: &SegmentOptions,
    ) -> Result<Vec<Segmentation>> {
        let options = options.checked()?;
        let mut found = self.segment_seen(image, prompts, &options, false, &mut Unpaced(|_| ())).await?;
        self.judge(image, &options, &mut found).await?;
        Ok(found)
    }

    /// How unlike the calibration's images one is; `None` where the weights do not know.
    ///
    /// # Errors
    /// [`Error::Computation`] if the device fails.
    pub async fn shift(&self, image: &EncodedImage) -> Result<Option<Shift>> {
        let (Some(alarm), Some(look)) = (self.alarm(), &image.look) else { return Ok(None) };
        if let Some(&known) = look.shift.get() {
            return Ok(Some(known));
        }
        let shift = match &look.features {
            Features::Values(features) => alarm.shift(features),
            Features::Tensor(features) => alarm.shift(&read((**features).clone()).await?),
        };
        Ok(Some(*look.shift.get_or_init(|| shift)))
    }

    fn alarm(&self) -> Option<&ShiftAlarm> {
        self.metadata.calibration.as_ref()?.shift.as_ref()
    }

    /// What the image as a whole says of masks on it.
    async fn judge(&self, image: &EncodedImage, options: &SegmentOptions, found: &mut [Segmentation]) -> Result<()> {
        let shift = if options.calibrated { self.shift(image).await? } else { None };
        found.iter_mut().for_each(|found| image.doubt(found, shift));
        Ok(())
    }

    /// Segments prompts in what the network sees of an image: the whole, or a crop of it.
    async fn segment_seen(
        &self,
        image: &EncodedImage,
        prompts: &[PlacedPrompt],
        options: &SegmentOptions,
        zoom: bool,
        pace: &mut impl Pace,
    ) -> Result<Vec<Segmentation>> {
        let calibrated: Vec<Calibrated> =
            prompts.iter().map(|prompt| self.calibrated(options, zoom, prompt.kind)).collect();
        let mut segmentations = Vec::with_capacity(prompts.len());
        let mut current: Option<Combination> = None;
        let finish = |done: Combination, segmentations: &mut Vec<Segmentation>| {
            segmentations.push(done.finish(&prompts[segmentations.len()]));
        };
        let visit = |index: usize, answer: Answer| match &mut current {
            Some(combination) if !answer.is_plain() => combination.add(&answer),
            _ => {
                let next = Combination::new(self, options, &calibrated[index], image.geometry, answer);
                if let Some(done) = current.replace(next) {
                    finish(done, &mut segmentations);
                }
            }
        };
        self.answers_paced(image, prompts, &options.uncertainty, visit, pace).await?;
        if let Some(done) = current {
            finish(done, &mut segmentations);
        }
        Ok(segmentations)
    }

    /// Combines answers that are there already, of which the first is the plain one.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if an option is out of range.
    ///
    /// # Panics
    /// If there are no answers.
    pub fn combine<'a>(
        &self,
        mut answers: impl Iterator<Item = &'a Answer>,
        geometry: Geometry,
        bounding_box: BoundingBox,
        options: &SegmentOptions,
    ) -> Result<Segmentation> {
        let options = options.checked()?;
        let calibrated = self.calibrated(&options, false, PromptKind::Box);
        let plain = answers.next().expect("there is a plain answer").clone();
        let mut combination = Combination::new(self, &options, &calibrated, geometry, plain);
        answers.for_each(|answer| combination.add(answer));
        Ok(combination.finish(&PlacedPrompt::of_box(bounding_box, &geometry)))
    }

    /// Logits at the image's size of an answer's hypotheses, with their weights.
    pub fn weighted_logits(&self, answer: &Answer, geometry: &Geometry, multimask: f64) -> Vec<(f32, Vec<f32>)> {
        let weighted = answer.weights(multimask).into_iter().zip(&answer.logits).filter(|(weight, _)| *weight > 0.0);
        weighted.map(|(weight, logits)| (weight, self.upsample(logits, answer.flip, geometry))).collect()
    }

    fn upsample(&self, logits: &[f32], flip: Option<Flip>, geometry: &Geometry) -> Vec<f32> {
        let mut logits = upsample_logits(logits, self.metadata.config.low_res_size(), geometry);
        if let Some(flip) = flip {
            flip.apply(&mut logits, geometry.width, 1);
        }
        logits
    }

    /// The thresholds of the outer and the inner mask for a bound, by the options in expectation or for single objects, of a kind of prompt in the whole image or in a crop; `None` where nothing was calibrated for
    /// these options.
    pub fn thresholds(
        &self,
        options: &SegmentOptions,
        alpha: f64,
        zoom: bool,
        kind: PromptKind,
    ) -> Option<ConformalThresholds> {
        self.calibrated(&SegmentOptions { alpha, ..*options }, zoom, kind).thresholds
    }

    /// The expected DSC below which someone should look, of a kind of prompt; `None` without calibration.
    pub(crate) fn review_threshold(&self, options: &SegmentOptions, kind: PromptKind) -> Option<f64> {
        self.calibrated(options, false, kind).review.map(|review| review.threshold)
    }

    fn calibrated(&self, options: &SegmentOptions, zoom: bool, kind: PromptKind) -> Calibrated {
        Calibrated::new(self.metadata.calibration.as_ref().filter(|_| options.calibrated), options, zoom, kind)
    }
}
