//! Which network runs on which device: kernels of our own on the CPU, tensors elsewhere.
//!
//! What this layer removes: the order of work asks for embeddings and masks and does not know how they are computed.

use std::borrow::Cow;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

use super::image::{CpuEmbedding, Embedding, Features};
use super::pace::Pace;
use crate::error::{Error, Result};
use crate::image::Geometry;
use crate::model::image_encoder::ImageEncoderCpu;
use crate::model::mask_decoder::{MaskDecoderCpu, MaskOutput, PreparedImage};
use crate::model::prompt_encoder::InputPrompt;
use crate::model::{Config, InferenceModel, are_boxes_alone};
use crate::uncertainty::shift::{features, features_of_tensor};

/// Prompts decoded in one batch: enough to share the image-side work, few enough to bound memory (about 25 MB a prompt). The default
/// ensemble is one batch.
const PROMPTS_PER_BATCH: usize = 9;

/// A network on a device.
#[derive(Debug, Clone)]
pub(super) struct Network {
    model: InferenceModel,
    /// The network on kernels of our own, where the device is the CPU.
    cpu: Option<Arc<CpuNetwork>>,
    device: Device,
}

#[derive(Debug)]
struct CpuNetwork {
    /// Where there are kernels for it; else it runs on tensors.
    encoder: Option<ImageEncoderCpu>,
    decoder: MaskDecoderCpu,
    /// What answers prompts that are not a box alone, where that is apart.
    corrections: Option<MaskDecoderCpu>,
}

impl CpuNetwork {
    fn new(model: &InferenceModel) -> Self {
        let network = &model.network;
        let image_pe: Vec<f32> = model.dense_pe.val().into_data().try_into_vec().expect("weights are f32");
        let corrections = network.corrections.as_ref().map(|corrections| {
            MaskDecoderCpu::new(&corrections.mask_decoder, image_pe.clone(), &corrections.prompt_encoder)
        });
        Self {
            encoder: ImageEncoderCpu::new(&network.image_encoder),
            decoder: MaskDecoderCpu::new(&network.mask_decoder, image_pe, &network.prompt_encoder),
            corrections,
        }
    }

    /// What answers prompts, and the image prepared for it.
    fn head<'a>(
        &'a self,
        image: &'a CpuEmbedding,
        prompts: &[InputPrompt],
        has_mask: bool,
    ) -> (&'a MaskDecoderCpu, &'a PreparedImage) {
        match self.corrections.as_ref().filter(|_| !are_boxes_alone(prompts, has_mask)) {
            Some(decoder) => {
                let prepare = || decoder.prepare(self.decoder.embedding(&image.prepared));
                (decoder, image.for_corrections.get_or_init(prepare))
            }
            None => (&self.decoder, &image.prepared),
        }
    }
}

/// Low-res logits of the masks of one prompt, and the predicted IoU of each.
pub(super) type Masks = (Vec<Vec<f32>>, Vec<f32>);

impl Network {
    pub fn new(model: InferenceModel, device: &Device) -> Self {
        let cpu = (*device == Device::flex()).then(|| Arc::new(CpuNetwork::new(&model)));
        Self { model, cpu, device: device.clone() }
    }

    /// Whether the image encoder runs on tensors of the CPU.
    pub fn encodes_on_cpu_tensors(&self) -> bool {
        self.cpu.as_ref().is_some_and(|network| network.encoder.is_none())
    }

    pub fn model(&self) -> &InferenceModel {
        &self.model
    }

    /// The embedding of `input_size · input_size · 3` values.
    pub async fn embed(&self, config: &Config, input: Vec<f32>, pace: &mut impl Pace) -> Result<Tensor<4>> {
        let size = config.input_size();
        let steps = self.model.network.image_encoder.steps() as f64;
        let mut done = 0.0;
        if let Some(CpuNetwork { encoder: Some(encoder), .. }) = self.cpu.as_deref() {
            let config = &config.image_encoder;
            let shape = [1, config.embedding_size(), config.embedding_size(), config.out_channels()];
            let mut after_step = async |_: &str, _: &[f32]| {
                done += 1.0;
                pace.after(done / steps).await
            };
            let embedding = encoder.forward_in_steps(&input, size, &mut after_step).await?;
            return Ok(Tensor::from_data(TensorData::new(embedding, shape), &self.device));
        }
        // A GPU only takes orders here, which it carries out by itself.
        let input = Tensor::<4>::from_data(TensorData::new(input, [1, size, size, 3]), &self.device);
        let mut shares = Vec::new();
        let embedding = self.model.encode(input, &mut |_, _| {
            done += 1.0;
            shares.push(done / steps);
        });
        for share in shares {
            pace.after(share).await?;
        }
        Ok(embedding)
    }

    /// What an embedding says of the image as a whole; on the CPU at once.
    pub fn features(&self, embedding: &Tensor<4>, geometry: &Geometry) -> Features {
        match &self.cpu {
            Some(_) => {
                let side = embedding.dims()[1];
                let values: Vec<f32> = embedding.to_data().try_into_vec().expect("embeddings are f32");
                Features::Values(features(&values, side, geometry))
            }
            None => Features::Tensor(Box::new(features_of_tensor(embedding.clone(), geometry))),
        }
    }

    /// An embedding as the mask decoder of the device takes it.
    pub fn prepare(&self, embedding: Tensor<4>) -> Embedding {
        match self.cpu.as_deref() {
            Some(CpuNetwork { decoder, .. }) => {
                let values = embedding.into_data().try_into_vec().expect("embeddings are f32");
                Embedding::Cpu(Arc::new(decoder.prepare(values).into()))
            }
            None => Embedding::Tensor(Box::new(embedding)),
        }
    }

    /// Decodes prompts of the same layout (as many points, a box or none) on one image, with one mask prompt for all or none. `visit` gets the masks of each
    /// batch of prompts.
    ///
    /// # Shapes
    /// - `mask_prompt`: `[low_res_size, low_res_size]`
    pub async fn decode(
        &self,
        embedding: &Embedding,
        prompts: &[InputPrompt],
        mask_prompt: Option<&[f32]>,
        output: MaskOutput,
        mut visit: impl AsyncFnMut(Vec<Masks>) -> Result<()>,
    ) -> Result<()> {
        let on_cpu = match (embedding, self.cpu.as_deref()) {
            (Embedding::Cpu(image), Some(network)) => {
                let (decoder, prepared) = network.head(image, prompts, mask_prompt.is_some());
                let with_mask = mask_prompt.map(|mask| decoder.with_mask_prompt(prepared, mask));
                Some((decoder, with_mask.map_or(Cow::Borrowed(prepared), Cow::Owned)))
            }
            _ => None,
        };
        let (prompt_encoder, _) = self.model.network.head(prompts, mask_prompt.is_some());
        for batch in prompts.chunks(PROMPTS_PER_BATCH) {
            let (logits, ious) = match (embedding, &on_cpu) {
                (Embedding::Cpu(_), Some((decoder, image))) => {
                    let sparse = read(prompt_encoder.embed_sparse(batch)).await?;
                    let (logits, ious) = decoder.forward(image, &sparse, batch.len(), output);
                    (finite(logits)?, finite(ious)?)
                }
                (Embedding::Tensor(embedding), _) => {
                    let mask = mask_prompt.map(|mask| {
                        let size = mask.len().isqrt();
                        Tensor::<3>::from_data(TensorData::new(mask.to_vec(), [1, size, size]), &self.device)
                    });
                    let prediction = self.model.decode((**embedding).clone(), batch, mask, output);
                    (read(prediction.logits).await?, read(prediction.iou).await?)
                }
                (Embedding::Cpu(_), None) => {
                    return Err(Error::InvalidOption("the image was encoded on another device".into()));
                }
            };
            let masks = ious.len() / batch.len();
            let pixels = logits.len() / ious.len();
            let of_prompt = |(logits, ious): (&[f32], &[f32])| {
                (logits.chunks_exact(pixels).map(<[f32]>::to_vec).collect(), ious.to_vec())
            };
            visit(logits.chunks_exact(masks * pixels).zip(ious.chunks_exact(masks)).map(of_prompt).collect()).await?;
        }
        Ok(())
    }

    /// The predicted IoU of a prompt's single mask; where there are kernels for it, without the work for the mask.
    ///
    /// # Shapes
    /// - `mask_prompt`: `[low_res_size, low_res_size]`
    ///
    /// # Errors
    /// [`Error::Computation`] if the device fails; [`Error::InvalidOption`] if the image was encoded on another one.
    pub async fn predicted_iou(
        &self,
        embedding: &Embedding,
        prompt: &InputPrompt,
        mask_prompt: Option<&[f32]>,
    ) -> Result<f32> {
        let prompts = std::slice::from_ref(prompt);
        if let (Embedding::Cpu(image), Some(network)) = (embedding, self.cpu.as_deref()) {
            let (decoder, prepared) = network.head(image, prompts, mask_prompt.is_some());
            let (prompt_encoder, _) = self.model.network.head(prompts, mask_prompt.is_some());
            let sparse = read(prompt_encoder.embed_sparse(prompts)).await?;
            let iou = match mask_prompt {
                Some(mask) => decoder.predicted_iou(&decoder.with_mask_prompt(prepared, mask), &sparse),
                None => decoder.predicted_iou(prepared, &sparse),
            };
            return Ok(finite(vec![iou])?[0]);
        }
        let mut found = f32::NAN;
        let visit = async |masks: Vec<Masks>| {
            found = masks[0].1[0];
            Ok(())
        };
        self.decode(embedding, prompts, mask_prompt, MaskOutput::Single, visit).await?;
        Ok(found)
    }
}

/// Reads a tensor back, row by row.
///
/// # Errors
/// [`Error::Computation`] if the device fails or the result is not finite.
pub(super) async fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.into_data_async().await.map_err(|error| Error::Computation(error.to_string()))?;
    finite(data.try_into_vec().map_err(|error| Error::Computation(error.to_string()))?)
}

/// # Errors
/// [`Error::Computation`] if a value is not finite.
pub(super) fn finite(values: Vec<f32>) -> Result<Vec<f32>> {
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(values),
        false => Err(Error::Computation("the network's output is not finite".into())),
    }
}
