//! Products and convolutions of tensors by operations that can be trained.

use burn::tensor::Tensor;
use burn::tensor::module;
use burn::tensor::ops::ConvOptions;

pub use super::trained::layer_norm;
use super::trained::{self, bias_relu6};
use super::{Activation, gelu};

/// See [`super::matmul`].
pub fn matmul<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    a.matmul(b)
}

/// See [`super::linear`].
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
) -> Tensor<D> {
    let zeros = || Tensor::zeros([weight.dims()[1]], &weight.device());
    match (bias, activation) {
        (Some(bias), Activation::Relu6) => bias_relu6(trained::linear(x, weight.clone(), zeros()), bias),
        (Some(bias), activation) => activated(trained::linear(x, weight, bias), activation),
        (None, activation) => activated(trained::linear(x, weight.clone(), zeros()), activation),
    }
}

/// See [`super::conv3x3`].
pub fn conv3x3(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    activation: Activation,
) -> Tensor<4> {
    let options = ConvOptions::new([stride; 2], [1; 2], [1; 2], 1);
    let x = module::conv2d(x.permute([0, 3, 1, 2]), weight, None, options).permute([0, 2, 3, 1]);
    biased(x, bias, activation)
}

/// See [`super::depthwise`].
pub fn depthwise(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    activation: Activation,
) -> Tensor<4> {
    biased(trained::depthwise(x, weight, stride), bias, activation)
}

fn biased(x: Tensor<4>, bias: Option<Tensor<1>>, activation: Activation) -> Tensor<4> {
    match (bias, activation) {
        (Some(bias), Activation::Relu6) => bias_relu6(x, bias),
        (Some(bias), activation) => activated(x + bias.unsqueeze(), activation),
        (None, activation) => activated(x, activation),
    }
}

fn activated<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::None => x,
        Activation::Gelu => gelu(x),
        Activation::GeluTanh => burn::tensor::activation::gelu_approximate(x),
        Activation::Relu6 => x.clamp(0.0, 6.0),
    }
}
