//! Networks with a prompt encoder and a mask decoder of their own for corrections: who answers what, and that files keep them.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use umedsam::image::{ImageView, Pixels, Window};
use umedsam::model::mask_decoder::MaskOutput;
use umedsam::model::prompt_encoder::{InputPoint, InputPrompt, PointLabel};
use umedsam::model::{Config, CorrectionHead, Umedsam};
use umedsam::segment::{PlacedPrompt, Segmenter};
use umedsam::uncertainty::{PromptKind, UncertaintyOptions};
use umedsam::weights::{self, Metadata, Precision};

fn config() -> Config {
    Config { corrections: true, ..Config::tiny_student() }
}

fn network() -> Umedsam {
    let mut network = config().init_seeded(11, &Device::flex());
    if let Some(corrections) = &mut network.corrections {
        corrections.prompt_encoder.pe_layer = network.prompt_encoder.pe_layer.clone();
    }
    network
}

fn file(network: &Umedsam, precision: Precision) -> Vec<u8> {
    let metadata = Metadata {
        architecture: "tiny".into(),
        config: Config { corrections: network.corrections.is_some(), ..config() },
        precision,
        licence: "Apache-2.0".into(),
        source: "seed 11".into(),
        source_sha256: String::new(),
        umedsam_version: "test".into(),
        calibration: None,
        training: None,
    };
    weights::to_bytes(network, &metadata).unwrap()
}

fn point(x: f32, label: PointLabel) -> InputPoint {
    InputPoint { x, y: 30.0, label }
}

/// A box; a box and points; points; a box and a mask.
fn prompts() -> Vec<PlacedPrompt> {
    let corners = Some([8.0, 10.0, 50.0, 48.0]);
    let points = vec![point(20.0, PointLabel::Foreground), point(44.0, PointLabel::Background)];
    let wave: Vec<f32> = (0..64 * 64).map(|pixel| (pixel as f32 * 0.01).sin() * 4.0).collect();
    let input = |points: &[InputPoint], bounding_box| InputPrompt { points: points.to_vec(), bounding_box };
    let placed = |input, mask: Option<&Vec<f32>>, kind| PlacedPrompt {
        bounding_box: None,
        input,
        mask_prompt: mask.map(|mask| Arc::new(mask.clone())),
        kind,
    };
    vec![
        placed(input(&[], corners), None, PromptKind::Box),
        placed(input(&points, corners), None, PromptKind::Corrected),
        placed(input(&points[..1], None), None, PromptKind::Points),
        placed(input(&[], corners), Some(&wave), PromptKind::Corrected),
    ]
}

fn pixels() -> Vec<u8> {
    (0..60 * 50).map(|pixel| (pixel * 7 % 251) as u8).collect()
}

fn view(pixels: &[u8]) -> ImageView<'_> {
    ImageView::new(Pixels::U8(pixels), 60, 50, 1).unwrap()
}

/// The low-res logits of every prompt's plain answer.
fn logits(weights: Vec<u8>, device: &Device) -> Vec<Vec<f32>> {
    let segmenter = Segmenter::from_weights(weights, device).unwrap();
    let image = segmenter.encode(&segmenter.preprocess(&view(&pixels()), Window::Auto).unwrap(), |_| ());
    let mut all = Vec::new();
    let visit = |_, answer: umedsam::segment::Answer| all.push(answer.logits[0].clone());
    pollster::block_on(segmenter.answers(&image, &prompts(), &UncertaintyOptions::single_pass(), visit)).unwrap();
    all
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_box_alone_is_answered_as_without_corrections_and_the_rest_by_them() {
    let whole = network();
    let boxes = Umedsam { corrections: None, ..whole.clone() };
    let CorrectionHead { prompt_encoder, mask_decoder } = whole.corrections.clone().unwrap();
    let rest = Umedsam { prompt_encoder, mask_decoder, ..boxes.clone() };
    let [whole, boxes, rest] =
        [whole, boxes, rest].map(|network| logits(file(&network, Precision::F32), &Device::flex()));
    assert!(whole[0] == boxes[0], "the answer to a box alone is another");
    for prompt in 1..4 {
        // The image is prepared from what was prepared for boxes.
        let difference = largest_difference(&whole[prompt], &rest[prompt]);
        assert!(difference < 1e-4, "prompt {prompt}: {difference}");
        assert!(largest_difference(&whole[prompt], &boxes[prompt]) > 1e-2, "prompt {prompt} is answered as boxes are");
    }
}

#[test]
fn kernels_of_our_own_and_tensors_agree() {
    let kernels = logits(file(&network(), Precision::F32), &Device::flex());
    let segmenter = Segmenter::from_weights(file(&network(), Precision::F32), &Device::flex()).unwrap();
    let input = segmenter.preprocess(&view(&pixels()), Window::Auto).unwrap().input;
    let model = segmenter.model();
    let input = Tensor::<4>::from_data(TensorData::new(input, [1, 64, 64, 3]), &Device::flex());
    let embedding = model.encode(input, &mut |_, _| ());
    for (number, (prompt, kernels)) in prompts().iter().zip(&kernels).enumerate() {
        let mask = prompt.mask_prompt.as_ref();
        let mask = mask.map(|mask| Tensor::from_data(TensorData::new(mask.to_vec(), [1, 64, 64]), &Device::flex()));
        let prediction = model.decode(embedding.clone(), std::slice::from_ref(&prompt.input), mask, MaskOutput::Single);
        let tensors: Vec<f32> = prediction.logits.into_data().try_into_vec().unwrap();
        let difference = largest_difference(kernels, &tensors);
        assert!(difference < 1e-4, "prompt {number}: {difference}");
    }
}

#[test]
fn files_keep_them() {
    for precision in [Precision::F32, Precision::F16] {
        let bytes = file(&network(), precision);
        let (read, metadata) = weights::load(bytes.clone(), &Device::flex()).unwrap();
        assert!(metadata.config.corrections && read.corrections.is_some());
        assert!(logits(file(&read, precision), &Device::flex()) == logits(bytes, &Device::flex()), "{precision:?}");
    }
    // A file without them says nothing of them, so that older versions read it.
    let bytes = file(&Umedsam { corrections: None, ..network() }, Precision::F32);
    let header = String::from_utf8_lossy(&bytes[..4000]);
    assert!(!header.contains("corrections") && !weights::read_metadata(&bytes).unwrap().config.corrections);
}

#[test]
fn a_file_that_promises_them_needs_them() {
    let network = Umedsam { corrections: None, ..network() };
    let metadata = Metadata { config: config(), ..weights::read_metadata(&file(&network, Precision::F32)).unwrap() };
    let error = weights::load(weights::to_bytes(&network, &metadata).unwrap(), &Device::flex()).unwrap_err();
    assert!(error.to_string().contains("missing corrections."), "{error}");
}
