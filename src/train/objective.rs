//! The network in training, and the loss of a batch.

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};

use super::config::{Distillation, Interaction, LossConfig, LossKind, Part, TrainConfig};
use super::example::{Example, ExampleImage, Structure};
use super::loss::{UncertaintyAware, binary_cross_entropy, boundary, dice, iou_regression};
use super::parallel;
pub use super::values::{LossValues, Losses};
use crate::model::mask_decoder::MaskOutput;
use crate::model::prompt_encoder::{InputPrompt, PromptEncoder};
use crate::model::{CorrectionHead, Umedsam};

/// A network with the σ of its loss.
#[derive(Module, Debug)]
pub struct Trainee {
    /// The network, not folded.
    pub network: Umedsam,
    /// Weights of the terms.
    pub weighting: UncertaintyAware,
    dense_pe: Param<Tensor<3>>,
}

/// A module whose parameters get gradients, or do not.
fn tracked<M: Module>(module: M, is_trained: bool) -> M {
    struct Track(bool);
    impl ModuleMapper for Track {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.set_require_grad(self.0)
        }
    }
    module.map(&mut Track(is_trained))
}

/// What is minimised.
#[derive(Debug, Clone, Copy, Default)]
pub struct Goal {
    /// The loss of masks.
    pub loss: LossConfig,
    /// The loss of embeddings.
    pub distillation: Option<Distillation>,
    /// Prompts that are corrected.
    pub interaction: Option<Interaction>,
}

impl Goal {
    /// What a configuration wants minimised.
    pub fn of(config: &TrainConfig) -> Self {
        Self { loss: config.loss, distillation: config.distillation, interaction: config.interaction }
    }

    /// Whether embeddings are all that is learned.
    pub fn is_embedding_only(&self) -> bool {
        self.distillation.is_some_and(|distillation| !distillation.masks)
    }

    /// Whether images without masks are learned from.
    pub fn takes_unlabelled(&self) -> bool {
        self.is_embedding_only()
            || self.distillation.is_some_and(|distillation| distillation.taught_masks > 0.0)
            || self.interaction.is_some_and(|interaction| interaction.taught > 0.0)
    }
}

/// Terms that the uncertainty-aware loss weighs: region, distribution, pixel.
pub const TERMS: usize = 3;

impl Trainee {
    /// Prepares a network on an autodiff device: what `part` does not name is frozen. The position encoding always is, as in SAM, where it is no parameter; without
    /// [`Part::Prompts`] the prompt encoder is too, as in LiteMedSAM's and MedSAM's fine-tuning. With [`Part::Corrections`] the network gets what answers them, if it
    /// has not.
    pub fn new(network: Umedsam, part: Part, device: &Device) -> Self {
        let Umedsam { image_encoder, prompt_encoder, mask_decoder, corrections, .. } = match part {
            Part::Corrections => network.with_corrections(),
            _ => network,
        };
        let tracked_encoder = |encoder, is_trained| {
            let mut encoder: PromptEncoder = tracked(encoder, is_trained);
            encoder.pe_layer = tracked(encoder.pe_layer, false);
            encoder
        };
        let prompt_encoder = tracked_encoder(prompt_encoder, part == Part::Prompts);
        let dense_pe = Param::from_tensor(prompt_encoder.dense_pe().detach()).no_grad();
        let network = Umedsam {
            image_encoder: tracked(image_encoder, part.has_encoder()),
            prompt_encoder,
            mask_decoder: tracked(mask_decoder, part.has_decoder()),
            corrections: corrections.map(|CorrectionHead { prompt_encoder, mask_decoder }| CorrectionHead {
                prompt_encoder: tracked_encoder(prompt_encoder, part == Part::Corrections),
                mask_decoder: tracked(mask_decoder, part == Part::Corrections),
            }),
            // It was learned for the decoder as it was.
            local_scaling: None,
        };
        Self { network, weighting: UncertaintyAware::new(TERMS, device), dense_pe }
    }

    /// The embedding of an example's image.
    pub(super) fn embed(&self, example: &Example) -> Tensor<4> {
        let device = self.dense_pe.val().device();
        match &example.image {
            ExampleImage::Embedding(embedding) => on_device(embedding, &device),
            ExampleImage::Input(values) => {
                let side = (values.len() / 3).isqrt();
                let input = Tensor::<4>::from_data(TensorData::new(values.clone(), [1, side, side, 3]), &device);
                self.network.image_encoder.forward(input, &mut |_, _| ())
            }
        }
    }

    /// Low-res logits `[prompts, low_res_size, low_res_size]` and predicted IoU `[prompts]` of prompts on one image, with a mask prompt
    /// `[prompts, low_res_size, low_res_size]` for all or for none.
    pub(super) fn decode(
        &self,
        embedding: Tensor<4>,
        prompts: &[InputPrompt],
        masks: Option<Tensor<3>>,
    ) -> (Tensor<3>, Tensor<1>) {
        let (prompt_encoder, mask_decoder) = self.network.head(prompts, masks.is_some());
        let prediction = mask_decoder.forward(
            embedding,
            self.dense_pe.val(),
            prompt_encoder.embed_sparse(prompts),
            masks.map_or_else(|| prompt_encoder.no_mask(), |masks| prompt_encoder.embed_masks(masks)),
            MaskOutput::Single,
        );
        (prediction.logits.squeeze_dim::<3>(1), prediction.iou.squeeze_dim::<1>(1))
    }

    /// The loss of a batch.
    pub fn loss(&self, batch: &[Example], goal: &Goal) -> Losses {
        let embeddings: Vec<Tensor<4>> = batch.iter().map(|example| self.embed(example)).collect();
        let embedding = embedding_difference(batch, &embeddings);
        let mut losses = match goal.is_embedding_only() {
            true => Losses::none(&embedding.device()),
            false => self.mask_loss(batch, embeddings, &goal.loss).1,
        };
        if let Some(distillation) = goal.distillation {
            losses.total = losses.total + embedding.clone() * distillation.weight;
        }
        losses.terms[5] = embedding;
        losses
    }

    /// Low-res logits `[boxes, low_res_size, low_res_size]` of a batch's boxes, and their loss without the embeddings'.
    pub fn predict(&self, batch: &[Example], config: &LossConfig) -> (Tensor<3>, Losses) {
        self.mask_loss(batch, batch.iter().map(|example| self.embed(example)).collect(), config)
    }

    fn mask_loss(&self, batch: &[Example], embeddings: Vec<Tensor<4>>, config: &LossConfig) -> (Tensor<3>, Losses) {
        let decoded = embeddings.into_iter().zip(batch).map(|(embedding, example)| {
            let prompts: Vec<InputPrompt> =
                example.structures.iter().map(|structure| structure.prompt.clone()).collect();
            self.decode(embedding, &prompts, None)
        });
        let (logits, ious): (Vec<_>, Vec<_>) = decoded.unzip();
        let structures: Vec<&Structure> = batch.iter().flat_map(|example| &example.structures).collect();
        let logits = Tensor::cat(logits, 0);
        (logits.clone(), self.losses(logits, Tensor::cat(ious, 0), &structures, config))
    }

    /// The loss of low-res logits `[structures, low_res_size, low_res_size]` and predicted IoU `[structures]`.
    pub(super) fn losses(
        &self,
        logits: Tensor<3>,
        ious: Tensor<1>,
        structures: &[&Structure],
        config: &LossConfig,
    ) -> Losses {
        let [count, height, width] = logits.dims();
        let structures = || structures.iter();
        let masks: Vec<f32> =
            structures().flat_map(|structure| structure.mask.iter().map(|&inside| f32::from(inside))).collect();
        let target = Tensor::<3>::from_data(TensorData::new(masks, [count, height, width]), &logits.device());
        let region = dice(logits.clone(), target.clone(), config.region);
        let distribution = binary_cross_entropy(logits.clone(), target.clone());
        let pixel = config.focal.forward(logits.clone(), target.clone());
        let boundary = match structures().map(|structure| structure.distance.as_ref()).collect::<Option<Vec<_>>>() {
            Some(distances) => {
                let distances: Vec<f32> = distances.into_iter().flatten().copied().collect();
                let distance = TensorData::new(distances, [count, height, width]);
                boundary(logits.clone(), Tensor::from_data(distance, &logits.device()))
            }
            None => Tensor::zeros([1], &logits.device()),
        };
        let iou = iou_regression(ious, logits.clone(), target);
        let mask = match config.kind {
            LossKind::Region => region.clone(),
            LossKind::Sum => region.clone() + distribution.clone(),
            LossKind::UncertaintyAware => {
                self.weighting.forward(vec![region.clone(), distribution.clone(), pixel.clone()])
            }
        };
        let total = mask + iou.clone() * config.iou + boundary.clone() * config.boundary;
        let embedding = Tensor::zeros([1], &logits.device());
        Losses { total, terms: [region, distribution, pixel, iou, boundary, embedding] }
    }

    /// The gradient of a batch's loss, and the loss.
    ///
    /// With `jobs` each example is worked on by itself, so many at the same time, as is best on the CPU: a loss is a mean over its batch, so that the mean of the
    /// examples' gradients is the batch's, and small tensors of several examples keep more cores busy than large ones of one.
    pub fn gradients(&self, batch: &[Example], goal: &Goal, jobs: Option<usize>) -> (GradientsParams, LossValues) {
        if goal.interaction.is_some() {
            return self.corrected_gradients(batch, goal, jobs.unwrap_or(1));
        }
        let Some(jobs) = jobs else {
            let losses = self.loss(batch, goal);
            let values = losses.values();
            return (GradientsParams::from_grads(losses.total.backward(), self), values);
        };
        let share = 1.0 / batch.len() as f64;
        let results = parallel::map(batch, jobs, |example| {
            let own = self.with_own_graph();
            let losses = own.loss(std::slice::from_ref(example), goal);
            let values = losses.values();
            (GradientsParams::from_grads((losses.total * share).backward(), &own), values)
        });
        self.summed(results)
    }

    /// The sum of gradients and the mean of losses, in their order, so that it does not depend on who was first.
    pub(super) fn summed(&self, results: Vec<(GradientsParams, LossValues)>) -> (GradientsParams, LossValues) {
        let mut sum = GradientsAccumulator::new();
        let mut all = Vec::new();
        for (gradients, values) in results {
            sum.accumulate(self, gradients);
            all.push(values);
        }
        (sum.grads(), LossValues::mean(&all))
    }

    /// The same parameters as leaves of another graph, so that threads do not wait for each other's.
    pub(super) fn with_own_graph(&self) -> Self {
        struct Leaves;
        impl ModuleMapper for Leaves {
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                param.map(|tensor| {
                    let is_trained = tensor.is_require_grad();
                    Tensor::from_inner(tensor.inner()).set_require_grad(is_trained)
                })
            }
        }
        self.clone().map(&mut Leaves)
    }

    /// The σ of the region, distribution and pixel term.
    pub fn sigma(&self) -> [f64; TERMS] {
        let values: Vec<f32> = self.weighting.sigma.val().into_data().try_into_vec().expect("σ are f32");
        std::array::from_fn(|term| f64::from(values[term]))
    }
}

/// The mean squared difference between embeddings and their teacher's, over the examples that have one.
fn embedding_difference(batch: &[Example], embeddings: &[Tensor<4>]) -> Tensor<1> {
    let device = embeddings[0].device();
    let pairs =
        batch.iter().zip(embeddings).filter_map(|(example, embedding)| Some((example.teacher.as_ref()?, embedding)));
    let differences: Vec<Tensor<1>> =
        pairs.map(|(teacher, embedding)| (embedding.clone() - on_device(teacher, &device)).square().mean()).collect();
    match differences.is_empty() {
        true => Tensor::zeros([1], &device),
        false => Tensor::cat(differences, 0).mean(),
    }
}

/// An embedding of the CPU as a constant of a device, with autodiff where the device has it.
fn on_device(embedding: &Tensor<4>, device: &Device) -> Tensor<4> {
    let embedding = embedding.clone().to_device(&device.clone().inner());
    if device.is_autodiff() { Tensor::from_inner(embedding) } else { embedding }
}

#[cfg(test)]
pub(super) mod tests;
