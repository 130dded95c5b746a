//! Products and convolutions of tensors by burn's operations, which can be trained.

use burn::tensor::Tensor;
use burn::tensor::module;
use burn::tensor::ops::ConvOptions;

use super::gelu;

/// See [`super::matmul`].
pub fn matmul<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    a.matmul(b)
}

/// See [`super::linear`].
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>, with_gelu: bool) -> Tensor<D> {
    activated(module::linear(x, weight, bias), with_gelu)
}

/// See [`super::conv3x3`].
pub fn conv3x3(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, stride: usize, with_gelu: bool) -> Tensor<4> {
    convolved(x, weight, bias, stride, 1, with_gelu)
}

/// See [`super::depthwise3x3`].
pub fn depthwise3x3(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    with_gelu: bool,
) -> Tensor<4> {
    let [channels, ..] = weight.dims();
    convolved(x, weight, bias, stride, channels, with_gelu)
}

fn convolved(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    groups: usize,
    with_gelu: bool,
) -> Tensor<4> {
    let [channels_out, ..] = weight.dims();
    let options = ConvOptions::new([stride; 2], [1; 2], [1; 2], groups);
    let x = x.permute([0, 3, 1, 2]);
    // The depthwise kernels of burn's GPU backends take no bias, so it is added afterwards.
    let x = module::conv2d(x, weight, None, options).permute([0, 2, 3, 1]);
    let x = match bias {
        Some(bias) => x + bias.reshape([1, 1, 1, channels_out]),
        None => x,
    };
    activated(x, with_gelu)
}

fn activated<const D: usize>(x: Tensor<D>, with_gelu: bool) -> Tensor<D> {
    if with_gelu { gelu(x) } else { x }
}
