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
