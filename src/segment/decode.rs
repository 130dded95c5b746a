//! From boxes to the answers of an ensemble.

use burn::tensor::Tensor;

use super::image::Embedding;
use super::pace::{Pace, Unpaced};
use super::{Answer, BoxPrompt, CpuNetwork, EncodedImage, Segmenter};
use crate::error::{Error, Result};
use crate::image::Flip;
use crate::model::mask_decoder::MaskOutput;
use crate::model::prompt_encoder::{InputBox, InputPrompt};
use crate::uncertainty::UncertaintyOptions;

/// Prompts decoded in one batch: enough to share the image-side work, few enough to bound memory (about 25 MB a prompt). The default
/// ensemble is one batch.
const PROMPTS_PER_BATCH: usize = 9;

impl Segmenter {
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
        visit: impl FnMut(usize, Answer),
    ) -> Result<()> {
        self.answers_paced(image, prompts, options, visit, &mut Unpaced(|_| ())).await
    }

    pub(super) async fn answers_paced(
        &self,
        image: &EncodedImage,
        prompts: &[BoxPrompt],
        options: &UncertaintyOptions,
        mut visit: impl FnMut(usize, Answer),
        pace: &mut impl Pace,
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
        let (all, mut done) = (members.len() as f64, 0.0);
        for same_image in members.chunk_by(|a, b| a.flip == b.flip) {
            let Some(embedding) = image.embedding(same_image[0].flip) else {
                return Err(Error::InvalidOption("flips need the mirrored images to be encoded".into()));
            };
            for batch in same_image.chunks(PROMPTS_PER_BATCH) {
                let answers = self.decode(embedding, batch, options.multimask).await?;
                batch.iter().zip(answers).for_each(|(member, answer)| visit(member.index, answer));
                done += batch.len() as f64;
                pace.after(done / all).await?;
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
