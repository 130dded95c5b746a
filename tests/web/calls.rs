//! Calls that overlap, are stopped, or come after the end.

use std::cell::Cell;
use std::rc::Rc;

use js_sys::{Function, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use super::images;
use super::support::{
    BOX, HEIGHT, WIDTH, assert_code, encode, futures_join, load, probability, prompts, segment, segment_with,
};

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
