//! Operations in tensors that training spends its time on, with gradients by kernels of our own on the CPU and by burn's operations on GPUs.
//!
//! What this layer removes: burn's autodiff writes a layer normalization as a dozen passes over memory and as many back, and burn-flex 0.22 takes the
//! gradients of a depthwise convolution through general products, and GELU's through a scalar `erf`.

#[cfg(feature = "train")]
pub(super) mod autodiff;
mod flex;
#[cfg(all(test, feature = "train"))]
mod tests;

use burn::backend::ops::{ActivationOps, FloatTensorOps, ModuleOps};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Shape, Tensor};

/// Operations and their gradients, on channels-last values.
#[backend_extension(Flex, Cube: cfg(any(feature = "cuda", feature = "vulkan")), Autodiff: cfg(feature = "train"))]
pub trait TrainedKernels: Backend {
    /// The gradient of a GELU's input.
    fn gelu_gradient(x: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as ActivationOps<Self>>::gelu_backward(x, gradient)
    }

    /// See [`depthwise`].
    fn depthwise_convolution(x: FloatTensor<Self>, weight: FloatTensor<Self>, stride: usize) -> FloatTensor<Self> {
        let options = depthwise_options(&weight.shape(), stride);
        let x = <Self as FloatTensorOps<Self>>::float_permute(x, &TO_CHANNELS_FIRST);
        let x = <Self as ModuleOps<Self>>::conv2d(x, weight, None, options);
        <Self as FloatTensorOps<Self>>::float_permute(x, &TO_CHANNELS_LAST)
    }

    /// The gradient of a depthwise convolution's input `x`, which is only looked at for its size.
    fn depthwise_input_gradient(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self> {
        let options = depthwise_options(&weight.shape(), stride);
        let x = <Self as FloatTensorOps<Self>>::float_permute(x, &TO_CHANNELS_FIRST);
        let gradient = <Self as FloatTensorOps<Self>>::float_permute(gradient, &TO_CHANNELS_FIRST);
        let gradient = <Self as ModuleOps<Self>>::conv2d_x_backward(x, weight, gradient, options);
        <Self as FloatTensorOps<Self>>::float_permute(gradient, &TO_CHANNELS_LAST)
    }

    /// The gradient of a depthwise convolution's weight.
    fn depthwise_weight_gradient(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self> {
        let options = depthwise_options(&weight.shape(), stride);
        let x = <Self as FloatTensorOps<Self>>::float_permute(x, &TO_CHANNELS_FIRST);
        let gradient = <Self as FloatTensorOps<Self>>::float_permute(gradient, &TO_CHANNELS_FIRST);
        <Self as ModuleOps<Self>>::conv2d_weight_backward(x, weight, gradient, options)
    }

    /// See [`linear`].
    fn product(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::linear(x, weight, Some(bias))
    }

    /// The gradient of [`linear`]'s input.
    fn product_input_gradient(weight: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::linear_x_backward(weight, gradient)
    }

    /// The gradient of [`linear`]'s weight.
    fn product_weight_gradient(x: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::linear_weight_backward(x, gradient)
    }

    /// The gradient of [`linear`]'s bias.
    fn product_bias_gradient(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        sum_of_rows::<Self>(gradient)
    }

    /// See [`bias_relu6`].
    fn biased_relu6(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = row_shape(&x.shape());
        let bias = <Self as FloatTensorOps<Self>>::float_reshape(bias, shape);
        let sum = <Self as FloatTensorOps<Self>>::float_add(x, bias);
        <Self as FloatTensorOps<Self>>::float_clamp(sum, 0.0.into(), 6.0.into())
    }

    /// The gradients of input and bias of [`bias_relu6`], from its output.
    fn biased_relu6_gradients(
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let cut = <Self as FloatTensorOps<Self>>::float_clamp(output.clone(), 0.0.into(), 6.0.into());
        let below = <Self as FloatTensorOps<Self>>::float_sign(cut.clone());
        let above = <Self as FloatTensorOps<Self>>::float_sub_scalar(cut, 6.0.into());
        let above = <Self as FloatTensorOps<Self>>::float_abs(<Self as FloatTensorOps<Self>>::float_sign(above));
        let kept = <Self as FloatTensorOps<Self>>::float_mul(below, above);
        let gradient = <Self as FloatTensorOps<Self>>::float_mul(gradient, kept);
        let of_bias = sum_of_rows::<Self>(gradient.clone());
        (gradient, of_bias)
    }

    /// See [`layer_norm`].
    fn normalized(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::layer_norm(x, scale, Some(shift), epsilon)
    }

    /// The gradients of input, scale and shift of [`layer_norm`].
    fn normalized_gradients(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        type F<B> = FloatTensor<B>;
        let last = x.shape().num_dims() - 1;
        let mean = |x: F<Self>| <Self as FloatTensorOps<Self>>::float_mean_dim(x, last);
        let mul = |a: F<Self>, b: F<Self>| <Self as FloatTensorOps<Self>>::float_mul(a, b);
        let sub = |a: F<Self>, b: F<Self>| <Self as FloatTensorOps<Self>>::float_sub(a, b);
        let centred = sub(x.clone(), mean(x));
        let variance = mean(mul(centred.clone(), centred.clone()));
        let variance = <Self as FloatTensorOps<Self>>::float_add_scalar(variance, epsilon.into());
        let inverse = <Self as FloatTensorOps<Self>>::float_recip(<Self as FloatTensorOps<Self>>::float_sqrt(variance));
        let normalized = mul(centred, inverse.clone());
        let of_scale = sum_of_rows::<Self>(mul(gradient.clone(), normalized.clone()));
        let of_shift = sum_of_rows::<Self>(gradient.clone());
        let scale = <Self as FloatTensorOps<Self>>::float_reshape(scale, row_shape(&gradient.shape()));
        let scaled = mul(gradient, scale);
        let along = mean(mul(scaled.clone(), normalized.clone()));
        let rest = sub(sub(scaled.clone(), mean(scaled)), mul(normalized, along));
        (mul(rest, inverse), of_scale, of_shift)
    }
}

const TO_CHANNELS_FIRST: [usize; 4] = [0, 3, 1, 2];
const TO_CHANNELS_LAST: [usize; 4] = [0, 2, 3, 1];

fn depthwise_options(weight: &Shape, stride: usize) -> ConvOptions<2> {
    ConvOptions::new([stride; 2], [weight[2] / 2; 2], [1; 2], weight[0])
}

/// The shape of a row's values beside a tensor's.
fn row_shape(shape: &Shape) -> Shape {
    let mut row = vec![1; shape.num_dims()];
    if let Some(last) = row.last_mut() {
        *last = shape[shape.num_dims() - 1];
    }
    row.into()
}

fn sum_of_rows<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let shape = x.shape();
    let channels = shape[shape.num_dims() - 1];
    let x = B::float_reshape(x, [shape.num_elements() / channels, channels].into());
    B::float_reshape(B::float_sum_dim(x, 0), [channels].into())
}

#[cfg(any(feature = "cuda", feature = "vulkan"))]
impl TrainedKernels for burn::backend::Cube {}

/// A convolution of each channel on its own, padded by half of the kernel.
///
/// # Shapes
/// - `x`: `[batch, height, width, channels]`, `weight`: `[channels, 1, kernel, kernel]` with a kernel of 3 or 5
/// - output: `[batch, height / stride, width / stride, channels]` (rounded up)
pub fn depthwise(x: Tensor<4>, weight: Tensor<4>, stride: usize) -> Tensor<4> {
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(<Dispatch as TrainedKernels>::depthwise_convolution(x, weight, stride))
}

/// A linear layer.
///
/// # Shapes
/// - `x`: `[…, features_in]`, `weight`: `[features_in, features_out]`, `bias`: `[features_out]`, output: `[…, features_out]`
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<D> {
    let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as TrainedKernels>::product(x, weight, bias))
}

/// `min(max(x + bias, 0), 6)`.
///
/// # Shapes
/// - `x` and output: `[…, channels]`, `bias`: `[channels]`
pub fn bias_relu6<const D: usize>(x: Tensor<D>, bias: Tensor<1>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as TrainedKernels>::biased_relu6(x.into_dispatch(), bias.into_dispatch()))
}

/// Layer normalization over the last axis.
///
/// # Shapes
/// - `x` and output: `[…, channels]`; `scale`, `shift`: `[channels]`
pub fn layer_norm<const D: usize>(x: Tensor<D>, scale: Tensor<1>, shift: Tensor<1>, epsilon: f64) -> Tensor<D> {
    let (x, scale, shift) = (x.into_dispatch(), scale.into_dispatch(), shift.into_dispatch());
    Tensor::from_dispatch(<Dispatch as TrainedKernels>::normalized(x, scale, shift, epsilon))
}
