//! Equality with EfficientViT-SAM's image encoders, computed by PyTorch with generated weights (`../shared/reference/efficientvit`).

mod support;

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use burn_store::{ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore};
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use support::{Reference, assert_close, shared, values};
use umedsam::model::efficient_vit_sam::{EfficientVitSam, EfficientVitSamConfig};

const TOLERANCE: f64 = 1e-4;

/// How a tensor of the reference was generated.
#[derive(Deserialize)]
struct Spec {
    index: u64,
    shape: Vec<usize>,
    kind: String,
    scale: f64,
}

impl Spec {
    fn values(&self) -> Vec<f32> {
        let count = self.shape.iter().product::<usize>() as u64;
        let uniform = |element| {
            let hash = splitmix64((self.index << 32) | element);
            (hash >> 40) as f64 / (1u64 << 24) as f64
        };
        let value = |uniform: f64| match self.kind.as_str() {
            "uniform" => (2.0 * uniform - 1.0) * self.scale,
            "positive" => 0.5 + uniform * self.scale,
            other => panic!("an unknown kind of tensor, {other}"),
        };
        (0..count).map(|element| value(uniform(element)) as f32).collect()
    }
}

fn splitmix64(state: u64) -> u64 {
    let x = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The encoder with the reference's weights, not folded.
fn encoder(config: &EfficientVitSamConfig, size: &str) -> EfficientVitSam {
    let path = shared(&format!("reference/efficientvit/{size}.spec.json")).expect("the reference is whole");
    let specs: BTreeMap<String, Spec> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let tensors: Vec<(&String, &Spec, Vec<u8>)> = specs
        .iter()
        .map(|(name, spec)| (name, spec, spec.values().iter().flat_map(|value| value.to_le_bytes()).collect()))
        .collect();
    let views = tensors
        .iter()
        .map(|(name, spec, bytes)| (name.as_str(), TensorView::new(Dtype::F32, spec.shape.clone(), bytes).unwrap()));
    let bytes = safetensors::serialize(views, None).unwrap();
    let mut encoder = config.init(&Device::flex());
    let mut store =
        SafetensorsStore::from_bytes(Some(bytes)).with_from_adapter(PyTorchToBurnAdapter).skip_enum_variants(true);
    let result = encoder.load_from(&mut store).unwrap();
    assert!(result.missing.is_empty() && result.unused.is_empty() && result.errors.is_empty(), "{result}");
    encoder
}

/// Every so many values along rows and columns.
fn sampled(tensor: &Tensor<4>, step: usize) -> Vec<f32> {
    let [_, height, width, channels] = tensor.dims();
    let all = values(tensor.clone());
    let pixels = (0..height).step_by(step).flat_map(|y| (0..width).step_by(step).map(move |x| y * width + x));
    pixels.flat_map(|pixel| all[pixel * channels..][..channels].to_vec()).collect()
}

fn compare(size: &str, config: &EfficientVitSamConfig, step: usize) {
    // L1 and L2 were computed for the input that L0's file holds.
    let reference = Reference::efficient_vit(size).expect("the reference is whole");
    let input = Reference::efficient_vit("l0").expect("the reference is whole");
    let side = config.input_size;
    let whole = encoder(config, size);
    let name = format!("input_{side}");
    let shape = input.shape(&name);
    if shape[2] != side {
        eprintln!("{size}: {name} is sampled ({shape:?}), so that only its embedding could be compared");
        return;
    }
    let image = TensorData::new(input.channels_last(&name), [1, side, side, 3]);
    let image = Tensor::<4>::from_data(image, &Device::flex());
    let mut compared = 0;
    for encoder in [whole.clone(), whole.fold()] {
        let embedding = encoder.forward(image.clone(), &mut |part, activation| {
            let name = format!("act.{part}");
            if reference.has(&name) {
                let expected = reference.channels_last(&name);
                assert_close(&format!("{size} {part}"), &sampled(activation, 4), &expected, TOLERANCE);
                compared += 1;
            }
        });
        let expected = reference.channels_last(&format!("embedding_{side}"));
        assert_close(&format!("{size} embedding"), &sampled(&embedding, step), &expected, TOLERANCE);
    }
    assert_eq!(compared, 2 * 5, "five stages, folded and not");
}

#[test]
fn encoders_match_pytorch() {
    or_skip!(Reference::efficient_vit("l0"), "../shared/reference/efficientvit");
    compare("l0", &EfficientVitSamConfig::l0(256), 1);
    compare("l1", &EfficientVitSamConfig::l1(256), 8);
    compare("l2", &EfficientVitSamConfig::l2(256), 8);
}

#[test]
fn the_512_pixel_encoder_matches_pytorch() {
    let reference = or_skip!(Reference::efficient_vit("l0"), "../shared/reference/efficientvit");
    let litemedsam = or_skip!(Reference::litemedsam("ct_abdomen"), "../shared/reference/litemedsam");
    // The 512-pixel input is the image of the other reference, scaled to 0–1.
    let image = litemedsam.bytes("image");
    let (low, high) = (*image.iter().min().unwrap(), *image.iter().max().unwrap());
    let range = f32::from(high) - f32::from(low);
    let pixels: Vec<f32> = image.iter().map(|&value| (f32::from(value) - f32::from(low)) / range).collect();
    let input = Tensor::<4>::from_data(TensorData::new(pixels, [1, 512, 512, 3]), &Device::flex());
    let expected = reference.channels_last("input_512");
    assert_close("the input", &sampled(&input, 8), &expected, 1e-6);
    let encoder = encoder(&EfficientVitSamConfig::l0(512), "l0").fold();
    let embedding = encoder.forward(input, &mut |_, _| ());
    assert_close("l0 at 512", &sampled(&embedding, 8), &reference.channels_last("embedding_512"), TOLERANCE);
}
