//! Kernels for WebGPU: matrix products, depthwise convolutions, and the neighbours of every pixel, which make a 3×3 convolution a product.
//!
//! What this layer removes: burn's products and convolutions come in dozens of variants, of which one would run and all would be downloaded: with what
//! only they need they made up a third of the wasm module. Bias and activation are part of these kernels, so that activations are written once.

mod activation;
mod depthwise;
mod matmul;
mod neighbours;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Cube, Dispatch, backend_extension};
use burn::tensor::{DType, Tensor};
use burn_wgpu::CubeTensor;
use cubecl::prelude::*;

use super::Activation;

/// Operations with kernels on WebGPU only: on the CPU the network runs on [`crate::kernels::cpu`].
#[backend_extension(Cube)]
pub trait GpuKernels: Backend {
    /// See [`matmul::matmul`]; without `has_bias`, `bias` is not read.
    fn product(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        has_bias: bool,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// See [`depthwise::depthwise`]; without `has_bias`, `bias` is not read.
    fn depthwise(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        has_bias: bool,
        stride: usize,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// See [`neighbours::neighbours3x3`].
    fn neighbours(x: FloatTensor<Self>, stride: usize) -> FloatTensor<Self>;
}

impl GpuKernels for Cube {
    fn product(a: CubeTensor, b: CubeTensor, bias: CubeTensor, has_bias: bool, activation: Activation) -> CubeTensor {
        matmul::matmul(a, b, bias, has_bias, activation)
    }

    fn depthwise(
        x: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        has_bias: bool,
        stride: usize,
        activation: Activation,
    ) -> CubeTensor {
        depthwise::depthwise(x, weight, bias, has_bias, stride, activation)
    }

    fn neighbours(x: CubeTensor, stride: usize) -> CubeTensor {
        neighbours::neighbours3x3(x, stride)
    }
}

/// See [`crate::kernels::matmul`].
pub fn matmul<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    let b = b.into_dispatch();
    Tensor::from_dispatch(<Dispatch as GpuKernels>::product(a.into_dispatch(), b.clone(), b, false, Activation::None))
}

/// See [`crate::kernels::linear`].
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
) -> Tensor<D> {
    let mut shape = x.dims();
    let [depth, columns] = weight.dims();
    let rows = shape[..D - 1].iter().product();
    shape[D - 1] = columns;
    let x: Tensor<2> = x.reshape([rows, depth]);
    let weight = weight.into_dispatch();
    let has_bias = bias.is_some();
    let bias = bias.map_or_else(|| weight.clone(), Tensor::into_dispatch);
    let product = <Dispatch as GpuKernels>::product(x.into_dispatch(), weight, bias, has_bias, activation);
    Tensor::<2>::from_dispatch(product).reshape(shape)
}

/// See [`crate::kernels::conv3x3`].
pub fn conv3x3(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    activation: Activation,
) -> Tensor<4> {
    let [channels_out, channels_in, ..] = weight.dims();
    let neighbours = Tensor::<4>::from_dispatch(<Dispatch as GpuKernels>::neighbours(x.into_dispatch(), stride));
    linear(neighbours, weight.reshape([channels_out, channels_in * 9]).transpose(), bias, activation)
}

/// See [`crate::kernels::depthwise`].
pub fn depthwise(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    activation: Activation,
) -> Tensor<4> {
    let weight = weight.into_dispatch();
    let has_bias = bias.is_some();
    let bias = bias.map_or_else(|| weight.clone(), Tensor::into_dispatch);
    let output = <Dispatch as GpuKernels>::depthwise(x.into_dispatch(), weight, bias, has_bias, stride, activation);
    Tensor::from_dispatch(output)
}

/// See [`crate::kernels::layer_norm`].
pub fn layer_norm<const D: usize>(x: Tensor<D>, scale: Tensor<1>, shift: Tensor<1>, epsilon: f64) -> Tensor<D> {
    burn::tensor::module::layer_norm(x, scale, Some(shift), epsilon)
}

/// Row-major memory for `f32` values of a shape.
fn empty(like: &CubeTensor, shape: &[usize]) -> CubeTensor {
    let bytes = shape.iter().product::<usize>() * size_of::<f32>();
    let handle = like.client.empty(bytes);
    CubeTensor::new_contiguous(like.client.clone(), like.device.clone(), shape.to_vec().into(), handle, DType::F32)
}

/// The shape of a tensor with as many dimensions.
fn dims<const D: usize>(tensor: &CubeTensor) -> [usize; D] {
    let shape = tensor.meta.shape();
    std::array::from_fn(|index| shape[index])
}

/// How many groups of threads cover some elements, in a grid that keeps to WebGPU's limit of 65535 per dimension.
fn grid(elements: usize, threads: usize) -> CubeCount {
    const LIMIT: usize = 32768;
    let groups = elements.div_ceil(threads);
    let rows = groups.div_ceil(LIMIT);
    CubeCount::new_2d(groups.div_ceil(rows) as u32, rows as u32)
}
