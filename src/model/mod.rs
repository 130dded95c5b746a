//! The networks: image encoder, prompt encoder, mask decoder.
//!
//! Source: Ma et al., *Segment Anything in Medical Images*, 2024 (MedSAM, LiteMedSAM).

pub mod common;
pub mod efficient_vit;
pub mod efficient_vit_sam;
pub mod image_encoder;
pub mod layers;
pub mod local_scaling;
pub mod mask_decoder;
mod packing;
pub mod prompt_encoder;
pub(crate) mod seeded;
pub mod student;
pub mod tiny_vit;
pub mod transformer;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use image_encoder::{ImageEncoder, ImageEncoderConfig};
use local_scaling::{LocalScaling, LocalScalingConfig};
use mask_decoder::{MaskDecoder, MaskDecoderConfig, MaskOutput, MaskPrediction};
use prompt_encoder::{InputPrompt, PromptEncoder, PromptEncoderConfig};
use student::StudentConfig;
use tiny_vit::TinyVitConfig;
use transformer::TwoWayTransformerConfig;

/// Every size of a [`Umedsam`] network.
///
/// ```
/// use umedsam::model::Config;
/// assert_eq!(Config::litemedsam().low_res_size(), 256);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The image encoder.
    pub image_encoder: ImageEncoderConfig,
    /// Hidden channels of the mask prompt's encoder.
    pub mask_in_chans: usize,
    /// The mask decoder.
    pub mask_decoder: MaskDecoderConfig,
    /// Whether there are a prompt encoder and a mask decoder of their own for whatever is not a box alone, see [`CorrectionHead`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub corrections: bool,
    /// Sizes of what says how far each place of a box's mask is to be trusted, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_scaling: Option<LocalScalingConfig>,
}

impl Config {
    /// LiteMedSAM: 9,791,300 parameters, 256-pixel input.
    pub fn litemedsam() -> Self {
        Self {
            image_encoder: ImageEncoderConfig::TinyVit(TinyVitConfig::litemedsam()),
            mask_in_chans: 16,
            mask_decoder: MaskDecoderConfig {
                transformer: TwoWayTransformerConfig { depth: 2, embedding_dim: 256, num_heads: 8, mlp_dim: 2048 },
                num_multimask_outputs: 3,
                iou_head_depth: 3,
                iou_head_hidden_dim: 256,
                multimask: true,
            },
            corrections: false,
            local_scaling: None,
        }
    }

    /// A small network of the same code, for fast tests: 64-pixel input.
    pub fn tiny() -> Self {
        Self {
            image_encoder: ImageEncoderConfig::TinyVit(TinyVitConfig::tiny()),
            mask_in_chans: 4,
            mask_decoder: MaskDecoderConfig {
                transformer: TwoWayTransformerConfig { depth: 2, embedding_dim: 32, num_heads: 2, mlp_dim: 64 },
                num_multimask_outputs: 3,
                iou_head_depth: 3,
                iou_head_hidden_dim: 32,
                multimask: true,
            },
            corrections: false,
            local_scaling: None,
        }
    }

    /// LiteMedSAM's prompt encoder and mask decoder with the light image encoder.
    pub fn student() -> Self {
        Self { image_encoder: ImageEncoderConfig::Student(StudentConfig::lite0()), ..Self::litemedsam() }
    }

    /// [`Config::tiny`] with the light image encoder.
    pub fn tiny_student() -> Self {
        Self { image_encoder: ImageEncoderConfig::Student(StudentConfig::tiny()), ..Self::tiny() }
    }

    /// Side of the network's square input, in pixels.
    pub fn input_size(&self) -> usize {
        self.image_encoder.input_size()
    }

    /// Side of the low-res mask logits, in pixels.
    pub fn low_res_size(&self) -> usize {
        4 * self.image_encoder.embedding_size()
    }

    /// What is wrong with the sizes, if anything.
    pub fn check(&self) -> Result<(), String> {
        self.image_encoder.check()?;
        self.local_scaling.as_ref().map_or(Ok(()), LocalScalingConfig::check)?;
        let transformer = &self.mask_decoder.transformer;
        let dim = transformer.embedding_dim;
        if dim != self.image_encoder.out_channels() {
            return Err(format!(
                "the decoder takes {dim} channels, the encoder gives {}",
                self.image_encoder.out_channels()
            ));
        }
        if dim == 0
            || !dim.is_multiple_of(8)
            || transformer.num_heads == 0
            || !(dim / 2).is_multiple_of(transformer.num_heads)
        {
            return Err(format!("embedding_dim {dim} does not fit num_heads {}", transformer.num_heads));
        }
        if transformer.depth == 0 || transformer.mlp_dim == 0 || self.mask_decoder.iou_head_depth == 0 {
            return Err("depth, mlp_dim and iou_head_depth must be positive".into());
        }
        if self.mask_in_chans == 0 || !self.mask_in_chans.is_multiple_of(4) {
            return Err(format!("mask_in_chans {} is not a multiple of 4", self.mask_in_chans));
        }
        Ok(())
    }

    /// Creates the network with random weights.
    pub fn init(&self, device: &Device) -> Umedsam {
        let prompt_encoder = PromptEncoderConfig {
            embed_dim: self.mask_decoder.transformer.embedding_dim,
            embedding_size: self.image_encoder.embedding_size(),
            input_size: self.input_size(),
            mask_in_chans: self.mask_in_chans,
        };
        Umedsam {
            image_encoder: self.image_encoder.init(device),
            prompt_encoder: prompt_encoder.init(device),
            mask_decoder: self.mask_decoder.init(device),
            corrections: self.corrections.then(|| CorrectionHead {
                prompt_encoder: prompt_encoder.init(device),
                mask_decoder: self.mask_decoder.init(device),
            }),
            local_scaling: self.local_scaling.as_ref().map(|config| config.init(&Device::flex())),
        }
    }

    /// Creates the network with weights drawn from a seed, the same on every device and platform.
    pub fn init_seeded(&self, seed: u64, device: &Device) -> Umedsam {
        seeded::seeded(self.init(device), seed)
    }
}

/// The whole network. Field names are the checkpoint's keys.
#[derive(Module, Debug)]
pub struct Umedsam {
    /// Image to embedding.
    pub image_encoder: ImageEncoder,
    /// Prompts to embeddings.
    pub prompt_encoder: PromptEncoder,
    /// Embeddings to masks.
    pub mask_decoder: MaskDecoder,
    /// What answers prompts that are not a box alone, where that is apart.
    pub corrections: Option<CorrectionHead>,
    /// How far each place of a box's mask is to be trusted.
    pub local_scaling: Option<LocalScaling>,
}

/// A prompt encoder and a mask decoder for points, strokes and earlier masks.
///
/// Not in SAM. A decoder that learns to correct forgets some of what it knew of boxes (our first: 1.2 DSC on `val`, 2.2 on unseen datasets); apart, a box alone is answered
/// as before, at the price of a second decoder in the file. The position encoding is the same as the boxes'.
#[derive(Module, Debug)]
pub struct CorrectionHead {
    /// Prompts to embeddings.
    pub prompt_encoder: PromptEncoder,
    /// Embeddings to masks.
    pub mask_decoder: MaskDecoder,
}

/// Whether prompts of one layout are boxes alone, which [`CorrectionHead`] do not answer.
pub fn are_boxes_alone(prompts: &[InputPrompt], has_mask: bool) -> bool {
    !has_mask && prompts.iter().all(|prompt| prompt.points.is_empty() && prompt.bounding_box.is_some())
}

impl Umedsam {
    /// The same with a prompt encoder and a mask decoder of their own for corrections, which begin as those of boxes; unchanged if it has them.
    #[cfg(feature = "train")]
    pub fn with_corrections(self) -> Self {
        let of_boxes = || CorrectionHead {
            prompt_encoder: as_new_parameters(self.prompt_encoder.clone()),
            mask_decoder: as_new_parameters(self.mask_decoder.clone()),
        };
        Self { corrections: Some(self.corrections.unwrap_or_else(of_boxes)), ..self }
    }

    /// What answers prompts of one layout.
    pub fn head(&self, prompts: &[InputPrompt], has_mask: bool) -> (&PromptEncoder, &MaskDecoder) {
        match self.corrections.as_ref().filter(|_| !are_boxes_alone(prompts, has_mask)) {
            Some(corrections) => (&corrections.prompt_encoder, &corrections.mask_decoder),
            None => (&self.prompt_encoder, &self.mask_decoder),
        }
    }

    /// Folds what can be computed once from the weights, for inference.
    pub fn into_inference(self) -> InferenceModel {
        let network = Self { image_encoder: self.image_encoder.fold(), ..self };
        let dense_pe = Param::from_tensor(network.prompt_encoder.dense_pe());
        InferenceModel { network, dense_pe }
    }
}

/// The same values as parameters of their own: a clone's are those of what it was cloned from, for an optimizer.
#[cfg(feature = "train")]
fn as_new_parameters<M: Module>(module: M) -> M {
    struct New;
    impl burn::module::ModuleMapper for New {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            Param::initialized(burn::module::ParamId::new(), param.val().detach())
        }
    }
    module.map(&mut New)
}

/// A [`Umedsam`] ready to run.
#[derive(Module, Debug)]
pub struct InferenceModel {
    /// The folded network.
    pub network: Umedsam,
    /// Position encoding of the embedding's tokens, `[1, tokens, dim]`.
    pub dense_pe: Param<Tensor<3>>,
}

impl InferenceModel {
    /// Encodes a preprocessed image; `observe` gets each part's name and output as it is done.
    ///
    /// # Shapes
    /// - `input`: `[1, input_size, input_size, 3]`, values in 0–1
    /// - output: `[1, embedding_size, embedding_size, dim]`
    pub fn encode(&self, input: Tensor<4>, observe: &mut dyn FnMut(&str, &Tensor<4>)) -> Tensor<4> {
        self.network.image_encoder.forward(input, observe)
    }

    /// Decodes masks for prompts on one embedding. `masks` are low-res logits of an earlier pass, one per prompt.
    ///
    /// # Shapes
    /// - `embedding`: `[1, embedding_size, embedding_size, dim]`
    /// - `masks`: `[prompts, low_res_size, low_res_size]`
    pub fn decode(
        &self,
        embedding: Tensor<4>,
        prompts: &[InputPrompt],
        masks: Option<Tensor<3>>,
        output: MaskOutput,
    ) -> MaskPrediction {
        let (prompt_encoder, mask_decoder) = self.network.head(prompts, masks.is_some());
        let sparse = prompt_encoder.embed_sparse(prompts);
        let dense = match masks {
            Some(masks) => prompt_encoder.embed_masks(masks),
            None => prompt_encoder.no_mask(),
        };
        mask_decoder.forward(embedding, self.dense_pe.val(), sparse, dense, output)
    }
}
