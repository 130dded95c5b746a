//! Attention between a few prompt tokens and the many tokens of an image, tile by tile of the image.
//!
//! Heads and tokens together are some fifty columns, index `token · heads + head`. With the projections of the image's side moved to the few
//! tokens' side (`q (W k)ᵀ = (q Wᵀ) kᵀ`), a tile of image tokens meets them in one matrix product, and nothing as long as the image is written but
//! what the next layer reads.

use super::activation::Activation;
use super::gelu::exp_of_nonpositive;
use super::gemm::{PackedMatrix, Panels, Product, Residual, Rows, panel_width};
use super::simd::{Isa, Kernel, Simd};

/// Rows of the image that are worked on at a time: they and their scores stay in the nearest caches.
pub const TILE: usize = 64;

/// What prompt tokens look for in the image: one column per token and head.
///
/// Columns are in groups, each of which sees its own part of the image tokens' values: one group for tokens as they are, one per head for tokens that were
/// projected. The columns of a group fill whole panels.
pub struct TokenQueries {
    groups: Vec<PackedMatrix>,
}

/// Columns of a packed matrix whose last panel is whole.
fn padded(isa: Isa, columns: usize) -> usize {
    columns.next_multiple_of(panel_width(isa))
}

impl TokenQueries {
    /// Takes the columns of image tokens as they are one after the other, `[columns, dim]`, scaled as the softmax wants them.
    pub fn new(columns: &[f32], dim: usize) -> Self {
        Self::in_groups(columns, 1, dim)
    }

    /// Takes projected tokens, `[tokens, heads · head_dim]`, scaled as the softmax wants them.
    pub fn per_head(tokens: &[f32], heads: usize, head_dim: usize) -> Self {
        Self::in_groups(tokens, heads, head_dim)
    }

    fn in_groups(columns: &[f32], groups: usize, depth: usize) -> Self {
        let isa = Isa::best();
        let count = columns.len() / groups / depth;
        let group = |group: usize| {
            let value = |row: usize, column: usize| match column < count {
                true => columns[(column * groups + group) * depth + row],
                false => 0.0,
            };
            PackedMatrix::from_fn(isa, depth, padded(isa, count), value)
        };
        Self { groups: (0..groups).map(group).collect() }
    }

    fn columns(&self) -> usize {
        self.groups.iter().map(PackedMatrix::columns).sum()
    }

    /// An attention that has seen nothing yet.
    pub fn begin(&self) -> Attended {
        let columns = self.columns();
        let [first, ..] = &self.groups[..] else { unreachable!("there is a group") };
        Attended {
            largest: vec![f32::NEG_INFINITY; columns],
            sum: vec![0.0; columns],
            mean: vec![0.0; first.depth() * columns],
            group: first.columns(),
        }
    }

    /// Takes in a tile of the image.
    ///
    /// # Shapes
    /// - `keys`, `values`: `[rows, groups · depth]`, at most [`TILE`] rows
    /// - `scratch`: `TILE` times the columns, at least [`TokenQueries::scratch`] values
    pub fn attend(&self, keys: &[f32], values: &[f32], attended: &mut Attended, scratch: &mut [f32]) {
        let [first, ..] = &self.groups[..] else { unreachable!("there is a group") };
        let (depth, group_columns, isa) = (first.depth(), first.columns(), first.isa());
        let (dim, columns) = (self.groups.len() * depth, self.columns());
        let (rows, width) = (keys.len() / dim, panel_width(isa));
        let scores = &mut scratch[..rows * columns];
        // Panel by panel, as the right-hand side of the second product wants them.
        for (index, scores) in scores.chunks_exact_mut(rows * width).enumerate() {
            let (group, first_column) = (index * width / group_columns, index * width % group_columns);
            isa.run(Product {
                a: Rows::dense(&keys[group * depth..], dim),
                rows,
                b: self.groups[group].panels_of(first_column, width),
                residual: Residual::None,
                activation: Activation::None,
                c: scores,
                c_stride: width,
            });
        }
        let mut factors = [1.0; MOST_COLUMNS];
        let factors = &mut factors[..columns];
        isa.run(RunningSoftmax { scores, rows, attended, factors });
        if factors.iter().any(|factor| *factor != 1.0) {
            isa.run(ScaleColumns { values: &mut attended.mean, factors });
        }
        for (group, scores) in scores.chunks_exact(rows * group_columns).enumerate() {
            isa.run(Product {
                a: Rows::transposed(&values[group * depth..], dim),
                rows: depth,
                b: Panels { depth: rows, columns: group_columns, values: scores, bias: &[] },
                residual: Residual::Output,
                activation: Activation::None,
                c: &mut attended.mean[group * group_columns..],
                c_stride: columns,
            });
        }
    }

    /// Values of scratch memory that [`TokenQueries::attend`] needs.
    pub fn scratch(&self) -> usize {
        TILE * self.columns()
    }
}

/// Most columns of [`TokenQueries`] with their padding: 8 heads and 128 tokens.
const MOST_COLUMNS: usize = 1024;

/// The softmax-weighted mean of the image tokens seen so far, per column.
pub struct Attended {
    largest: Vec<f32>,
    sum: Vec<f32>,
    /// `[depth, columns]`, the sums of exponentials not yet divided by.
    mean: Vec<f32>,
    /// Columns of a group.
    group: usize,
}

impl Attended {
    /// Takes in what was attended to in another part of the image.
    pub fn merge(&mut self, other: &Self) {
        let columns = self.sum.len();
        for column in 0..columns {
            let largest = self.largest[column].max(other.largest[column]);
            let [own, others] = [&*self, other].map(|part| (part.largest[column] - largest).exp());
            self.largest[column] = largest;
            self.sum[column] = self.sum[column] * own + other.sum[column] * others;
            for index in (column..self.mean.len()).step_by(columns) {
                self.mean[index] = self.mean[index] * own + other.mean[index] * others;
            }
        }
    }

    /// The mean of channel `channel` for a column of a group.
    pub fn mean(&self, channel: usize, group: usize, column: usize) -> f32 {
        let column = group * self.group + column;
        self.mean[channel * self.sum.len() + column] / self.sum[column]
    }
}

/// Scores in panels to exponentials, relative to the largest score so far.
struct RunningSoftmax<'a> {
    /// `[panels, rows, width]`
    scores: &'a mut [f32],
    rows: usize,
    attended: &'a mut Attended,
    /// What earlier sums are multiplied by, per column.
    factors: &'a mut [f32],
}

impl Kernel for RunningSoftmax<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let width = super::gemm::PANEL_VECTORS * S::LANES;
        for column in (0..self.factors.len()).step_by(S::LANES) {
            let first = column / width * self.rows * width + column % width;
            assert!(first + (self.rows - 1) * width + S::LANES <= self.scores.len(), "the scores of every row");
            let scores = self.scores[first..].as_mut_ptr();
            let [largest, sum] =
                [&mut self.attended.largest, &mut self.attended.sum].map(|all| &mut all[column..][..S::LANES]);
            let factors = &mut self.factors[column..][..S::LANES];
            // SAFETY: scores reach as far as was asserted; the others are a vector long.
            unsafe {
                let before = S::load(largest.as_ptr());
                let mut now = before;
                for row in 0..self.rows {
                    now = S::max(now, S::load(scores.add(row * width)));
                }
                let [factor] = exp_of_nonpositive::<S, 1>([S::sub(before, now)]);
                let mut total = S::mul(S::load(sum.as_ptr()), factor);
                for row in 0..self.rows {
                    let score = scores.add(row * width);
                    let [weight] = exp_of_nonpositive::<S, 1>([S::sub(S::load(score), now)]);
                    S::store(score, weight);
                    total = S::add(total, weight);
                }
                S::store(largest.as_mut_ptr(), now);
                S::store(sum.as_mut_ptr(), total);
                S::store(factors.as_mut_ptr(), factor);
            }
        }
    }
}

/// Multiplies each column of a matrix by its factor.
struct ScaleColumns<'a> {
    values: &'a mut [f32],
    factors: &'a [f32],
}

impl Kernel for ScaleColumns<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        for row in self.values.chunks_exact_mut(self.factors.len()) {
            for (values, factors) in row.chunks_exact_mut(S::LANES).zip(self.factors.chunks_exact(S::LANES)) {
                // SAFETY: both are a vector long; columns are a multiple of it.
                unsafe {
                    S::store(values.as_mut_ptr(), S::mul(S::load(values.as_ptr()), S::load(factors.as_ptr())));
                }
            }
        }
    }
}

/// What the image can find in prompt tokens: one column per token and head, and what it brings.
pub struct TokenKeys {
    /// `[depth, columns]`; columns past the last have a score of −∞.
    keys: PackedMatrix,
    /// `[columns, dim]`
    values: PackedMatrix,
    heads: usize,
    columns: usize,
}

impl TokenKeys {
    /// Takes the columns' keys `[columns, depth]`, scaled as the softmax wants them, what is added to their scores `[columns]`, their values
    /// `[columns, dim]` and what is added to those, `[dim]`.
    pub fn new(keys: &[f32], scores: &[f32], values: &[f32], bias: &[f32], heads: usize) -> Self {
        let isa = Isa::best();
        let columns = scores.len();
        let depth = keys.len() / columns;
        let padded = padded(isa, columns);
        let key = |row: usize, column: usize| if column < columns { keys[column * depth + row] } else { 0.0 };
        let mut padded_scores = vec![f32::NEG_INFINITY; padded];
        padded_scores[..columns].copy_from_slice(scores);
        Self {
            keys: PackedMatrix::from_fn(isa, depth, padded, key).with_bias(&padded_scores),
            values: PackedMatrix::new(values, columns, bias.len()).with_bias(bias),
            heads,
            columns,
        }
    }

    /// What a tile of the image takes from the prompt tokens, added to it.
    ///
    /// # Shapes
    /// - `queries`: `[rows, depth]`, at most [`TILE`] rows
    /// - `image`, `output`: `[rows, dim]`
    /// - `scratch`: at least [`TokenKeys::scratch`] values
    pub fn attend(&self, queries: &[f32], image: &[f32], output: &mut [f32], scratch: &mut [f32]) {
        let (depth, dim) = (self.keys.depth(), self.values.columns());
        let (padded, isa) = (self.keys.columns(), self.keys.isa());
        let rows = queries.len() / depth;
        let scores = &mut scratch[..rows * padded];
        isa.run(Product {
            a: Rows::dense(queries, depth),
            rows,
            b: self.keys.panels(),
            residual: Residual::None,
            activation: Activation::None,
            c: scores,
            c_stride: padded,
        });
        match self.heads {
            VECTOR_HEADS => isa.run(SoftmaxOverTokens { scores, stride: padded, columns: self.columns }),
            heads => softmax_over_tokens(scores, padded, self.columns, heads),
        }
        isa.run(Product {
            a: Rows::dense(scores, padded),
            rows,
            b: self.values.panels(),
            residual: Residual::Matrix { values: image, stride: dim },
            activation: Activation::None,
            c: output,
            c_stride: dim,
        });
    }

    /// Values of scratch memory that [`TokenKeys::attend`] needs.
    pub fn scratch(&self) -> usize {
        TILE * self.keys.columns()
    }
}

/// SAM's number of heads, for which there is a vectorised softmax.
const VECTOR_HEADS: usize = 8;

/// The softmax of each row over the tokens, for each of eight heads: vectors hold heads, or two tokens' heads.
struct SoftmaxOverTokens<'a> {
    scores: &'a mut [f32],
    stride: usize,
    columns: usize,
}

impl Kernel for SoftmaxOverTokens<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let step = VECTOR_HEADS.max(S::LANES);
        for row in self.scores.chunks_exact_mut(self.stride) {
            let reach = self.columns.next_multiple_of(step);
            assert!(reach <= row.len(), "whole vectors of scores");
            for group in (0..VECTOR_HEADS).step_by(S::LANES) {
                let scores = row[group..].as_mut_ptr();
                // SAFETY: vectors begin before `columns` and end within `reach`.
                unsafe {
                    let mut largest = S::load(scores);
                    for column in (step..self.columns).step_by(step) {
                        largest = S::max(largest, S::load(scores.add(column)));
                    }
                    let largest = S::max(largest, other_half::<S>(largest));
                    let mut sum = S::splat(0.0);
                    for column in (0..self.columns).step_by(step) {
                        let score = scores.add(column);
                        let [weight] = exp_of_nonpositive::<S, 1>([S::sub(S::load(score), largest)]);
                        S::store(score, weight);
                        sum = S::add(sum, weight);
                    }
                    if S::LANES > VECTOR_HEADS {
                        sum = S::add(sum, other_half::<S>(sum));
                    }
                    for column in (0..self.columns).step_by(step) {
                        let score = scores.add(column);
                        S::store(score, S::div(S::load(score), sum));
                    }
                }
            }
        }
    }
}

/// The halves of a vector that holds two tokens' heads, exchanged; shorter vectors as they are.
#[inline(always)]
fn other_half<S: Simd>(vector: S::Vector) -> S::Vector {
    if S::LANES <= VECTOR_HEADS {
        return vector;
    }
    let mut lanes = S::to_lanes(vector);
    lanes[..S::LANES].rotate_left(S::LANES / 2);
    // SAFETY: a vector fits into `lanes`.
    unsafe { S::load(lanes.as_ptr()) }
}

fn softmax_over_tokens(scores: &mut [f32], stride: usize, columns: usize, heads: usize) {
    for row in scores.chunks_exact_mut(stride) {
        for head in 0..heads {
            let indices = || (head..columns).step_by(heads);
            let largest = indices().map(|index| row[index]).fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0.0;
            for index in indices() {
                row[index] = (row[index] - largest).exp();
                sum += row[index];
            }
            indices().for_each(|index| row[index] /= sum);
        }
    }
}
