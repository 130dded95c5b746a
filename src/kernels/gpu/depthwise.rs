//! Depthwise 3×3 convolution: one thread per value.

use burn_cubecl::kernel::into_contiguous;
use burn_wgpu::CubeTensor;
use cubecl::prelude::*;

use super::activation::gelu;

const THREADS: usize = 256;

/// Convolves each channel on its own with padding 1, adds a bias, then GELU if asked.
///
/// # Shapes
/// - `x`: `[batch, height, width, channels]`
/// - `weight`: `[channels, 1, 3, 3]`
/// - `bias`: `[channels]`, not read without `has_bias`
/// - output: `[batch, height / stride, width / stride, channels]` (rounded up)
pub fn depthwise3x3(
    x: CubeTensor,
    weight: CubeTensor,
    bias: CubeTensor,
    has_bias: bool,
    stride: usize,
    gelu: bool,
) -> CubeTensor {
    let (x, weight) = (into_contiguous(x), into_contiguous(weight));
    let [batch, height, width, channels] = super::dims(&x);
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
            stride,
            has_bias,
            gelu,
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
    #[comptime] stride: usize,
    #[comptime] has_bias: bool,
    #[comptime] with_gelu: bool,
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
    for tap in 0..9 {
        // One more than the input's row and column, which may be -1.
        let y = row * stride + tap / 3;
        let x_position = column * stride + tap % 3;
        if y >= 1 && y <= height && x_position >= 1 && x_position <= width {
            let input = ((image * height + y - 1) * width + x_position - 1) * channels + channel;
            sum += x[input] * weight[channel * 9 + tap];
        }
    }
    if comptime!(with_gelu) {
        sum = gelu(sum);
    }
    output[index] = sum;
}
