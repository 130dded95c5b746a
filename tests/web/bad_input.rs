//! Wrong input: typed errors that change nothing.

use js_sys::{Array, Float32Array, Int32Array, Object, Reflect, Uint8Array};
use umedsam::web::Model;
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use super::support::{BOX, assert_code, encode, get, load, probability, prompts, segment, segment_with, tiny_weights};

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
