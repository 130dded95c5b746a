//! Matrix products against a packed right-hand side.
//!
//! The right-hand side lies in panels two vectors wide, so that the inner loop reads it front to back. A register tile of
//! [`Simd::ROWS`] rows by one panel accumulates over the whole depth: the sums never leave the registers, and since the
//! rows are short (at most a few thousand values) the left-hand side needs no packing.

use super::activation::{Activation, activated};
use super::simd::{Isa, Kernel, MOST_LANES, Simd};
use super::threads::for_each_chunk;

/// Vectors across a panel.
pub(super) const PANEL_VECTORS: usize = 2;
/// Rows of the highest register tile.
const MOST_ROWS: usize = 12;

/// The right-hand side of matrix products, with the bias that they add, laid out for an instruction set.
#[derive(Debug, Clone)]
pub struct PackedMatrix {
    isa: Isa,
    depth: usize,
    columns: usize,
    panels: Vec<f32>,
    bias: Vec<f32>,
}

impl PackedMatrix {
    /// Packs a row-major matrix `[depth, columns]`, a linear layer's weight.
    pub fn new(matrix: &[f32], depth: usize, columns: usize) -> Self {
        assert_eq!(matrix.len(), depth * columns, "a matrix of {depth} by {columns}");
        Self::from_fn(Isa::best(), depth, columns, |row, column| matrix[row * columns + column])
    }

    #[cfg(not(target_family = "wasm"))]
    /// Packs a row-major matrix for an instruction set by copying parts of its rows: for matrices that are used once.
    pub(super) fn from_rows(isa: Isa, matrix: &[f32], depth: usize, columns: usize) -> Self {
        let width = panel_width(isa);
        let mut panels = vec![0.0; packed_length(isa, depth, columns)];
        for (panel, panels) in panels.chunks_exact_mut(width * depth).enumerate() {
            let first = panel * width;
            let count = width.min(columns - first);
            for (packed, row) in panels.chunks_exact_mut(width).zip(matrix.chunks_exact(columns)) {
                packed[..count].copy_from_slice(&row[first..first + count]);
            }
        }
        Self { isa, depth, columns, panels, bias: Vec::new() }
    }

    /// Packs the transpose of a row-major matrix `[columns, depth]`, a 1×1 convolution's weight.
    pub fn from_transposed(matrix: &[f32], columns: usize, depth: usize) -> Self {
        assert_eq!(matrix.len(), depth * columns, "a matrix of {columns} by {depth}");
        Self::from_fn(Isa::best(), depth, columns, |row, column| matrix[column * depth + row])
    }

    /// Packs the matrix whose value at (row, column) the function gives.
    pub(super) fn from_fn(isa: Isa, depth: usize, columns: usize, value: impl Fn(usize, usize) -> f32) -> Self {
        let width = panel_width(isa);
        let mut panels = vec![0.0; packed_length(isa, depth, columns)];
        for (index, row) in panels.chunks_mut(width).enumerate() {
            let first = index / depth * width;
            for (column, packed) in (first..columns).zip(row) {
                *packed = value(index % depth, column);
            }
        }
        Self { isa, depth, columns, panels, bias: vec![0.0; columns.next_multiple_of(width)] }
    }

    /// Adds a bias `[columns]` to every row of the products.
    pub fn with_bias(mut self, bias: &[f32]) -> Self {
        assert_eq!(bias.len(), self.columns, "one bias per column");
        self.bias[..bias.len()].copy_from_slice(bias);
        self
    }

    /// Rows of the matrix: what a row on the left-hand side must be long.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Columns of the matrix.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The instruction set it is laid out for.
    pub(super) fn isa(&self) -> Isa {
        self.isa
    }

    /// All of it, as a product takes it.
    pub(super) fn panels(&self) -> Panels<'_> {
        Panels { depth: self.depth, columns: self.columns, values: &self.panels, bias: &self.bias }
    }

    /// Some columns of it; the first must be a multiple of the panel's width.
    pub(super) fn panels_of(&self, first: usize, columns: usize) -> Panels<'_> {
        let width = panel_width(self.isa);
        debug_assert!(first.is_multiple_of(width) && first + columns <= self.columns);
        let values = &self.panels[first * self.depth..][..packed_length(self.isa, self.depth, columns)];
        Panels { depth: self.depth, columns, values, bias: &self.bias[first..][..columns.next_multiple_of(width)] }
    }
}

/// Columns of a panel.
pub(super) fn panel_width(isa: Isa) -> usize {
    PANEL_VECTORS * isa.lanes()
}

/// Values of a packed matrix.
pub(super) fn packed_length(isa: Isa, depth: usize, columns: usize) -> usize {
    depth * columns.next_multiple_of(panel_width(isa))
}

/// A packed right-hand side: for each panel, its rows; columns past the last are zero.
#[derive(Clone, Copy)]
pub(super) struct Panels<'a> {
    /// Rows of the matrix.
    pub depth: usize,
    /// Columns of the matrix.
    pub columns: usize,
    /// The panels.
    pub values: &'a [f32],
    /// What is added to every row, one value for every column of every panel; may be absent.
    pub bias: &'a [f32],
}

/// What a product is added to, besides the bias.
#[derive(Clone, Copy)]
pub enum Residual<'a> {
    /// Nothing.
    None,
    /// What the output holds.
    Output,
    /// A matrix of the output's shape.
    Matrix {
        /// Its rows.
        values: &'a [f32],
        /// Values from one row to the next.
        stride: usize,
    },
}

/// `C = activation(A · B + bias + residual)`.
///
/// # Shapes
/// - `a`: `[rows, depth]`, rows `a_stride` values apart
/// - `c`: `[rows, columns]`, rows `c_stride` values apart
#[allow(clippy::too_many_arguments)]
pub fn gemm(
    a: &[f32],
    a_stride: usize,
    rows: usize,
    b: &PackedMatrix,
    residual: Residual<'_>,
    activation: Activation,
    c: &mut [f32],
    c_stride: usize,
) {
    // Enough rows to reuse a panel from the nearest cache, few enough for the block's inputs to stay in the second.
    const BLOCK: usize = 48;
    if rows == 0 {
        return;
    }
    assert!(c_stride >= b.columns, "rows of the output overlap");
    let c = &mut c[..(rows - 1) * c_stride + b.columns];
    for_each_chunk(c, BLOCK * c_stride, |index, c| {
        let first = index * BLOCK;
        let residual = match residual {
            Residual::Matrix { values, stride } => Residual::Matrix { values: &values[first * stride..], stride },
            other => other,
        };
        b.isa.run(Product {
            a: Rows::dense(&a[first * a_stride..], a_stride),
            rows: BLOCK.min(rows - first),
            b: b.panels(),
            residual,
            activation,
            c,
            c_stride,
        });
    });
}

/// The left-hand side of a product. Each row is made of `runs` runs of equal length, `run_stride` values apart: one for a
/// matrix, one per kernel row for a convolution that reads its input in place.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// The values, from the first row's first.
    pub values: &'a [f32],
    /// Values from one row to the next.
    pub stride: usize,
    /// Runs of a row.
    pub runs: usize,
    /// Values from one run to the next.
    pub run_stride: usize,
    /// Values from one step of the depth to the next: 1, or the row length of a matrix that is read as its transpose.
    pub depth_stride: usize,
}

impl<'a> Rows<'a> {
    /// Rows without gaps.
    pub fn dense(values: &'a [f32], length: usize) -> Self {
        Self { values, stride: length, runs: 1, run_stride: 0, depth_stride: 1 }
    }

    /// The columns, as rows, of a matrix whose rows have a length.
    pub fn transposed(values: &'a [f32], length: usize) -> Self {
        Self { values, stride: 1, runs: 1, run_stride: 0, depth_stride: length }
    }
}

/// A product on one thread; see [`gemm`].
pub(super) struct Product<'a> {
    /// Left-hand side.
    pub a: Rows<'a>,
    /// Its rows.
    pub rows: usize,
    /// Right-hand side.
    pub b: Panels<'a>,
    /// What is added.
    pub residual: Residual<'a>,
    /// What follows.
    pub activation: Activation,
    /// Output.
    pub c: &'a mut [f32],
    /// Values from one row of the output to the next.
    pub c_stride: usize,
}

impl Kernel for Product<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { a, rows, b, residual, activation, c, c_stride } = self;
        if rows == 0 || b.columns == 0 {
            return;
        }
        let width = PANEL_VECTORS * S::LANES;
        let panels = b.columns.div_ceil(width);
        let run_depth = b.depth / a.runs;
        let reach = |stride: usize, length: usize| (rows - 1) * stride + length;
        assert!(run_depth * a.runs == b.depth, "{} runs in a row of {}", a.runs, b.depth);
        let row_reach = (a.runs - 1) * a.run_stride + run_depth.saturating_sub(1) * a.depth_stride + run_depth.min(1);
        assert!(a.values.len() >= reach(a.stride, row_reach), "the left side's length");
        assert!(b.values.len() >= panels * width * b.depth, "the right side's length");
        assert!(b.bias.is_empty() || b.bias.len() >= panels * width, "the bias's length");
        assert!(c.len() >= reach(c_stride, b.columns), "the output's length");
        let c = c.as_mut_ptr();
        let (residual, residual_stride) = match residual {
            Residual::None => (std::ptr::null(), 0),
            Residual::Output => (c.cast_const(), c_stride),
            Residual::Matrix { values, stride } => {
                assert!(values.len() >= reach(stride, b.columns), "the residual's length");
                (values.as_ptr(), stride)
            }
        };

        let tiles = rows.div_ceil(S::ROWS);
        for panel in 0..panels {
            let column = panel * width;
            let columns = width.min(b.columns - column);
            for tile in 0..tiles {
                // Tiles of nearly the same height: a low one would wait for its few sums.
                let (first, end) = (tile * rows / tiles, (tile + 1) * rows / tiles);
                // SAFETY: the slices reach as far as was asserted above.
                unsafe {
                    let tile = TileOperands {
                        a: a.values.as_ptr().add(first * a.stride),
                        a_stride: a.stride,
                        runs: a.runs,
                        run_stride: a.run_stride,
                        run_depth,
                        depth_stride: a.depth_stride,
                        b: b.values.as_ptr().add(column * b.depth),
                        bias: if b.bias.is_empty() { std::ptr::null() } else { b.bias.as_ptr().add(column) },
                        residual: if residual.is_null() {
                            residual
                        } else {
                            residual.add(first * residual_stride + column)
                        },
                        residual_stride,
                        activation,
                        c: c.add(first * c_stride + column),
                        c_stride,
                    };
                    match columns == width {
                        true => tile.run::<S>(end - first),
                        false => tile.run_edge::<S>(end - first, columns),
                    }
                }
            }
        }
    }
}

/// Where a register tile finds its operands. Absent ones are null.
#[derive(Clone, Copy)]
struct TileOperands {
    a: *const f32,
    a_stride: usize,
    runs: usize,
    run_stride: usize,
    run_depth: usize,
    depth_stride: usize,
    b: *const f32,
    bias: *const f32,
    residual: *const f32,
    residual_stride: usize,
    activation: Activation,
    c: *mut f32,
    c_stride: usize,
}

impl TileOperands {
    /// # Safety
    /// The operands must reach as far as a tile of `rows` rows and one panel does.
    #[inline(always)]
    unsafe fn run<S: Simd>(self, rows: usize) {
        match rows {
            1 => S::run(Tile::<1>(self)),
            2 => S::run(Tile::<2>(self)),
            3 => S::run(Tile::<3>(self)),
            4 => S::run(Tile::<4>(self)),
            5 if S::ROWS >= 5 => S::run(Tile::<5>(self)),
            6 if S::ROWS >= 6 => S::run(Tile::<6>(self)),
            7 if S::ROWS >= 7 => S::run(Tile::<7>(self)),
            8 if S::ROWS >= 8 => S::run(Tile::<8>(self)),
            9 if S::ROWS >= 9 => S::run(Tile::<9>(self)),
            10 if S::ROWS >= 10 => S::run(Tile::<10>(self)),
            11 if S::ROWS >= 11 => S::run(Tile::<11>(self)),
            12 if S::ROWS >= 12 => S::run(Tile::<12>(self)),
            _ => unreachable!("a tile of {rows} rows"),
        }
    }

    /// Computes a tile of which only the first `columns` exist in the output and the residual.
    ///
    /// # Safety
    /// As for [`TileOperands::run`], but for these two.
    #[inline(never)]
    unsafe fn run_edge<S: Simd>(mut self, rows: usize, columns: usize) {
        let mut edge = [0.0; PANEL_VECTORS * MOST_LANES * MOST_ROWS];
        let width = PANEL_VECTORS * S::LANES;
        // SAFETY: `edge` holds the highest and widest tile; the caller vouches for the rest.
        unsafe {
            if !self.residual.is_null() {
                for row in 0..rows {
                    let residual = self.residual.add(row * self.residual_stride);
                    residual.copy_to(edge.as_mut_ptr().add(row * width), columns);
                }
                (self.residual, self.residual_stride) = (edge.as_ptr(), width);
            }
            let (c, c_stride) = (self.c, self.c_stride);
            (self.c, self.c_stride) = (edge.as_mut_ptr(), width);
            self.run::<S>(rows);
            for row in 0..rows {
                c.add(row * c_stride).copy_from(edge.as_ptr().add(row * width), columns);
            }
        }
    }
}

/// A register tile of `ROWS` rows and one panel. Only [`TileOperands::run`] makes one.
struct Tile<const ROWS: usize>(TileOperands);

impl<const ROWS: usize> Kernel for Tile<ROWS> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self(operands) = self;
        // SAFETY: the caller of `TileOperands::run` vouches for the operands.
        unsafe {
            let mut sums = [[S::splat(0.0); PANEL_VECTORS]; ROWS];
            if !operands.bias.is_null() {
                sums = [S::load_array(operands.bias); ROWS];
            }
            let mut b = operands.b;
            for run in 0..operands.runs {
                let a = operands.a.add(run * operands.run_stride);
                for depth in 0..operands.run_depth {
                    accumulate::<S, ROWS>(&mut sums, a.add(depth * operands.depth_stride), operands.a_stride, b);
                    b = b.add(PANEL_VECTORS * S::LANES);
                }
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                for (vector, sum) in sums.iter_mut().enumerate() {
                    if !operands.residual.is_null() {
                        let residual = operands.residual.add(row * operands.residual_stride + vector * S::LANES);
                        *sum = S::add(*sum, S::load(residual));
                    }
                    S::store(operands.c.add(row * operands.c_stride + vector * S::LANES), *sum);
                }
            }
            if operands.activation != Activation::None {
                for row in 0..ROWS {
                    let c = operands.c.add(row * operands.c_stride);
                    S::store_array(c, activated::<S, PANEL_VECTORS>(operands.activation, S::load_array(c)));
                }
            }
        }
    }
}

/// Adds one step of the depth to a tile's sums.
///
/// # Safety
/// `a` must reach over the rows, `b` over a panel.
#[inline(always)]
unsafe fn accumulate<S: Simd, const ROWS: usize>(
    sums: &mut [[S::Vector; PANEL_VECTORS]; ROWS],
    a: *const f32,
    a_stride: usize,
    b: *const f32,
) {
    // SAFETY: the caller vouches for the pointers.
    unsafe {
        let b = S::load_array::<PANEL_VECTORS>(b);
        for (row, sums) in sums.iter_mut().enumerate() {
            let a = S::splat(*a.add(row * a_stride));
            for (sum, &b) in sums.iter_mut().zip(&b) {
                *sum = S::mul_add(a, b, *sum);
            }
        }
    }
}
