//! Long work that lets the thread's other work in.

use std::cell::Cell;

use js_sys::{Function, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::MessageChannel;

use super::now_ms;
use crate::error::{Error, Result};
use crate::segment::Pace;

/// How long work goes on before others may do theirs.
const SLICE_MS: f64 = 8.0;

/// Tells progress, lets waiting messages be read, and ends when one of them says so.
pub struct Yielding<'a> {
    /// What is aborted, for the error.
    pub what: &'static str,
    pub stopping: &'a Cell<bool>,
    pub progress: Option<&'a Function>,
    /// When others could do their work last.
    pub last: f64,
}

impl Pace for Yielding<'_> {
    async fn after(&mut self, done: f64) -> Result<()> {
        if let Some(progress) = self.progress {
            let _ = progress.call1(&JsValue::UNDEFINED, &done.into());
        }
        if now_ms() - self.last > SLICE_MS {
            let_others_work().await;
            self.last = now_ms();
        }
        match self.stopping.get() {
            true => Err(Error::Aborted(self.what)),
            false => Ok(()),
        }
    }
}

/// Waits for a message to oneself: unlike a timer's, its turn comes at once, in hidden pages too.
async fn let_others_work() {
    let Ok(channel) = MessageChannel::new() else { return };
    let turn = Promise::new(&mut |resolve, _| channel.port1().set_onmessage(Some(&resolve)));
    if channel.port2().post_message(&JsValue::NULL).is_ok() {
        let _ = JsFuture::from(turn).await;
    }
    channel.port1().close();
}
