//! From image and boxes to masks and uncertainty: the order of work, for every device.

mod decode;
mod encode;
mod image;
mod options;
mod pace;
mod result;
mod zoom;

pub use image::{BoxPrompt, EncodedImage};
pub use options::{MaskSource, SegmentOptions};
pub use pace::{Pace, Unpaced};
pub use result::{Answer, Segmentation};
pub use zoom::{Crop, Zoom};

pub(crate) use pace::at_once;

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result};
use crate::image::{BoundingBox, Flip, Geometry, upsample_logits};
use crate::model::InferenceModel;
use crate::model::image_encoder::ImageEncoderCpu;
use crate::model::mask_decoder::MaskDecoderCpu;
use crate::uncertainty::{Calibration, ConformalThresholds};
use crate::weights::{self, Metadata};
use pace::Part;
use result::{Calibrated, Combination};

/// A network on a device, ready to segment.
#[derive(Debug, Clone)]
pub struct Segmenter {
    model: InferenceModel,
    /// The network on kernels of our own, where the device is the CPU.
    cpu: Option<Arc<CpuNetwork>>,
    metadata: Metadata,
    device: Device,
}

#[derive(Debug)]
struct CpuNetwork {
    /// Where there are kernels for it; else it runs on tensors.
    encoder: Option<ImageEncoderCpu>,
    decoder: MaskDecoderCpu,
}

impl CpuNetwork {
    fn new(model: &InferenceModel) -> Self {
        let network = &model.network;
        let values = |tensor: Tensor<3>| tensor.into_data().try_into_vec().expect("weights are f32");
        Self {
            encoder: ImageEncoderCpu::new(&network.image_encoder),
            decoder: MaskDecoderCpu::new(
                &network.mask_decoder,
                values(model.dense_pe.val()),
                values(network.prompt_encoder.no_mask()),
            ),
        }
    }
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
        if cfg!(target_family = "wasm") && segmenter.cpu.as_ref().is_some_and(|network| network.encoder.is_none()) {
            return Err(Error::DeviceUnavailable(
                "EfficientViT-SAM's image encoder runs on WebGPU only; use device \"webgpu\", or weights with a light encoder".into(),
            ));
        }
        Ok(segmenter)
    }

    /// Uses a network that is there already.
    pub fn new(model: InferenceModel, metadata: Metadata, device: &Device) -> Self {
        let cpu = (*device == Device::flex()).then(|| Arc::new(CpuNetwork::new(&model)));
        Self { model, cpu, metadata, device: device.clone() }
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
        &self.model
    }

    /// Segments what is in each box. Parts of the image that are looked at by themselves are encoded and kept in the image.
    ///
    /// # Errors
    /// Before any work, [`Error::InvalidBox`] if a box cannot be used and [`Error::InvalidOption`] if an option cannot, or needs flips that
    /// are not encoded; [`Error::Computation`] if the device fails.
    pub async fn segment(
        &self,
        image: &mut EncodedImage,
        boxes: &[[f64; 4]],
        options: &SegmentOptions,
    ) -> Result<Vec<Segmentation>> {
        self.segment_paced(image, boxes, options, &mut Unpaced(|_| ())).await
    }

    /// As [`Segmenter::segment`], at somebody's pace.
    ///
    /// # Errors
    /// As [`Segmenter::segment`], and the pace's.
    pub async fn segment_paced(
        &self,
        image: &mut EncodedImage,
        boxes: &[[f64; 4]],
        options: &SegmentOptions,
        pace: &mut impl Pace,
    ) -> Result<Vec<Segmentation>> {
        let Geometry { width, height, .. } = image.geometry;
        let boxes =
            boxes.iter().map(|&corners| BoundingBox::checked(corners, width, height)).collect::<Result<Vec<_>>>()?;
        self.segment_boxes_paced(image, &boxes, options, pace).await
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
        self.segment_boxes_paced(image, boxes, options, &mut Unpaced(|_| ())).await
    }

    async fn segment_boxes_paced(
        &self,
        image: &mut EncodedImage,
        boxes: &[BoundingBox],
        options: &SegmentOptions,
        pace: &mut impl Pace,
    ) -> Result<Vec<Segmentation>> {
        let options = options.checked()?;
        let Geometry { width, height, .. } = image.geometry;
        let zooms = image.pixels.is_some() && self.zooms(options.zoom);
        let crop = |bounding_box: &BoundingBox| zooms.then(|| Crop::around(bounding_box, width, height)).flatten();
        let places: Vec<(BoundingBox, Option<Crop>)> = boxes.iter().map(|&corners| (corners, crop(&corners))).collect();
        let mut segmentations = Vec::with_capacity(boxes.len());
        for together in places.chunk_by(|(_, a), (_, b)| a == b) {
            let share = |count: usize| count as f64 / places.len() as f64;
            let [from, to] = [segmentations.len(), segmentations.len() + together.len()].map(share);
            let mut part = Part { whole: pace, from, to };
            let Some(crop) = together[0].1 else {
                let prompt = |&(corners, _): &(BoundingBox, _)| BoxPrompt::new(corners, &image.geometry);
                let prompts: Vec<BoxPrompt> = together.iter().map(prompt).collect();
                let calibrated = self.calibrated(&options, false);
                let found = self.segment_calibrated(image, &prompts, &options, &calibrated, &mut part).await?;
                segmentations.extend(found);
                continue;
            };
            // The encode takes about as long as the ensemble.
            let middle = (from + to) / 2.0;
            part.to = middle;
            let encoded = self.encoded_crop(image, crop, &options.uncertainty, &mut part).await?;
            (part.from, part.to) = (middle, to);
            let prompt = |(corners, _): &(BoundingBox, _)| BoxPrompt::new(crop.box_within(corners), &encoded.geometry);
            let prompts: Vec<BoxPrompt> = together.iter().map(prompt).collect();
            let calibrated = self.calibrated(&options, true);
            let found = self.segment_calibrated(encoded, &prompts, &options, &calibrated, &mut part).await?;
            let has_threshold = calibrated.thresholds.is_some_and(|thresholds| thresholds.outer.is_some());
            segmentations.extend(
                found
                    .into_iter()
                    .zip(together)
                    .map(|(found, &(corners, _))| crop.whole(found, corners, has_threshold, [width, height])),
            );
        }
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

    /// Segments boxes of the whole image that need no check, none of them in a crop.
    ///
    /// # Errors
    /// As [`Segmenter::segment`], but for the boxes.
    pub async fn segment_prompts(
        &self,
        image: &EncodedImage,
        prompts: &[BoxPrompt],
        options: &SegmentOptions,
    ) -> Result<Vec<Segmentation>> {
        let options = options.checked()?;
        let calibrated = self.calibrated(&options, false);
        self.segment_calibrated(image, prompts, &options, &calibrated, &mut Unpaced(|_| ())).await
    }

    async fn segment_calibrated(
        &self,
        image: &EncodedImage,
        prompts: &[BoxPrompt],
        options: &SegmentOptions,
        calibrated: &Calibrated,
        pace: &mut impl Pace,
    ) -> Result<Vec<Segmentation>> {
        let mut segmentations = Vec::with_capacity(prompts.len());
        let mut current: Option<Combination> = None;
        let finish = |done: Combination, segmentations: &mut Vec<Segmentation>| {
            segmentations.push(done.finish(prompts[segmentations.len()].bounding_box));
        };
        let visit = |_, answer: Answer| match &mut current {
            Some(combination) if !answer.is_plain() => combination.add(&answer),
            _ => {
                let next = Combination::new(self, options, calibrated, image.geometry, &answer);
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
        let calibrated = self.calibrated(&options, false);
        let plain = answers.next().expect("there is a plain answer");
        let mut combination = Combination::new(self, &options, &calibrated, geometry, plain);
        answers.for_each(|answer| combination.add(answer));
        Ok(combination.finish(bounding_box))
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

    /// The thresholds of the outer and the inner mask for a bound, of a box of the whole image or of a crop; `None` where nothing was calibrated for these
    /// options.
    pub fn thresholds(&self, options: &SegmentOptions, alpha: f64, zoom: bool) -> Option<ConformalThresholds> {
        self.calibrated(&SegmentOptions { alpha, ..*options }, zoom).thresholds
    }

    fn calibrated(&self, options: &SegmentOptions, zoom: bool) -> Calibrated {
        Calibrated::new(self.metadata.calibration.as_ref().filter(|_| options.calibrated), options, zoom)
    }
}
