//! From image and boxes to masks and uncertainty: the order of work, for every device.

use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::image::{BoundingBox, Geometry, ImageView, Preprocessed, Window, preprocess, upsample_logits};
use crate::model::InferenceModel;
use crate::model::mask_decoder::MaskOutput;
use crate::model::prompt_encoder::InputPrompt;
use crate::uncertainty::{binary_entropy, sigmoid};
use crate::weights::{self, Metadata};

/// Boxes decoded in one batch: enough to share the image-side work, few enough to bound memory (about 25 MB a box).
const BOXES_PER_BATCH: usize = 8;

/// A network on a device, ready to segment.
#[derive(Debug)]
pub struct Segmenter {
    model: InferenceModel,
    metadata: Metadata,
    device: Device,
}

/// An image's embedding, kept to answer prompts.
#[derive(Debug, Clone)]
pub struct EncodedImage {
    /// The embedding, `[1, embedding_size, embedding_size, dim]`.
    pub embedding: Tensor<4>,
    /// Where the image lies in the network's input.
    pub geometry: Geometry,
}

impl EncodedImage {
    /// Waits until the device has computed the embedding, by reading one value of it.
    ///
    /// # Errors
    /// [`Error::Computation`] if the device fails or the value is not finite.
    pub async fn wait(&self) -> Result<()> {
        read(self.embedding.clone().slice([0..1, 0..1, 0..1, 0..1])).await.map(drop)
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
    /// Binary predictive entropy, 0–1 bits; `height · width` values.
    #[serde(skip)]
    pub uncertainty: Vec<f32>,
    /// The network's own estimate of the mask's IoU with the truth; near 0–1 but not bounded.
    pub predicted_iou: f32,
    /// Pixels inside the mask.
    pub area: usize,
}

impl Segmenter {
    /// Reads weights onto a device.
    ///
    /// # Errors
    /// [`Error::Weights`] if they cannot be used.
    pub fn from_weights(bytes: Vec<u8>, device: &Device) -> Result<Self> {
        let (network, metadata) = weights::load(bytes, device)?;
        Ok(Self { model: network.into_inference(), metadata, device: device.clone() })
    }

    /// Uses a network that is there already.
    pub fn new(model: InferenceModel, metadata: Metadata, device: &Device) -> Self {
        Self { model, metadata, device: device.clone() }
    }

    /// What the weights say of themselves.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
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
        let size = preprocessed.geometry.input_size;
        let input = TensorData::new(preprocessed.input.clone(), [1, size, size, 3]);
        let input = Tensor::<4>::from_data(input, &self.device);
        let steps = self.model.network.image_encoder.steps();
        let mut done = 0;
        let embedding = self.model.encode(input, &mut |_, _| {
            done += 1;
            progress(done as f64 / steps as f64);
        });
        EncodedImage { embedding, geometry: preprocessed.geometry }
    }

    /// Segments what is in each box.
    ///
    /// # Errors
    /// [`Error::InvalidBox`], before any work, if a box cannot be used; [`Error::Computation`] if the device fails.
    pub async fn segment(&self, image: &EncodedImage, boxes: &[[f64; 4]]) -> Result<Vec<Segmentation>> {
        let Geometry { width, height, .. } = image.geometry;
        let boxes =
            boxes.iter().map(|&corners| BoundingBox::checked(corners, width, height)).collect::<Result<Vec<_>>>()?;
        let mut segmentations = Vec::with_capacity(boxes.len());
        for batch in boxes.chunks(BOXES_PER_BATCH) {
            self.segment_batch(image, batch, &mut segmentations).await?;
        }
        Ok(segmentations)
    }

    async fn segment_batch(
        &self,
        image: &EncodedImage,
        boxes: &[BoundingBox],
        segmentations: &mut Vec<Segmentation>,
    ) -> Result<()> {
        let prompts: Vec<InputPrompt> = boxes.iter().map(|corners| corners.to_input(&image.geometry).into()).collect();
        let prediction = self.model.decode(image.embedding.clone(), &prompts, None, MaskOutput::Single);
        let logits = read(prediction.logits).await?;
        let ious = read(prediction.iou).await?;
        let low_res_size = self.metadata.config.low_res_size();
        let per_box = logits.chunks_exact(low_res_size * low_res_size).zip(&ious).zip(boxes);
        for ((logits, &predicted_iou), &bounding_box) in per_box {
            let logits = upsample_logits(logits, low_res_size, &image.geometry);
            segmentations.push(Segmentation::from_logits(&logits, bounding_box, predicted_iou));
        }
        Ok(())
    }
}

impl Segmentation {
    fn from_logits(logits: &[f32], bounding_box: BoundingBox, predicted_iou: f32) -> Self {
        let probability: Vec<f32> = logits.iter().map(|&logit| sigmoid(logit)).collect();
        let mask: Vec<u8> = probability.iter().map(|&probability| u8::from(probability > 0.5)).collect();
        let uncertainty = probability.iter().map(|&probability| binary_entropy(probability)).collect();
        let area = mask.iter().map(|&inside| usize::from(inside)).sum();
        Self { bounding_box, mask, probability, uncertainty, predicted_iou, area }
    }
}

/// Reads a tensor back, row by row.
///
/// # Errors
/// [`Error::Computation`] if the device fails or the result is not finite.
async fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.into_data_async().await.map_err(|error| Error::Computation(error.to_string()))?;
    let values: Vec<f32> = data.try_into_vec().map_err(|error| Error::Computation(error.to_string()))?;
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(values),
        false => Err(Error::Computation("the network's output is not finite".into())),
    }
}
