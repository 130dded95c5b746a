//! The JavaScript boundary: converts values, keeps one call at a time, recovers from lost GPUs. No JS value goes deeper.
//!
//! The npm package's TypeScript wraps these classes; see `pkg-template/`.

pub mod device;
mod image;
mod model;
mod pace;
mod propagation;
mod values;

pub use image::Image;
pub use model::Model;
pub use propagation::Propagation;

use std::cell::RefCell;
use std::sync::Once;

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn now_ms() -> f64;

    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &js_sys::Function, ms: i32) -> JsValue;
}

/// Lets the event loop run for some milliseconds.
async fn sleep(ms: i32) {
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        set_timeout(&resolve, ms);
    });
    let _ = wasm_bindgen_futures::JsFuture::from(promise).await;
}

unsafe extern "C" {
    fn __wasm_call_ctors();
}

/// Prepares the instance, once.
#[wasm_bindgen(start)]
fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            console_error_panic_hook::hook(panic);
            tell_crash(&panic.to_string());
        }));
        // cubecl registers its operations through static constructors, which nothing calls in a wasm library.
        unsafe { __wasm_call_ctors() };
    });
}

thread_local! {
    static ON_CRASH: RefCell<Option<js_sys::Function>> = const { RefCell::new(None) };
}

/// Sets what is called with a message when this instance panics, after which it cannot be used: a panic ends an asynchronous call without an answer.
#[wasm_bindgen(js_name = onCrash)]
pub fn on_crash(callback: js_sys::Function) {
    ON_CRASH.with(|slot| slot.replace(Some(callback)));
}

fn tell_crash(message: &str) {
    let callback = ON_CRASH.with(|slot| slot.try_borrow().ok().and_then(|callback| callback.clone()));
    if let Some(callback) = callback {
        let _ = callback.call1(&JsValue::UNDEFINED, &message.into());
    }
}

/// Panics in an asynchronous call, for tests.
#[wasm_bindgen(js_name = crashForTest)]
pub async fn crash_for_test() {
    sleep(0).await;
    panic!("asked for by a test");
}

/// Bytes of this instance's linear memory; it never shrinks, so this is the peak.
#[wasm_bindgen(js_name = memoryBytes)]
pub fn memory_bytes() -> f64 {
    let memory: js_sys::WebAssembly::Memory = wasm_bindgen::memory().unchecked_into();
    let buffer: js_sys::ArrayBuffer = memory.buffer().unchecked_into();
    f64::from(buffer.byte_length())
}
