//! GELU and the exponential function on vectors, without branches or tables.

use super::simd::{Isa, Kernel, Simd};
use super::threads::for_each_chunk;

/// Applies the exact GELU, `x Φ(x)`, in place, within 3·10⁻⁷ · max(|x|, 1) of it.
pub fn gelu(values: &mut [f32]) {
    gelu_with(Isa::best(), values);
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
        let mut vectors = self.0.chunks_exact_mut(S::LANES);
        for vector in &mut vectors {
            // SAFETY: the chunk is a vector long.
            unsafe { S::store(vector.as_mut_ptr(), gelu_of::<S>(S::load(vector.as_ptr()))) };
        }
        let rest = vectors.into_remainder();
        // SAFETY: the rest is shorter than a vector.
        unsafe {
            let vector = S::load_first(rest.as_ptr(), rest.len());
            S::store_first(rest.as_mut_ptr(), gelu_of::<S>(vector), rest.len());
        }
    }
}

/// `x Φ(x)`, with `Φ(x) − ½ ≈ x P(x²) / Q(x²)`: a minimax fit over |x| ≤ 5.3 (error 4·10⁻⁹ before rounding), beyond which
/// Φ is 0 or 1 to a float. One division and no exponential: half the operations of erfc by Abramowitz and Stegun 7.1.26.
#[inline(always)]
pub(super) fn gelu_of<S: Simd>(x: S::Vector) -> S::Vector {
    static NUMERATOR: [f32; 6] =
        [2.405_022_3e-8, 6.379_054e-6, 1.603_345_7e-4, 4.627_993_3e-3, 0.032_935_8, 0.398_942_26];
    static DENOMINATOR: [f32; 6] = [1.237_165_5e-6, 7.135_231e-5, 1.836_571_8e-3, 0.028_138_83, 0.249_224_02, 1.0];
    let square = S::min(S::mul(x, x), S::constant(&(5.3 * 5.3)));
    let numerator = polynomial::<S, 6>(square, &NUMERATOR);
    let denominator = polynomial::<S, 6>(square, &DENOMINATOR);
    let half = S::constant(&0.5);
    let offset = S::div(S::mul(x, numerator), denominator);
    // These may lose NaN, which the last multiplication brings back.
    let offset = S::max(S::min(offset, half), S::constant(&-0.5));
    S::mul(x, S::add(offset, half))
}

/// `eˣ` for x ≤ 0, within 2·10⁻⁷ of it; at least e⁻⁸⁷.
#[inline(always)]
pub(super) fn exp_of_nonpositive<S: Simd>(x: S::Vector) -> S::Vector {
    // Adding and taking away 1.5 · 2²³ rounds to a whole number, which the last bits of the sum then hold.
    const ROUND: f32 = 12_582_912.0;
    static SERIES: [f32; 7] = [0.001_388_889, 0.008_333_334, 0.041_666_67, 0.166_666_67, 0.5, 1.0, 1.0];
    let x = S::max_or_nan(x, S::constant(&-87.0));
    let shifted = S::mul_add(x, S::constant(&std::f32::consts::LOG2_E), S::constant(&ROUND));
    let power = S::sub(shifted, S::constant(&ROUND));
    // ln 2 in two parts, so that the remainder keeps its digits.
    let rest = S::mul_add(power, S::constant(&-0.693_359_4), x);
    let rest = S::mul_add(power, S::constant(&2.121_944_4e-4), rest);
    S::mul(polynomial::<S, 7>(rest, &SERIES), S::power_of_two(shifted))
}

/// A polynomial, its highest coefficient first.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(x: S::Vector, coefficients: &'static [f32; N]) -> S::Vector {
    let mut sum = S::constant(&coefficients[0]);
    for coefficient in &coefficients[1..] {
        sum = S::mul_add(sum, x, S::constant(coefficient));
    }
    sum
}
