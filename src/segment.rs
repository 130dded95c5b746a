//! From image and boxes to masks and uncertainty: the order of work, for every device.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::image::{BoundingBox, Flip, Geometry, ImageView, Preprocessed, Window, preprocess, upsample_logits};
use crate::model::InferenceModel;
use crate::model::image_encoder::ImageEncoderCpu;
use crate::model::mask_decoder::{MaskDecoderCpu, MaskOutput, PreparedImage};
use crate::model::prompt_encoder::{InputBox, InputPrompt};
use crate::uncertainty::{
    Agreement, Calibration, CalibrationUse, ConformalThresholds, Ensemble, ExpectedDsc, ReviewRule, Scaling,
    UncertaintyMaps, UncertaintyOptions,
};
use crate::weights::{self, Metadata};

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

/// An image's embedding, kept to answer prompts.
#[derive(Debug, Clone)]
pub struct EncodedImage {
    embedding: Embedding,
    /// Embeddings of the mirrored image, for ensembles with flips; empty until [`Segmenter::encode_flips`].
    flipped: Vec<(Flip, Embedding)>,
    /// Where the image lies in the network's input.
    pub geometry: Geometry,
}

/// What the mask decoder of a device takes.
#[derive(Debug, Clone)]
enum Embedding {
    /// `[1, embedding_size, embedding_size, dim]`
    Tensor(Box<Tensor<4>>),
    /// With what the CPU's decoder computes once per image.
    Cpu(Arc<PreparedImage>),
}

impl EncodedImage {
    /// Waits until the device has computed the embeddings, by reading one value of each.
    ///
    /// # Errors
    /// [`Error::Computation`] if the device fails or the value is not finite.
    pub async fn wait(&self) -> Result<()> {
        for embedding in std::iter::once(&self.embedding).chain(self.flipped.iter().map(|(_, embedding)| embedding)) {
            match embedding {
                Embedding::Tensor(tensor) => read((**tensor).clone().slice([0..1, 0..1, 0..1, 0..1])).await?,
                Embedding::Cpu(prepared) => finite(vec![prepared.first_value()])?,
            };
        }
        Ok(())
    }

    /// How many mirrored images are encoded.
    pub fn flips(&self) -> usize {
        self.flipped.len()
    }

    fn embedding(&self, flip: Option<Flip>) -> Option<&Embedding> {
        match flip {
            None => Some(&self.embedding),
            Some(flip) => self.flipped.iter().find(|(other, _)| *other == flip).map(|(_, embedding)| embedding),
        }
    }
}

/// A box and its place in the network's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxPrompt {
    /// In pixels of the image.
    pub bounding_box: BoundingBox,
    /// In pixels of the network's input.
    pub input: InputBox,
}

impl BoxPrompt {
    /// A box of the image, truncated to the input's pixels as the challenge's baseline does.
    pub fn new(bounding_box: BoundingBox, geometry: &Geometry) -> Self {
        Self { bounding_box, input: bounding_box.to_input(geometry) }
    }

    /// A box of the input.
    pub fn from_input(input: InputBox, geometry: &Geometry) -> Self {
        let corners = input.map(|coordinate| f64::from(coordinate) / geometry.scale());
        Self { bounding_box: BoundingBox(corners), input }
    }
}

/// What is asked for beside the mask.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SegmentOptions {
    /// How the uncertainty is found.
    pub uncertainty: UncertaintyOptions,
    /// Bound of the outer mask's expected false-negative rate and of the inner mask's expected false-positive share, between 0 and 1.
    pub alpha: f64,
    /// Whether probabilities are calibrated, where the weights bring a calibration.
    pub calibrated: bool,
    /// What the mask is.
    pub mask: MaskSource,
}

/// What a mask is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MaskSource {
    /// Where the network's logits for the box as it was given are positive: the official network's mask.
    #[default]
    Network,
    /// Where the probability is above ½: the calibrated mean of the ensemble. More accurate on the validation images; see
    /// `docs/uncertainty.md`.
    Consensus,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self { uncertainty: UncertaintyOptions::default(), alpha: 0.1, calibrated: true, mask: MaskSource::Network }
    }
}

impl SegmentOptions {
    /// Refuses values out of range.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] that names the value and its range.
    pub fn checked(self) -> Result<Self> {
        self.uncertainty.checked()?;
        match self.alpha > 0.0 && self.alpha < 1.0 {
            true => Ok(self),
            false => Err(Error::InvalidOption(format!("alpha is {}; use a number between 0 and 1", self.alpha))),
        }
    }
}

/// What the network says of one box.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Segmentation {
    /// The box as it was used: in order and within the image.
    #[serde(rename = "box")]
    pub bounding_box: BoundingBox,
    /// 1 inside, 0 outside; `height · width` values, row by row.
    #[serde(skip)]
    pub mask: Vec<u8>,
    /// Probability of being inside, 0–1; `height · width` values.
    #[serde(skip)]
    pub probability: Vec<f32>,
    /// Uncertainty in bits; `height · width` values each.
    #[serde(skip)]
    pub uncertainty: UncertaintyMaps,
    /// Contains, for images like those of the calibration, all but a share of `alpha` of the object in expectation. `None` where nothing
    /// was calibrated for this.
    #[serde(skip)]
    pub outer: Option<Vec<u8>>,
    /// Consists, for images like those of the calibration, of the object but for a share of `alpha` in expectation. `None` as above.
    #[serde(skip)]
    pub inner: Option<Vec<u8>>,
    /// The network's own estimate of the mask's IoU with the truth; near 0–1 but not bounded.
    pub predicted_iou: f32,
    /// The DSC that is to be expected of the mask, 0–1.
    pub expected_dsc: f64,
    /// Whether the expected DSC is so low that someone should look; `None` without calibration.
    pub needs_review: Option<bool>,
    /// Whether the numbers are calibrated for these options.
    pub calibration: CalibrationUse,
    /// What the expected DSC is made of.
    #[serde(skip)]
    pub agreement: Agreement,
    /// Pixels inside the mask.
    pub area: usize,
}

/// What calibration says for some options.
struct Calibrated {
    scaling: Scaling,
    thresholds: Option<ConformalThresholds>,
    expected_dsc: ExpectedDsc,
    review: Option<ReviewRule>,
    state: CalibrationUse,
}

/// A prompt to decode.
struct Member {
    /// Index of the box in the call.
    index: usize,
    sample: usize,
    flip: Option<Flip>,
    prompt: InputBox,
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
    fn weights(&self, multimask: f64) -> Vec<f32> {
        let ious: Vec<f64> = self.ious[1..].iter().map(|&iou| f64::from(iou).clamp(1e-3, 1.0)).collect();
        let sum: f64 = ious.iter().sum();
        let single = if ious.is_empty() { 1.0 } else { 1.0 - multimask };
        std::iter::once(single)
            .chain(ious.iter().map(|iou| multimask * iou / sum))
            .map(|weight| weight as f32)
            .collect()
    }
}

/// Answers to one box on their way to one segmentation.
struct Combination<'a> {
    segmenter: &'a Segmenter,
    options: &'a SegmentOptions,
    calibrated: &'a Calibrated,
    geometry: Geometry,
    ensemble: Ensemble,
    predicted_iou: f32,
}

impl<'a> Combination<'a> {
    fn new(
        segmenter: &'a Segmenter,
        options: &'a SegmentOptions,
        calibrated: &'a Calibrated,
        geometry: Geometry,
        plain: &Answer,
    ) -> Self {
        let logits = segmenter.upsample(&plain.logits[0], None, &geometry);
        let ensemble = match options.uncertainty.is_single_pass() {
            true => Ensemble::single(&logits, calibrated.scaling),
            false => Ensemble::new(&logits, calibrated.scaling),
        };
        let mut combination = Self { segmenter, options, calibrated, geometry, ensemble, predicted_iou: plain.ious[0] };
        combination.add(plain);
        combination
    }

    fn add(&mut self, answer: &Answer) {
        if self.options.uncertainty.is_single_pass() {
            return;
        }
        let weights = answer.weights(self.options.uncertainty.multimask);
        for (logits, weight) in answer.logits.iter().zip(weights).filter(|(_, weight)| *weight > 0.0) {
            self.ensemble.add(&self.segmenter.upsample(logits, answer.flip, &self.geometry), weight);
        }
    }

    fn finish(self, bounding_box: BoundingBox) -> Segmentation {
        self.calibrated.segmentation(self.ensemble, self.predicted_iou, bounding_box, self.options.mask)
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
        self.encoded(embedding, preprocessed.geometry)
    }

    /// An image whose embedding `[1, embedding_size, embedding_size, dim]` is there already.
    pub(crate) fn encoded(&self, embedding: Tensor<4>, geometry: Geometry) -> EncodedImage {
        EncodedImage { embedding: self.prepare(embedding), flipped: Vec::new(), geometry }
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

    /// Segments what is in each box.
    ///
    /// # Errors
    /// Before any work, [`Error::InvalidBox`] if a box cannot be used and [`Error::InvalidOption`] if an option cannot, or needs flips that
    /// are not encoded; [`Error::Computation`] if the device fails.
    pub async fn segment(
        &self,
        image: &EncodedImage,
        boxes: &[[f64; 4]],
        options: &SegmentOptions,
    ) -> Result<Vec<Segmentation>> {
        let Geometry { width, height, .. } = image.geometry;
        let boxes =
            boxes.iter().map(|&corners| BoundingBox::checked(corners, width, height)).collect::<Result<Vec<_>>>()?;
        let prompts: Vec<BoxPrompt> =
            boxes.into_iter().map(|corners| BoxPrompt::new(corners, &image.geometry)).collect();
        self.segment_prompts(image, &prompts, options).await
    }

    /// As [`Segmenter::segment`] for boxes that need no check, such as those of masks one pixel wide in challenge files.
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
        let calibrated = self.calibrated(&options);
        let mut segmentations = Vec::with_capacity(prompts.len());
        let mut current: Option<Combination> = None;
        let finish = |done: Combination, segmentations: &mut Vec<Segmentation>| {
            segmentations.push(done.finish(prompts[segmentations.len()].bounding_box));
        };
        self.answers(image, prompts, &options.uncertainty, |_, answer| match &mut current {
            Some(combination) if !answer.is_plain() => combination.add(&answer),
            _ => {
                let next = Combination::new(self, &options, &calibrated, image.geometry, &answer);
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
        let calibrated = self.calibrated(&options);
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

    /// The thresholds of the outer and the inner mask for a bound; `None` where nothing was calibrated for these options.
    pub fn thresholds(&self, options: &SegmentOptions, alpha: f64) -> Option<ConformalThresholds> {
        self.calibrated(&SegmentOptions { alpha, ..*options }).thresholds
    }

    fn calibrated(&self, options: &SegmentOptions) -> Calibrated {
        let calibration = self.metadata.calibration.as_ref().filter(|_| options.calibrated);
        match calibration.and_then(|calibration| calibration.setting(&options.uncertainty)) {
            Some((setting, state)) => Calibrated {
                scaling: setting.scaling,
                thresholds: (state == CalibrationUse::Fitted).then(|| setting.thresholds(options.alpha)),
                expected_dsc: setting.expected_dsc,
                review: Some(setting.review),
                state,
            },
            None => Calibrated {
                scaling: Scaling::default(),
                thresholds: None,
                expected_dsc: ExpectedDsc::default(),
                review: None,
                state: CalibrationUse::None,
            },
        }
    }
}

impl Calibrated {
    fn segmentation(
        &self,
        ensemble: Ensemble,
        predicted_iou: f32,
        bounding_box: BoundingBox,
        source: MaskSource,
    ) -> Segmentation {
        let (mask, probability, uncertainty, agreement) = ensemble.finish(predicted_iou);
        // The expected DSC stays that of the network's mask, for which it was learned.
        let mask = match source {
            MaskSource::Network => mask,
            MaskSource::Consensus => probability.iter().map(|&probability| u8::from(probability > 0.5)).collect(),
        };
        let expected_dsc = self.expected_dsc.predict(&agreement);
        Segmentation {
            bounding_box,
            outer: self.thresholds.map(|thresholds| thresholds.outer_mask(&probability)),
            inner: self.thresholds.map(|thresholds| thresholds.inner_mask(&probability)),
            area: mask.iter().map(|&inside| usize::from(inside)).sum(),
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
