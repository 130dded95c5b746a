//! Matrix products in tiles: a group of 16×16 threads computes 64×64 values, 4×4 by each thread, from slices of both operands in shared memory.

use burn_wgpu::CubeTensor;
use cubecl::prelude::*;

use super::activation::activated;
use crate::kernels::Activation;

/// Side of the square of values that a group computes.
const TILE: usize = 64;
/// Depth of the slices in shared memory: two of them take 8 KiB of the 16 that every adapter has.
const SLICE: usize = 16;
/// Threads along a side of a group.
const SIDE: usize = 16;
/// Values along a side that a thread computes.
const PER_THREAD: usize = TILE / SIDE;
/// Threads of a group: the most that every adapter allows.
const THREADS: usize = SIDE * SIDE;

/// `A · B + bias`, then GELU if asked.
///
/// # Shapes
/// - `a`: `[…, rows, depth]` and `b`: `[…, depth, columns]` of the same rank, at most 4, in any memory order; leading dimensions of length 1 are repeated
/// - `bias`: `[columns]`, not read without `has_bias`
/// - output: `[…, rows, columns]`
pub fn matmul(a: CubeTensor, b: CubeTensor, bias: CubeTensor, has_bias: bool, activation: Activation) -> CubeTensor {
    let (a_shape, b_shape) = (a.meta.shape().to_vec(), b.meta.shape().to_vec());
    let rank = a_shape.len();
    assert!(rank == b_shape.len() && (2..=4).contains(&rank), "a product of {a_shape:?} and {b_shape:?}");
    let [rows, depth, columns] = [a_shape[rank - 2], a_shape[rank - 1], b_shape[rank - 1]];
    assert_eq!(depth, b_shape[rank - 2], "the depth of {a_shape:?} and {b_shape:?}");
    let mut shape: Vec<usize> = a_shape[..rank - 2].iter().zip(&b_shape).map(|(&a, &b)| a.max(b)).collect();
    let batches: usize = shape.iter().product();
    let inner_batches = shape.last().copied().unwrap_or(1);
    shape.extend([rows, columns]);
    let output = super::empty(&a, &shape);

    let strides = |tensor: &CubeTensor| {
        let (shape, strides) = (tensor.meta.shape(), tensor.meta.strides());
        // Outer and inner batch, row, column; dimensions of length 1 are repeated.
        let mut four = [0; 4];
        for (index, stride) in four[4 - rank..].iter_mut().enumerate() {
            *stride = if index < rank - 2 && shape[index] == 1 { 0 } else { strides[index] };
        }
        four
    };
    let ([a0, a1, a_row, a_depth], [b0, b1, b_depth, b_column]) = (strides(&a), strides(&b));
    let count = CubeCount::new_3d(columns.div_ceil(TILE) as u32, rows.div_ceil(TILE) as u32, batches as u32);
    // SAFETY: the kernel checks rows, columns and depth; strides are the tensors' own.
    unsafe {
        matmul_kernel::launch_unchecked(
            &a.client.clone(),
            count,
            CubeDim::new_2d(SIDE as u32, SIDE as u32),
            a.into_buffer_arg(),
            b.into_buffer_arg(),
            bias.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            rows,
            columns,
            depth,
            inner_batches,
            a0,
            a1,
            a_row,
            a_depth,
            b0,
            b1,
            b_depth,
            b_column,
            a_depth == 1,
            b_column == 1,
            has_bias,
            activation,
        );
    }
    output
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn matmul_kernel(
    a: &[f32],
    b: &[f32],
    bias: &[f32],
    output: &mut [f32],
    rows: usize,
    columns: usize,
    depth: usize,
    inner_batches: usize,
    a_outer: usize,
    a_inner: usize,
    a_row: usize,
    a_depth: usize,
    b_outer: usize,
    b_inner: usize,
    b_depth: usize,
    b_column: usize,
    #[comptime] a_along_depth: bool,
    #[comptime] b_along_columns: bool,
    #[comptime] has_bias: bool,
    #[comptime] activation: Activation,
) {
    let mut a_slice = Shared::<[f32]>::new_slice(TILE * SLICE);
    let mut b_slice = Shared::<[f32]>::new_slice(TILE * SLICE);
    let thread = UNIT_POS as usize;
    let first_row = CUBE_POS_Y as usize * TILE;
    let first_column = CUBE_POS_X as usize * TILE;
    let batch = CUBE_POS_Z as usize;
    let (outer, inner) = (batch / inner_batches, batch % inner_batches);
    let a_start = outer * a_outer + inner * a_inner;
    let b_start = outer * b_outer + inner * b_inner;
    let thread_row = thread / SIDE;
    let thread_column = thread % SIDE;

    let mut sums = Array::<f32>::new(PER_THREAD * PER_THREAD);
    #[unroll]
    for index in 0..PER_THREAD * PER_THREAD {
        sums[index] = 0.0f32;
    }
    let slices = depth.div_ceil(SLICE);
    for slice in 0..slices {
        // Neighbouring threads read neighbouring values, along whichever side is contiguous.
        #[unroll]
        for part in 0..TILE * SLICE / THREADS {
            let index = part * THREADS + thread;
            let (a_r, a_k) =
                if comptime!(a_along_depth) { (index / SLICE, index % SLICE) } else { (index % TILE, index / TILE) };
            let (row, k) = (first_row + a_r, slice * SLICE + a_k);
            let mut value = 0.0f32;
            if row < rows && k < depth {
                value = a[a_start + row * a_row + k * a_depth];
            }
            a_slice[a_k * TILE + a_r] = value;

            let (b_c, b_k) =
                if comptime!(b_along_columns) { (index % TILE, index / TILE) } else { (index / SLICE, index % SLICE) };
            let (column, k) = (first_column + b_c, slice * SLICE + b_k);
            let mut value = 0.0f32;
            if column < columns && k < depth {
                value = b[b_start + k * b_depth + column * b_column];
            }
            b_slice[b_k * TILE + b_c] = value;
        }
        sync_cube();
        for k in 0..SLICE {
            let mut b_values = Array::<f32>::new(PER_THREAD);
            #[unroll]
            for column in 0..PER_THREAD {
                b_values[column] = b_slice[k * TILE + thread_column * PER_THREAD + column];
            }
            #[unroll]
            for row in 0..PER_THREAD {
                let a_value = a_slice[k * TILE + thread_row * PER_THREAD + row];
                #[unroll]
                for column in 0..PER_THREAD {
                    sums[row * PER_THREAD + column] += a_value * b_values[column];
                }
            }
        }
        sync_cube();
    }

    let output_start = batch * rows * columns;
    #[unroll]
    for row in 0..PER_THREAD {
        #[unroll]
        for column in 0..PER_THREAD {
            let r = first_row + thread_row * PER_THREAD + row;
            let c = first_column + thread_column * PER_THREAD + column;
            if r < rows && c < columns {
                let mut value = sums[row * PER_THREAD + column];
                if comptime!(has_bias) {
                    value += bias[c];
                }
                value = activated(value, activation);
                output[output_start + r * columns + c] = value;
            }
        }
    }
}
