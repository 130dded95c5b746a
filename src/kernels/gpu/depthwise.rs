//! Depthwise convolution: one thread per value.

use burn_cubecl::kernel::into_contiguous;
use burn_wgpu::CubeTensor;
use cubecl::prelude::*;

use super::activation::activated;
use crate::kernels::Activation;

const THREADS: usize = 256;

/// Convolves each channel on its own, padded by half of the kernel, and adds a bias.
///
/// # Shapes
/// - `x`: `[batch, height, width, channels]`
/// - `weight`: `[channels, 1, kernel, kernel]`
/// - `bias`: `[channels]`, not read without `has_bias`
/// - output: `[batch, height / stride, width / stride, channels]` (rounded up)
pub fn depthwise(
    x: CubeTensor,
    weight: CubeTensor,
    bias: CubeTensor,
    has_bias: bool,
    stride: usize,
    activation: Activation,
) -> CubeTensor {
    let (x, weight) = (into_contiguous(x), into_contiguous(weight));
    let [batch, height, width, channels] = super::dims(&x);
    let [_, _, kernel, _] = super::dims(&weight);
    let shape = [batch, height.div_ceil(stride), width.div_ceil(stride), channels];
    let output = super::empty(&x, &shape);
    let count = shape.iter().product::<usize>();
    // SAFETY: the kernel checks the position of the output and of every input.
    unsafe {
        depthwise_kernel::launch_unchecked(
            &x.client.clone(),
            super::grid(count, THREADS),
            CubeDim::new_1d(THREADS as u32),
            x.into_buffer_arg(),
            weight.into_buffer_arg(),
            bias.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            count,
            height,
            width,
            channels,
            shape[1],
            shape[2],
            kernel,
            stride,
            has_bias,
            activation,
        );
    }
    output
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn depthwise_kernel(
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    output: &mut [f32],
    count: usize,
    height: usize,
    width: usize,
    channels: usize,
    output_height: usize,
    output_width: usize,
    #[comptime] kernel: usize,
    #[comptime] stride: usize,
    #[comptime] has_bias: bool,
    #[comptime] activation: Activation,
) {
    let index = ABSOLUTE_POS;
    if index >= count {
        terminate!();
    }
    let channel = index % channels;
    let pixel = index / channels;
    let column = pixel % output_width;
    let row = pixel / output_width % output_height;
    let image = pixel / output_width / output_height;
    let mut sum = 0.0f32;
    if comptime!(has_bias) {
        sum += bias[channel];
    }
    #[unroll]
    for tap in 0..comptime!(kernel * kernel) {
        // Half a kernel more than the input's row and column, which may be negative.
        let padding = comptime!(kernel / 2);
        let y = row * stride + tap / kernel;
        let x_position = column * stride + tap % kernel;
        if y >= padding && y < height + padding && x_position >= padding && x_position < width + padding {
            let input = ((image * height + y - padding) * width + x_position - padding) * channels + channel;
            sum += x[input] * weight[channel * comptime!(kernel * kernel) + tap];
        }
    }
    output[index] = activated(sum, activation);
}
