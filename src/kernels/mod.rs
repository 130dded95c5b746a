//! Kernels of our own: for inference on the CPU in [`cpu`], for WebGPU in `gpu`, and the operations in tensors that choose between them and burn's, which natively
//! train and run on other GPUs.
//!
//! What this layer removes: in [`cpu`] the writing of every activation of the network to memory; in `gpu` a third of the wasm module; and in the tensors of native training
//! the exact GELU of burn-flex 0.22, which calls a scalar `erf` per value on one thread.

pub mod cpu;
#[cfg(target_family = "wasm")]
mod gpu;
pub mod known_answer;

#[cfg(target_family = "wasm")]
use gpu as products;
#[cfg(not(target_family = "wasm"))]
mod products;
#[cfg(not(target_family = "wasm"))]
mod trained;

use burn::backend::ops::ActivationOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

pub use cpu::Activation;

/// Operations with kernels of our own.
#[backend_extension(Flex, Cube: cfg(any(target_family = "wasm", feature = "cuda", feature = "vulkan")), Autodiff: cfg(feature = "train"))]
pub trait Kernels: Backend {
    /// The exact GELU.
    fn exact_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as ActivationOps<Self>>::gelu(x)
    }
}

impl Kernels for Flex {
    fn exact_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        if x.dtype() != burn::tensor::DType::F32 {
            return <Self as ActivationOps<Self>>::gelu(x);
        }
        let mut x = if x.is_contiguous() { x } else { x.to_contiguous() };
        let (start, count) = (x.layout().start_offset(), x.layout().num_elements());
        cpu::gelu(&mut x.storage_mut::<f32>()[start..start + count]);
        x
    }
}

#[cfg(any(target_family = "wasm", feature = "cuda", feature = "vulkan"))]
impl Kernels for burn::backend::Cube {}

#[cfg(feature = "train")]
impl<B, C> Kernels for burn::backend::Autodiff<B, C>
where
    B: Backend + Kernels + trained::TrainedKernels,
    C: burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy,
{
    fn exact_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        trained::autodiff::gelu::<B, C>(x)
    }
}

/// The exact Gaussian error linear unit, `x Φ(x)`; on the CPU within 3·10⁻⁷ of it.
///
/// Source: Hendrycks and Gimpel, *Gaussian Error Linear Units*, 2016.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Kernels>::exact_gelu(x.into_dispatch()))
}

/// `A · B` for the last two dimensions; leading dimensions of length 1 are repeated. In the browser on WebGPU only.
///
/// # Shapes
/// - `a`: `[…, rows, depth]`, `b`: `[…, depth, columns]`, output: `[…, rows, columns]`
pub fn matmul<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    products::matmul(a, b)
}

/// A linear layer, with what follows it. In the browser on WebGPU only.
///
/// # Shapes
/// - `x`: `[…, features_in]`, `weight`: `[features_in, features_out]`, `bias`: `[features_out]`, output: `[…, features_out]`
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
) -> Tensor<D> {
    products::linear(x, weight, bias, activation)
}

/// A 3×3 convolution with padding 1 on channels-last values, with what follows it. In the browser on WebGPU only.
///
/// # Shapes
/// - `x`: `[batch, height, width, channels_in]`, `weight`: `[channels_out, channels_in, 3, 3]`, `bias`: `[channels_out]`
/// - output: `[batch, height / stride, width / stride, channels_out]` (rounded up)
pub fn conv3x3(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    activation: Activation,
) -> Tensor<4> {
    products::conv3x3(x, weight, bias, stride, activation)
}

/// A 3×3 or 5×5 convolution of each channel on its own, padded by half of the kernel, else as [`conv3x3`].
///
/// # Shapes
/// - `x`: `[batch, height, width, channels]`, `weight`: `[channels, 1, kernel, kernel]`, `bias`: `[channels]`
/// - output: `[batch, height / stride, width / stride, channels]` (rounded up)
pub fn depthwise(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    activation: Activation,
) -> Tensor<4> {
    products::depthwise(x, weight, bias, stride, activation)
}

/// Layer normalization over the last axis.
///
/// # Shapes
/// - `x` and output: `[…, channels]`; `scale`, `shift`: `[channels]`
pub fn layer_norm<const D: usize>(x: Tensor<D>, scale: Tensor<1>, shift: Tensor<1>, epsilon: f64) -> Tensor<D> {
    products::layer_norm(x, scale, shift, epsilon)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData, Tolerance};

    use super::gelu;

    #[test]
    fn gelu_is_exact_to_rounding() {
        let inputs: Vec<f32> = (-60_000..=60_000).map(|step| step as f32 * 2.5e-4).collect();
        let device = Device::flex();
        let input = Tensor::<1>::from_data(TensorData::new(inputs.clone(), [inputs.len()]), &device);
        let expected: Vec<f32> = burn::tensor::activation::gelu(input.clone()).into_data().try_into_vec().unwrap();
        let actual: Vec<f32> = gelu(input).into_data().try_into_vec().unwrap();
        for ((x, actual), expected) in inputs.iter().zip(&actual).zip(&expected) {
            assert!((actual - expected).abs() <= 3e-7 * x.abs().max(1.0), "gelu({x}) is {actual}, not {expected}");
        }
    }

    #[test]
    fn views_are_not_written_through() {
        let device = Device::flex();
        let whole = Tensor::<2>::from_data([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &device);
        let part = whole.clone().slice([0..2, 1..2]).transpose();
        let expected = burn::tensor::activation::gelu(part.clone()).into_data();
        gelu(part).into_data().assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
        whole.into_data().assert_eq(&[[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]].into(), true);
    }
}
