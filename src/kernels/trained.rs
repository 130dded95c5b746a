//! Operations in tensors that training spends its time on, with gradients by kernels of our own on the CPU and by burn's operations on GPUs.
//!
//! What this layer removes: burn's autodiff writes a layer normalization as a dozen passes over memory and as many back, and burn-flex 0.22 takes the
//! gradients of a depthwise convolution through general products, and GELU's through a scalar `erf`.

use burn::backend::ops::{ActivationOps, FloatTensorOps, ModuleOps};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Shape, Tensor, TensorData};

use super::cpu::gradients::{self, DepthwiseSizes};
use super::cpu::{self, Activation, products};

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

type FlexTensor = FloatTensor<Flex>;

/// A tensor's values row by row.
fn contiguous(x: &FlexTensor) -> FlexTensor {
    if x.is_contiguous() { x.clone() } else { x.to_contiguous() }
}

fn values(x: &FlexTensor) -> &[f32] {
    let (start, count) = (x.layout().start_offset(), x.layout().num_elements());
    &x.storage::<f32>()[start..start + count]
}

fn values_mut(x: &mut FlexTensor) -> &mut [f32] {
    let (start, count) = (x.layout().start_offset(), x.layout().num_elements());
    &mut x.storage_mut::<f32>()[start..start + count]
}

fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.into()))
}

/// A shape with another last dimension.
fn with_last(shape: &Shape, last: usize) -> Shape {
    let mut dims: Vec<usize> = (0..shape.num_dims()).map(|index| shape[index]).collect();
    if let Some(dim) = dims.last_mut() {
        *dim = last;
    }
    dims.into()
}

fn depthwise_sizes(x: &FlexTensor, weight: &FlexTensor, stride: usize) -> DepthwiseSizes {
    let (x, weight) = (x.shape(), weight.shape());
    DepthwiseSizes { batch: x[0], height: x[1], width: x[2], channels: x[3], kernel: weight[2], stride }
}

// Training is in f32 on the CPU: `values` panics for other types, which no configuration asks for.
impl TrainedKernels for Flex {
    fn gelu_gradient(x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let (x, mut gradient) = (contiguous(&x), contiguous(&gradient));
        gradients::gelu_gradient(values(&x), values_mut(&mut gradient));
        gradient
    }

    fn depthwise_convolution(x: FlexTensor, weight: FlexTensor, stride: usize) -> FlexTensor {
        let (x, weight) = (contiguous(&x), contiguous(&weight));
        let sizes = depthwise_sizes(&x, &weight, stride);
        let [height, width] = sizes.output();
        tensor(sizes.forward(values(&x), values(&weight)), [sizes.batch, height, width, sizes.channels])
    }

    fn depthwise_input_gradient(x: FlexTensor, weight: FlexTensor, gradient: FlexTensor, stride: usize) -> FlexTensor {
        let (weight, gradient) = (contiguous(&weight), contiguous(&gradient));
        let sizes = depthwise_sizes(&x, &weight, stride);
        tensor(sizes.input_gradient(values(&weight), values(&gradient)), x.shape())
    }

    fn depthwise_weight_gradient(x: FlexTensor, weight: FlexTensor, gradient: FlexTensor, stride: usize) -> FlexTensor {
        let (x, gradient) = (contiguous(&x), contiguous(&gradient));
        let sizes = depthwise_sizes(&x, &weight, stride);
        tensor(sizes.weight_gradient(values(&x), values(&gradient)), weight.shape())
    }

    fn product(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        let (x, weight, bias) = (contiguous(&x), contiguous(&weight), contiguous(&bias));
        let output = products::product(values(&x), values(&weight), values(&bias), Activation::None);
        tensor(output, with_last(&x.shape(), bias.shape()[0]))
    }

    fn product_input_gradient(weight: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let (weight, gradient) = (contiguous(&weight), contiguous(&gradient));
        let [depth, columns] = [weight.shape()[0], weight.shape()[1]];
        let output = products::input_gradient(values(&gradient), values(&weight), columns);
        tensor(output, with_last(&gradient.shape(), depth))
    }

    fn product_weight_gradient(x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let (x, gradient) = (contiguous(&x), contiguous(&gradient));
        let [depth, columns] = [&x, &gradient].map(|tensor| tensor.shape()[tensor.shape().num_dims() - 1]);
        tensor(products::weight_gradient(values(&x), values(&gradient), depth, columns), [depth, columns])
    }

    fn product_bias_gradient(gradient: FlexTensor) -> FlexTensor {
        let gradient = contiguous(&gradient);
        let columns = gradient.shape()[gradient.shape().num_dims() - 1];
        tensor(products::sum_of_rows(values(&gradient), columns), [columns])
    }

    fn biased_relu6(x: FlexTensor, bias: FlexTensor) -> FlexTensor {
        let mut x = if x.is_contiguous() { x } else { x.to_contiguous() };
        gradients::add_bias_relu6(values_mut(&mut x), values(&contiguous(&bias)));
        x
    }

    fn biased_relu6_gradients(output: FlexTensor, gradient: FlexTensor) -> (FlexTensor, FlexTensor) {
        let mut gradient = if gradient.is_contiguous() { gradient } else { gradient.to_contiguous() };
        let shape = output.shape();
        let channels = shape[shape.num_dims() - 1];
        let of_bias = gradients::relu6_gradient(values(&contiguous(&output)), values_mut(&mut gradient), channels);
        (gradient, tensor(of_bias, [channels]))
    }

    fn normalized(x: FlexTensor, scale: FlexTensor, shift: FlexTensor, epsilon: f64) -> FlexTensor {
        let mut x = if x.is_contiguous() { x } else { x.to_contiguous() };
        let (scale, shift) = (contiguous(&scale), contiguous(&shift));
        cpu::LayerNorm::new(values(&scale), values(&shift), epsilon as f32).normalize_in_place(values_mut(&mut x));
        x
    }

    fn normalized_gradients(
        x: FlexTensor,
        scale: FlexTensor,
        gradient: FlexTensor,
        epsilon: f64,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let mut gradient = if gradient.is_contiguous() { gradient } else { gradient.to_contiguous() };
        let (x, scale) = (contiguous(&x), contiguous(&scale));
        let channels = scale.shape()[0];
        let [of_scale, of_shift] =
            gradients::layer_norm_gradient(values(&x), values(&scale), epsilon as f32, values_mut(&mut gradient));
        (gradient, tensor(of_scale, [channels]), tensor(of_shift, [channels]))
    }
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

#[cfg(feature = "train")]
pub(super) mod autodiff {
    //! The operations as nodes of a graph.

    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Autodiff, Backend};

    use super::TrainedKernels;
    use crate::kernels::Kernels;

    /// GELU, with its input as state.
    #[derive(Debug)]
    struct Gelu;

    impl<B: Backend + TrainedKernels> Backward<B, 1> for Gelu {
        type State = FloatTensor<B>;

        fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
            let gradient = gradients.consume::<B>(&ops.node);
            if let [Some(node)] = ops.parents {
                gradients.register::<B>(node.id, B::gelu_gradient(ops.state, gradient));
            }
        }
    }

    /// GELU on a graph.
    pub fn gelu<B: Backend + Kernels + TrainedKernels, C: CheckpointStrategy>(
        x: FloatTensor<Autodiff<B, C>>,
    ) -> FloatTensor<Autodiff<B, C>> {
        let (x, node) = x.into_parts();
        match Gelu.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(x.clone(), B::exact_gelu(x)),
            OpsKind::UnTracked(prepared) => prepared.finish(B::exact_gelu(x)),
        }
    }

    /// A depthwise convolution, with its input and weight as state.
    #[derive(Debug)]
    struct Depthwise;

    impl<B: Backend + TrainedKernels> Backward<B, 2> for Depthwise {
        type State = (FloatTensor<B>, FloatTensor<B>, usize);

        fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
            let gradient = gradients.consume::<B>(&ops.node);
            let (x, weight, stride) = ops.state;
            let [of_x, of_weight] = ops.parents;
            if let Some(node) = of_x {
                let gradient = B::depthwise_input_gradient(x.clone(), weight.clone(), gradient.clone(), stride);
                gradients.register::<B>(node.id, gradient);
            }
            if let Some(node) = of_weight {
                gradients.register::<B>(node.id, B::depthwise_weight_gradient(x, weight, gradient, stride));
            }
        }
    }

    /// A linear layer, with its input and weight as state.
    #[derive(Debug)]
    struct Linear;

    impl<B: Backend + TrainedKernels> Backward<B, 3> for Linear {
        type State = (FloatTensor<B>, FloatTensor<B>);

        fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
            let gradient = gradients.consume::<B>(&ops.node);
            let (x, weight) = ops.state;
            let [of_x, of_weight, of_bias] = ops.parents;
            if let Some(node) = of_x {
                gradients.register::<B>(node.id, B::product_input_gradient(weight, gradient.clone()));
            }
            if let Some(node) = of_weight {
                gradients.register::<B>(node.id, B::product_weight_gradient(x, gradient.clone()));
            }
            if let Some(node) = of_bias {
                gradients.register::<B>(node.id, B::product_bias_gradient(gradient));
            }
        }
    }

    /// Bias and ReLU6, with the output as state.
    #[derive(Debug)]
    struct BiasedRelu6;

    impl<B: Backend + TrainedKernels> Backward<B, 2> for BiasedRelu6 {
        type State = FloatTensor<B>;

        fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
            let gradient = gradients.consume::<B>(&ops.node);
            let (of_x, of_bias) = B::biased_relu6_gradients(ops.state, gradient);
            for (node, gradient) in ops.parents.into_iter().zip([of_x, of_bias]) {
                if let Some(node) = node {
                    gradients.register::<B>(node.id, gradient);
                }
            }
        }
    }

    /// Layer normalization, with input and scale as state.
    #[derive(Debug)]
    struct Normalized;

    impl<B: Backend + TrainedKernels> Backward<B, 3> for Normalized {
        type State = (FloatTensor<B>, FloatTensor<B>, f64);

        fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
            let gradient = gradients.consume::<B>(&ops.node);
            let (x, scale, epsilon) = ops.state;
            let (of_x, of_scale, of_shift) = B::normalized_gradients(x, scale, gradient, epsilon);
            for (node, gradient) in ops.parents.into_iter().zip([of_x, of_scale, of_shift]) {
                if let Some(node) = node {
                    gradients.register::<B>(node.id, gradient);
                }
            }
        }
    }

    // Only first derivatives are there: the gradients themselves have none.
    impl<B: Backend + TrainedKernels, C: CheckpointStrategy> TrainedKernels for Autodiff<B, C> {
        fn depthwise_convolution(x: FloatTensor<Self>, weight: FloatTensor<Self>, stride: usize) -> FloatTensor<Self> {
            let ((x, x_node), (weight, weight_node)) = (x.into_parts(), weight.into_parts());
            match Depthwise.prepare::<C>([x_node, weight_node]).compute_bound().stateful() {
                OpsKind::Tracked(prepared) => {
                    let state = (x.clone(), weight.clone(), stride);
                    prepared.finish(state, B::depthwise_convolution(x, weight, stride))
                }
                OpsKind::UnTracked(prepared) => prepared.finish(B::depthwise_convolution(x, weight, stride)),
            }
        }

        fn product(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
            let ((x, x_node), (weight, weight_node)) = (x.into_parts(), weight.into_parts());
            let (bias, bias_node) = bias.into_parts();
            match Linear.prepare::<C>([x_node, weight_node, bias_node]).compute_bound().stateful() {
                OpsKind::Tracked(prepared) => prepared.finish((x.clone(), weight.clone()), B::product(x, weight, bias)),
                OpsKind::UnTracked(prepared) => prepared.finish(B::product(x, weight, bias)),
            }
        }

        fn biased_relu6(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
            let ((x, x_node), (bias, bias_node)) = (x.into_parts(), bias.into_parts());
            let output = B::biased_relu6(x, bias);
            match BiasedRelu6.prepare::<C>([x_node, bias_node]).compute_bound().stateful() {
                OpsKind::Tracked(prepared) => prepared.finish(output.clone(), output),
                OpsKind::UnTracked(prepared) => prepared.finish(output),
            }
        }

        fn normalized(
            x: FloatTensor<Self>,
            scale: FloatTensor<Self>,
            shift: FloatTensor<Self>,
            epsilon: f64,
        ) -> FloatTensor<Self> {
            let ((x, x_node), (scale, scale_node)) = (x.into_parts(), scale.into_parts());
            let (shift, shift_node) = shift.into_parts();
            match Normalized.prepare::<C>([x_node, scale_node, shift_node]).compute_bound().stateful() {
                OpsKind::Tracked(prepared) => {
                    let state = (x.clone(), scale.clone(), epsilon);
                    prepared.finish(state, B::normalized(x, scale, shift, epsilon))
                }
                OpsKind::UnTracked(prepared) => prepared.finish(B::normalized(x, scale, shift, epsilon)),
            }
        }
    }
}

#[cfg(all(test, feature = "train"))]
mod tests {
    use burn::module::{Module, Param};
    use burn::optim::GradientsParams;
    use burn::tensor::activation::gelu as burn_gelu;
    use burn::tensor::module::{conv2d, layer_norm as burn_layer_norm};
    use burn::tensor::{Device, Tolerance};

    use super::*;

    #[derive(Module, Debug)]
    struct Inputs {
        x: Param<Tensor<4>>,
        weight: Param<Tensor<4>>,
        scale: Param<Tensor<1>>,
        shift: Param<Tensor<1>>,
    }

    fn wave(count: usize, step: f32, size: f32) -> Vec<f32> {
        (0..count).map(|index| (index as f32 * step).sin() * size).collect()
    }

    fn inputs([batch, height, width, channels]: [usize; 4], kernel: usize) -> Inputs {
        let device = Device::flex().autodiff();
        let vector = |step: f32| Tensor::from_data(TensorData::new(wave(channels, step, 1.0), [channels]), &device);
        let x = TensorData::new(wave(batch * height * width * channels, 0.7, 7.0), [batch, height, width, channels]);
        let weight = TensorData::new(wave(channels * kernel * kernel, 0.3, 1.0), [channels, 1, kernel, kernel]);
        Inputs {
            x: Param::from_tensor(Tensor::from_data(x, &device)),
            weight: Param::from_tensor(Tensor::from_data(weight, &device)),
            scale: Param::from_tensor(vector(0.4) + 1.5),
            shift: Param::from_tensor(vector(0.9)),
        }
    }

    /// Compares values and gradients of two ways to compute the same, under a loss that weighs every value differently.
    #[track_caller]
    fn compare<M: Module>(inputs: &M, ours: impl Fn(&M) -> Tensor<4>, burns: impl Fn(&M) -> Tensor<4>) {
        let gradients = |output: Tensor<4>| {
            let shape = output.dims();
            let weights = TensorData::new(wave(shape.iter().product(), 1.3, 1.0), shape);
            let loss = (output.clone() * Tensor::from_data(weights, &output.device())).sum();
            (output.into_data(), GradientsParams::from_grads(loss.backward(), inputs))
        };
        let ((actual, actual_gradients), (expected, expected_gradients)) =
            (gradients(ours(inputs)), gradients(burns(inputs)));
        let tolerance = Tolerance::rel_abs(1e-4, 1e-4);
        actual.assert_approx_eq::<f32>(&expected, tolerance);
        assert_eq!(actual_gradients.len(), expected_gradients.len());
        struct Each<'a>(&'a GradientsParams, &'a GradientsParams, Tolerance<f32>);
        impl burn::module::ModuleVisitor for Each<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let Some(expected) = self.1.get::<D>(param.id) else { return };
                let actual = self.0.get::<D>(param.id).expect("a gradient").into_data();
                actual.assert_approx_eq::<f32>(&expected.into_data(), self.2);
            }
        }
        inputs.visit(&mut Each(&actual_gradients, &expected_gradients, tolerance));
    }

    #[test]
    fn depthwise_gradients_are_burns() {
        for size in [[1, 1, 1, 3], [2, 5, 4, 7], [1, 9, 12, 16], [1, 6, 7, 50], [2, 12, 33, 40]] {
            for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2)] {
                compare(
                    &inputs(size, kernel),
                    |inputs| depthwise(inputs.x.val(), inputs.weight.val(), stride),
                    |inputs| {
                        let options = ConvOptions::new([stride; 2], [kernel / 2; 2], [1; 2], size[3]);
                        let x = inputs.x.val().permute(TO_CHANNELS_FIRST.map(|axis| axis as isize));
                        conv2d(x, inputs.weight.val(), None, options)
                            .permute(TO_CHANNELS_LAST.map(|axis| axis as isize))
                    },
                );
            }
        }
    }

    #[test]
    fn linear_layers_have_burns_gradients() {
        #[derive(Module, Debug)]
        struct Layer {
            x: Param<Tensor<4>>,
            weight: Param<Tensor<2>>,
            bias: Param<Tensor<1>>,
        }
        for ([batch, height, width], [depth, columns]) in
            [([1, 1, 1], [3, 5]), ([2, 5, 7], [17, 40]), ([1, 20, 30], [96, 16]), ([1, 16, 16], [128, 512])]
        {
            let device = Device::flex().autodiff();
            let x = TensorData::new(wave(batch * height * width * depth, 0.7, 1.0), [batch, height, width, depth]);
            let weight = TensorData::new(wave(depth * columns, 0.31, 1.0), [columns, depth]);
            let layer = Layer {
                x: Param::from_tensor(Tensor::from_data(x, &device)),
                // As 1×1 convolutions give it.
                weight: Param::from_tensor(Tensor::<2>::from_data(weight, &device).transpose()),
                bias: Param::from_tensor(Tensor::from_data(
                    TensorData::new(wave(columns, 0.9, 1.0), [columns]),
                    &device,
                )),
            };
            compare(
                &layer,
                |layer| linear(layer.x.val(), layer.weight.val(), layer.bias.val()),
                |layer| burn::tensor::module::linear(layer.x.val(), layer.weight.val(), Some(layer.bias.val())),
            );
        }
    }

    #[test]
    fn norms_and_activations_have_burns_gradients() {
        for size in [[1, 1, 1, 3], [2, 3, 5, 33], [1, 4, 4, 128]] {
            let inputs = inputs(size, 3);
            compare(
                &inputs,
                |inputs| layer_norm(inputs.x.val(), inputs.scale.val(), inputs.shift.val(), 1e-6),
                |inputs| burn_layer_norm(inputs.x.val(), inputs.scale.val(), Some(inputs.shift.val()), 1e-6),
            );
            compare(
                &inputs,
                |inputs| bias_relu6(inputs.x.val(), inputs.shift.val()),
                |inputs| (inputs.x.val() + inputs.shift.val().unsqueeze()).clamp(0.0, 6.0),
            );
            compare(&inputs, |inputs| crate::kernels::gelu(inputs.x.val()), |inputs| burn_gelu(inputs.x.val()));
        }
    }

    #[test]
    fn views_and_shared_values_are_not_written_through() {
        let inputs = inputs([1, 4, 6, 5], 3);
        let before = inputs.x.val().into_data();
        let turned = inputs.x.val().swap_dims(1, 2);
        let _ = bias_relu6(turned.clone(), inputs.shift.val());
        let _ = layer_norm(inputs.x.val(), inputs.scale.val(), inputs.shift.val(), 1e-6);
        let _ = bias_relu6(inputs.x.val(), inputs.shift.val());
        inputs.x.val().into_data().assert_eq(&before, true);
        let straight = bias_relu6(inputs.x.val(), inputs.shift.val()).swap_dims(1, 2).into_data();
        bias_relu6(turned, inputs.shift.val()).into_data().assert_eq(&straight, true);
    }
}
