//! Inverted bottleneck: 1×1 convolution, depthwise 3×3 and 1×1, without the hidden map.
//!
//! The hidden map is four times the input (64 MB at the encoder's first stage), so only three rows of a part of its width
//! exist at a time, in a ring: a new row replaces the one that no output needs any more. A part's neighbours recompute one
//! column on each side.

use super::depthwise::{Depthwise, DepthwiseRow, rows_around};
use super::gemm::{PackedMatrix, Product, Residual, Rows};
use super::threads::{SharedSlice, for_each_task, thread_count, with_scratch};

/// The weights of an inverted bottleneck; batch normalizations are folded into the convolutions.
#[derive(Debug, Clone)]
pub struct MbConv {
    /// To the hidden channels, followed by GELU.
    pub conv1: PackedMatrix,
    /// Depthwise on the hidden channels, followed by GELU.
    pub conv2: Depthwise,
    /// To the output's channels.
    pub conv3: PackedMatrix,
    /// Whether the input is added to the output and GELU follows (the stride is then 1).
    pub residual: bool,
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
        assert_eq!(x.len(), height * width * self.conv1.depth(), "a map of {height} by {width}");
        assert_eq!(output.len(), output_height * output_width * self.conv3.columns(), "the output's size");
        if output.is_empty() {
            return;
        }
        // Four rows of a part's hidden layer should fit into half of a common second-level cache, 1 MB.
        const HIDDEN_VALUES: usize = 32 * 1024;
        let part_width = (HIDDEN_VALUES / self.conv1.columns().max(1) / stride).clamp(8, output_width.max(8));
        let parts = output_width.div_ceil(part_width);
        // A few tasks per thread, of many rows each, for a task's first row costs three.
        let stripes = (4 * thread_count()).div_ceil(parts).min(output_height.div_ceil(16));
        let stripes = if thread_count() == 1 { 1 } else { stripes };
        let output = SharedSlice::new(output);
        for_each_task(parts * stripes, |task| {
            let (part, stripe) = (task % parts, task / parts);
            let columns = part * output_width / parts..(part + 1) * output_width / parts;
            let rows = stripe * output_height / stripes..(stripe + 1) * output_height / stripes;
            let (hidden_first, hidden_end) = self.hidden_columns(&columns, width);
            let hidden_row = (hidden_end - hidden_first) * self.conv1.columns();
            let length = 3 * hidden_row + columns.len() * self.conv1.columns();
            with_scratch(length, |scratch| {
                let (ring, convolved) = scratch.split_at_mut(3 * hidden_row);
                let mut next = (rows.start * stride).saturating_sub(1);
                for y in rows.clone() {
                    while next < height.min(y * stride + 2) {
                        let input = &x[(next * width + hidden_first) * self.conv1.depth()..];
                        self.conv1.isa().run(Product {
                            a: Rows::dense(input, self.conv1.depth()),
                            rows: hidden_end - hidden_first,
                            b: self.conv1.panels(),
                            residual: Residual::None,
                            gelu: true,
                            c: &mut ring[next % 3 * hidden_row..][..hidden_row],
                            c_stride: self.conv1.columns(),
                        });
                        next += 1;
                    }
                    let ring_row = |y: usize| (y < height).then(|| &ring[y % 3 * hidden_row..][..hidden_row]);
                    self.conv2.convolve(DepthwiseRow {
                        rows: rows_around(y * stride, ring_row),
                        halo: hidden_first < columns.start * stride,
                        gelu: true,
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
                        a: Rows::dense(convolved, self.conv3.depth()),
                        rows: columns.len(),
                        b: self.conv3.panels(),
                        residual,
                        gelu: self.residual,
                        c: output,
                        c_stride: channels,
                    });
                }
            });
        });
    }

    /// The columns of the hidden map that the outputs in `columns` need: first and past the last.
    fn hidden_columns(&self, columns: &std::ops::Range<usize>, width: usize) -> (usize, usize) {
        let stride = self.conv2.stride();
        ((columns.start * stride).saturating_sub(1), width.min((columns.end - 1) * stride + 2))
    }
}
