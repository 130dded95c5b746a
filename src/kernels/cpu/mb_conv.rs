//! Inverted bottleneck: 1×1 convolution, depthwise convolution and 1×1, without the hidden map.
//!
//! The hidden map is several times the input (64 MB at TinyViT's first stage), so only as many rows of a part of its width
//! exist at a time as the depthwise kernel is high, in a ring: a new row replaces the one that no output needs any more. A part's
//! neighbours recompute the columns that both need.

use super::activation::Activation;
use super::depthwise::{Depthwise, DepthwiseRow};
use super::gemm::{PackedMatrix, Product, Residual, Rows};
use super::threads::{SharedSlice, for_each_task, thread_count, with_scratch};

/// The weights of an inverted bottleneck; batch normalizations are folded into the convolutions.
#[derive(Debug, Clone)]
pub struct MbConv {
    /// To the hidden channels; absent where the block does not widen.
    pub conv1: Option<PackedMatrix>,
    /// Depthwise on the hidden channels.
    pub conv2: Depthwise,
    /// To the output's channels.
    pub conv3: PackedMatrix,
    /// What follows the first two convolutions.
    pub activation: Activation,
    /// Whether the input is added to the output (the stride is then 1).
    pub residual: bool,
    /// What follows all of it.
    pub output_activation: Activation,
}

impl MbConv {
    /// Applies the block, on all threads.
    ///
    /// # Shapes
    /// - `x`: `[height, width, channels_in]`
    /// - `output`: `[⌈height / stride⌉, ⌈width / stride⌉, channels_out]`
    pub fn forward(&self, x: &[f32], height: usize, width: usize, output: &mut [f32]) {
        let stride = self.conv2.stride();
        let (output_height, output_width) = (height.div_ceil(stride), width.div_ceil(stride));
        assert_eq!(x.len(), height * width * self.channels_in(), "a map of {height} by {width}");
        assert_eq!(output.len(), output_height * output_width * self.conv3.columns(), "the output's size");
        if output.is_empty() {
            return;
        }
        // A row more than the ring's of a part's hidden layer should fit into half of a common second-level cache, 1 MB.
        let hidden_values = 128 * 1024 / (self.ring_rows() + 1);
        let part_width = (hidden_values / self.conv2.channels().max(1) / stride).clamp(8, output_width.max(8));
        let parts = output_width.div_ceil(part_width);
        // A few tasks per thread, of many rows each, for a task's first row costs as many as the ring has.
        let stripes = (4 * thread_count()).div_ceil(parts).min(output_height.div_ceil(16));
        let stripes = if thread_count() == 1 { 1 } else { stripes };
        let output = SharedSlice::new(output);
        for_each_task(parts * stripes, |task| {
            let (part, stripe) = (task % parts, task / parts);
            let columns = part * output_width / parts..(part + 1) * output_width / parts;
            let rows = stripe * output_height / stripes..(stripe + 1) * output_height / stripes;
            self.part(x, [height, width], rows, columns, &output);
        });
    }

    /// Computes a part of the output's rows and columns, on this thread.
    fn part(
        &self,
        x: &[f32],
        [height, width]: [usize; 2],
        rows: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
        output: &SharedSlice,
    ) {
        let (stride, padding) = (self.conv2.stride(), self.conv2.padding());
        let output_width = width.div_ceil(stride);
        let (hidden_first, hidden_end) = self.hidden_columns(&columns, width);
        let (channels_in, hidden) = (self.channels_in(), self.conv2.channels());
        let hidden_row = (hidden_end - hidden_first) * hidden;
        let ring_rows = self.conv1.as_ref().map_or(0, |_| self.ring_rows());
        with_scratch(ring_rows * hidden_row + columns.len() * hidden, |scratch| {
            let (ring, convolved) = scratch.split_at_mut(ring_rows * hidden_row);
            let mut next = (rows.start * stride).saturating_sub(padding);
            for y in rows {
                if let Some(conv1) = &self.conv1 {
                    while next < height.min(y * stride + padding + 1) {
                        let input = &x[(next * width + hidden_first) * channels_in..];
                        conv1.isa().run(Product {
                            a: Rows::dense(input, channels_in),
                            rows: hidden_end - hidden_first,
                            b: conv1.panels(),
                            residual: Residual::None,
                            activation: self.activation,
                            c: &mut ring[next % ring_rows * hidden_row..][..hidden_row],
                            c_stride: hidden,
                        });
                        next += 1;
                    }
                }
                let row = |y: usize| match &self.conv1 {
                    Some(_) => (y < height).then(|| &ring[y % ring_rows * hidden_row..][..hidden_row]),
                    None => (y < height).then(|| &x[(y * width + hidden_first) * hidden..][..hidden_row]),
                };
                self.conv2.convolve(DepthwiseRow {
                    rows: self.conv2.rows_around(y, row),
                    missing: padding + hidden_first - columns.start * stride,
                    activation: self.activation,
                    output: convolved,
                });
                let first = y * output_width + columns.start;
                let channels = self.conv3.columns();
                // SAFETY: each task has its own rows and columns.
                let output = unsafe { output.part(first * channels..(first + columns.len()) * channels) };
                let residual = match self.residual {
                    true => Residual::Matrix { values: &x[first * channels..], stride: channels },
                    false => Residual::None,
                };
                self.conv3.isa().run(Product {
                    a: Rows::dense(convolved, hidden),
                    rows: columns.len(),
                    b: self.conv3.panels(),
                    residual,
                    activation: self.output_activation,
                    c: output,
                    c_stride: channels,
                });
            }
        });
    }

    fn channels_in(&self) -> usize {
        self.conv1.as_ref().map_or(self.conv2.channels(), PackedMatrix::depth)
    }

    /// Rows of the hidden map that a row of outputs needs.
    fn ring_rows(&self) -> usize {
        2 * self.conv2.padding() + 1
    }

    /// The columns of the hidden map that the outputs in `columns` need: first and past the last.
    fn hidden_columns(&self, columns: &std::ops::Range<usize>, width: usize) -> (usize, usize) {
        let (stride, padding) = (self.conv2.stride(), self.conv2.padding());
        ((columns.start * stride).saturating_sub(padding), width.min((columns.end - 1) * stride + padding + 1))
    }
}
