//! The same answers on every device, and what happens when one is lost.

use js_sys::{Object, Reflect};
use umedsam::model::Config;
use umedsam::web::Model;
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use super::images;
use super::support::{
    BOX, POINTS, assert_code, correction, encode, futures_join, get, load, probability, segment, segment_prompts,
    tiny_weights, wait, weights_of,
};

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
