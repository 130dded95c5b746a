//! Multi-head self-attention within windows, with a learned bias per head and per absolute offset (LeViT).
//!
//! A window is gathered, attended and scattered by one task, head by head, so that a head's queries, keys, values and
//! scores stay in the second-level cache and no map but the input exists.

use super::activation::Activation;
use super::gelu::exp_of_nonpositive;
use super::gemm::{PANEL_VECTORS, PackedMatrix, Panels, Product, Residual, Rows, packed_length, panel_width};
use super::layer_norm::LayerNorm;
use super::simd::{Isa, Kernel, Simd};
use super::threads::{SharedSlice, for_each_task, with_scratch};

/// The weights of a window attention.
#[derive(Debug, Clone)]
pub struct WindowAttention {
    norm: LayerNorm,
    qkv: PackedMatrix,
    proj: PackedMatrix,
    /// `[heads, tokens, score_stride]`; −∞ past the last token, so that the softmax needs no mask.
    bias: Vec<f32>,
    heads: usize,
    window: usize,
}

/// A window attention's weights as the checkpoint has them.
#[derive(Debug, Clone, Copy)]
pub struct WindowAttentionWeights<'a> {
    /// Channels.
    pub dim: usize,
    /// Attention heads.
    pub heads: usize,
    /// Side of the window, in tokens.
    pub window: usize,
    /// Queries, keys and values, `[dim, heads · 3 · head_dim]`.
    pub qkv: &'a [f32],
    /// `[heads · 3 · head_dim]`
    pub qkv_bias: &'a [f32],
    /// Output projection, `[dim, dim]`.
    pub proj: &'a [f32],
    /// `[dim]`
    pub proj_bias: &'a [f32],
    /// Bias per head and offset (|Δrow|, |Δcolumn|), `[heads, window²]`.
    pub biases: &'a [f32],
}

impl WindowAttention {
    /// Prepares the weights.
    pub fn new(norm: LayerNorm, weights: WindowAttentionWeights<'_>) -> Self {
        Self::with_isa(Isa::best(), norm, weights)
    }

    pub(super) fn with_isa(isa: Isa, norm: LayerNorm, weights: WindowAttentionWeights<'_>) -> Self {
        let WindowAttentionWeights { dim, heads, window, qkv, qkv_bias, proj, proj_bias, biases } = weights;
        assert!(heads > 0 && dim.is_multiple_of(heads), "{heads} heads share {dim} channels");
        let (head_dim, tokens) = (dim / heads, window * window);
        assert_eq!(biases.len(), heads * tokens, "one bias per head and offset");
        // The scale of the scores goes into the queries; each head begins a panel.
        let scale = |column: usize| match column % (3 * head_dim) < head_dim {
            true => (head_dim as f32).powf(-0.5),
            false => 1.0,
        };
        let head_stride = (3 * head_dim).next_multiple_of(panel_width(isa));
        let source = |column: usize| {
            let (head, within) = (column / head_stride, column % head_stride);
            (within < 3 * head_dim).then_some(head * 3 * head_dim + within)
        };
        let columns = heads * head_stride;
        let packed = PackedMatrix::from_fn(isa, dim, columns, |row, column| {
            source(column).map_or(0.0, |column| qkv[row * 3 * dim + column] * scale(column))
        });
        let scaled_bias: Vec<f32> =
            (0..columns).map(|column| source(column).map_or(0.0, |column| qkv_bias[column] * scale(column))).collect();
        let score_stride = tokens.next_multiple_of(panel_width(isa));
        let offset = |from: usize, to: usize| {
            (from / window).abs_diff(to / window) * window + (from % window).abs_diff(to % window)
        };
        let bias = (0..heads * tokens * score_stride)
            .map(|index| {
                let (head, from, to) =
                    (index / (tokens * score_stride), index / score_stride % tokens, index % score_stride);
                if to < tokens { biases[head * tokens + offset(from, to)] } else { f32::NEG_INFINITY }
            })
            .collect();
        Self {
            norm,
            qkv: packed.with_bias(&scaled_bias),
            proj: PackedMatrix::from_fn(isa, dim, dim, |row, column| proj[row * dim + column]).with_bias(proj_bias),
            bias,
            heads,
            window,
        }
    }

    /// `x + proj(attention(LayerNorm(x)))` in place, on all threads. The map is padded with zeros to whole windows at the
    /// right and below; padded tokens take part.
    ///
    /// # Shapes
    /// - `x`: `[height, width, dim]`
    pub fn forward(&self, x: &mut [f32], height: usize, width: usize) {
        let dim = self.proj.depth();
        assert_eq!(x.len(), height * width * dim, "a map of {height} by {width}");
        let (rows, columns) = (height.div_ceil(self.window), width.div_ceil(self.window));
        let isa = self.qkv.isa();
        let tokens = self.window * self.window;
        let head_dim = dim / self.heads;
        let score_stride = tokens.next_multiple_of(panel_width(isa));
        let head_stride = self.qkv.columns() / self.heads;
        let lengths = [
            tokens * dim,
            tokens * dim,
            tokens * head_stride,
            packed_length(isa, head_dim, tokens),
            packed_length(isa, tokens, head_dim),
            tokens * score_stride,
        ];
        let x = SharedSlice::new(x);
        for_each_task(rows * columns, |task| {
            let (top, left) = (task / columns * self.window, task % columns * self.window);
            let inside = self.window.min(width - left) * dim;
            with_scratch(lengths.iter().sum(), |scratch| {
                let [normalized, attended, qkv, keys, values, scores] = split(scratch, lengths);
                let row_length = self.window * dim;
                for (row, normalized) in normalized.chunks_exact_mut(row_length).enumerate() {
                    let y = top + row;
                    let inside = if y < height { inside } else { 0 };
                    if inside > 0 {
                        let first = (y * width + left) * dim;
                        // SAFETY: each task has its own window.
                        self.norm.normalize(unsafe { x.part(first..first + inside) }, &mut normalized[..inside]);
                    }
                    let padding = &mut normalized[inside..];
                    for token in padding.chunks_exact_mut(dim) {
                        token.copy_from_slice(self.norm.of_zeros());
                    }
                }
                for head in 0..self.heads {
                    isa.run(Product {
                        a: Rows::dense(normalized, dim),
                        rows: tokens,
                        b: self.qkv.panels_of(head * head_stride, head_stride),
                        residual: Residual::None,
                        activation: Activation::None,
                        c: qkv,
                        c_stride: head_stride,
                    });
                    isa.run(PackHead { qkv, stride: head_stride, tokens, head_dim, keys, values });
                    isa.run(Product {
                        a: Rows::dense(qkv, head_stride),
                        rows: tokens,
                        b: Panels { depth: head_dim, columns: score_stride, values: keys, bias: &[] },
                        residual: Residual::Matrix {
                            values: &self.bias[head * tokens * score_stride..],
                            stride: score_stride,
                        },
                        activation: Activation::None,
                        c: scores,
                        c_stride: score_stride,
                    });
                    isa.run(Softmax { rows: scores, stride: score_stride });
                    isa.run(Product {
                        a: Rows::dense(scores, score_stride),
                        rows: tokens,
                        b: Panels { depth: tokens, columns: head_dim, values, bias: &[] },
                        residual: Residual::None,
                        activation: Activation::None,
                        c: &mut attended[head * head_dim..],
                        c_stride: dim,
                    });
                }
                let projected = normalized;
                isa.run(Product {
                    a: Rows::dense(attended, dim),
                    rows: tokens,
                    b: self.proj.panels(),
                    residual: Residual::None,
                    activation: Activation::None,
                    c: projected,
                    c_stride: dim,
                });
                for (y, projected) in (top..height).zip(projected.chunks_exact(row_length)) {
                    let first = (y * width + left) * dim;
                    // SAFETY: each task has its own window.
                    let x = unsafe { x.part(first..first + inside) };
                    x.iter_mut().zip(projected).for_each(|(x, projected)| *x += projected);
                }
            });
        });
    }
}

/// Consecutive parts of a slice.
fn split<const N: usize>(mut values: &mut [f32], lengths: [usize; N]) -> [&mut [f32]; N] {
    lengths.map(|length| values.split_off_mut(..length).expect("the lengths are those of the scratch memory"))
}

/// Packs a head's keys, transposed, and values as right-hand sides.
struct PackHead<'a> {
    /// `[tokens, 3, head_dim]`, rows `stride` values apart.
    qkv: &'a [f32],
    stride: usize,
    tokens: usize,
    head_dim: usize,
    keys: &'a mut [f32],
    values: &'a mut [f32],
}

impl Kernel for PackHead<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { qkv, stride, tokens, head_dim, keys, values } = self;
        let width = PANEL_VECTORS * S::LANES;
        for (panel, packed) in keys.chunks_exact_mut((head_dim * width).max(1)).enumerate() {
            for column in 0..width {
                let token = panel * width + column;
                let key = (token < tokens).then(|| &qkv[token * stride + head_dim..][..head_dim]);
                for depth in 0..head_dim {
                    packed[depth * width + column] = key.map_or(0.0, |key| key[depth]);
                }
            }
        }
        for (panel, packed) in values.chunks_exact_mut((tokens * width).max(1)).enumerate() {
            let first = panel * width;
            let columns = width.min(head_dim - first);
            for (token, packed) in packed.chunks_exact_mut(width).enumerate() {
                packed[..columns].copy_from_slice(&qkv[token * stride + 2 * head_dim + first..][..columns]);
                packed[columns..].fill(0.0);
            }
        }
    }
}

/// Softmax of rows in place; a row is a whole number of panels wide.
struct Softmax<'a> {
    rows: &'a mut [f32],
    stride: usize,
}

impl Kernel for Softmax<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        for row in self.rows.chunks_exact_mut(self.stride) {
            let row = row.as_mut_ptr();
            let step = PANEL_VECTORS * S::LANES;
            // SAFETY: the row is a whole number of steps long.
            unsafe {
                let mut largest = [S::splat(f32::NEG_INFINITY); PANEL_VECTORS];
                for first in (0..self.stride).step_by(step) {
                    let scores = S::load_array::<PANEL_VECTORS>(row.add(first));
                    for (largest, score) in largest.iter_mut().zip(scores) {
                        *largest = S::max(*largest, score);
                    }
                }
                let mut largest_of_row = f32::NEG_INFINITY;
                for largest in largest {
                    largest_of_row = S::to_lanes(largest)[..S::LANES].iter().copied().fold(largest_of_row, f32::max);
                }
                let largest = S::splat(largest_of_row);
                let mut sums = [S::splat(0.0); PANEL_VECTORS];
                for first in (0..self.stride).step_by(step) {
                    let mut powers = S::load_array::<PANEL_VECTORS>(row.add(first));
                    for power in &mut powers {
                        *power = S::sub(*power, largest);
                    }
                    powers = exp_of_nonpositive::<S, PANEL_VECTORS>(powers);
                    S::store_array(row.add(first), powers);
                    for (sum, power) in sums.iter_mut().zip(powers) {
                        *sum = S::add(*sum, power);
                    }
                }
                let mut sum = 0.0;
                for lanes in sums {
                    sum += S::to_lanes(lanes).iter().sum::<f32>();
                }
                let scale = S::splat(1.0 / sum);
                for first in (0..self.stride).step_by(step) {
                    let mut powers = S::load_array::<PANEL_VECTORS>(row.add(first));
                    for power in &mut powers {
                        *power = S::mul(*power, scale);
                    }
                    S::store_array(row.add(first), powers);
                }
            }
        }
    }
}
