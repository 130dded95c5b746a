//! Weights, calls and looks at answers that the tests share.

use burn::tensor::Device;
use js_sys::{Array, Float32Array, Object, Reflect, Uint8Array};
use umedsam::model::Config;
use umedsam::uncertainty::{
    AreaThresholds, Calibration, CalibrationData, ConformalThresholds, ExpectedDsc, PerObjectThresholds, PromptKind,
    ReviewRule, Scaling, Setting, UncertaintyOptions,
};
use umedsam::web::{Image, Model};
use umedsam::weights::{Metadata, Precision, read_metadata, to_bytes, with_metadata};
use wasm_bindgen::prelude::*;

use super::images;

pub const WIDTH: usize = 90;
pub const HEIGHT: usize = 70;
pub const BOX: [f64; 4] = [20.0, 15.0, 70.0, 55.0];
pub const POINTS: &str = r#"{ "points": [{ "x": 40, "y": 30 }, { "x": 5.5, "y": 60, "label": "background" }] }"#;

/// A weight file of the `tiny` configuration with weights from a seed.
pub fn tiny_weights() -> Vec<u8> {
    weights_of(Config::tiny())
}

pub fn weights_of(config: Config) -> Vec<u8> {
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
pub fn calibrated_weights() -> Vec<u8> {
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

pub async fn load(device: &str) -> Model {
    Model::load(tiny_weights(), device.into()).await.unwrap()
}

pub async fn encode(model: &Model) -> Result<Image, JsValue> {
    let pixels: JsValue = Uint8Array::from(images::phantom(WIDTH, HEIGHT).as_slice()).into();
    model.encode(pixels, WIDTH as f64, HEIGHT as f64, 1.0, JsValue::UNDEFINED, None).await
}

pub fn get(object: &JsValue, key: &str) -> JsValue {
    Reflect::get(object, &key.into()).unwrap()
}

pub async fn segment(image: &Image, boxes: &[f64]) -> Result<Vec<JsValue>, JsValue> {
    segment_with(image, boxes, "{}").await
}

/// Prompts of four numbers each.
pub fn prompts(boxes: &[f64]) -> Array {
    let prompt = |corners: &[f64]| {
        let prompt = Object::new();
        let corners = corners.iter().map(|&corner| JsValue::from(corner)).collect::<Array>();
        Reflect::set(&prompt, &"box".into(), &corners).unwrap();
        prompt
    };
    boxes.chunks(4).map(prompt).collect()
}

/// `options` is JSON.
pub async fn segment_with(image: &Image, boxes: &[f64], options: &str) -> Result<Vec<JsValue>, JsValue> {
    segment_prompts(image, prompts(boxes), options).await
}

pub async fn segment_prompts(image: &Image, prompts: Array, options: &str) -> Result<Vec<JsValue>, JsValue> {
    let options = js_sys::JSON::parse(options).unwrap();
    let answer = image.segment(prompts, options, JsValue::UNDEFINED, None).await?;
    Ok(get(&answer, "results").unchecked_into::<Array>().to_vec())
}

/// A prompt in JSON with what it corrects.
pub fn correction(json: &str, previous: &JsValue) -> Array {
    let prompt = js_sys::JSON::parse(json).unwrap();
    Reflect::set(&prompt, &"previous".into(), previous).unwrap();
    Array::of1(&prompt)
}

pub fn floats(object: &JsValue, key: &str) -> Vec<f32> {
    get(object, key).unchecked_into::<Float32Array>().to_vec()
}

pub fn mask(result: &JsValue, key: &str) -> Vec<u8> {
    get(result, key).unchecked_into::<Uint8Array>().to_vec()
}

pub fn probability(result: &JsValue) -> Vec<f32> {
    get(result, "probability").unchecked_into::<Float32Array>().to_vec()
}

#[track_caller]
pub fn assert_code<T>(result: Result<T, JsValue>, code: &str, part: &str) {
    let Err(error) = result else { panic!("no error, {code} was expected") };
    let message = String::from(error.unchecked_ref::<js_sys::Error>().message());
    assert_eq!(get(&error, "code").as_string().as_deref(), Some(code), "{message}");
    assert!(message.contains(part), "{message:?} does not say {part:?}");
}

pub async fn wait(ms: i32) {
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        let set_timeout: js_sys::Function = get(&js_sys::global(), "setTimeout").unchecked_into();
        set_timeout.call2(&JsValue::UNDEFINED, &resolve, &ms.into()).unwrap();
    });
    wasm_bindgen_futures::JsFuture::from(promise).await.unwrap();
}

pub async fn futures_join<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    futures_lite::future::zip(a, b).await
}
