//! From image and boxes to masks and uncertainty: the order of work, for every device.

mod image;
mod options;
mod result;
mod zoom;

pub use image::{BoxPrompt, EncodedImage};
pub use options::{MaskSource, SegmentOptions};
pub use result::{Answer, Segmentation};
pub use zoom::{Crop, Zoom};

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::image::{BoundingBox, Flip, Geometry, ImageView, Pixels, Preprocessed, Window, preprocess, upsample_logits};
use crate::model::InferenceModel;
use crate::model::image_encoder::ImageEncoderCpu;
use crate::model::mask_decoder::{MaskDecoderCpu, MaskOutput};
use crate::model::prompt_encoder::{InputBox, InputPrompt};
use crate::uncertainty::{Calibration, ConformalThresholds, UncertaintyOptions};
use crate::weights::{self, Metadata};
use burn::tensor::{Device, Tensor, TensorData};
use image::Embedding;
use result::{Calibrated, Combination};
use zoom::{CROPS_KEPT, EncodedCrop};

/// Prompts decoded in one batch: enough to share the image-side work, few enough to bound memory (about 25 MB a prompt). The default
/// ensemble is one batch.
const PROMPTS_PER_BATCH: usize = 9;

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

    /// Windows, resizes and scales an image to the network's input.
    ///
    /// # Errors
    /// As [`preprocess`].
    pub fn preprocess(&self, image: &ImageView, window: Window) -> Result<Preprocessed> {
        preprocess(image, window, self.metadata.config.input_size())
    }

    /// Encodes a preprocessed image. `progress` gets the share of the work handed to the device, 0–1.
    pub fn encode(&self, preprocessed: &Preprocessed, mut progress: impl FnMut(f64)) -> EncodedImage {
        let steps = self.model.network.image_encoder.steps();
        let mut done = 0;
        let embedding = self.embed(preprocessed.input.clone(), &mut || {
            done += 1;
            progress(done as f64 / steps as f64);
        });
        self.encoded(embedding, preprocessed.geometry).with_pixels(preprocessed.windowed.clone())
    }

    /// An image whose embedding `[1, embedding_size, embedding_size, dim]` is there already.
    pub(crate) fn encoded(&self, embedding: Tensor<4>, geometry: Geometry) -> EncodedImage {
        EncodedImage {
            embedding: self.prepare(embedding),
            flipped: Vec::new(),
            pixels: None,
            crops: Vec::new(),
            geometry,
        }
    }

    /// Gives an image the embedding of its mirror image.
    pub(crate) fn add_flip(&self, image: &mut EncodedImage, flip: Flip, embedding: Tensor<4>) {
        image.flipped.push((flip, self.prepare(embedding)));
    }

    fn prepare(&self, embedding: Tensor<4>) -> Embedding {
        match self.cpu.as_deref() {
            Some(CpuNetwork { decoder, .. }) => {
                let values = embedding.into_data().try_into_vec().expect("embeddings are f32");
                Embedding::Cpu(Arc::new(decoder.prepare(values)))
            }
            None => Embedding::Tensor(Box::new(embedding)),
        }
    }

    /// Encodes the mirrored images that the options ask for and that are not there yet.
    pub fn encode_flips(&self, preprocessed: &Preprocessed, options: &UncertaintyOptions, image: &mut EncodedImage) {
        for &flip in options.flips() {
            if image.embedding(Some(flip)).is_none() {
                let embedding = self.embed(preprocessed.flipped_input(flip), &mut || ());
                self.add_flip(image, flip, embedding);
            }
        }
    }

    /// The embedding of `input_size · input_size · 3` values; `on_step` is called as often as the encoder has steps.
    pub(crate) fn embed(&self, input: Vec<f32>, on_step: &mut dyn FnMut()) -> Tensor<4> {
        let size = self.metadata.config.input_size();
        if let Some(CpuNetwork { encoder: Some(encoder), .. }) = self.cpu.as_deref() {
            let config = &self.metadata.config.image_encoder;
            let shape = [1, config.embedding_size(), config.embedding_size(), config.out_channels()];
            let embedding = encoder.forward(&input, size, &mut |_, _| on_step());
            return Tensor::from_data(TensorData::new(embedding, shape), &self.device);
        }
        let input = Tensor::<4>::from_data(TensorData::new(input, [1, size, size, 3]), &self.device);
        self.model.encode(input, &mut |_, _| on_step())
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
        let Geometry { width, height, .. } = image.geometry;
        let boxes =
            boxes.iter().map(|&corners| BoundingBox::checked(corners, width, height)).collect::<Result<Vec<_>>>()?;
        self.segment_boxes(image, &boxes, options).await
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
        let options = options.checked()?;
        let Geometry { width, height, .. } = image.geometry;
        let zooms = image.pixels.is_some() && self.zooms(options.zoom);
        let crop = |bounding_box: &BoundingBox| zooms.then(|| Crop::around(bounding_box, width, height)).flatten();
        let places: Vec<(BoundingBox, Option<Crop>)> = boxes.iter().map(|&corners| (corners, crop(&corners))).collect();
        let mut segmentations = Vec::with_capacity(boxes.len());
        for together in places.chunk_by(|(_, a), (_, b)| a == b) {
            let Some(crop) = together[0].1 else {
                let prompt = |&(corners, _): &(BoundingBox, _)| BoxPrompt::new(corners, &image.geometry);
                let prompts: Vec<BoxPrompt> = together.iter().map(prompt).collect();
                segmentations.extend(self.segment_prompts(image, &prompts, &options).await?);
                continue;
            };
            let encoded = self.encoded_crop(image, crop, &options.uncertainty).await?;
            let prompt = |(corners, _): &(BoundingBox, _)| BoxPrompt::new(crop.box_within(corners), &encoded.geometry);
            let prompts: Vec<BoxPrompt> = together.iter().map(prompt).collect();
            let calibrated = self.calibrated(&options, true);
            let found = self.segment_calibrated(encoded, &prompts, &options, &calibrated).await?;
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

    /// A part of the image with its embedding, and its mirror images' where the options need them.
    async fn encoded_crop<'a>(
        &self,
        image: &'a mut EncodedImage,
        crop: Crop,
        options: &UncertaintyOptions,
    ) -> Result<&'a EncodedImage> {
        let (mut kept, is_new) = match image.crops.iter().position(|kept| kept.crop == crop) {
            Some(place) => (image.crops.remove(place), false),
            None => {
                let pixels = crop.cut(image.pixels.as_ref().expect("crops are of images with pixels"));
                let view = ImageView::new(Pixels::U8(&pixels.data), crop.width, crop.height, pixels.channels)?;
                let preprocessed = self.preprocess(&view, Window::Auto)?;
                let mut encoded = self.encode(&preprocessed, |_| ());
                encoded.pixels = None;
                (EncodedCrop { crop, preprocessed, encoded }, true)
            }
        };
        let flips = kept.encoded.flips();
        self.encode_flips(&kept.preprocessed, options, &mut kept.encoded);
        if is_new || kept.encoded.flips() > flips {
            kept.encoded.wait().await?;
        }
        image.crops.truncate(CROPS_KEPT - 1);
        image.crops.insert(0, kept);
        Ok(&image.crops[0].encoded)
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
        self.segment_calibrated(image, prompts, &options, &calibrated).await
    }

    async fn segment_calibrated(
        &self,
        image: &EncodedImage,
        prompts: &[BoxPrompt],
        options: &SegmentOptions,
        calibrated: &Calibrated,
    ) -> Result<Vec<Segmentation>> {
        let mut segmentations = Vec::with_capacity(prompts.len());
        let mut current: Option<Combination> = None;
        let finish = |done: Combination, segmentations: &mut Vec<Segmentation>| {
            segmentations.push(done.finish(prompts[segmentations.len()].bounding_box));
        };
        self.answers(image, prompts, &options.uncertainty, |_, answer| match &mut current {
            Some(combination) if !answer.is_plain() => combination.add(&answer),
            _ => {
                let next = Combination::new(self, options, calibrated, image.geometry, &answer);
                if let Some(done) = current.replace(next) {
                    finish(done, &mut segmentations);
                }
            }
        })
        .await?;
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

    /// Decodes every member of every box's ensemble. `visit` gets the box's index and the answer, box by box and per box the plain
    /// answer first.
    ///
    /// # Errors
    /// As [`Segmenter::segment_prompts`].
    pub async fn answers(
        &self,
        image: &EncodedImage,
        prompts: &[BoxPrompt],
        options: &UncertaintyOptions,
        mut visit: impl FnMut(usize, Answer),
    ) -> Result<()> {
        if options.multimask > 0.0 && !self.metadata.config.mask_decoder.multimask {
            return Err(Error::InvalidOption(format!(
                "multimask is {}, but these weights have no multimask outputs; use 0",
                options.multimask
            )));
        }
        let mut members = Vec::new();
        for (index, prompt) in prompts.iter().enumerate() {
            let boxes = options.boxes(prompt.input, &image.geometry);
            for flip in std::iter::once(None).chain(options.flips().iter().copied().map(Some)) {
                members.extend(boxes.iter().enumerate().map(|(sample, &corners)| Member {
                    index,
                    sample,
                    flip,
                    prompt: flip.map_or(corners, |flip| flip.apply_to_box(corners, &image.geometry)),
                }));
            }
        }
        for same_image in members.chunk_by(|a, b| a.flip == b.flip) {
            let Some(embedding) = image.embedding(same_image[0].flip) else {
                return Err(Error::InvalidOption("flips need the mirrored images to be encoded".into()));
            };
            for batch in same_image.chunks(PROMPTS_PER_BATCH) {
                let answers = self.decode(embedding, batch, options.multimask).await?;
                batch.iter().zip(answers).for_each(|(member, answer)| visit(member.index, answer));
            }
        }
        Ok(())
    }

    async fn decode(&self, embedding: &Embedding, batch: &[Member], multimask: f64) -> Result<Vec<Answer>> {
        let prompts: Vec<InputPrompt> = batch.iter().map(|member| member.prompt.into()).collect();
        let output = if multimask > 0.0 { MaskOutput::All } else { MaskOutput::Single };
        let (logits, ious) = match (embedding, self.cpu.as_deref()) {
            (Embedding::Cpu(image), Some(CpuNetwork { decoder, .. })) => {
                let sparse = read(self.model.network.prompt_encoder.embed_sparse(&prompts)).await?;
                let (logits, ious) = decoder.forward(image, &sparse, prompts.len(), output);
                (finite(logits)?, finite(ious)?)
            }
            (Embedding::Tensor(embedding), _) => {
                let prediction = self.model.decode((**embedding).clone(), &prompts, None, output);
                (read(prediction.logits).await?, read(prediction.iou).await?)
            }
            (Embedding::Cpu(_), None) => {
                return Err(Error::InvalidOption("the image was encoded on another device".into()));
            }
        };
        let masks = ious.len() / batch.len();
        let pixels = self.metadata.config.low_res_size().pow(2);
        let per_prompt = logits.chunks_exact(masks * pixels).zip(ious.chunks_exact(masks)).zip(batch);
        Ok(per_prompt
            .map(|((logits, ious), member)| Answer {
                sample: member.sample,
                flip: member.flip,
                logits: logits.chunks_exact(pixels).map(<[f32]>::to_vec).collect(),
                ious: ious.to_vec(),
            })
            .collect())
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

/// A prompt to decode.
struct Member {
    /// Index of the box in the call.
    index: usize,
    sample: usize,
    flip: Option<Flip>,
    prompt: InputBox,
}

/// Reads a tensor back, row by row.
///
/// # Errors
/// [`Error::Computation`] if the device fails or the result is not finite.
async fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.into_data_async().await.map_err(|error| Error::Computation(error.to_string()))?;
    finite(data.try_into_vec().map_err(|error| Error::Computation(error.to_string()))?)
}

/// # Errors
/// [`Error::Computation`] if a value is not finite.
fn finite(values: Vec<f32>) -> Result<Vec<f32>> {
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(values),
        false => Err(Error::Computation("the network's output is not finite".into())),
    }
}
