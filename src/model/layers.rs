//! The layers that checkpoints hold, under the names that [`burn_store`]'s adapters know.
//!
//! What this layer removes: burn-nn's constructors bring every way to initialize weights, of which orthogonal matrices alone would add burn's matrix product in
//! all its variants to the wasm module. Weights here are loaded, or drawn uniformly in the tests.

use burn::module::{Module, Param, ParamId, RunningState};
use burn::tensor::{Device, Distribution, Tensor};

use crate::kernels::layer_norm;

/// Weights within `±sqrt(1 / fan_in)`, drawn only if nothing replaces them before they are used.
fn uniform<const D: usize>(shape: [usize; D], fan_in: usize, device: &Device) -> Param<Tensor<D>> {
    let bound = (1.0 / fan_in as f64).sqrt();
    lazy(shape, device, move |device| Tensor::random(shape, Distribution::Uniform(-bound, bound), device))
}

/// A parameter that is made only if nothing replaces it before it is used.
pub(super) fn lazy<const D: usize>(
    shape: [usize; D],
    device: &Device,
    init: impl Fn(&Device) -> Tensor<D> + Send + Sync + 'static,
) -> Param<Tensor<D>> {
    let init = move |device: &Device, require_grad: bool| {
        let tensor = init(device);
        if require_grad { tensor.require_grad() } else { tensor }
    };
    Param::uninitialized(ParamId::new(), init, device.clone(), true, shape.into())
}

/// A linear layer: `x · weight + bias`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[features_in, features_out]`
    pub weight: Param<Tensor<2>>,
    /// `[features_out]`
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// A layer with bias.
    pub fn init(features_in: usize, features_out: usize, device: &Device) -> Self {
        Self {
            weight: uniform([features_in, features_out], features_in, device),
            bias: Some(uniform([features_out], features_in, device)),
        }
    }
}

/// A convolution with a square kernel, padded by half of it.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[channels_out, channels_in / groups, kernel, kernel]`
    pub weight: Param<Tensor<4>>,
    /// `[channels_out]`
    pub bias: Option<Param<Tensor<1>>>,
    /// In pixels.
    pub stride: usize,
    /// Side of the kernel, in pixels.
    pub kernel: usize,
    /// Number of groups of channels.
    pub groups: usize,
}

impl Conv2d {
    /// A convolution of all channels, from the first number of them to the second, without stride and bias.
    pub fn init([channels_in, channels_out]: [usize; 2], kernel: usize, device: &Device) -> Self {
        Self::init_in_groups([channels_in, channels_out], kernel, 1, 1, device)
    }

    /// A convolution in groups with a stride, without bias.
    pub fn init_in_groups(
        [channels_in, channels_out]: [usize; 2],
        kernel: usize,
        stride: usize,
        groups: usize,
        device: &Device,
    ) -> Self {
        let depth = channels_in / groups;
        let weight = uniform([channels_out, depth, kernel, kernel], depth * kernel * kernel, device);
        Self { weight, bias: None, stride, kernel, groups }
    }

    /// The same with a bias.
    pub fn with_bias(self) -> Self {
        let [channels_out, depth, kernel, _] = self.weight.shape().dims();
        let bias = uniform([channels_out], depth * kernel * kernel, &self.weight.lazy_device());
        Self { bias: Some(bias), ..self }
    }
}

/// A transposed convolution whose stride is its kernel's side, so that pixels do not overlap.
#[derive(Module, Debug)]
pub struct ConvTranspose2d {
    /// `[channels_in, channels_out, kernel, kernel]`
    pub weight: Param<Tensor<4>>,
    /// `[channels_out]`
    pub bias: Option<Param<Tensor<1>>>,
}

impl ConvTranspose2d {
    /// A layer with bias.
    pub fn init([channels_in, channels_out]: [usize; 2], kernel: usize, device: &Device) -> Self {
        let fan_in = channels_out * kernel * kernel;
        Self {
            weight: uniform([channels_in, channels_out, kernel, kernel], fan_in, device),
            bias: Some(uniform([channels_out], fan_in, device)),
        }
    }
}

/// Normalization of a token's values.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// Scale, `[channels]`.
    pub gamma: Param<Tensor<1>>,
    /// Shift, `[channels]`.
    pub beta: Param<Tensor<1>>,
}

/// PyTorch's default.
pub const LAYER_NORM_EPSILON: f64 = 1e-5;

impl LayerNorm {
    /// A layer that does not scale.
    pub fn init(channels: usize, device: &Device) -> Self {
        Self {
            gamma: lazy([channels], device, move |device| Tensor::ones([channels], device)),
            beta: lazy([channels], device, move |device| Tensor::zeros([channels], device)),
        }
    }

    /// Normalizes over the last axis.
    ///
    /// # Shapes
    /// - `x` and output: `[…, channels]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        layer_norm(x, self.gamma.val(), self.beta.val(), LAYER_NORM_EPSILON)
    }
}

/// Normalization of a channel by statistics of earlier batches.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// Scale, `[channels]`.
    pub gamma: Param<Tensor<1>>,
    /// Shift, `[channels]`.
    pub beta: Param<Tensor<1>>,
    /// `[channels]`
    pub running_mean: RunningState<Tensor<1>>,
    /// `[channels]`
    pub running_var: RunningState<Tensor<1>>,
    /// What is added to the variance.
    pub epsilon: f64,
}

impl BatchNorm {
    /// PyTorch's default.
    pub const EPSILON: f64 = 1e-5;

    /// A layer that changes nothing.
    pub fn init(channels: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            gamma: lazy([channels], device, move |device| Tensor::ones([channels], device)),
            beta: lazy([channels], device, move |device| Tensor::zeros([channels], device)),
            running_mean: RunningState::new(Tensor::zeros([channels], device)),
            running_var: RunningState::new(Tensor::ones([channels], device)),
            epsilon,
        }
    }
}

/// A table of vectors.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[count, dim]`
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    /// A table of some vectors.
    pub fn init(count: usize, dim: usize, device: &Device) -> Self {
        Self { weight: uniform([count, dim], 1, device) }
    }
}

/// The place of an activation in a checkpoint's sequence.
#[derive(Module, Debug, Default)]
pub struct Gelu;
