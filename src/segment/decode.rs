//! From prompts to the answers of an ensemble.

use std::sync::Arc;

use super::local::LocalMap;
use super::pace::{Pace, Unpaced};
use super::placed::PlacedPrompt;
use super::{Answer, EncodedImage, Segmenter};
use crate::error::{Error, Result};
use crate::image::Flip;
use crate::model::are_boxes_alone;
use crate::model::mask_decoder::MaskOutput;
use crate::model::prompt_encoder::InputPrompt;
use crate::uncertainty::UncertaintyOptions;

impl Segmenter {
    /// Decodes every member of every prompt's ensemble. `visit` gets the prompt's index and the answer, prompt by prompt and per prompt the plain
    /// answer first.
    ///
    /// # Errors
    /// As [`Segmenter::segment_placed`].
    pub async fn answers(
        &self,
        image: &EncodedImage,
        prompts: &[PlacedPrompt],
        options: &UncertaintyOptions,
        visit: impl FnMut(usize, Answer),
    ) -> Result<()> {
        self.answers_paced(image, prompts, options, visit, &mut Unpaced(|_| ())).await
    }

    pub(super) async fn answers_paced(
        &self,
        image: &EncodedImage,
        prompts: &[PlacedPrompt],
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
            let perturbed = options.prompts(&prompt.input, &image.geometry);
            for flip in std::iter::once(None).chain(options.flips().iter().copied().map(Some)) {
                let mask_prompt = prompt.mask_prompt.as_ref().map(|mask| match flip {
                    None => mask.clone(),
                    Some(flip) => {
                        let mut mirrored = mask.to_vec();
                        let input_size = self.metadata.config.low_res_size();
                        let low_res = crate::image::Geometry { input_size, ..image.geometry };
                        flip.apply_to_input(&mut mirrored, &low_res, 1);
                        Arc::new(mirrored)
                    }
                });
                members.extend(perturbed.iter().enumerate().map(|(sample, input)| Member {
                    index,
                    sample,
                    flip,
                    prompt: flip.map_or_else(|| input.clone(), |flip| flip.apply_to_prompt(input, &image.geometry)),
                    mask_prompt: mask_prompt.clone(),
                }));
            }
        }
        let mut locals: Vec<Option<Arc<LocalMap>>> = vec![None; prompts.len()];
        let output = if options.multimask > 0.0 { MaskOutput::All } else { MaskOutput::Single };
        let (all, mut done) = (members.len() as f64, 0);
        for together in members.chunk_by(Member::is_decoded_with) {
            let Some(embedding) = image.embedding(together[0].flip) else {
                return Err(Error::InvalidOption("flips need the mirrored images to be encoded".into()));
            };
            let inputs: Vec<InputPrompt> = together.iter().map(|member| member.prompt.clone()).collect();
            let mask_prompt = together[0].mask_prompt.as_ref().map(|mask| mask.as_slice());
            let mut waiting = together.iter();
            let answered = async |batch: Vec<super::network::Masks>| {
                done += batch.len();
                for ((logits, ious), member) in batch.into_iter().zip(&mut waiting) {
                    // The plain answer comes first; what is said of its places holds for all members.
                    if let (true, Some(network)) = (member.is_plain(), self.local_scaling.as_deref()) {
                        let boxed = member.prompt.bounding_box.filter(|_| member.is_box_alone());
                        let map = |corners| LocalMap::new(network, &logits[0], corners, &image.geometry);
                        locals[member.index] = boxed.map(|corners| Arc::new(map(corners)));
                    }
                    let local = locals[member.index].clone();
                    visit(member.index, Answer { sample: member.sample, flip: member.flip, logits, ious, local });
                }
                pace.after(done as f64 / all).await
            };
            self.network.decode(embedding, &inputs, mask_prompt, output, answered).await?;
        }
        Ok(())
    }
}

/// A prompt to decode.
struct Member {
    /// Index of the prompt in the call.
    index: usize,
    sample: usize,
    flip: Option<Flip>,
    prompt: InputPrompt,
    mask_prompt: Option<Arc<Vec<f32>>>,
}

impl Member {
    /// Whether this is the prompt as it was given.
    fn is_plain(&self) -> bool {
        self.sample == 0 && self.flip.is_none()
    }

    /// Whether the prompt is a box and nothing else.
    fn is_box_alone(&self) -> bool {
        are_boxes_alone(std::slice::from_ref(&self.prompt), self.mask_prompt.is_some())
    }

    /// Whether both go through the decoder in one batch: on the same image, with the same mask prompt, and as many tokens.
    fn is_decoded_with(&self, other: &Self) -> bool {
        let layout = |member: &Self| (member.prompt.points.len(), member.prompt.bounding_box.is_some());
        let same_mask = match (&self.mask_prompt, &other.mask_prompt) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        self.flip == other.flip && same_mask && layout(self) == layout(other)
    }
}
