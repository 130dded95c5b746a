//! Encoded images, and prompts on them.

use std::cell::Cell;
use std::rc::Rc;

use async_lock::Mutex;
use js_sys::{Array, Function, Object};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::model::{Healthy, Shared};
use super::{now_ms, values};
use crate::error::{Error, Result};
use crate::image::Preprocessed;
use crate::propagation::{PropagatedSlice, Propagation};
use crate::segment::{EncodedImage, Prompt, SegmentOptions, Segmentation};

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EncodeTimings {
    pub preprocess_ms: f64,
    pub encode_ms: f64,
}

/// An encoded image, kept to answer prompts.
#[wasm_bindgen]
pub struct Image {
    state: Rc<ImageState>,
    timings: EncodeTimings,
}

pub(super) struct ImageState {
    shared: Rc<Shared>,
    /// To encode again on a new device.
    preprocessed: Preprocessed,
    embedded: Mutex<Option<Embedded>>,
    disposed: Cell<bool>,
}

pub(super) struct Embedded {
    pub encoded: EncodedImage,
    pub generation: u32,
}

impl Image {
    pub(super) fn new(
        shared: Rc<Shared>,
        preprocessed: Preprocessed,
        embedded: Embedded,
        timings: EncodeTimings,
    ) -> Self {
        let embedded = Mutex::new(Some(embedded));
        Self { state: Rc::new(ImageState { shared, preprocessed, embedded, disposed: Cell::new(false) }), timings }
    }

    pub(super) fn state(&self) -> Rc<ImageState> {
        self.state.clone()
    }
}

#[wasm_bindgen]
impl Image {
    /// Milliseconds of `preprocessMs` and `encodeMs`.
    #[wasm_bindgen(getter)]
    pub fn timings(&self) -> JsValue {
        values::to_js(&self.timings)
    }

    /// Segments an object for each prompt: objects as [`Prompt`] has them, with `previous`. `options` is a [`SegmentOptions`], `maps` names the uncertainty maps
    /// to give back; both may be undefined. `progress` is called with 0–1.
    pub async fn segment(
        &self,
        prompts: Array,
        options: JsValue,
        maps: JsValue,
        progress: Option<Function>,
    ) -> std::result::Result<JsValue, JsValue> {
        let state = self.state.clone();
        state.segment(&prompts, options, maps, progress.as_ref()).await.map_err(|error| values::to_js_error(&error))
    }

    /// Frees the embedding, at the end of a call that is under way; later calls answer that it was disposed of.
    pub fn dispose(&self) {
        self.state.disposed.set(true);
        if let Some(mut embedded) = self.state.embedded.try_lock() {
            *embedded = None;
        }
    }
}

impl ImageState {
    async fn segment(
        &self,
        prompts: &Array,
        options: JsValue,
        maps: JsValue,
        progress: Option<&Function>,
    ) -> Result<JsValue> {
        self.shared.stopping.set(false);
        let prompts = values::prompts(prompts)?;
        let options = values::segment_options(options)?;
        let maps = values::from_js(maps, |cause| Error::InvalidOption(format!("maps: {cause}")))?;
        let mut embedded = self.embedded.lock().await;
        let answer = self.segment_with(&mut embedded, &prompts, &options, &maps, progress).await;
        if self.disposed.get() {
            *embedded = None;
        }
        answer
    }

    async fn segment_with(
        &self,
        embedded: &mut Option<Embedded>,
        prompts: &[Prompt],
        options: &SegmentOptions,
        maps: &values::WantedMaps,
        progress: Option<&Function>,
    ) -> Result<JsValue> {
        let (current, running, reencode_ms) = self.ready(embedded, options).await?;
        let start = now_ms();
        let pace = &mut self.shared.pace("segmenting", progress);
        let results = running.segment(current, prompts, options, pace).await?;
        Ok(answer(&results, maps, now_ms() - start, reencode_ms).into())
    }

    /// Segments an object that is followed through a volume.
    pub(super) async fn follow(
        &self,
        object: &mut Propagation,
        options: JsValue,
        maps: JsValue,
        progress: Option<&Function>,
    ) -> std::result::Result<(PropagatedSlice, Object), JsValue> {
        self.try_follow(object, options, maps, progress).await.map_err(|error| values::to_js_error(&error))
    }

    async fn try_follow(
        &self,
        object: &mut Propagation,
        options: JsValue,
        maps: JsValue,
        progress: Option<&Function>,
    ) -> Result<(PropagatedSlice, Object)> {
        self.shared.stopping.set(false);
        let options = values::segment_options(options)?;
        let maps = values::from_js(maps, |cause| Error::InvalidOption(format!("maps: {cause}")))?;
        let mut embedded = self.embedded.lock().await;
        let found = async {
            let (current, running, reencode_ms) = self.ready(&mut embedded, &options).await?;
            let start = now_ms();
            let pace = &mut self.shared.pace("propagating", progress);
            let found = object.segment(&running.segmenter, current, &options, pace).await;
            let found = running.device.explain(found).await?;
            let segmented = std::slice::from_ref(&found.segmentation);
            let answer = answer(segmented, &maps, now_ms() - start, reencode_ms);
            Ok((found, answer))
        };
        let found = found.await;
        if self.disposed.get() {
            *embedded = None;
        }
        found
    }

    /// The embedding on a device that works, with the mirrored ones that the options need, and the milliseconds that took.
    async fn ready<'a>(
        &self,
        embedded: &'a mut Option<Embedded>,
        options: &SegmentOptions,
    ) -> Result<(&'a mut EncodedImage, Healthy<'_>, f64)> {
        let Some(current) = embedded.as_mut() else { return Err(Error::Disposed("the image")) };
        let running = self.shared.running().await?;
        // Only what is asked for is told.
        let quiet = &mut self.shared.pace("segmenting", None);
        let start = now_ms();
        if current.generation != running.generation {
            let encoded = running.encode(&self.preprocessed, quiet).await?;
            *current = Embedded { encoded, generation: running.generation };
        }
        running.encode_flips(&self.preprocessed, &options.uncertainty, &mut current.encoded, quiet).await?;
        Ok((&mut current.encoded, running, now_ms() - start))
    }
}

fn answer(results: &[Segmentation], maps: &values::WantedMaps, segment_ms: f64, reencode_ms: f64) -> Object {
    let answer = Object::new();
    let list = results.iter().map(|result| values::segmentation(result, maps)).collect::<Array>();
    values::set(&answer, "results", &list);
    values::set(&answer, "segmentMs", &segment_ms.into());
    values::set(&answer, "reencodeMs", &reencode_ms.into());
    answer
}
