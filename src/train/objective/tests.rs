//! Losses fall, and gradients are where they should be.

use burn::optim::AdamWConfig;

use burn::tensor::Tolerance;

use super::super::example::Corrections;
use super::super::loss::signed_distance;
use super::*;
use crate::model::Config;
use crate::model::prompt_encoder::InputBox;

pub fn trainee(part: Part) -> Trainee {
    let device = Device::flex().autodiff();
    Trainee::new(Config::tiny().init_seeded(3, &device), part, &device)
}

/// A structure in the upper right quarter; embeddings tell it apart.
pub fn batch(with_embeddings: bool) -> Vec<Example> {
    let config = Config::tiny();
    let encoder = &config.image_encoder;
    let (size, side, dim) = (config.low_res_size(), encoder.embedding_size(), encoder.out_channels());
    let inside = |pixel: usize, side: usize| pixel % side >= side / 2 && pixel / side < side / 2;
    let mask: Vec<u8> = (0..size * size).map(|pixel| u8::from(inside(pixel, size))).collect();
    let structure = |corners: InputBox| Structure {
        prompt: corners.into(),
        mask: mask.clone(),
        distance: None,
        corrections: Corrections::default(),
    };
    let wave = |index: usize| (index as f32 * 0.37).sin();
    let image = match with_embeddings {
        true => {
            let values: Vec<f32> = (0..side * side * dim)
                .map(|index| wave(index % dim) * if inside(index / dim, side) { 1.0 } else { -1.0 })
                .collect();
            ExampleImage::Embedding(Tensor::from_data(TensorData::new(values, [1, side, side, dim]), &Device::flex()))
        }
        false => ExampleImage::Input((0..config.input_size().pow(2) * 3).map(wave).collect()),
    };
    let example = Example {
        name: "upper right".into(),
        modality: "none".into(),
        image,
        content: [config.input_size(); 2],
        structures: vec![structure([32.0, 0.0, 63.0, 31.0])],
        teacher: None,
    };
    vec![example.clone(), Example { structures: vec![structure([30.0, 0.0, 60.0, 34.0])], ..example }]
}

/// Trains for some steps; returns the Dice loss afterwards.
fn train(trainee: Trainee, kind: LossKind, steps: usize) -> (Trainee, f64) {
    let config = Goal { loss: LossConfig { kind, ..Default::default() }, ..Default::default() };
    let batch = batch(true);
    let mut optimizer = AdamWConfig::new().init();
    let mut trainee = trainee;
    for _ in 0..steps {
        let (gradients, _) = trainee.gradients(&batch, &config, None);
        trainee = optimizer.step(3e-3, trainee, gradients);
    }
    let dice = trainee.loss(&batch, &config).values().region;
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
        let losses = trainee.loss(&batch(part == Part::Decoder), &Goal::default());
        let gradients = GradientsParams::from_grads(losses.total.backward(), &trainee);
        assert_eq!(gradients_of(&trainee.network.image_encoder, &gradients) > 0, encoder, "{part:?}");
        assert_eq!(gradients_of(&trainee.network.mask_decoder, &gradients) > 0, decoder, "{part:?}");
        assert_eq!(gradients_of(&trainee.network.prompt_encoder, &gradients), 0, "{part:?}");
    }
}

#[test]
fn examples_by_themselves_have_the_batchs_gradient() {
    let trainee = trainee(Part::Decoder);
    let mut batch = batch(true);
    for structure in batch.iter_mut().flat_map(|example| &mut example.structures) {
        structure.distance = Some(signed_distance(&structure.mask, structure.mask.len().isqrt()));
    }
    let config = Goal { loss: LossConfig { boundary: 0.3, ..Default::default() }, ..Default::default() };
    let (whole, values) = trainee.gradients(&batch, &config, None);
    let (parts, mean) = trainee.gradients(&batch, &config, Some(2));
    assert!((values.total - mean.total).abs() < 1e-5 && values.boundary != 0.0);
    assert!((values.region - mean.region).abs() < 1e-6);
    struct Compare<'a>(&'a GradientsParams, &'a GradientsParams, usize);
    impl burn::module::ModuleVisitor for Compare<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some(expected) = self.0.get::<D>(param.id) else { return };
            let actual = self.1.get::<D>(param.id).unwrap().into_data();
            actual.assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
            self.2 += 1;
        }
    }
    let mut compare = Compare(&whole, &parts, 0);
    trainee.visit(&mut compare);
    assert_eq!(compare.2, whole.len());
    // In the same order whatever the number of threads.
    let (again, _) = trainee.gradients(&batch, &config, Some(7));
    let sigma = trainee.weighting.sigma.id;
    again.get::<1>(sigma).unwrap().into_data().assert_eq(&parts.get::<1>(sigma).unwrap().into_data(), true);
}

#[test]
fn boxes_of_one_image_have_the_gradient_of_as_many_images() {
    let trainee = trainee(Part::Decoder);
    let apart = batch(true);
    let mut together = apart[0].clone();
    together.structures.extend(apart[1].structures.clone());
    let (expected, apart) = trainee.gradients(&apart, &Goal::default(), Some(2));
    let (gradients, together) = trainee.gradients(&[together], &Goal::default(), Some(2));
    assert!((apart.total - together.total).abs() < 1e-5, "{apart:?} {together:?}");
    let sigma = trainee.weighting.sigma.id;
    let [expected, actual] = [expected, gradients].map(|of| of.get::<1>(sigma).unwrap().into_data());
    actual.assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
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
