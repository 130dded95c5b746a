//! Networks on their devices.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use async_lock::{Mutex, MutexGuard};
use js_sys::Function;
use serde::Serialize;
use umedsam_picture::js::{Intensities, JsPixels};
use wasm_bindgen::prelude::*;

use super::device::{DeviceRequest, OpenDevice};
use super::image::{Embedded, EncodeTimings, Image};
use super::pace::Yielding;
use super::{now_ms, values};
use crate::error::{Error, Result};
use crate::image::Preprocessed;
use crate::segment::{EncodedImage, Pace, Prompt, SegmentOptions, Segmentation, Segmenter};
use crate::uncertainty::{Calibration, PromptKind, UncertaintyOptions};
use crate::weights::Metadata;

/// A network on its device. JavaScript may call while an earlier call is under way: calls wait for each other.
#[wasm_bindgen]
pub struct Model(Rc<Shared>);

pub(super) struct Shared {
    weights: Vec<u8>,
    request: DeviceRequest,
    metadata: Metadata,
    /// The device in use. Outside the lock, so that it can be asked about during a call.
    device: RefCell<Rc<OpenDevice>>,
    running: Mutex<Option<Running>>,
    disposed: Cell<bool>,
    /// Whether the call under way is to end.
    pub stopping: Cell<bool>,
}

/// What is on the device. A new generation begins when a lost device was replaced: embeddings of older ones are gone.
pub(super) struct Running {
    pub segmenter: Segmenter,
    pub device: Rc<OpenDevice>,
    pub generation: u32,
}

impl Running {
    fn start(weights: &[u8], device: Rc<OpenDevice>, generation: u32) -> Result<Self> {
        let segmenter = Segmenter::from_weights(weights.to_vec(), &device.device)?;
        device.check()?;
        Ok(Self { segmenter, device, generation })
    }

    /// Runs the encoder to its end.
    pub async fn encode(&self, preprocessed: &Preprocessed, pace: &mut impl Pace) -> Result<EncodedImage> {
        let image = self.segmenter.encode_paced(preprocessed, pace).await?;
        let result = image.wait().await;
        self.device.explain(result).await.map(|()| image)
    }

    /// Encodes the mirrored images that the options need and that are not there yet.
    pub async fn encode_flips(
        &self,
        preprocessed: &Preprocessed,
        options: &UncertaintyOptions,
        image: &mut EncodedImage,
        pace: &mut impl Pace,
    ) -> Result<()> {
        let before = image.flips();
        self.segmenter.encode_flips(preprocessed, options, image, pace).await?;
        match image.flips() > before {
            true => self.device.explain(image.wait().await).await,
            false => Ok(()),
        }
    }

    pub async fn segment(
        &self,
        image: &mut EncodedImage,
        prompts: &[Prompt],
        options: &SegmentOptions,
        pace: &mut impl Pace,
    ) -> Result<Vec<Segmentation>> {
        self.device.explain(self.segmenter.segment_paced(image, prompts, options, pace).await).await
    }
}

impl Shared {
    /// Waits for earlier calls, and replaces a device that was lost meanwhile.
    pub async fn running(&self) -> Result<Healthy<'_>> {
        let mut guard = self.running.lock().await;
        if self.disposed.get() {
            *guard = None;
            return Err(Error::Disposed("the model"));
        }
        let problem = self.device.borrow().check().err();
        if guard.is_none() || problem.is_some() {
            let generation = guard.take().map_or(0, |running| running.generation) + 1;
            let device = match OpenDevice::open(self.request).await {
                Ok(device) => device,
                Err(error) => {
                    let cause = problem.map_or_else(String::new, |problem| format!("{problem}; "));
                    OpenDevice::cpu(format!("{cause}{error}"))
                }
            };
            let device = Rc::new(device);
            self.device.replace(device.clone());
            *guard = Some(Running::start(&self.weights, device, generation)?);
        }
        Ok(Healthy { guard, disposed: &self.disposed })
    }

    pub fn pace<'a>(&'a self, what: &'static str, progress: Option<&'a Function>) -> Yielding<'a> {
        Yielding { what, stopping: &self.stopping, progress, last: now_ms() }
    }
}

/// A lock that holds a running model.
pub(super) struct Healthy<'a> {
    guard: MutexGuard<'a, Option<Running>>,
    disposed: &'a Cell<bool>,
}

impl std::ops::Deref for Healthy<'_> {
    type Target = Running;

    fn deref(&self) -> &Running {
        self.guard.as_ref().expect("made only with a running model")
    }
}

impl Drop for Healthy<'_> {
    /// Frees the network if it was disposed of during the call.
    fn drop(&mut self) {
        if self.disposed.get() {
            *self.guard = None;
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Info<'a> {
    architecture: &'a str,
    precision: &'a str,
    input_size: usize,
    licence: &'a str,
    source: &'a str,
    source_sha256: &'a str,
    calibration: Option<CalibrationInfo<'a>>,
    device: &'a super::device::DeviceChoice,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CalibrationInfo<'a> {
    description: &'a str,
    cases: usize,
    boxes: usize,
    modalities: &'a std::collections::BTreeMap<String, usize>,
    prompts: Vec<PromptKind>,
    expected_dsc_error: f64,
    poor_dsc: f64,
    review_sensitivity: f64,
    shift_alarm: bool,
}

impl<'a> CalibrationInfo<'a> {
    fn new(calibration: &'a Calibration) -> Option<Self> {
        let (setting, _) = calibration.setting(&UncertaintyOptions::default(), false, PromptKind::Box)?;
        let data = &calibration.data;
        let mut prompts: Vec<PromptKind> = calibration.settings.iter().map(|setting| setting.prompt).collect();
        prompts.dedup();
        Some(Self {
            description: &data.description,
            cases: data.cases,
            boxes: data.boxes,
            modalities: &data.modalities,
            prompts,
            expected_dsc_error: setting.expected_dsc.mean_absolute_error,
            poor_dsc: setting.review.poor_dsc,
            review_sensitivity: setting.review.sensitivity,
            shift_alarm: calibration.shift.is_some(),
        })
    }
}

#[wasm_bindgen]
impl Model {
    /// Reads weights onto a device: `"auto"`, `"cpu"` or `"webgpu"`.
    pub async fn load(weights: Vec<u8>, device: JsValue) -> std::result::Result<Model, JsValue> {
        Self::try_load(weights, device).await.map_err(|error| values::to_js_error(&error))
    }

    async fn try_load(weights: Vec<u8>, device: JsValue) -> Result<Model> {
        // Test binaries have another start function than ours.
        super::start();
        // Before a device is opened, so that bad weights are told at once.
        crate::weights::read_metadata(&weights)?;
        let request = values::from_js(device, |cause| {
            Error::InvalidOption(format!("device: {cause}; use \"auto\", \"cpu\" or \"webgpu\""))
        })?;
        let device = Rc::new(OpenDevice::open(request).await?);
        let running = Running::start(&weights, device.clone(), 0)?;
        Ok(Self(Rc::new(Shared {
            weights,
            request,
            metadata: running.segmenter.metadata().clone(),
            device: RefCell::new(device),
            running: Mutex::new(Some(running)),
            disposed: Cell::new(false),
            stopping: Cell::new(false),
        })))
    }

    /// What the weights say of themselves, and the device in use with the reason for it.
    #[wasm_bindgen(getter)]
    pub fn info(&self) -> JsValue {
        let metadata = &self.0.metadata;
        values::to_js(&Info {
            architecture: &metadata.architecture,
            precision: metadata.precision.name(),
            input_size: metadata.config.input_size(),
            licence: &metadata.licence,
            source: &metadata.source,
            source_sha256: &metadata.source_sha256,
            calibration: metadata.calibration.as_ref().and_then(CalibrationInfo::new),
            device: &self.0.device.borrow().choice,
        })
    }

    /// Encodes an image: a typed array of `height · width · channels` values. `intensities` is an [`Intensities`] or undefined; `progress` is called with 0–1.
    pub async fn encode(
        &self,
        data: JsValue,
        width: f64,
        height: f64,
        channels: f64,
        intensities: JsValue,
        progress: Option<Function>,
    ) -> std::result::Result<Image, JsValue> {
        let shared = self.0.clone();
        shared.stopping.set(false);
        let encoded = async {
            let Intensities { window, inverted } = values::from_js(intensities, Error::InvalidWindow)?;
            let running = shared.running().await?;
            let start = now_ms();
            let preprocessed = {
                let pixels = JsPixels::copy_from(&data)?;
                running.segmenter.preprocess(&pixels.view(width, height, channels)?.inverted(inverted), window)?
            };
            let preprocess_ms = now_ms() - start;
            let start = now_ms();
            let pace = &mut shared.pace("encoding the image", progress.as_ref());
            let encoded = running.encode(&preprocessed, pace).await?;
            let timings = EncodeTimings { preprocess_ms, encode_ms: now_ms() - start };
            Ok((Embedded { encoded, generation: running.generation }, preprocessed, timings))
        };
        let (embedded, preprocessed, timings) = encoded.await.map_err(|error| values::to_js_error(&error))?;
        Ok(Image::new(shared.clone(), preprocessed, embedded, timings))
    }

    /// Frees the network, at the end of a call that is under way; images and later calls answer that it was disposed of.
    pub fn dispose(&self) {
        self.0.disposed.set(true);
        if let Some(mut running) = self.0.running.try_lock() {
            *running = None;
        }
    }

    /// Ends the encode or segmentation under way after its current step: it fails with code `aborted`. Without one nothing happens.
    pub fn stop(&self) {
        self.0.stopping.set(true);
    }

    /// Destroys the GPU device as a driver reset would, for tests.
    #[wasm_bindgen(js_name = destroyGpuForTest)]
    pub fn destroy_gpu(&self) {
        self.0.device.borrow().destroy_gpu();
    }
}
