//! The wasm library in a real browser: run by `cargo xtask test` with `wasm-bindgen-test` in headless Chromium.
#![cfg(target_family = "wasm")]

#[path = "web/answers.rs"]
mod answers;
#[path = "web/bad_input.rs"]
mod bad_input;
#[path = "web/calls.rs"]
mod calls;
#[path = "web/devices.rs"]
mod devices;
#[path = "support/gpu_kernels.rs"]
mod gpu_kernels;
#[path = "support/images.rs"]
mod images;
#[path = "web/shift.rs"]
mod shift;
#[path = "web/support.rs"]
mod support;

use wasm_bindgen_test::wasm_bindgen_test_configure;

wasm_bindgen_test_configure!(run_in_dedicated_worker);
