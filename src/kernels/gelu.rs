//! GELU for the CPU, without branches so that the compiler makes SIMD of it.

use super::for_each_chunk;

/// Values per task: small enough for the nearest cache, large enough to be worth a task.
const CHUNK: usize = 16_384;

/// Applies GELU in place.
pub fn gelu(values: &mut [f32]) {
    for_each_chunk(values, CHUNK, gelu_chunk);
}

fn gelu_chunk(values: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { gelu_chunk_avx2(values) };
    }
    values.iter_mut().for_each(|x| *x = gelu_of(*x));
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn gelu_chunk_avx2(values: &mut [f32]) {
    values.iter_mut().for_each(|x| *x = gelu_of(*x));
}

/// `x Φ(x) = x erfc(−x / √2) / 2`, with erfc by Abramowitz and Stegun 7.1.26 (error at most 1.5·10⁻⁷).
#[inline(always)]
fn gelu_of(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let polynomial = ((((1.061_405_4 * t - 1.453_152) * t + 1.421_413_8) * t - 0.284_496_74) * t + 0.254_829_6) * t;
    let tail = polynomial * exp_of_negative(-z * z);
    let twice_phi = if x >= 0.0 { 2.0 - tail } else { tail };
    0.5 * x * twice_phi
}

/// `eˣ` for x ≤ 0, within 2·10⁻⁷ of it; 0 below −87.
#[inline(always)]
fn exp_of_negative(x: f32) -> f32 {
    // Adding and taking away 1.5 · 2²³ rounds to a whole number, also where there is no instruction for it.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let power = shifted - ROUND;
    // ln 2 in two parts, so that the remainder keeps its digits.
    let rest = x - power * 0.693_359_4 + power * 2.121_944_4e-4;
    let series = 1.0
        + rest
            * (1.0
                + rest
                    * (0.5
                        + rest
                            * (0.166_666_67 + rest * (0.041_666_67 + rest * (0.008_333_334 + rest * 0.001_388_889)))));
    // The last bits of `shifted` are the power as a whole number, which becomes the exponent.
    let scale = f32::from_bits(shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    series * scale
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};

    use super::*;
    use crate::kernels;

    #[test]
    fn gelu_is_exact_to_rounding() {
        let inputs: Vec<f32> = (-60_000..=60_000).map(|step| step as f32 * 2.5e-4).collect();
        let device = Device::flex();
        let input = Tensor::<1>::from_data(TensorData::new(inputs.clone(), [inputs.len()]), &device);
        let expected: Vec<f32> = burn::tensor::activation::gelu(input.clone()).into_data().try_into_vec().unwrap();
        let actual: Vec<f32> = kernels::gelu(input).into_data().try_into_vec().unwrap();
        for ((x, actual), expected) in inputs.iter().zip(&actual).zip(&expected) {
            assert!((actual - expected).abs() <= 3e-7 * x.abs().max(1.0), "gelu({x}) is {actual}, not {expected}");
        }
    }

    #[test]
    fn extremes_are_finite_and_views_are_not_written_through() {
        let mut values = [f32::MIN, -100.0, -0.0, 0.0, 100.0, f32::MAX];
        gelu(&mut values);
        for (actual, expected) in values.iter().zip([0.0, 0.0, 0.0, 0.0, 100.0, f32::MAX]) {
            assert!((actual - expected).abs() < 1e-30, "{actual} is not {expected}");
        }
        let mut values = [f32::NAN];
        gelu(&mut values);
        assert!(values[0].is_nan());

        let device = Device::flex();
        let whole = Tensor::<2>::from_data([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &device);
        let part = whole.clone().slice([0..2, 1..2]).transpose();
        let expected = burn::tensor::activation::gelu(part.clone()).into_data();
        kernels::gelu(part).into_data().assert_approx_eq::<f32>(&expected, burn::tensor::Tolerance::absolute(1e-6));
        whole.into_data().assert_eq(&[[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]].into(), true);
    }
}
