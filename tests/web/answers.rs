//! What an answer holds.

use js_sys::{Array, Float32Array, Object, Reflect, Uint8Array};
use umedsam::web::Model;
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use super::support::{
    BOX, HEIGHT, POINTS, WIDTH, assert_code, calibrated_weights, correction, encode, floats, get, load, mask,
    probability, segment, segment_prompts, segment_with,
};

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
