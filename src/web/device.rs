//! Which device runs the network.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use burn::tensor::Device;
use burn_wgpu::{WgpuSetup, wgpu};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;

use crate::error::{Error, Result};
use crate::kernels::known_answer::{ANSWER, STEP, known_answer};

/// What the caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceRequest {
    /// WebGPU on a real adapter that passes the check, else the CPU.
    #[default]
    Auto,
    /// The CPU, with SIMD, on the calling thread.
    Cpu,
    /// WebGPU, an emulated adapter included.
    Webgpu,
}

/// What runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// The CPU.
    Cpu,
    /// WebGPU.
    Webgpu,
}

/// What was chosen and why.
#[derive(Debug, Clone, Serialize)]
pub struct DeviceChoice {
    /// What runs.
    pub kind: DeviceKind,
    /// Why, for people.
    pub reason: String,
    /// The GPU adapter's name, if there is one.
    pub adapter: Option<String>,
}

/// Whether there is something to ask for an adapter. wgpu panics where there is neither a window nor a worker, as in Node.js.
fn has_webgpu() -> bool {
    let get = |object: &JsValue, name: &str| {
        js_sys::Reflect::get(object, &name.into()).ok().filter(|value| !value.is_undefined())
    };
    let global = js_sys::global();
    let is_page_or_worker = ["Window", "WorkerGlobalScope"].iter().any(|name| get(&global, name).is_some());
    is_page_or_worker && get(&global, "navigator").is_some_and(|navigator| get(&navigator, "gpu").is_some())
}

/// A device that is open.
#[derive(Debug)]
pub struct OpenDevice {
    /// For tensors.
    pub device: Device,
    /// What was chosen and why.
    pub choice: DeviceChoice,
    gpu: Option<Gpu>,
}

impl OpenDevice {
    /// Opens what was asked for.
    ///
    /// # Errors
    /// [`Error::DeviceUnavailable`] if WebGPU was asked for by name and is not there or computes wrongly.
    pub async fn open(request: DeviceRequest) -> Result<Self> {
        super::start();
        if request == DeviceRequest::Cpu {
            return Ok(Self::cpu("asked for".into()));
        }
        match (Self::open_gpu(request).await, request) {
            (Ok(device), _) => Ok(device),
            (Err(reason), DeviceRequest::Webgpu) => Err(Error::DeviceUnavailable(format!("WebGPU: {reason}"))),
            (Err(reason), _) => Ok(Self::cpu(format!("WebGPU was not used: {reason}"))),
        }
    }

    /// The CPU.
    pub fn cpu(reason: String) -> Self {
        let choice = DeviceChoice { kind: DeviceKind::Cpu, reason, adapter: None };
        Self { device: Device::flex(), choice, gpu: None }
    }

    async fn open_gpu(request: DeviceRequest) -> std::result::Result<Self, String> {
        if !has_webgpu() {
            return Err("there is no WebGPU here".into());
        }
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: wgpu::Backends::BROWSER_WEBGPU,
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        let adapter = within(GPU_DEADLINE_MS, instance.request_adapter(&options))
            .await
            .ok_or_else(|| no_answer("the request for an adapter"))?
            .map_err(|error| error.to_string())?;
        let info = adapter.get_info();
        let emulated = info.device_type == wgpu::DeviceType::Cpu;
        let name = match info.name.trim() {
            "" => "unnamed adapter".to_string(),
            name => name.to_string(),
        };
        if emulated && request == DeviceRequest::Auto {
            return Err(format!("the only adapter ({name}) is emulated on the CPU"));
        }
        let descriptor = wgpu::DeviceDescriptor {
            required_features: adapter.features().difference(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS),
            required_limits: adapter.limits(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = within(GPU_DEADLINE_MS, adapter.request_device(&descriptor))
            .await
            .ok_or_else(|| no_answer("the request for a device"))?
            .map_err(|error| error.to_string())?;

        let setup = WgpuSetup { instance, adapter, device, queue, backend: wgpu::Backend::BrowserWebGpu };
        let gpu_device = setup.device.clone();
        let device = Device::wgpu_options().setup(setup).init().map_err(|error| error.to_string())?;
        // After init, because init installs handlers of its own, of which one panics.
        let gpu = Gpu::watch(gpu_device);

        let error = within(KNOWN_ANSWER_DEADLINE_MS, known_answer_error(&device))
            .await
            .ok_or_else(|| no_answer("the first computation"))?
            .map_err(|error| error.to_string())?;
        if let Some(problem) = gpu.problem() {
            return Err(problem.to_string());
        }
        if error.is_nan() || error > KNOWN_ANSWER_TOLERANCE {
            return Err(format!("{name} computes wrongly (a known answer is off by {error:.1e})"));
        }
        let kind = if emulated { "an adapter emulated on the CPU" } else { "a GPU" };
        let choice = DeviceChoice {
            kind: DeviceKind::Webgpu,
            reason: format!("{kind} that passed the known-answer check"),
            adapter: Some(name),
        };
        Ok(Self { device, choice, gpu: Some(gpu) })
    }

    /// What went wrong on the GPU since it was opened: a lost device, or an error that WebGPU reports beside the results.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Computation`].
    pub fn check(&self) -> Result<()> {
        self.gpu.as_ref().and_then(Gpu::problem).map_or(Ok(()), Err)
    }

    /// A result of this device, or what was wrong with the device while it was computed.
    ///
    /// # Errors
    /// As [`OpenDevice::check`], else those of the result.
    pub async fn explain<T>(&self, result: Result<T>) -> Result<T> {
        if self.gpu.is_some() && matches!(result, Err(Error::Computation(_))) {
            // Reading from a lost device fails a moment before the loss itself is told.
            super::sleep(LOSS_DELAY_MS).await;
        }
        self.check().and(result)
    }

    /// Destroys the GPU device as a driver reset would, for tests.
    pub fn destroy_gpu(&self) {
        if let Some(gpu) = &self.gpu {
            gpu.device.destroy();
        }
    }
}

/// A WebGPU device under watch.
#[derive(Debug)]
struct Gpu {
    device: wgpu::Device,
    lost: Arc<OnceLock<String>>,
    error: Arc<OnceLock<String>>,
}

impl Gpu {
    fn watch(device: wgpu::Device) -> Self {
        let (lost, error) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
        let slot = lost.clone();
        device.set_device_lost_callback(move |reason, message| {
            let _ = slot.set(format!("{reason:?}: {message}"));
        });
        let slot = error.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let _ = slot.set(error.to_string());
        }));
        Self { device, lost, error }
    }

    fn problem(&self) -> Option<Error> {
        match (self.lost.get(), self.error.get()) {
            (Some(reason), _) => Some(Error::DeviceLost(reason.clone())),
            (None, Some(error)) => Some(Error::Computation(error.clone())),
            (None, None) => None,
        }
    }
}

/// How long a request for an adapter or a device may take, in milliseconds: some drivers never answer.
const GPU_DEADLINE_MS: i32 = 5_000;
/// How long the known answer may take, in milliseconds; shaders are compiled for it.
const KNOWN_ANSWER_DEADLINE_MS: i32 = 30_000;

/// What a future gives before a deadline, or `None`.
async fn within<T>(milliseconds: i32, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut deadline) = (pin!(future), pin!(super::sleep(milliseconds)));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => deadline.as_mut().poll(context).map(|()| None),
    })
    .await
}

fn no_answer(what: &str) -> String {
    format!("{what} had no answer in time, as with some drivers")
}

/// How long after a failed read a lost device is told at the latest, in milliseconds.
const LOSS_DELAY_MS: i32 = 50;

/// Largest relative difference between GPU and CPU that is still rounding.
const KNOWN_ANSWER_TOLERANCE: f32 = 1e-3;

/// Computes the network's kinds of operations on small tensors and returns the largest difference from what they must give, relative to the largest
/// value.
async fn known_answer_error(device: &Device) -> Result<f32> {
    let data = known_answer(device).into_data_async().await.map_err(|error| Error::Computation(error.to_string()))?;
    let actual = data.try_into_vec::<f32>().map_err(|error| Error::Computation(error.to_string()))?;
    let largest = ANSWER.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let difference = |(actual, expected): (&f32, &f32)| (actual - expected).abs() / largest;
    // NaN must not be lost in a maximum.
    let larger = |a: f32, b: f32| if b > a || b.is_nan() { b } else { a };
    Ok(actual.iter().step_by(STEP).zip(&ANSWER).map(difference).fold(0.0, larger))
}
