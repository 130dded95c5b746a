//! Vectors of f32 for every instruction set the kernels know, and the one place where a set is chosen.
//!
//! A kernel is written once against [`Simd`] and compiled once per set: natively the processor is asked at run time. A WebAssembly module is
//! refused as a whole by an engine that does not know one of its instructions, so that it cannot ask: `cargo xtask` makes a second module without relaxed SIMD,
//! and JavaScript loads the one that the engine can run.

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod portable;

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
use portable::Portable;

/// An instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// x86-64 with AVX-512F.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// x86-64 with AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// WebAssembly's fixed-width SIMD with the fused multiply-add of relaxed SIMD.
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Simd128,
    /// Arrays that the compiler may vectorise; not in a WebAssembly module, which has its set or is refused.
    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    Portable,
}

impl Isa {
    /// The sets this machine has, fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        [
            #[cfg(target_arch = "x86_64")]
            (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("fma")).then_some(Self::Avx512),
            #[cfg(target_arch = "x86_64")]
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self::Avx2),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Some(Self::Simd128),
            #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
            Some(Self::Portable),
        ]
        .into_iter()
        .flatten()
    }

    /// The fastest set this machine has.
    pub fn best() -> Self {
        Self::available().next().expect("every target has a set")
    }

    /// Runs a kernel with this set, which must be one of [`Isa::available`].
    pub(super) fn run<K: Kernel>(self, kernel: K) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Avx512::run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::run(kernel),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128 => Simd128::run(kernel),
            #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
            Self::Portable => Portable::run(kernel),
        }
    }

    /// Values in a vector.
    pub(super) fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Avx512::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::LANES,
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128 => Simd128::LANES,
            #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
            Self::Portable => Portable::LANES,
        }
    }
}

/// A computation that is generic over the instruction set. `run` must be `#[inline(always)]`, as must all generic
/// functions below it, for them to be compiled with the set's features.
pub(super) trait Kernel {
    /// Computes with the set `S`.
    fn run<S: Simd>(self);
}

/// Operations on vectors of an instruction set. Only [`Isa::run`] brings one into use.
pub(super) trait Simd: Copy {
    /// A vector.
    type Vector: Copy;
    /// Values in a vector.
    const LANES: usize;
    /// Rows of the matrix product's register tile, which is two vectors wide: as many as the registers hold.
    const ROWS: usize;

    /// Runs a kernel in a function that is compiled with the set's features.
    fn run<K: Kernel>(kernel: K);

    /// Reads a vector.
    ///
    /// # Safety
    /// [`Simd::LANES`] values must be readable.
    unsafe fn load(from: *const f32) -> Self::Vector;
    /// Writes a vector.
    ///
    /// # Safety
    /// [`Simd::LANES`] values must be writable.
    unsafe fn store(to: *mut f32, vector: Self::Vector);
    /// The value in every lane.
    fn splat(value: f32) -> Self::Vector;
    /// A constant in every lane, for use in loops.
    #[inline(always)]
    fn constant(value: &'static f32) -> Self::Vector {
        Self::splat(*value)
    }
    /// `a + b`
    fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a − b`
    fn sub(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a · b`
    fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a / b`
    fn div(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a · b + c`, rounded once or twice.
    fn mul_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The smaller value; either where one is NaN.
    fn min(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The larger value; either where one is NaN.
    fn max(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The larger value; NaN where `x` is.
    fn max_or_nan(x: Self::Vector, bound: Self::Vector) -> Self::Vector;
    /// The smaller value; NaN where `x` is.
    fn min_or_nan(x: Self::Vector, bound: Self::Vector) -> Self::Vector;
    /// `2ⁿ`, n being the last bits of the value's representation as a signed number of at most 8 bits.
    fn power_of_two(bits: Self::Vector) -> Self::Vector;

    /// Reads consecutive vectors.
    ///
    /// # Safety
    /// `N` vectors must be readable.
    #[inline(always)]
    unsafe fn load_array<const N: usize>(from: *const f32) -> [Self::Vector; N] {
        let mut vectors = [Self::splat(0.0); N];
        for (index, vector) in vectors.iter_mut().enumerate() {
            // SAFETY: the caller vouches for the pointer.
            *vector = unsafe { Self::load(from.add(index * Self::LANES)) };
        }
        vectors
    }

    /// Writes consecutive vectors.
    ///
    /// # Safety
    /// `N` vectors must be writable.
    #[inline(always)]
    unsafe fn store_array<const N: usize>(to: *mut f32, vectors: [Self::Vector; N]) {
        for (index, vector) in vectors.into_iter().enumerate() {
            // SAFETY: the caller vouches for the pointer.
            unsafe { Self::store(to.add(index * Self::LANES), vector) };
        }
    }

    /// Reads the first `count` lanes and sets the others to zero.
    ///
    /// # Safety
    /// `count` values must be readable, at most [`Simd::LANES`].
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self::Vector {
        let mut lanes = [0.0; MOST_LANES];
        // SAFETY: the caller vouches for `count` values; a vector fits into `lanes`.
        unsafe {
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count);
            Self::load(lanes.as_ptr())
        }
    }

    /// Writes the first `count` lanes.
    ///
    /// # Safety
    /// `count` values must be writable, at most [`Simd::LANES`].
    #[inline(always)]
    unsafe fn store_first(to: *mut f32, vector: Self::Vector, count: usize) {
        let lanes = Self::to_lanes(vector);
        // SAFETY: the caller vouches for `count` values, which `lanes` has.
        unsafe { std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, count) };
    }

    /// The lanes, followed by zeros.
    #[inline(always)]
    fn to_lanes(vector: Self::Vector) -> [f32; MOST_LANES] {
        let mut lanes = [0.0; MOST_LANES];
        // SAFETY: a vector fits into `lanes`.
        unsafe { Self::store(lanes.as_mut_ptr(), vector) };
        lanes
    }
}

/// Values in the longest vector.
pub(super) const MOST_LANES: usize = 16;

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Kernel, Simd};

    // A generic cannot be given intrinsics, which have the vector's length in their names.
    macro_rules! x86_simd {
        ($set:ident, $vector:ident, $lanes:literal lanes, $rows:literal rows, $features:literal, $load:ident,
         $store:ident, $splat:ident, $add:ident, $sub:ident, $mul:ident, $div:ident, $mul_add:ident, $min:ident,
         $max:ident, $to_integer:ident, $to_float:ident, $splat_integer:ident, $add_integer:ident, $shift:ident) => {
            #[doc = concat!("Vectors of ", $lanes, " values.")]
            #[derive(Clone, Copy)]
            pub struct $set;

            // SAFETY, for all blocks: `Isa::run` is the only way in, with a set that the processor has; the callers of
            // `load` and `store` vouch for the pointers.
            impl Simd for $set {
                type Vector = $vector;
                const LANES: usize = $lanes;
                const ROWS: usize = $rows;

                #[inline(always)]
                fn run<K: Kernel>(kernel: K) {
                    #[target_feature(enable = $features)]
                    fn run_with_features<K: Kernel>(kernel: K) {
                        kernel.run::<$set>();
                    }
                    unsafe { run_with_features(kernel) }
                }
                #[inline(always)]
                unsafe fn load(from: *const f32) -> $vector {
                    unsafe { $load(from) }
                }
                #[inline(always)]
                unsafe fn store(to: *mut f32, vector: $vector) {
                    unsafe { $store(to, vector) }
                }
                #[inline(always)]
                fn splat(value: f32) -> $vector {
                    unsafe { $splat(value) }
                }
                #[inline(always)]
                fn add(a: $vector, b: $vector) -> $vector {
                    unsafe { $add(a, b) }
                }
                #[inline(always)]
                fn sub(a: $vector, b: $vector) -> $vector {
                    unsafe { $sub(a, b) }
                }
                #[inline(always)]
                fn mul(a: $vector, b: $vector) -> $vector {
                    unsafe { $mul(a, b) }
                }
                #[inline(always)]
                fn div(a: $vector, b: $vector) -> $vector {
                    unsafe { $div(a, b) }
                }
                #[inline(always)]
                fn mul_add(a: $vector, b: $vector, c: $vector) -> $vector {
                    unsafe { $mul_add(a, b, c) }
                }
                #[inline(always)]
                fn min(a: $vector, b: $vector) -> $vector {
                    unsafe { $min(a, b) }
                }
                #[inline(always)]
                fn max(a: $vector, b: $vector) -> $vector {
                    unsafe { $max(a, b) }
                }
                #[inline(always)]
                fn max_or_nan(x: $vector, bound: $vector) -> $vector {
                    // The instruction returns its second operand where either is NaN.
                    unsafe { $max(bound, x) }
                }
                #[inline(always)]
                fn min_or_nan(x: $vector, bound: $vector) -> $vector {
                    unsafe { $min(bound, x) }
                }
                #[inline(always)]
                fn power_of_two(bits: $vector) -> $vector {
                    unsafe { $to_float($shift::<23>($add_integer($to_integer(bits), $splat_integer(127)))) }
                }
            }
        };
    }

    x86_simd!(
        Avx512, __m512, 16 lanes, 12 rows, "avx512f,avx2,fma", _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps,
        _mm512_add_ps, _mm512_sub_ps, _mm512_mul_ps, _mm512_div_ps, _mm512_fmadd_ps, _mm512_min_ps, _mm512_max_ps,
        _mm512_castps_si512, _mm512_castsi512_ps, _mm512_set1_epi32, _mm512_add_epi32, _mm512_slli_epi32
    );
    x86_simd!(
        Avx2, __m256, 8 lanes, 6 rows, "avx2,fma", _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps,
        _mm256_add_ps, _mm256_sub_ps, _mm256_mul_ps, _mm256_div_ps, _mm256_fmadd_ps, _mm256_min_ps, _mm256_max_ps,
        _mm256_castps_si256, _mm256_castsi256_ps, _mm256_set1_epi32, _mm256_add_epi32, _mm256_slli_epi32
    );
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(super) use wasm::Simd128;

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm {
    use std::arch::wasm32::*;

    use super::{Kernel, Simd};

    /// Vectors of 4 values.
    #[derive(Clone, Copy)]
    pub struct Simd128;

    impl Simd for Simd128 {
        type Vector = v128;
        const LANES: usize = 4;
        // Engines on x86-64 have 15 registers to give away. 6 rows would fit and be 4 % faster with relaxed SIMD, but without it multiplication and
        // addition need one register more.
        const ROWS: usize = 5;

        #[inline(always)]
        fn run<K: Kernel>(kernel: K) {
            #[target_feature(enable = "relaxed-simd")]
            #[inline(never)]
            fn run_with_features<K: Kernel>(kernel: K) {
                kernel.run::<Simd128>();
            }
            run_with_features(kernel);
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> v128 {
            // SAFETY: the caller vouches for the pointer.
            unsafe { v128_load(from.cast()) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, vector: v128) {
            // SAFETY: the caller vouches for the pointer.
            unsafe { v128_store(to.cast(), vector) }
        }
        #[inline(always)]
        fn splat(value: f32) -> v128 {
            f32x4_splat(value)
        }
        #[inline(always)]
        fn constant(value: &'static f32) -> v128 {
            // Engines build an immediate vector in three instructions, at every use; this load is one. It must be volatile
            // for the compiler not to see through it.
            // SAFETY: a reference is readable.
            f32x4_splat(unsafe { std::ptr::from_ref(value).read_volatile() })
        }
        #[inline(always)]
        fn add(a: v128, b: v128) -> v128 {
            f32x4_add(a, b)
        }
        #[inline(always)]
        fn sub(a: v128, b: v128) -> v128 {
            f32x4_sub(a, b)
        }
        #[inline(always)]
        fn mul(a: v128, b: v128) -> v128 {
            f32x4_mul(a, b)
        }
        #[inline(always)]
        fn div(a: v128, b: v128) -> v128 {
            f32x4_div(a, b)
        }
        #[inline(always)]
        fn mul_add(a: v128, b: v128, c: v128) -> v128 {
            f32x4_relaxed_madd(a, b, c)
        }
        // One instruction each, where `f32x4_min` and `f32x4_max` are several. With relaxed SIMD the compiler makes the
        // relaxed ones of them, which may lose NaN.
        #[inline(always)]
        fn min(a: v128, b: v128) -> v128 {
            f32x4_pmin(a, b)
        }
        #[inline(always)]
        fn max(a: v128, b: v128) -> v128 {
            f32x4_pmax(a, b)
        }
        #[inline(always)]
        fn max_or_nan(x: v128, bound: v128) -> v128 {
            f32x4_max(x, bound)
        }
        #[inline(always)]
        fn min_or_nan(x: v128, bound: v128) -> v128 {
            f32x4_min(x, bound)
        }
        #[inline(always)]
        fn power_of_two(bits: v128) -> v128 {
            i32x4_shl(i32x4_add(bits, i32x4_splat(127)), 23)
        }
    }
}
