//! Gradients of the operations that training spends its time on, each on the thread that asks for it: training works on several examples at
//! the same time.

use super::activation::Activation;
use super::depthwise::Depthwise;
use super::gelu::{exp_of_nonpositive, gaussian_cdf};
use super::simd::{Isa, Kernel, Simd};

/// The sizes of a depthwise convolution.
#[derive(Debug, Clone, Copy)]
pub struct DepthwiseSizes {
    /// Images.
    pub batch: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Channels.
    pub channels: usize,
    /// Side of the kernel, 3 or 5.
    pub kernel: usize,
    /// 1 or 2.
    pub stride: usize,
}

impl DepthwiseSizes {
    /// Rows and columns of the output.
    pub fn output(&self) -> [usize; 2] {
        [self.height.div_ceil(self.stride), self.width.div_ceil(self.stride)]
    }

    fn image(&self) -> usize {
        self.height * self.width * self.channels
    }

    fn output_image(&self) -> usize {
        self.output().iter().product::<usize>() * self.channels
    }

    /// The convolution.
    ///
    /// # Shapes
    /// - `x`: `[batch, height, width, channels]`, `weight`: `[channels, 1, kernel, kernel]`
    /// - output: `[batch, output rows, output columns, channels]`
    pub fn forward(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let conv = Depthwise::new(weight, &vec![0.0; self.channels], self.stride);
        let mut output = vec![0.0; self.batch * self.output_image()];
        for (x, output) in x.chunks_exact(self.image()).zip(output.chunks_exact_mut(self.output_image())) {
            conv.forward(x, self.height, self.width, Activation::None, output);
        }
        output
    }

    /// The gradient of the input: the convolution of the output's gradient, spread to the input's pixels, with the mirrored kernel.
    ///
    /// # Shapes
    /// - `weight`: `[channels, 1, kernel, kernel]`, `gradient`: as the output
    /// - output: as the input
    pub fn input_gradient(&self, weight: &[f32], gradient: &[f32]) -> Vec<f32> {
        let mut mirrored = weight.to_vec();
        mirrored.chunks_exact_mut(self.kernel * self.kernel).for_each(<[f32]>::reverse);
        let conv = Depthwise::new(&mirrored, &vec![0.0; self.channels], 1);
        let mut output = vec![0.0; self.batch * self.image()];
        let images = gradient.chunks_exact(self.output_image()).zip(output.chunks_exact_mut(self.image()));
        match self.stride {
            1 => images.for_each(|(gradient, output)| {
                conv.forward(gradient, self.height, self.width, Activation::None, output);
            }),
            stride => {
                let row = self.output()[1] * self.channels;
                let mut spread = vec![0.0; self.image()];
                for (gradient, output) in images {
                    for (y, gradient) in gradient.chunks_exact(row).enumerate() {
                        for (x, values) in gradient.chunks_exact(self.channels).enumerate() {
                            let place = (y * stride * self.width + x * stride) * self.channels;
                            spread[place..place + self.channels].copy_from_slice(values);
                        }
                    }
                    conv.forward(&spread, self.height, self.width, Activation::None, output);
                }
            }
        }
        output
    }

    /// The gradient of the weight.
    ///
    /// # Shapes
    /// - `x`: as the input, `gradient`: as the output
    /// - output: `[channels, 1, kernel, kernel]`
    pub fn weight_gradient(&self, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        assert!(self.kernel == 3 || self.kernel == 5, "a kernel of {}", self.kernel);
        let taps = self.kernel * self.kernel;
        let mut sums = vec![0.0; taps * self.channels];
        for (x, gradient) in x.chunks_exact(self.image()).zip(gradient.chunks_exact(self.output_image())) {
            Isa::best().run(WeightGradient { sizes: *self, x, gradient, sums: &mut sums });
        }
        (0..sums.len()).map(|index| sums[index % taps * self.channels + index / taps]).collect()
    }
}

struct WeightGradient<'a> {
    sizes: DepthwiseSizes,
    x: &'a [f32],
    gradient: &'a [f32],
    /// `[kernel, kernel, channels]`
    sums: &'a mut [f32],
}

impl Kernel for WeightGradient<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        match self.sizes.kernel {
            3 => self.run_with_kernel::<S, 3>(),
            _ => self.run_with_kernel::<S, 5>(),
        }
    }
}

impl WeightGradient<'_> {
    #[inline(always)]
    fn run_with_kernel<S: Simd, const KERNEL: usize>(self) {
        let DepthwiseSizes { height, width, channels, stride, .. } = self.sizes;
        let [output_height, output_width] = self.sizes.output();
        for y in 0..output_height {
            for tap_row in 0..KERNEL {
                let Some(row) = (y * stride + tap_row).checked_sub(KERNEL / 2).filter(|row| *row < height) else {
                    continue;
                };
                let input = &self.x[row * width * channels..][..width * channels];
                let gradient = &self.gradient[y * output_width * channels..][..output_width * channels];
                let sums = &mut self.sums[tap_row * KERNEL * channels..][..KERNEL * channels];
                let mut channel = 0;
                while channel + 2 * S::LANES <= channels {
                    row_sums::<S, KERNEL, 2>(input, gradient, sums, channels, channel, stride);
                    channel += 2 * S::LANES;
                }
                while channel + S::LANES <= channels {
                    row_sums::<S, KERNEL, 1>(input, gradient, sums, channels, channel, stride);
                    channel += S::LANES;
                }
                for channel in channel..channels {
                    for (tap, sum) in sums.chunks_exact_mut(channels).enumerate() {
                        for x in 0..output_width {
                            if let Some(column) =
                                (x * stride + tap).checked_sub(KERNEL / 2).filter(|column| *column < width)
                            {
                                sum[channel] += input[column * channels + channel] * gradient[x * channels + channel];
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Adds to the sums of a row of taps what a row of the input and one of the output's gradient bring, for `N` vectors of channels.
#[inline(always)]
fn row_sums<S: Simd, const KERNEL: usize, const N: usize>(
    input: &[f32],
    gradient: &[f32],
    sums: &mut [f32],
    channels: usize,
    channel: usize,
    stride: usize,
) {
    let (width, outputs) = (input.len() / channels, gradient.len() / channels);
    let padding = KERNEL / 2;
    let mut totals = [[S::splat(0.0); N]; KERNEL];
    for x in 0..outputs {
        // SAFETY: `N` vectors from `channel` on are within the channels, `x` and the columns within their rows.
        unsafe {
            let gradient = S::load_array::<N>(gradient.as_ptr().add(x * channels + channel));
            let left = x * stride;
            let is_inside = left >= padding && left + padding < width;
            for (tap, totals) in totals.iter_mut().enumerate() {
                if is_inside || (left + tap >= padding && left + tap - padding < width) {
                    let column = left + tap - padding;
                    let input = S::load_array::<N>(input.as_ptr().add(column * channels + channel));
                    for (vector, total) in totals.iter_mut().enumerate() {
                        *total = S::mul_add(input[vector], gradient[vector], *total);
                    }
                }
            }
        }
    }
    for (tap, totals) in totals.into_iter().enumerate() {
        for (vector, total) in totals.into_iter().enumerate() {
            let sum = &mut sums[tap * channels + channel + vector * S::LANES..][..S::LANES];
            // SAFETY: it is a vector long.
            unsafe { S::store(sum.as_mut_ptr(), S::add(S::load(sum.as_ptr()), total)) };
        }
    }
}

/// Turns the gradient of a GELU's output into that of its input: `g · (Φ(x) + x φ(x))`.
pub fn gelu_gradient(x: &[f32], gradient: &mut [f32]) {
    assert_eq!(x.len(), gradient.len(), "a gradient per value");
    Isa::best().run(GeluGradient { x, gradient });
}

struct GeluGradient<'a> {
    x: &'a [f32],
    gradient: &'a mut [f32],
}

impl Kernel for GeluGradient<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        const VECTORS: usize = 2;
        static DENSITY: f32 = 0.398_942_3;
        for (x, gradient) in self.x.chunks(VECTORS * S::LANES).zip(self.gradient.chunks_mut(VECTORS * S::LANES)) {
            let is_full = x.len() == VECTORS * S::LANES;
            let mut padded = [[0.0f32; VECTORS * super::simd::MOST_LANES]; 2];
            if !is_full {
                padded[0][..x.len()].copy_from_slice(x);
                padded[1][..x.len()].copy_from_slice(gradient);
            }
            let [padded_x, padded_gradient] = &mut padded;
            let (from, to) = match is_full {
                true => (x.as_ptr(), gradient.as_mut_ptr()),
                false => (padded_x.as_ptr(), padded_gradient.as_mut_ptr()),
            };
            // SAFETY: both are that many vectors long.
            unsafe {
                let x = S::load_array::<VECTORS>(from);
                let mut gradients = S::load_array::<VECTORS>(to);
                let cdf = gaussian_cdf::<S, VECTORS>(x);
                let mut exponents = x;
                for exponent in &mut exponents {
                    *exponent = S::mul(S::mul(*exponent, *exponent), S::constant(&-0.5));
                }
                let density = exp_of_nonpositive::<S, VECTORS>(exponents);
                for vector in 0..VECTORS {
                    let slope = S::mul_add(S::mul(x[vector], S::constant(&DENSITY)), density[vector], cdf[vector]);
                    gradients[vector] = S::mul(gradients[vector], slope);
                }
                S::store_array(to, gradients);
            }
            if !is_full {
                gradient.copy_from_slice(&padded_gradient[..gradient.len()]);
            }
        }
    }
}

/// Adds a bias `[channels]` to every row and cuts off at 0 and 6.
pub fn add_bias_relu6(values: &mut [f32], bias: &[f32]) {
    struct Add<'a>(&'a mut [f32], &'a [f32]);
    impl Kernel for Add<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            for row in self.0.chunks_exact_mut(self.1.len()) {
                for (value, bias) in row.iter_mut().zip(self.1) {
                    *value = (*value + bias).clamp(0.0, 6.0);
                }
            }
        }
    }
    Isa::best().run(Add(values, bias));
}

/// Sets the gradient to 0 where the output was cut off, and returns its sum over the rows, the bias's gradient.
pub fn relu6_gradient(output: &[f32], gradient: &mut [f32], channels: usize) -> Vec<f32> {
    struct Cut<'a>(&'a [f32], &'a mut [f32], &'a mut [f32]);
    impl Kernel for Cut<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Self(output, gradient, sums) = self;
            let channels = sums.len();
            for (output, gradient) in output.chunks_exact(channels).zip(gradient.chunks_exact_mut(channels)) {
                for ((output, gradient), sum) in output.iter().zip(gradient).zip(sums.iter_mut()) {
                    let kept = if *output > 0.0 && *output < 6.0 { *gradient } else { 0.0 };
                    *gradient = kept;
                    *sum += kept;
                }
            }
        }
    }
    assert_eq!(output.len(), gradient.len(), "a gradient per value");
    let mut sums = vec![0.0; channels];
    Isa::best().run(Cut(output, gradient, &mut sums));
    sums
}

/// Turns the gradient of a layer normalization's output into that of its input, and returns those of scale and shift.
///
/// # Shapes
/// - `x`, `gradient`: `[rows, channels]`; `scale` and the results: `[channels]`
pub fn layer_norm_gradient(x: &[f32], scale: &[f32], epsilon: f32, gradient: &mut [f32]) -> [Vec<f32>; 2] {
    assert_eq!(x.len(), gradient.len(), "a gradient per value");
    let mut of_scale = vec![0.0; scale.len()];
    let mut of_shift = vec![0.0; scale.len()];
    let (of_scale_sum, of_shift_sum) = (&mut of_scale, &mut of_shift);
    Isa::best().run(NormGradient { x, scale, epsilon, gradient, of_scale: of_scale_sum, of_shift: of_shift_sum });
    [of_scale, of_shift]
}

struct NormGradient<'a> {
    x: &'a [f32],
    scale: &'a [f32],
    epsilon: f32,
    gradient: &'a mut [f32],
    of_scale: &'a mut [f32],
    of_shift: &'a mut [f32],
}

/// Sums that do not wait for each other; a vector of every instruction set divides it.
const SUMS: usize = 32;

/// The sum of a function over a row's places, in [`SUMS`] partial sums that the compiler keeps in vectors.
#[inline(always)]
fn sum(length: usize, value: impl Fn(usize) -> f32) -> f32 {
    let mut sums = [0f32; SUMS];
    let whole = length / SUMS * SUMS;
    for first in (0..whole).step_by(SUMS) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += value(first + lane);
        }
    }
    (whole..length).map(value).sum::<f32>() + sums.iter().sum::<f32>()
}

impl Kernel for NormGradient<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let channels = self.scale.len();
        let (scale, of_scale, of_shift) = (self.scale, self.of_scale, self.of_shift);
        let mut normalized = vec![0f32; channels];
        let mut scaled = vec![0f32; channels];
        for (x, gradient) in self.x.chunks_exact(channels).zip(self.gradient.chunks_exact_mut(channels)) {
            let share = 1.0 / channels as f32;
            let mean = sum(channels, |index| x[index]) * share;
            let variance = sum(channels, |index| (x[index] - mean) * (x[index] - mean)) * share;
            let inverse = 1.0 / (variance + self.epsilon).sqrt();
            for index in 0..channels {
                normalized[index] = (x[index] - mean) * inverse;
                scaled[index] = gradient[index] * scale[index];
                of_scale[index] += gradient[index] * normalized[index];
                of_shift[index] += gradient[index];
            }
            let mean = sum(channels, |index| scaled[index]) * share;
            let along = sum(channels, |index| scaled[index] * normalized[index]) * share;
            for index in 0..channels {
                gradient[index] = inverse * (scaled[index] - mean - normalized[index] * along);
            }
        }
    }
}
