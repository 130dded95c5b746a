//! The wasm library in a real browser: run by `cargo xtask test` with `wasm-bindgen-test` in headless Chromium.
#![cfg(target_family = "wasm")]

#[path = "support/gpu_kernels.rs"]
mod gpu_kernels;
#[path = "support/images.rs"]
mod images;
#[path = "web/shift.rs"]
mod shift;

use std::cell::Cell;
use std::rc::Rc;

use burn::tensor::Device;
use js_sys::{Array, Float32Array, Function, Int32Array, Object, Reflect, Uint8Array};
use umedsam::model::Config;
use umedsam::uncertainty::{
    AreaThresholds, Calibration, CalibrationData, ConformalThresholds, ExpectedDsc, PerObjectThresholds, PromptKind,
    ReviewRule, Scaling, Setting, UncertaintyOptions,
};
use umedsam::web::{Image, Model};
use umedsam::weights::{Metadata, Precision, read_metadata, to_bytes, with_metadata};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

const WIDTH: usize = 90;
const HEIGHT: usize = 70;
const BOX: [f64; 4] = [20.0, 15.0, 70.0, 55.0];

/// A weight file of the `tiny` configuration with weights from a seed.
fn tiny_weights() -> Vec<u8> {
    weights_of(Config::tiny())
}

fn weights_of(config: Config) -> Vec<u8> {
    let network = config.init_seeded(7, &Device::flex());
    let metadata = Metadata {
        architecture: "tiny".into(),
        config,
        precision: Precision::F32,
        licence: "Apache-2.0".into(),
        source: "a seed".into(),
        source_sha256: String::new(),
        umedsam_version: String::new(),
        calibration: None,
        training: None,
    };
    to_bytes(&network, &metadata).unwrap()
}

/// The same with a made-up calibration.
fn calibrated_weights() -> Vec<u8> {
    let bytes = tiny_weights();
    let mut metadata = read_metadata(&bytes).unwrap();
    let row = |alpha, outer, inner| ConformalThresholds { alpha, outer: Some(outer), inner: Some(inner) };
    metadata.calibration = Some(Calibration {
        source_sha256: String::new(),
        data: CalibrationData {
            description: "made up".into(),
            cases: 7,
            boxes: 9,
            modalities: [("CT".to_string(), 7)].into(),
        },
        shift: None,
        settings: vec![Setting {
            prompt: PromptKind::Box,
            options: UncertaintyOptions::default(),
            zoom: false,
            scaling: Scaling { temperature: 2.0, bias: 0.0 },
            conformal: vec![row(0.05, 0.3, 0.7), row(0.2, 0.4, 0.6)],
            expected_dsc: ExpectedDsc {
                intercept: 0.25,
                soft_dice: 0.0,
                member_dice: 0.0,
                predicted_dice: 0.0,
                mean_absolute_error: 0.1,
            },
            review: ReviewRule { poor_dsc: 0.7, threshold: 0.5, sensitivity: 0.9, flagged: 0.3 },
            per_object: vec![PerObjectThresholds { alpha: 0.2, delta: 0.1, outer: Some(0.2), inner: Some(0.8) }],
            area: vec![AreaThresholds { coverage: 0.9, smallest: Some(0.6), largest: Some(0.4) }],
        }],
    });
    with_metadata(&bytes, &metadata).unwrap()
}

async fn load(device: &str) -> Model {
    Model::load(tiny_weights(), device.into()).await.unwrap()
}

async fn encode(model: &Model) -> Result<Image, JsValue> {
    let pixels: JsValue = Uint8Array::from(images::phantom(WIDTH, HEIGHT).as_slice()).into();
    model.encode(pixels, WIDTH as f64, HEIGHT as f64, 1.0, JsValue::UNDEFINED, None).await
}

fn get(object: &JsValue, key: &str) -> JsValue {
    Reflect::get(object, &key.into()).unwrap()
}

async fn segment(image: &Image, boxes: &[f64]) -> Result<Vec<JsValue>, JsValue> {
    segment_with(image, boxes, "{}").await
}

/// Prompts of four numbers each.
fn prompts(boxes: &[f64]) -> Array {
    let prompt = |corners: &[f64]| {
        let prompt = Object::new();
        let corners = corners.iter().map(|&corner| JsValue::from(corner)).collect::<Array>();
        Reflect::set(&prompt, &"box".into(), &corners).unwrap();
        prompt
    };
    boxes.chunks(4).map(prompt).collect()
}

/// `options` is JSON.
async fn segment_with(image: &Image, boxes: &[f64], options: &str) -> Result<Vec<JsValue>, JsValue> {
    segment_prompts(image, prompts(boxes), options).await
}

async fn segment_prompts(image: &Image, prompts: Array, options: &str) -> Result<Vec<JsValue>, JsValue> {
    let options = js_sys::JSON::parse(options).unwrap();
    let answer = image.segment(prompts, options, JsValue::UNDEFINED, None).await?;
    Ok(get(&answer, "results").unchecked_into::<Array>().to_vec())
}

/// A prompt in JSON with what it corrects.
fn correction(json: &str, previous: &JsValue) -> Array {
    let prompt = js_sys::JSON::parse(json).unwrap();
    Reflect::set(&prompt, &"previous".into(), previous).unwrap();
    Array::of1(&prompt)
}

fn floats(object: &JsValue, key: &str) -> Vec<f32> {
    get(object, key).unchecked_into::<Float32Array>().to_vec()
}

fn mask(result: &JsValue, key: &str) -> Vec<u8> {
    get(result, key).unchecked_into::<Uint8Array>().to_vec()
}

fn probability(result: &JsValue) -> Vec<f32> {
    get(result, "probability").unchecked_into::<Float32Array>().to_vec()
}

#[track_caller]
fn assert_code<T>(result: Result<T, JsValue>, code: &str, part: &str) {
    let Err(error) = result else { panic!("no error, {code} was expected") };
    let message = String::from(error.unchecked_ref::<js_sys::Error>().message());
    assert_eq!(get(&error, "code").as_string().as_deref(), Some(code), "{message}");
    assert!(message.contains(part), "{message:?} does not say {part:?}");
}

#[wasm_bindgen_test]
fn preprocessing_matches_native_bit_for_bit() {
    assert_eq!(images::preprocessing_digest(), images::PREPROCESSING_DIGEST);
}

#[wasm_bindgen_test]
async fn webgpu_matches_cpu() {
    compare_devices(Config::tiny()).await;
}

#[wasm_bindgen_test]
async fn the_light_encoder_on_webgpu_matches_the_cpu() {
    compare_devices(Config::tiny_student()).await;
}

async fn compare_devices(config: Config) {
    let boxes = [BOX, [0.0, 0.0, 90.0, 70.0], [40.0, 30.0, 50.0, 36.0]].concat();
    let mut answers = Vec::new();
    for device in ["cpu", "webgpu"] {
        let model = Model::load(weights_of(config.clone()), device.into()).await.unwrap();
        assert_eq!(get(&get(&model.info(), "device"), "kind").as_string().as_deref(), Some(device));
        let image = encode(&model).await.unwrap();
        let mut found = segment(&image, &boxes).await.unwrap();
        found.extend(segment_prompts(&image, correction(POINTS, &JsValue::UNDEFINED), "{}").await.unwrap());
        let low_res = get(&found[0], "lowRes");
        found.extend(segment_prompts(&image, correction(POINTS, &low_res), "{}").await.unwrap());
        answers.push(found);
    }
    for (cpu, gpu) in answers[0].iter().zip(&answers[1]) {
        let worst = probability(cpu).iter().zip(probability(gpu)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= 1e-3, "a probability differs by {worst}");
        let iou = |result| get(result, "predictedIou").as_f64().unwrap();
        assert!((iou(cpu) - iou(gpu)).abs() <= 1e-3, "the predicted IoUs are {} and {}", iou(cpu), iou(gpu));
    }
    let spread = |values: Vec<f32>| {
        values.iter().copied().fold(f32::MIN, f32::max) - values.iter().copied().fold(f32::MAX, f32::min)
    };
    assert!(spread(probability(&answers[0][0])) > 0.05, "a constant answer proves nothing");
}

#[wasm_bindgen_test]
async fn auto_does_not_choose_an_emulated_adapter() {
    let info = load("auto").await.info();
    let device = get(&info, "device");
    assert_eq!(get(&device, "kind").as_string().as_deref(), Some("cpu"));
    let reason = get(&device, "reason").as_string().unwrap();
    assert!(reason.contains("emulated"), "{reason}");
}

#[wasm_bindgen_test]
async fn a_lost_gpu_is_reported_and_replaced() {
    let model = load("webgpu").await;
    let image = encode(&model).await.unwrap();
    let before = probability(&segment(&image, &BOX).await.unwrap()[0]);

    // Lost during a call: the call says so.
    let (lost, ()) = {
        let call = segment(&image, &BOX);
        let loss = async { model.destroy_gpu() };
        futures_join(call, loss).await
    };
    if let Err(error) = lost {
        assert_eq!(get(&error, "code").as_string().as_deref(), Some("device-lost"));
    }
    // The next call works again with the same image.
    let after = probability(&segment(&image, &BOX).await.unwrap()[0]);
    let worst = before.iter().zip(&after).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= 1e-5, "after recovery a probability differs by {worst}");

    // Lost between calls: nobody notices but for the time it takes.
    model.destroy_gpu();
    wait(50).await;
    assert!(segment(&image, &BOX).await.is_ok());
    assert!(encode(&model).await.is_ok());
}

#[wasm_bindgen_test]
async fn overlapping_calls_are_not_mixed_up() {
    let model = load("cpu").await;
    let image = encode(&model).await.unwrap();
    let other = [5.0, 5.0, 30.0, 60.0];
    let expected = [segment(&image, &BOX).await.unwrap(), segment(&image, &other).await.unwrap()];
    let (first, second) = futures_join(segment(&image, &BOX), segment(&image, &other)).await;
    for (actual, expected) in [first.unwrap(), second.unwrap()].iter().zip(&expected) {
        assert_eq!(probability(&actual[0]), probability(&expected[0]));
    }
    let (first, second) = futures_join(load("cpu"), load("cpu")).await;
    assert!(encode(&first).await.is_ok() && encode(&second).await.is_ok(), "two loads at once");
}

/// A function that JavaScript calls with the share that is done.
fn counting(called: &Rc<Cell<usize>>, then: impl Fn() + 'static) -> (Closure<dyn Fn(f64)>, Function) {
    let called = called.clone();
    let closure = Closure::<dyn Fn(f64)>::new(move |share: f64| {
        assert!((0.0..=1.0).contains(&share));
        called.set(called.get() + 1);
        then();
    });
    let function = closure.as_ref().unchecked_ref::<Function>().clone();
    (closure, function)
}

#[wasm_bindgen_test]
async fn work_that_is_stopped_ends_between_two_steps() {
    let model = Rc::new(load("cpu").await);
    let pixels = || -> JsValue { Uint8Array::from(images::phantom(WIDTH, HEIGHT).as_slice()).into() };
    let encode = |progress: Function| {
        model.encode(pixels(), WIDTH as f64, HEIGHT as f64, 1.0, JsValue::UNDEFINED, Some(progress))
    };
    let whole = Rc::new(Cell::new(0));
    let (_kept, progress) = counting(&whole, || ());
    let image = encode(progress).await.unwrap();
    assert!(whole.get() > 3);
    let stopped = Rc::new(Cell::new(0));
    let of_stop = model.clone();
    let (_kept, progress) = counting(&stopped, move || of_stop.stop());
    assert_code(encode(progress).await, "aborted", "encoding");
    assert_eq!(stopped.get(), 1, "the network went on");

    let boxes = prompts(&[BOX; 20].concat());
    let segment = |progress: Function| {
        let options = js_sys::JSON::parse(r#"{"uncertainty": {"samples": 0}}"#).unwrap();
        image.segment(boxes.clone(), options, JsValue::UNDEFINED, Some(progress))
    };
    let told = Rc::new(Cell::new(0));
    let (_kept, progress) = counting(&told, || ());
    segment(progress).await.unwrap();
    assert_eq!(told.get(), 3, "20 boxes are three batches");
    let of_stop = model.clone();
    let (_kept, progress) = counting(&told, move || of_stop.stop());
    assert_code(segment(progress).await, "aborted", "segmenting");
    assert_eq!(told.get(), 4);
    // A stop between calls ends none.
    model.stop();
    assert!(segment_with(&image, &BOX, "{}").await.is_ok());
}

#[wasm_bindgen_test]
async fn a_gpu_that_never_answers_leaves_the_cpu() {
    let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).unwrap();
    let silent = js_sys::Function::new_no_args(
        "return { requestAdapter: () => new Promise(() => {}), getPreferredCanvasFormat: () => 'rgba8unorm' }",
    );
    let property = Object::new();
    Reflect::set(&property, &"value".into(), &silent.call0(&JsValue::NULL).unwrap()).unwrap();
    Reflect::set(&property, &"configurable".into(), &true.into()).unwrap();
    Object::define_property(navigator.unchecked_ref::<Object>(), &"gpu".into(), &property);
    let model = load("auto").await;
    let named = Model::load(tiny_weights(), "webgpu".into()).await;
    // What hides the browser's own is taken away again.
    Reflect::delete_property(navigator.unchecked_ref::<Object>(), &"gpu".into()).unwrap();
    let device = Reflect::get(&model.info(), &"device".into()).unwrap();
    let text = |key: &str| Reflect::get(&device, &key.into()).unwrap().as_string().unwrap();
    assert_eq!(text("kind"), "cpu");
    assert!(text("reason").contains("no answer in time"), "{}", text("reason"));
    assert_code(named, "device-unavailable", "no answer in time");
    assert!(encode(&model).await.is_ok());
}

#[wasm_bindgen_test]
async fn bad_images_are_typed_errors_and_change_nothing() {
    let model = load("cpu").await;
    let call = async |data: JsValue, width: f64, height: f64, channels: f64| {
        model.encode(data, width, height, channels, JsValue::UNDEFINED, None).await
    };
    let bytes = || -> JsValue { Uint8Array::new_with_length(12).into() };
    assert_code(call(bytes(), 5.0, 3.0, 1.0).await, "invalid-image", "12 values");
    assert_code(call(bytes(), 2.0, 1.0, 6.0).await, "invalid-image", "6 channels");
    assert_code(call(bytes(), 0.0, 3.0, 1.0).await, "invalid-image", "0×3");
    assert_code(call(bytes(), f64::NAN, 3.0, 1.0).await, "invalid-image", "NaN");
    assert_code(call(bytes(), 2.5, 3.0, 1.0).await, "invalid-image", "2.5");
    assert_code(call(bytes(), -4.0, -3.0, 1.0).await, "invalid-image", "-4");
    assert_code(
        call(js_sys::BigInt64Array::new_with_length(12).into(), 4.0, 3.0, 1.0).await,
        "invalid-image",
        "BigInt64Array",
    );
    assert!(call(Int32Array::new_with_length(12).into(), 4.0, 3.0, 1.0).await.is_ok());
    assert_code(call("pixels".into(), 4.0, 3.0, 1.0).await, "invalid-image", "string");
    assert_code(call(JsValue::NULL, 4.0, 3.0, 1.0).await, "invalid-image", "data is");
    let nan: JsValue = Float32Array::from([f32::NAN; 12].as_slice()).into();
    assert_code(call(nan, 4.0, 3.0, 1.0).await, "invalid-image", "finite");

    let window = Object::new();
    Reflect::set(&window, &"kind".into(), &"level".into()).unwrap();
    Reflect::set(&window, &"center".into(), &40.0.into()).unwrap();
    Reflect::set(&window, &"width".into(), &f64::NAN.into()).unwrap();
    let intensities = Object::new();
    Reflect::set(&intensities, &"window".into(), &window).unwrap();
    assert_code(model.encode(bytes(), 4.0, 3.0, 1.0, intensities.into(), None).await, "invalid-window", "NaN");
    assert_code(model.encode(bytes(), 4.0, 3.0, 1.0, "bright".into(), None).await, "invalid-window", "");

    for (data, width, height) in
        [(Uint8Array::new_with_length(1), 1.0, 1.0), (Uint8Array::new_with_length(12), 4.0, 3.0)]
    {
        let image = call(data.into(), width, height, 1.0).await.unwrap();
        let results = segment(&image, &[0.0, 0.0, width, height]).await.unwrap();
        assert_eq!(probability(&results[0]).len() as f64, width * height, "a constant image has a result");
    }
    assert!(encode(&model).await.is_ok());
}

#[wasm_bindgen_test]
async fn bad_boxes_are_typed_errors_and_change_nothing() {
    let model = load("cpu").await;
    let image = encode(&model).await.unwrap();
    for (corners, part) in [
        ([f64::NAN, 0.0, 10.0, 10.0], "finite"),
        ([0.0, 0.0, f64::INFINITY, 10.0], "finite"),
        ([5.0, 5.0, 5.0, 20.0], "no area"),
        ([100.0, 0.0, 120.0, 10.0], "outside"),
    ] {
        assert_code(segment(&image, &[BOX, corners].concat()).await, "invalid-box", part);
    }
    assert_code(segment(&image, &[1.0, 2.0, 3.0]).await, "invalid-prompt", "length 3");
    assert!(segment(&image, &[]).await.unwrap().is_empty());

    let clipped = &segment(&image, &[70.0, 55.0, -20.0, 500.0]).await.unwrap()[0];
    let used = get(clipped, "box").unchecked_into::<Array>().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
    assert_eq!(used, [0.0, 55.0, 70.0, 70.0]);
}

const POINTS: &str = r#"{ "points": [{ "x": 40, "y": 30 }, { "x": 5.5, "y": 60, "label": "background" }] }"#;

#[wasm_bindgen_test]
async fn points_scribbles_and_earlier_masks_are_prompts() {
    let image = encode(&load("cpu").await).await.unwrap();
    let single = r#"{ "uncertainty": { "samples": 0 } }"#;
    let found = segment_prompts(&image, correction(POINTS, &JsValue::UNDEFINED), single).await.unwrap().remove(0);
    assert!(get(&found, "box").is_null() && get(&found, "promptKind") == "points");
    let low_res = get(&found, "lowRes");
    let logits = floats(&low_res, "logits");
    assert_eq!(logits.len(), 64 * 64);
    let corrected = segment_prompts(&image, correction(POINTS, &low_res), single).await.unwrap().remove(0);
    assert!(floats(&corrected, "probability") != floats(&found, "probability"), "the earlier mask changes nothing");
    assert_eq!(get(&corrected, "promptKind"), "corrected");
    let mask = Object::new();
    let values = Uint8Array::new_with_length((WIDTH * HEIGHT) as u32);
    values.fill(1, 0, 900);
    Reflect::set(&mask, &"mask".into(), &values).unwrap();
    let scribble = r#"{ "scribbles": [{ "points": [[10, 10], [50, 12], [60, 40]] }], "box": [5, 5, 66, 60] }"#;
    let painted = segment_prompts(&image, correction(scribble, &mask), "{}").await.unwrap().remove(0);
    assert_eq!(get(&painted, "promptKind"), "corrected");

    for (json, previous, part) in [
        ("{}", JsValue::UNDEFINED, "no box, no points"),
        (r#"{ "points": [{ "x": 1 }] }"#, JsValue::UNDEFINED, "missing field"),
        (r#"{ "points": [{ "x": 1, "y": 2, "label": "inside" }] }"#, JsValue::UNDEFINED, "inside"),
        (r#"{ "points": [{ "x": 1, "y": 2000 }] }"#, JsValue::UNDEFINED, "2000"),
        (r#"{ "scribbles": [{ "points": [] }] }"#, JsValue::UNDEFINED, "scribble"),
        (POINTS, Object::new().into(), "no logits"),
        (POINTS, JsValue::from(3), "no logits"),
    ] {
        assert_code(segment_prompts(&image, correction(json, &previous), "{}").await, "invalid-prompt", part);
    }
    let short = Object::new();
    Reflect::set(&short, &"logits".into(), &Float32Array::new_with_length(9)).unwrap();
    assert_code(segment_prompts(&image, correction(POINTS, &short), "{}").await, "invalid-prompt", "9 values");
    assert!(segment(&image, &BOX).await.is_ok());
}

#[wasm_bindgen_test]
async fn uncertainty_is_decomposed_and_repeatable() {
    let image = encode(&load("cpu").await).await.unwrap();
    let options = |samples: usize, seed: usize| {
        format!(r#"{{ "uncertainty": {{ "samples": {samples}, "jitter": 5, "seed": {seed} }} }}"#)
    };
    let plain = segment_with(&image, &BOX, &options(0, 0)).await.unwrap().remove(0);
    let first = segment_with(&image, &BOX, &options(4, 0)).await.unwrap().remove(0);
    let again = segment_with(&image, &BOX, &options(4, 0)).await.unwrap().remove(0);
    let other = segment_with(&image, &BOX, &options(4, 1)).await.unwrap().remove(0);
    let maps = |result: &JsValue| {
        let uncertainty = get(result, "uncertainty");
        ["total", "aleatoric", "epistemic"].map(|key| floats(&uncertainty, key))
    };
    let [total, aleatoric, epistemic] = maps(&first);
    for pixel in 0..total.len() {
        assert!((total[pixel] - aleatoric[pixel] - epistemic[pixel]).abs() < 1e-5);
        assert!((0.0..=1.0).contains(&total[pixel]) && aleatoric[pixel] >= 0.0 && epistemic[pixel] >= 0.0);
    }
    assert!(epistemic.iter().any(|&value| value > 1e-5), "the members agree everywhere");
    assert_eq!(maps(&first), maps(&again));
    assert_ne!(maps(&first), maps(&other));
    assert!(maps(&plain)[2].iter().all(|&value| value == 0.0));
    assert_eq!(mask(&plain, "mask"), mask(&first, "mask"), "the mask depends on the options");

    let flipped = r#"{ "uncertainty": { "samples": 2, "flips": true } }"#;
    let flipped = segment_with(&image, &BOX, flipped).await.unwrap().remove(0);
    assert_eq!(mask(&plain, "mask"), mask(&flipped, "mask"));
    assert_ne!(maps(&flipped), maps(&first));
}

#[wasm_bindgen_test]
async fn guarantees_come_with_calibration_only() {
    let uncalibrated = encode(&load("cpu").await).await.unwrap();
    let result = segment(&uncalibrated, &BOX).await.unwrap().remove(0);
    assert_eq!(get(&result, "calibration").as_string().as_deref(), Some("none"));
    assert!(get(&result, "outer").is_null() && get(&result, "needsReview").is_null());
    assert!(get(&result, "guarantee").is_null() && get(&result, "areaInterval").is_null());
    assert!((0.0..=1.0).contains(&get(&result, "expectedDsc").as_f64().unwrap()));

    let model = Model::load(calibrated_weights(), "cpu".into()).await.unwrap();
    assert_eq!(get(&get(&model.info(), "calibration"), "cases").as_f64(), Some(7.0));
    let image = encode(&model).await.unwrap();
    let result = segment_with(&image, &BOX, r#"{ "alpha": 0.1 }"#).await.unwrap().remove(0);
    assert_eq!(get(&result, "calibration").as_string().as_deref(), Some("fitted"));
    let probability = probability(&result);
    for (key, threshold) in [("outer", 0.3), ("inner", 0.7)] {
        let expected: Vec<u8> = probability.iter().map(|&p| u8::from(p >= threshold)).collect();
        assert_eq!(mask(&result, key), expected, "alpha 0.1 must use the thresholds of 0.05");
    }
    let guarantee = get(&result, "guarantee");
    assert!(get(&guarantee, "alpha").as_f64() == Some(0.05) && get(&guarantee, "delta").is_null());
    let single = segment_with(&image, &BOX, r#"{ "alpha": 0.3, "delta": 0.1 }"#).await.unwrap().remove(0);
    let guarantee = get(&single, "guarantee");
    assert_eq!((get(&guarantee, "alpha").as_f64(), get(&guarantee, "delta").as_f64()), (Some(0.2), Some(0.1)));
    let interval = Array::from(&get(&single, "areaInterval")).to_vec();
    let counted = |threshold: f32| probability.iter().filter(|&&p| p >= threshold).count() as f64;
    let area = get(&single, "area").as_f64().unwrap();
    assert_eq!(interval[0].as_f64(), Some(counted(0.6).min(area)));
    assert_eq!(interval[1].as_f64(), Some(counted(0.4).max(area)));
    assert_eq!(get(&result, "expectedDsc").as_f64(), Some(0.25));
    assert_eq!(get(&result, "needsReview").as_bool(), Some(true));
    let strict = segment_with(&image, &BOX, r#"{ "alpha": 0.01 }"#).await.unwrap().remove(0);
    assert!(
        mask(&strict, "outer").iter().all(|&inside| inside == 1)
            && mask(&strict, "inner").iter().all(|&inside| inside == 0)
    );
    let other = segment_with(&image, &BOX, r#"{ "uncertainty": { "samples": 0 } }"#).await.unwrap().remove(0);
    assert_eq!(get(&other, "calibration").as_string().as_deref(), Some("nearest"));
    assert!(get(&other, "outer").is_null());
    let raw = segment_with(&image, &BOX, r#"{ "calibrated": false }"#).await.unwrap().remove(0);
    assert_eq!(get(&raw, "calibration").as_string().as_deref(), Some("none"));
    assert_eq!(mask(&raw, "mask"), mask(&result, "mask"));
    let consensus = segment_with(&image, &BOX, r#"{ "mask": "consensus" }"#).await.unwrap().remove(0);
    let expected: Vec<u8> = probability.iter().map(|&p| u8::from(p > 0.5)).collect();
    assert_eq!(mask(&consensus, "mask"), expected);
    assert_eq!(get(&consensus, "area").as_f64(), Some(expected.iter().map(|&inside| f64::from(inside)).sum()));
}

#[wasm_bindgen_test]
async fn bad_options_are_typed_errors_and_change_nothing() {
    let image = encode(&load("cpu").await).await.unwrap();
    for (options, part) in [
        (r#"{ "alpha": 0 }"#, "alpha is 0"),
        (r#"{ "alpha": 1 }"#, "alpha is 1"),
        (r#"{ "alpha": "much" }"#, "much"),
        (r#"{ "delta": 0 }"#, "delta is 0"),
        (r#"{ "delta": 1 }"#, "delta is 1"),
        (r#"{ "uncertainty": { "samples": 65 } }"#, "samples is 65"),
        (r#"{ "uncertainty": { "samples": -1 } }"#, "-1"),
        (r#"{ "uncertainty": { "samples": 1.5 } }"#, "1.5"),
        (r#"{ "uncertainty": { "jitter": 21 } }"#, "jitter is 21"),
        (r#"{ "uncertainty": { "multimask": 2 } }"#, "multimask is 2"),
        (r#"{ "uncertainty": { "K": 8 } }"#, "K"),
        (r#"{ "quality": 1 }"#, "quality"),
        (r#"{ "mask": "best" }"#, "best"),
    ] {
        assert_code(segment_with(&image, &BOX, options).await, "invalid-option", part);
    }
    let maps = js_sys::JSON::parse(r#"["totally"]"#).unwrap();
    let call = image.segment(prompts(&BOX), JsValue::UNDEFINED, maps, None).await;
    assert_code(call, "invalid-option", "totally");
    let maps = js_sys::JSON::parse(r#"["epistemic"]"#).unwrap();
    let answer = image.segment(prompts(&BOX), JsValue::UNDEFINED, maps, None).await.unwrap();
    let result = get(&answer, "results").unchecked_into::<Array>().get(0);
    let uncertainty = get(&result, "uncertainty");
    assert!(get(&uncertainty, "total").is_null() && !get(&uncertainty, "epistemic").is_null());
}

#[wasm_bindgen_test]
async fn bad_weights_are_typed_errors() {
    let load = |bytes: Vec<u8>| Model::load(bytes, "cpu".into());
    let good = tiny_weights();
    assert_code(load(Vec::new()).await, "invalid-weights", "safetensors");
    assert_code(load(b"<!doctype html><title>404</title>".to_vec()).await, "invalid-weights", "HTML");
    assert_code(load(b"PK\x03\x04rest of a zip".to_vec()).await, "invalid-weights", "umedsam convert");
    assert_code(load(good[..good.len() - 1].to_vec()).await, "invalid-weights", "truncated");
    assert_code(load(good[..100].to_vec()).await, "invalid-weights", "truncated");
    assert_code(load(vec![0xff; 4096]).await, "invalid-weights", "safetensors");
    let mut renamed = good.clone();
    let name = b"mask_decoder.iou_token.weight";
    let position = renamed.windows(name.len()).position(|window| window == name).unwrap();
    renamed[position + name.len() - 1] = b'T';
    assert_code(load(renamed).await, "invalid-weights", "missing mask_decoder.iou_token.weight");
    assert_code(Model::load(good, "quantum".into()).await, "invalid-option", "quantum");
}

#[wasm_bindgen_test]
async fn disposed_models_and_images_say_so() {
    let model = load("cpu").await;
    let first = encode(&model).await.unwrap();
    let second = encode(&model).await.unwrap();
    first.dispose();
    assert_code(segment(&first, &BOX).await, "disposed", "image");
    assert!(segment(&second, &BOX).await.is_ok());

    // Dispose while a call is under way: that call ends one way or the other, later ones say so.
    let (running, ()) = futures_join(segment(&second, &BOX), async { model.dispose() }).await;
    if running.is_err() {
        assert_code(running, "disposed", "model");
    }
    assert_code(segment(&second, &BOX).await, "disposed", "model");
    assert_code(encode(&model).await, "disposed", "model");
}

async fn wait(ms: i32) {
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        let set_timeout: js_sys::Function = get(&js_sys::global(), "setTimeout").unchecked_into();
        set_timeout.call2(&JsValue::UNDEFINED, &resolve, &ms.into()).unwrap();
    });
    wasm_bindgen_futures::JsFuture::from(promise).await.unwrap();
}

async fn futures_join<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    futures_lite::future::zip(a, b).await
}
