//! The operations against burn's, and their gradients against burn's autodiff.

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::activation::gelu as burn_gelu;
use burn::tensor::module::{conv2d, layer_norm as burn_layer_norm};
use burn::tensor::{Device, TensorData, Tolerance};

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
                    conv2d(x, inputs.weight.val(), None, options).permute(TO_CHANNELS_LAST.map(|axis| axis as isize))
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
            bias: Param::from_tensor(Tensor::from_data(TensorData::new(wave(columns, 0.9, 1.0), [columns]), &device)),
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
