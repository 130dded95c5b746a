//! Depthwise 3×3 convolution with zero padding of one pixel.

use super::gelu::gelu_of;
use super::simd::{Isa, Kernel, Simd};
#[cfg(test)]
use super::threads::for_each_chunk;

/// Neighbouring outputs that are computed together: they share the taps' weights and most inputs.
const OUTPUTS: usize = 4;

/// The weights of a depthwise 3×3 convolution, for an instruction set.
#[derive(Debug, Clone)]
pub struct Depthwise {
    isa: Isa,
    channels: usize,
    stride: usize,
    /// `[3, 3, channels]`
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Depthwise {
    /// Takes the weight `[channels, 1, 3, 3]`, the bias `[channels]` and the stride, 1 or 2.
    pub fn new(weight: &[f32], bias: &[f32], stride: usize) -> Self {
        Self::with_isa(Isa::best(), weight, bias, stride)
    }

    pub(super) fn with_isa(isa: Isa, weight: &[f32], bias: &[f32], stride: usize) -> Self {
        let channels = bias.len();
        assert_eq!(weight.len(), 9 * channels, "nine taps per channel");
        assert!(stride == 1 || stride == 2, "a stride of {stride}");
        let weight = (0..9 * channels).map(|index| weight[index % channels * 9 + index / channels]).collect();
        Self { isa, channels, stride, weight, bias: bias.to_vec() }
    }

    /// Channels of input and output.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The stride.
    pub fn stride(&self) -> usize {
        self.stride
    }

    #[cfg(test)]
    /// Convolves a map, on all threads.
    ///
    /// # Shapes
    /// - `x`: `[height, width, channels]`
    /// - `output`: `[⌈height / stride⌉, ⌈width / stride⌉, channels]`
    pub fn forward(&self, x: &[f32], height: usize, width: usize, output: &mut [f32]) {
        let row = width * self.channels;
        let output_width = width.div_ceil(self.stride);
        assert_eq!(x.len(), height * row, "a map of {height} by {width}");
        assert_eq!(output.len(), height.div_ceil(self.stride) * output_width * self.channels, "the output's size");
        for_each_chunk(output, output_width * self.channels, |y, output| {
            let input_row = |y: usize| (y < height).then(|| &x[y * row..][..row]);
            self.convolve(DepthwiseRow {
                rows: rows_around(y * self.stride, input_row),
                halo: false,
                gelu: false,
                output,
            });
        });
    }

    /// Computes a part of a row of outputs, on this thread.
    pub(super) fn convolve(&self, row: DepthwiseRow<'_>) {
        self.isa.run(Convolve { weights: self, row });
    }
}

/// The rows above, at and below `y`; none where there is no row above.
pub(super) fn rows_around<'a>(y: usize, row: impl Fn(usize) -> Option<&'a [f32]>) -> [Option<&'a [f32]>; 3] {
    [y.checked_sub(1).and_then(&row), row(y), row(y + 1)]
}

/// Adjacent outputs of one row.
pub(super) struct DepthwiseRow<'a> {
    /// The rows of inputs, `[width, channels]`; none outside of the map. Pixels past their ends count as zeros.
    pub rows: [Option<&'a [f32]>; 3],
    /// Whether the rows begin with the left neighbour of the first output's centre, rather than with that centre.
    pub halo: bool,
    /// Whether GELU follows.
    pub gelu: bool,
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
        match self.weights.stride {
            1 => self.run_with_stride::<S, 1>(),
            _ => self.run_with_stride::<S, 2>(),
        }
    }
}

impl Convolve<'_> {
    #[inline(always)]
    fn run_with_stride<S: Simd, const STRIDE: usize>(mut self) {
        let channels = self.weights.channels;
        if channels == 0 {
            return;
        }
        let lengths = self.row.rows.iter().flatten().map(|row| row.len() / channels);
        let width = lengths.min().unwrap_or(0);
        let outputs = self.row.output.len() / channels;
        // The input column of an output's left tap is `x * STRIDE - before`.
        let before = usize::from(!self.row.halo);
        let mut x = 0;
        while x < outputs {
            let inside = x * STRIDE >= before && (x + OUTPUTS - 1) * STRIDE + 3 <= width + before;
            if inside && x + OUTPUTS <= outputs {
                self.group::<S, STRIDE, OUTPUTS, true>(x, x * STRIDE - before, 0..3);
                x += OUTPUTS;
            } else {
                // Taps whose column is in the map.
                let first = before.saturating_sub(x * STRIDE).min(3);
                let end = (width + before).saturating_sub(x * STRIDE).clamp(first, 3);
                self.group::<S, STRIDE, 1, false>(x, (x * STRIDE + first).saturating_sub(before), first..end);
                x += 1;
            }
        }
    }

    /// Computes `N` outputs from the one at `x`, with the columns `taps` of the kernel, the first of which meets the input
    /// column `column`. `INSIDE` says that these are all the columns.
    #[inline(always)]
    fn group<S: Simd, const STRIDE: usize, const N: usize, const INSIDE: bool>(
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
                true => self.vector::<S, STRIDE, N, INSIDE, true>(x, column, &taps, channel, count),
                false => self.vector::<S, STRIDE, N, INSIDE, false>(x, column, &taps, channel, count),
            }
            channel += S::LANES;
        }
    }

    /// Computes a vector of channels of [`Convolve::group`]; `FULL` says that it has all its lanes.
    #[inline(always)]
    fn vector<S: Simd, const STRIDE: usize, const N: usize, const INSIDE: bool, const FULL: bool>(
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
        for (tap_row, row) in self.row.rows.iter().enumerate() {
            let Some(row) = row else { continue };
            let taps = if INSIDE { 0..3 } else { taps.clone() };
            for tap in taps.clone() {
                let weight = load(weight, (tap_row * 3 + tap) * channels + channel);
                for (output, sum) in sums.iter_mut().enumerate() {
                    let input = load(row, (column + output * STRIDE + tap - taps.start) * channels + channel);
                    *sum = S::mul_add(input, weight, *sum);
                }
            }
        }
        if self.row.gelu {
            sums = gelu_of::<S, N>(sums);
        }
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
