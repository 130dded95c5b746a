//! The network in training, and the loss of a batch.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::config::{LossConfig, LossKind, Part};
use super::loss::{UncertaintyAware, binary_cross_entropy, dice, iou_regression};
use crate::model::Umedsam;
use crate::model::mask_decoder::MaskOutput;
use crate::model::prompt_encoder::InputBox;

/// One box of one image.
#[derive(Debug, Clone)]
pub struct Example {
    /// The image.
    pub image: ExampleImage,
    /// 1 inside, 0 outside: `low_res_size · low_res_size` values.
    pub mask: Vec<u8>,
    /// The prompt.
    pub bounding_box: InputBox,
}

/// The image of an example.
#[derive(Debug, Clone)]
pub enum ExampleImage {
    /// Its embedding, `embedding_size · embedding_size · dim` values, where the encoder does not change.
    Embedding(Vec<f32>),
    /// The network's input, `input_size · input_size · 3` values.
    Input(Vec<f32>),
}

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

/// The loss of a batch and what it is made of, each `[1]`.
#[derive(Debug, Clone)]
pub struct Losses {
    /// What is minimised.
    pub total: Tensor<1>,
    /// Dice.
    pub region: Tensor<1>,
    /// Cross-entropy.
    pub distribution: Tensor<1>,
    /// Focal.
    pub pixel: Tensor<1>,
    /// Squared error of the predicted IoU.
    pub iou: Tensor<1>,
}

/// Terms that the uncertainty-aware loss weighs: region, distribution, pixel.
pub const TERMS: usize = 3;

impl Trainee {
    /// Prepares a network on an autodiff device: what `part` does not name is frozen. Prompt encoder and position encoding always are, as in
    /// LiteMedSAM's and MedSAM's fine-tuning.
    pub fn new(network: Umedsam, part: Part, device: &Device) -> Self {
        let Umedsam { image_encoder, prompt_encoder, mask_decoder } = network;
        let dense_pe = Param::from_tensor(prompt_encoder.dense_pe().detach()).no_grad();
        let network = Umedsam {
            image_encoder: tracked(image_encoder, part != Part::Decoder),
            prompt_encoder: tracked(prompt_encoder, false),
            mask_decoder: tracked(mask_decoder, part != Part::Encoder),
        };
        Self { network, weighting: UncertaintyAware::new(TERMS, device), dense_pe }
    }

    /// Low-res logits `[batch, low_res_size, low_res_size]` and predicted IoU `[batch]` of a batch.
    pub fn forward(&self, batch: &[Example]) -> (Tensor<3>, Tensor<1>) {
        let device = self.dense_pe.val().device();
        let (mut logits, mut ious) = (Vec::new(), Vec::new());
        for example in batch {
            let embedding = match &example.image {
                ExampleImage::Embedding(values) => {
                    let [_, tokens, dim] = self.dense_pe.val().dims();
                    let side = tokens.isqrt();
                    Tensor::<4>::from_data(TensorData::new(values.clone(), [1, side, side, dim]), &device)
                }
                ExampleImage::Input(values) => {
                    let side = (values.len() / 3).isqrt();
                    let input = Tensor::<4>::from_data(TensorData::new(values.clone(), [1, side, side, 3]), &device);
                    self.network.image_encoder.forward(input, &mut |_, _| ())
                }
            };
            let prompt_encoder = &self.network.prompt_encoder;
            let prediction = self.network.mask_decoder.forward(
                embedding,
                self.dense_pe.val(),
                prompt_encoder.embed_sparse(&[example.bounding_box.into()]),
                prompt_encoder.no_mask(),
                MaskOutput::Single,
            );
            logits.push(prediction.logits.squeeze_dim::<3>(1));
            ious.push(prediction.iou.squeeze_dim::<1>(1));
        }
        (Tensor::cat(logits, 0), Tensor::cat(ious, 0))
    }

    /// The loss of a batch.
    pub fn loss(&self, batch: &[Example], config: &LossConfig) -> Losses {
        let (logits, ious) = self.forward(batch);
        let [count, height, width] = logits.dims();
        let masks: Vec<f32> =
            batch.iter().flat_map(|example| example.mask.iter().map(|&inside| f32::from(inside))).collect();
        let target = Tensor::<3>::from_data(TensorData::new(masks, [count, height, width]), &logits.device());
        let region = dice(logits.clone(), target.clone(), config.region);
        let distribution = binary_cross_entropy(logits.clone(), target.clone());
        let pixel = config.focal.forward(logits.clone(), target.clone());
        let iou = iou_regression(ious, logits, target);
        let mask = match config.kind {
            LossKind::Region => region.clone(),
            LossKind::Sum => region.clone() + distribution.clone(),
            LossKind::UncertaintyAware => {
                self.weighting.forward(vec![region.clone(), distribution.clone(), pixel.clone()])
            }
        };
        Losses { total: mask + iou.clone() * config.iou, region, distribution, pixel, iou }
    }
}

#[cfg(test)]
mod tests {
    use burn::optim::{AdamWConfig, GradientsParams};

    use super::*;
    use crate::model::Config;

    fn trainee(part: Part) -> Trainee {
        let device = Device::flex().autodiff();
        Trainee::new(Config::tiny().init_seeded(3, &device), part, &device)
    }

    /// A structure in the upper right quarter; embeddings tell it apart.
    fn batch(with_embeddings: bool) -> Vec<Example> {
        let config = Config::tiny();
        let encoder = &config.image_encoder;
        let (size, side, dim) = (config.low_res_size(), encoder.embedding_size(), encoder.out_channels());
        let inside = |pixel: usize, side: usize| pixel % side >= side / 2 && pixel / side < side / 2;
        let mask = (0..size * size).map(|pixel| u8::from(inside(pixel, size))).collect();
        let wave = |index: usize| (index as f32 * 0.37).sin();
        let image = match with_embeddings {
            true => ExampleImage::Embedding(
                (0..side * side * dim)
                    .map(|index| wave(index % dim) * if inside(index / dim, side) { 1.0 } else { -1.0 })
                    .collect(),
            ),
            false => ExampleImage::Input((0..config.input_size().pow(2) * 3).map(wave).collect()),
        };
        vec![Example { image, mask, bounding_box: [32.0, 0.0, 63.0, 31.0] }; 2]
    }

    fn value(tensor: Tensor<1>) -> f32 {
        tensor.into_data().try_to_vec::<f32>().unwrap()[0]
    }

    /// Trains for some steps; returns the Dice loss afterwards.
    fn train(trainee: Trainee, kind: LossKind, steps: usize) -> (Trainee, f32) {
        let config = LossConfig { kind, ..Default::default() };
        let batch = batch(true);
        let mut optimizer = AdamWConfig::new().init();
        let mut trainee = trainee;
        for _ in 0..steps {
            let loss = trainee.loss(&batch, &config).total;
            let gradients = GradientsParams::from_grads(loss.backward(), &trainee);
            trainee = optimizer.step(3e-3, trainee, gradients);
        }
        let dice = value(trainee.loss(&batch, &config).region);
        (trainee, dice)
    }

    #[test]
    fn training_lowers_every_loss() {
        // The seeded network is sure that everything is inside, where Dice alone has no gradient: cross-entropy brings it back.
        let start = train(trainee(Part::Decoder), LossKind::Sum, 0).1;
        for kind in [LossKind::Sum, LossKind::UncertaintyAware] {
            let (begun, before) = train(trainee(Part::Decoder), kind, 250);
            assert!(before < start - 0.3, "{kind:?}: Dice loss went from {start} to {before}");
            let (_, after) = train(begun, LossKind::Region, 30);
            assert!(after < before, "Dice loss went from {before} to {after}");
        }
    }

    #[test]
    fn only_the_named_part_has_gradients() {
        for (part, encoder, decoder) in
            [(Part::Decoder, false, true), (Part::Encoder, true, false), (Part::All, true, true)]
        {
            let trainee = trainee(part);
            let losses = trainee.loss(&batch(part == Part::Decoder), &LossConfig::default());
            let gradients = GradientsParams::from_grads(losses.total.backward(), &trainee);
            assert_eq!(gradients_of(&trainee.network.image_encoder, &gradients) > 0, encoder, "{part:?}");
            assert_eq!(gradients_of(&trainee.network.mask_decoder, &gradients) > 0, decoder, "{part:?}");
            assert_eq!(gradients_of(&trainee.network.prompt_encoder, &gradients), 0, "{part:?}");
        }
    }

    /// Number of parameters of a module that have a gradient.
    fn gradients_of<M: Module>(module: &M, gradients: &GradientsParams) -> usize {
        struct Count<'a>(&'a GradientsParams, usize);
        impl burn::module::ModuleVisitor for Count<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.1 += usize::from(self.0.get::<D>(param.id).is_some());
            }
        }
        let mut count = Count(gradients, 0);
        module.visit(&mut count);
        count.1
    }
}
