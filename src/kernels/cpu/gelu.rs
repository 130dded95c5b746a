//! GELU and the exponential function on vectors, without branches or tables.

use super::simd::{Isa, Kernel, Simd};
use super::threads::for_each_chunk;

/// Applies the exact GELU, `x Φ(x)`, in place, within 3·10⁻⁷ · max(|x|, 1) of it.
pub fn gelu(values: &mut [f32]) {
    gelu_with(Isa::best(), values);
}

/// As [`gelu`], on this thread.
pub(super) fn gelu_on_this_thread(values: &mut [f32]) {
    Isa::best().run(Gelu(values));
}

pub(super) fn gelu_with(isa: Isa, values: &mut [f32]) {
    // Small enough for the nearest cache, large enough to be worth a task.
    const CHUNK: usize = 4096;
    for_each_chunk(values, CHUNK, |_, chunk| isa.run(Gelu(chunk)));
}

struct Gelu<'a>(&'a mut [f32]);

impl Kernel for Gelu<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        const VECTORS: usize = 4;
        let mut blocks = self.0.chunks_exact_mut(VECTORS * S::LANES);
        for block in &mut blocks {
            let block = block.as_mut_ptr();
            // SAFETY: the block is that many vectors long.
            unsafe {
                S::store_array(block, gelu_of::<S, VECTORS>(S::load_array(block)));
            }
        }
        for rest in blocks.into_remainder().chunks_mut(S::LANES) {
            // SAFETY: the rest is a vector long or shorter.
            unsafe {
                let [y] = gelu_of::<S, 1>([S::load_first(rest.as_ptr(), rest.len())]);
                S::store_first(rest.as_mut_ptr(), y, rest.len());
            }
        }
    }
}

/// `x Φ(x)` of several vectors.
#[inline(always)]
pub(super) fn gelu_of<S: Simd, const N: usize>(x: [S::Vector; N]) -> [S::Vector; N] {
    let mut result = gaussian_cdf::<S, N>(x);
    for (result, x) in result.iter_mut().zip(x) {
        *result = S::mul(x, *result);
    }
    result
}

/// `½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))` of several vectors, as `x / (1 + e⁻²ᶻ)` with an exponent that is not positive.
#[inline(always)]
pub(super) fn gelu_tanh_of<S: Simd, const N: usize>(x: [S::Vector; N]) -> [S::Vector; N] {
    static CUBIC: f32 = 0.044_715;
    static SCALE: f32 = 2.0 * 0.797_884_6;
    let (zero, one) = (S::constant(&0.0), S::constant(&1.0));
    let mut exponents = x;
    for exponent in &mut exponents {
        let cubic = S::mul(S::mul(*exponent, *exponent), S::constant(&CUBIC));
        let twice = S::mul(S::mul_add(cubic, *exponent, *exponent), S::constant(&SCALE));
        *exponent = S::min(twice, S::sub(zero, twice));
    }
    let shares = exp_of_nonpositive::<S, N>(exponents);
    let mut result = x;
    for index in 0..N {
        let (above, below) = (S::max_or_nan(x[index], zero), S::min_or_nan(x[index], zero));
        result[index] = S::div(S::mul_add(below, shares[index], above), S::add(one, shares[index]));
    }
    result
}

/// `Φ(x)` of several vectors, with `Φ(x) − ½ ≈ x P(x²) / Q(x²)`: a minimax fit over |x| ≤ 5.3 (error 4·10⁻⁹ before
/// rounding), beyond which Φ is 0 or 1 to a float. One division and no exponential: half the operations of erfc by
/// Abramowitz and Stegun 7.1.26. May lose NaN.
#[inline(always)]
pub(super) fn gaussian_cdf<S: Simd, const N: usize>(x: [S::Vector; N]) -> [S::Vector; N] {
    static NUMERATOR: [f32; 6] =
        [2.405_022_3e-8, 6.379_054e-6, 1.603_345_7e-4, 4.627_993_3e-3, 0.032_935_8, 0.398_942_26];
    static DENOMINATOR: [f32; 6] = [1.237_165_5e-6, 7.135_231e-5, 1.836_571_8e-3, 0.028_138_83, 0.249_224_02, 1.0];
    let limit = S::constant(&(5.3 * 5.3));
    // Loops, for closures over arrays are not always compiled into their caller and so lose its instruction set.
    let mut square = x;
    for square in &mut square {
        *square = S::min(S::mul(*square, *square), limit);
    }
    let numerator = polynomial::<S, N, 6>(square, &NUMERATOR);
    let denominator = polynomial::<S, N, 6>(square, &DENOMINATOR);
    let (half, minus_half) = (S::constant(&0.5), S::constant(&-0.5));
    let mut result = x;
    for index in 0..N {
        let offset = S::div(S::mul(x[index], numerator[index]), denominator[index]);
        result[index] = S::add(S::max(S::min(offset, half), minus_half), half);
    }
    result
}

/// `eˣ` of several vectors for x ≤ 0, within 2·10⁻⁷ of it; at least e⁻⁸⁷.
#[inline(always)]
pub(super) fn exp_of_nonpositive<S: Simd, const N: usize>(x: [S::Vector; N]) -> [S::Vector; N] {
    // Adding and taking away 1.5 · 2²³ rounds to a whole number, which the last bits of the sum then hold.
    const ROUND: f32 = 12_582_912.0;
    static SERIES: [f32; 7] = [0.001_388_889, 0.008_333_334, 0.041_666_67, 0.166_666_67, 0.5, 1.0, 1.0];
    let (least, log2_e, round) = (S::constant(&-87.0), S::constant(&std::f32::consts::LOG2_E), S::constant(&ROUND));
    // ln 2 in two parts, so that the remainder keeps its digits.
    let (high, low) = (S::constant(&-0.693_359_4), S::constant(&2.121_944_4e-4));
    let (mut shifted, mut rest) = (x, x);
    for index in 0..N {
        let x = S::max_or_nan(x[index], least);
        shifted[index] = S::mul_add(x, log2_e, round);
        let power = S::sub(shifted[index], round);
        rest[index] = S::mul_add(power, low, S::mul_add(power, high, x));
    }
    let mut result = polynomial::<S, N, 7>(rest, &SERIES);
    for (result, shifted) in result.iter_mut().zip(shifted) {
        *result = S::mul(*result, S::power_of_two(shifted));
    }
    result
}

/// A polynomial of several vectors, its highest coefficient first. Together they read each coefficient once.
#[inline(always)]
fn polynomial<S: Simd, const N: usize, const TERMS: usize>(
    x: [S::Vector; N],
    coefficients: &'static [f32; TERMS],
) -> [S::Vector; N] {
    let mut sums = [S::constant(&coefficients[0]); N];
    for coefficient in &coefficients[1..] {
        let coefficient = S::constant(coefficient);
        for (sum, x) in sums.iter_mut().zip(x) {
            *sum = S::mul_add(*sum, x, coefficient);
        }
    }
    sums
}
