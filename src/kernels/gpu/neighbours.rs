//! The nine neighbours of every pixel side by side.

use burn_wgpu::CubeTensor;
use cubecl::prelude::*;

const THREADS: usize = 256;

/// Zero outside the image. The order, channel by channel and in each its 3×3 neighbours, is that of a convolution's weight.
///
/// # Shapes
/// - `x`: `[batch, height, width, channels]`
/// - output: `[batch, height / stride, width / stride, channels · 9]` (rounded up)
pub fn neighbours3x3(x: CubeTensor, stride: usize) -> CubeTensor {
    let x = burn_cubecl::kernel::into_contiguous(x);
    let [batch, height, width, channels] = super::dims(&x);
    let shape = [batch, height.div_ceil(stride), width.div_ceil(stride), channels * 9];
    let output = super::empty(&x, &shape);
    let count = shape.iter().product::<usize>();
    // SAFETY: the kernel checks the position of the output and of the input.
    unsafe {
        neighbours_kernel::launch_unchecked(
            &x.client.clone(),
            super::grid(count, THREADS),
            CubeDim::new_1d(THREADS as u32),
            x.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            count,
            height,
            width,
            channels,
            shape[1],
            shape[2],
            stride,
        );
    }
    output
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn neighbours_kernel(
    x: &[f32],
    output: &mut [f32],
    count: usize,
    height: usize,
    width: usize,
    channels: usize,
    output_height: usize,
    output_width: usize,
    #[comptime] stride: usize,
) {
    let index = ABSOLUTE_POS;
    if index >= count {
        terminate!();
    }
    let tap = index % 9;
    let channel = index / 9 % channels;
    let pixel = index / 9 / channels;
    let column = pixel % output_width;
    let row = pixel / output_width % output_height;
    let image = pixel / output_width / output_height;
    // One more than the input's row and column, which may be -1.
    let below = row * stride + tap / 3;
    let right = column * stride + tap % 3;
    let mut value = 0.0f32;
    if below >= 1 && below <= height && right >= 1 && right <= width {
        value = x[((image * height + below - 1) * width + right - 1) * channels + channel];
    }
    output[index] = value;
}
