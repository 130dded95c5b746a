use burn::tensor::{Device, Distribution, Tensor, TensorData, Tolerance};

use super::*;
use crate::model::Config;
use crate::model::prompt_encoder::{InputBox, InputPoint, InputPrompt, PointLabel};

fn box_prompts(size: f32) -> Vec<InputPrompt> {
    [[0.1, 0.2, 0.6, 0.9], [0.0, 0.0, 1.0, 1.0], [0.5, 0.5, 0.52, 0.51]]
        .map(|corners| InputPrompt::from(corners.map(|side: f32| side * size)))
        .to_vec()
}

/// As many points as `count`, with a box or without.
fn points(size: f32, count: usize, bounding_box: Option<InputBox>) -> Vec<InputPrompt> {
    let label = |index: usize| [PointLabel::Foreground, PointLabel::Background][index % 2];
    let wave = |index: usize| (index as f32 * 0.77).sin().abs() * size;
    let point = |index| InputPoint { x: wave(index), y: wave(index + 31), label: label(index) };
    vec![InputPrompt { points: (0..count).map(point).collect(), bounding_box }]
}

fn compare(config: &Config) {
    let size = config.input_size() as f32;
    compare_prompts(config, &box_prompts(size), false);
    compare_prompts(config, &box_prompts(size), true);
    for (count, bounding_box) in [(1, None), (2, Some([3.0, 4.0, size, size / 2.0])), (40, None)] {
        for with_mask in [false, true] {
            compare_prompts(config, &points(size, count, bounding_box), with_mask);
        }
    }
}

fn compare_prompts(config: &Config, prompts: &[InputPrompt], with_mask: bool) {
    let device = Device::flex();
    let model = config.init_seeded(7, &device).into_inference();
    let side = config.image_encoder.embedding_size();
    let dim = config.image_encoder.out_channels();
    let embedding = Tensor::<4>::random([1, side, side, dim], Distribution::Normal(0.0, 1.0), &device);
    let low_res = config.low_res_size();
    let mask = Tensor::<3>::random([1, low_res, low_res], Distribution::Normal(0.0, 4.0), &device);
    let vec = |data: TensorData| data.try_into_vec::<f32>().unwrap();
    let encoder = &model.network.prompt_encoder;
    let decoder = MaskDecoderCpu::new(&model.network.mask_decoder, vec(model.dense_pe.val().into_data()), encoder);
    let sparse = vec(encoder.embed_sparse(prompts).into_data());
    for output in [MaskOutput::Single, MaskOutput::Multi, MaskOutput::All] {
        let expected = model.decode(embedding.clone(), prompts, with_mask.then(|| mask.clone()), output);
        let image = decoder.prepare(vec(embedding.to_data()));
        let image = if with_mask { decoder.with_mask_prompt(&image, &vec(mask.to_data())) } else { image };
        let (logits, ious) = decoder.forward(&image, &sparse, prompts.len(), output);
        let logits = TensorData::new(logits, expected.logits.shape());
        logits.assert_approx_eq::<f32>(&expected.logits.into_data(), Tolerance::rel_abs(1e-3, 1e-3));
        let ious = TensorData::new(ious, expected.iou.shape());
        ious.assert_approx_eq::<f32>(&expected.iou.into_data(), Tolerance::rel_abs(1e-3, 1e-4));
    }
}

#[test]
fn masks_are_as_with_tensors() {
    compare(&Config::tiny());
    // Eight heads, as LiteMedSAM, for which the softmax has a path of its own, and three layers.
    let mut config = Config::tiny();
    let encoder = &mut config.image_encoder;
    if let crate::model::image_encoder::ImageEncoderConfig::TinyVit(encoder) = encoder {
        encoder.out_channels = 64;
    }
    config.mask_decoder.transformer =
        crate::model::transformer::TwoWayTransformerConfig { depth: 3, embedding_dim: 64, num_heads: 8, mlp_dim: 96 };
    compare(&config);
}

#[test]
fn without_multimask_outputs_the_single_mask_is_the_same() {
    let device = Device::flex();
    let model = Config::tiny().init_seeded(7, &device).into_inference();
    let side = Config::tiny().image_encoder.embedding_size();
    let image: Vec<f32> = (0..side * side * 32).map(|index| (index as f32 * 0.37).sin()).collect();
    let vec = |data: TensorData| data.try_into_vec::<f32>().unwrap();
    let encoder = &model.network.prompt_encoder;
    let sparse = vec(encoder.embed_sparse(&[[5.0, 6.0, 30.0, 40.0].into()]).into_data());
    let mut decoder = model.network.mask_decoder.clone();
    let answer = |decoder: &MaskDecoder, output| {
        let decoder = MaskDecoderCpu::new(decoder, vec(model.dense_pe.val().into_data()), encoder);
        decoder.forward(&decoder.prepare(image.clone()), &sparse, 1, output)
    };
    let whole = answer(&decoder, MaskOutput::Single);
    decoder.output_hypernetworks_mlps.truncate(1);
    assert!(answer(&decoder, MaskOutput::Single) == whole);
    assert!(answer(&decoder, MaskOutput::All) == whole);
}
