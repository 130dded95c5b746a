//! The operations on the CPU, on kernels of our own.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Shape, TensorData};

use super::TrainedKernels;
use crate::kernels::cpu::gradients::{self, DepthwiseSizes};
use crate::kernels::cpu::{self, Activation, products};

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
