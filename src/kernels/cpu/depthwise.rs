//! Depthwise 3×3 and 5×5 convolution with zero padding of half the kernel.

use super::activation::{Activation, activated};
use super::simd::{Isa, Kernel, Simd};
use super::threads::for_each_chunk;

/// Neighbouring outputs that are computed together: they share the taps' weights and most inputs.
const OUTPUTS: usize = 4;

/// The largest kernel's side.
const LARGEST: usize = 5;

/// The weights of a depthwise convolution, for an instruction set.
#[derive(Debug, Clone)]
pub struct Depthwise {
    isa: Isa,
    channels: usize,
    /// Side of the kernel.
    kernel: usize,
    stride: usize,
    /// `[kernel, kernel, channels]`
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Depthwise {
    /// Takes the weight `[channels, 1, kernel, kernel]` with a kernel of 3 or 5, the bias `[channels]` and the stride, 1 or 2.
    pub fn new(weight: &[f32], bias: &[f32], stride: usize) -> Self {
        Self::with_isa(Isa::best(), weight, bias, stride)
    }

    pub(super) fn with_isa(isa: Isa, weight: &[f32], bias: &[f32], stride: usize) -> Self {
        let channels = bias.len();
        let taps = weight.len() / channels.max(1);
        let kernel = taps.isqrt();
        assert!(weight.len() == kernel * kernel * channels, "a square of taps per channel");
        assert!(channels == 0 || kernel == 3 || kernel == LARGEST, "a kernel of {kernel}");
        assert!(stride == 1 || stride == 2, "a stride of {stride}");
        let weight = (0..weight.len()).map(|index| weight[index % channels * taps + index / channels]).collect();
        Self { isa, channels, kernel, stride, weight, bias: bias.to_vec() }
    }

    /// Channels of input and output.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The stride.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Pixels of padding on each side.
    pub fn padding(&self) -> usize {
        self.kernel / 2
    }

    /// Convolves a map, on all threads.
    ///
    /// # Shapes
    /// - `x`: `[height, width, channels]`
    /// - `output`: `[⌈height / stride⌉, ⌈width / stride⌉, channels]`
    pub fn forward(&self, x: &[f32], height: usize, width: usize, activation: Activation, output: &mut [f32]) {
        let row = width * self.channels;
        let output_width = width.div_ceil(self.stride);
        assert_eq!(x.len(), height * row, "a map of {height} by {width}");
        assert_eq!(output.len(), height.div_ceil(self.stride) * output_width * self.channels, "the output's size");
        for_each_chunk(output, output_width * self.channels, |y, output| {
            let rows = self.rows_around(y, |y| (y < height).then(|| &x[y * row..][..row]));
            self.convolve(DepthwiseRow { rows, missing: self.padding(), activation, output });
        });
    }

    /// Computes a part of a row of outputs, on this thread.
    pub(super) fn convolve(&self, row: DepthwiseRow<'_>) {
        self.isa.run(Convolve { weights: self, row });
    }

    /// The rows of inputs that the row `y` of outputs needs, from the highest on; none where there is no such row.
    pub(super) fn rows_around<'a>(&self, y: usize, row: impl Fn(usize) -> Option<&'a [f32]>) -> InputRows<'a> {
        let mut rows = [None; LARGEST];
        for (tap, slot) in rows.iter_mut().enumerate().take(self.kernel) {
            *slot = (y * self.stride + tap).checked_sub(self.padding()).and_then(&row);
        }
        rows
    }
}

/// A row of inputs per row of the kernel.
pub(super) type InputRows<'a> = [Option<&'a [f32]>; LARGEST];

/// Adjacent outputs of one row.
pub(super) struct DepthwiseRow<'a> {
    /// The rows of inputs, `[width, channels]`; none outside of the map. Pixels past their ends count as zeros.
    pub rows: InputRows<'a>,
    /// How many of the columns that the first output needs are left of the rows' beginning; they count as zeros.
    pub missing: usize,
    /// What follows.
    pub activation: Activation,
    /// `[width, channels]`
    pub output: &'a mut [f32],
}

struct Convolve<'a> {
    weights: &'a Depthwise,
    row: DepthwiseRow<'a>,
}

impl Kernel for Convolve<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        match (self.weights.kernel, self.weights.stride) {
            (3, 1) => self.run_with_sizes::<S, 3, 1>(),
            (3, _) => self.run_with_sizes::<S, 3, 2>(),
            (_, 1) => self.run_with_sizes::<S, 5, 1>(),
            (_, _) => self.run_with_sizes::<S, 5, 2>(),
        }
    }
}

impl Convolve<'_> {
    #[inline(always)]
    fn run_with_sizes<S: Simd, const KERNEL: usize, const STRIDE: usize>(mut self) {
        let channels = self.weights.channels;
        if channels == 0 {
            return;
        }
        let lengths = self.row.rows.iter().flatten().map(|row| row.len() / channels);
        let width = lengths.min().unwrap_or(0);
        let outputs = self.row.output.len() / channels;
        // The input column of an output's left tap is `x * STRIDE - before`.
        let before = self.row.missing;
        let mut x = 0;
        while x < outputs {
            let inside = x * STRIDE >= before && (x + OUTPUTS - 1) * STRIDE + KERNEL <= width + before;
            if inside && x + OUTPUTS <= outputs {
                self.group::<S, KERNEL, STRIDE, OUTPUTS, true>(x, x * STRIDE - before, 0..KERNEL);
                x += OUTPUTS;
            } else {
                // Taps whose column is in the map.
                let first = before.saturating_sub(x * STRIDE).min(KERNEL);
                let end = (width + before).saturating_sub(x * STRIDE).clamp(first, KERNEL);
                self.group::<S, KERNEL, STRIDE, 1, false>(x, (x * STRIDE + first).saturating_sub(before), first..end);
                x += 1;
            }
        }
    }

    /// Computes `N` outputs from the one at `x`, with the columns `taps` of the kernel, the first of which meets the input
    /// column `column`. `INSIDE` says that these are all the columns.
    #[inline(always)]
    fn group<S: Simd, const KERNEL: usize, const STRIDE: usize, const N: usize, const INSIDE: bool>(
        &mut self,
        x: usize,
        column: usize,
        taps: std::ops::Range<usize>,
    ) {
        let channels = self.weights.channels;
        let mut channel = 0;
        while channel < channels {
            let count = S::LANES.min(channels - channel);
            match count == S::LANES {
                true => self.vector::<S, KERNEL, STRIDE, N, INSIDE, true>(x, column, &taps, channel, count),
                false => self.vector::<S, KERNEL, STRIDE, N, INSIDE, false>(x, column, &taps, channel, count),
            }
            channel += S::LANES;
        }
    }

    /// Computes a vector of channels of [`Convolve::group`]; `FULL` says that it has all its lanes.
    #[inline(always)]
    fn vector<
        S: Simd,
        const KERNEL: usize,
        const STRIDE: usize,
        const N: usize,
        const INSIDE: bool,
        const FULL: bool,
    >(
        &mut self,
        x: usize,
        column: usize,
        taps: &std::ops::Range<usize>,
        channel: usize,
        count: usize,
    ) {
        let Depthwise { channels, weight, bias, .. } = self.weights;
        let load = |values: &[f32], index: usize| {
            debug_assert!(index + count <= values.len());
            // SAFETY: pixels and taps are within their maps, and `count` channels are left after `channel`.
            unsafe {
                match FULL {
                    true => S::load(values.as_ptr().add(index)),
                    false => S::load_first(values.as_ptr().add(index), count),
                }
            }
        };
        let mut sums = [load(bias, channel); N];
        for (tap_row, row) in self.row.rows.iter().enumerate().take(KERNEL) {
            let Some(row) = row else { continue };
            let taps = if INSIDE { 0..KERNEL } else { taps.clone() };
            for tap in taps.clone() {
                let weight = load(weight, (tap_row * KERNEL + tap) * channels + channel);
                for (output, sum) in sums.iter_mut().enumerate() {
                    let input = load(row, (column + output * STRIDE + tap - taps.start) * channels + channel);
                    *sum = S::mul_add(input, weight, *sum);
                }
            }
        }
        sums = activated::<S, N>(self.row.activation, sums);
        for (output, result) in sums.into_iter().enumerate() {
            let target = &mut self.row.output[(x + output) * channels + channel..][..count];
            // SAFETY: the target is `count` values long.
            unsafe {
                match FULL {
                    true => S::store(target.as_mut_ptr(), result),
                    false => S::store_first(target.as_mut_ptr(), result, count),
                }
            }
        }
    }
}
