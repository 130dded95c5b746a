//! The WebGPU kernels against plain loops, at sizes that are no multiple of anything.

use burn::tensor::{Device, Tensor, TensorData};
use umedsam::kernels::{Activation, conv3x3, depthwise, linear, matmul};
use umedsam::web::device::{DeviceRequest, OpenDevice};
use wasm_bindgen_test::wasm_bindgen_test;

/// Values that repeat late.
fn values(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|index| ((index * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

async fn check<const D: usize>(what: &str, actual: Tensor<D>, expected: &[f32]) {
    let actual: Vec<f32> = actual.into_data_async().await.unwrap().try_into_vec().unwrap();
    assert_eq!(actual.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-3f32, |largest, value| largest.max(value.abs()));
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        assert!((actual - expected).abs() <= 1e-5 * largest, "{what}: value {index} is {actual}, not {expected}");
    }
}

/// The GELU by its integral, in double precision: Simpson's rule from 0.
fn gelu(x: f32) -> f32 {
    const STEPS: usize = 400;
    let (x, step) = (f64::from(x), f64::from(x) / STEPS as f64);
    let density = |at: f64| (-at * at / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let weight = |index: usize| if index == 0 || index == STEPS { 1.0 } else { 2.0 + 2.0 * (index % 2) as f64 };
    let integral = (0..=STEPS).map(|index| weight(index) * density(index as f64 * step)).sum::<f64>() * step / 3.0;
    (x * (0.5 + integral)) as f32
}

fn activated(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::None => x,
        Activation::Gelu => gelu(x),
        Activation::GeluTanh => 0.5 * x * (1.0 + (0.797_884_6 * (x + 0.044_715 * x.powi(3))).tanh()),
        Activation::Relu6 => x.clamp(0.0, 6.0),
    }
}

fn product(a: &[f32], b: &[f32], [rows, depth, columns]: [usize; 3]) -> Vec<f32> {
    let value = |row: usize, column: usize| (0..depth).map(|k| a[row * depth + k] * b[k * columns + column]).sum();
    (0..rows * columns).map(|index| value(index / columns, index % columns)).collect()
}

#[wasm_bindgen_test]
async fn kernels_of_any_size() {
    let device = OpenDevice::open(DeviceRequest::Webgpu).await.unwrap().device;

    for size in [[1, 1, 1], [3, 40, 5], [65, 17, 130], [130, 64, 63]] {
        let [rows, depth, columns] = size;
        let (a, b) = (values(2 * rows * depth, 1), values(depth * columns, 2));
        let expected: Vec<f32> = a.chunks(rows * depth).flat_map(|a| product(a, &b, size)).collect();
        let (left, right) = (tensor(&a, [2, rows, depth], &device), tensor(&b, [1, depth, columns], &device));
        check(&format!("{size:?}, one matrix repeated"), matmul(left, right), &expected).await;

        let b_transposed: Vec<f32> =
            (0..depth * columns).map(|index| b[index % depth * columns + index / depth]).collect();
        let a_transposed: Vec<f32> = (0..rows * depth).map(|index| a[index % rows * depth + index / rows]).collect();
        let left = tensor(&a_transposed, [1, 1, depth, rows], &device).swap_dims(2, 3);
        let right = tensor(&b_transposed, [1, 1, columns, depth], &device).swap_dims(2, 3);
        check(&format!("{size:?}, both transposed"), matmul(left, right), &expected[..rows * columns]).await;

        let bias = values(columns, 3);
        for activation in [Activation::None, Activation::Gelu, Activation::GeluTanh, Activation::Relu6] {
            let with_bias = expected.iter().enumerate().map(|(index, value)| value + bias[index % columns]);
            let expected: Vec<f32> = with_bias.map(|value| activated(activation, value)).collect();
            let x = tensor(&a, [2, rows, depth], &device);
            let (weight, bias) = (tensor(&b, [depth, columns], &device), tensor(&bias, [columns], &device));
            let actual = linear(x, weight, Some(bias), activation);
            check(&format!("linear and {activation:?} {size:?}"), actual, &expected).await;
        }
    }

    for (height, width, stride) in [(1, 1, 1usize), (5usize, 7usize, 1), (6, 9, 2), (7, 4, 2)] {
        let (batch, channels, channels_out) = (2, 3, 4);
        let (rows, columns) = (height.div_ceil(stride), width.div_ceil(stride));
        let x = values(batch * height * width * channels, 4);
        let at = |image: usize, y: usize, x_: usize, channel: usize| match (1..=height).contains(&y)
            && (1..=width).contains(&x_)
        {
            true => x[((image * height + y - 1) * width + x_ - 1) * channels + channel],
            false => 0.0,
        };
        let input = || tensor(&x, [batch, height, width, channels], &device);
        let pixels = || {
            (0..batch * rows * columns)
                .map(|pixel| (pixel / columns / rows, pixel / columns % rows * stride, pixel % columns * stride))
        };
        let name = format!("{height}×{width} by stride {stride}");

        let weight = values(channels_out * channels * 9, 5);
        let expected: Vec<f32> = pixels()
            .flat_map(|(image, y, x)| (0..channels_out).map(move |output| (image, y, x, output)))
            .map(|(image, y, x, output)| {
                let taps = (0..channels * 9).map(|tap| (tap, tap / 9, tap % 9 / 3, tap % 3));
                taps.map(|(tap, channel, dy, dx)| {
                    at(image, y + dy, x + dx, channel) * weight[output * channels * 9 + tap]
                })
                .sum()
            })
            .collect();
        let kernel = tensor(&weight, [channels_out, channels, 3, 3], &device);
        check(&format!("convolution of {name}"), conv3x3(input(), kernel, None, stride, Activation::None), &expected)
            .await;

        for (side, activation) in [(3, Activation::Gelu), (5, Activation::Relu6)] {
            let (weight, bias) = (values(channels * side * side, 6), values(channels, 7));
            // `at` is for a padding of one pixel.
            let more = side / 2 - 1;
            let expected: Vec<f32> = pixels()
                .flat_map(|(image, y, x)| (0..channels).map(move |channel| (image, y, x, channel)))
                .map(|(image, y, x, channel)| {
                    let taps = (0..side * side).map(|tap| {
                        let (row, column) = (y + tap / side, x + tap % side);
                        let input = match (row.checked_sub(more), column.checked_sub(more)) {
                            (Some(row), Some(column)) => at(image, row, column, channel),
                            _ => 0.0,
                        };
                        input * weight[channel * side * side + tap]
                    });
                    activated(activation, taps.sum::<f32>() + bias[channel])
                })
                .collect();
            let kernel = tensor(&weight, [channels, 1, side, side], &device);
            let bias = tensor(&bias, [channels], &device);
            let actual = depthwise(input(), kernel, Some(bias), stride, activation);
            check(&format!("depthwise {side}×{side} convolution of {name}"), actual, &expected).await;
        }
    }
}
