//! Vectors for machines whose instruction set nobody wrote kernels for.

use super::{Kernel, Simd};

/// Arrays of a common vector length.
#[derive(Clone, Copy)]
pub(in crate::kernels::cpu) struct Portable;

impl Simd for Portable {
    type Vector = [f32; 4];
    const LANES: usize = 4;
    const ROWS: usize = 4;

    #[inline(never)]
    fn run<K: Kernel>(kernel: K) {
        kernel.run::<Self>();
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; 4] {
        // SAFETY: the caller vouches for the pointer.
        unsafe { from.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, vector: [f32; 4]) {
        // SAFETY: the caller vouches for the pointer.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(vector) }
    }
    #[inline(always)]
    fn splat(value: f32) -> [f32; 4] {
        [value; 4]
    }
    #[inline(always)]
    fn add(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }
    #[inline(always)]
    fn sub(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| a[lane] - b[lane])
    }
    #[inline(always)]
    fn mul(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| a[lane] * b[lane])
    }
    #[inline(always)]
    fn div(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| a[lane] / b[lane])
    }
    #[inline(always)]
    fn mul_add(a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| a[lane] * b[lane] + c[lane])
    }
    #[inline(always)]
    fn min(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| if a[lane] < b[lane] { a[lane] } else { b[lane] })
    }
    #[inline(always)]
    fn max(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| if a[lane] > b[lane] { a[lane] } else { b[lane] })
    }
    #[inline(always)]
    fn max_or_nan(x: [f32; 4], bound: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| if bound[lane] > x[lane] { bound[lane] } else { x[lane] })
    }
    #[inline(always)]
    fn min_or_nan(x: [f32; 4], bound: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|lane| if bound[lane] < x[lane] { bound[lane] } else { x[lane] })
    }
    #[inline(always)]
    fn power_of_two(bits: [f32; 4]) -> [f32; 4] {
        bits.map(|bits| f32::from_bits(bits.to_bits().wrapping_add(127) << 23))
    }
}
