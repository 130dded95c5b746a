//! A small computation with every kind of operation of the network, and what it must give: a device that computes otherwise is not to be trusted.

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor};

use super::{Activation, conv3x3, depthwise, layer_norm, linear, matmul};

/// Values of the answer between two that are compared.
pub const STEP: usize = 37;

/// Every [`STEP`]th value of the answer.
pub const ANSWER: [f32; 32] = [
    2.1942143,
    1.479675,
    -0.0040955395,
    0.088210106,
    -0.12767486,
    -0.03449227,
    1.6190542,
    -0.075551346,
    0.30481964,
    1.4355048,
    -0.16060732,
    2.6562374,
    -0.113228306,
    0.78960174,
    3.0905092,
    -0.018250346,
    -0.08800615,
    3.0475447,
    -0.014757976,
    -0.013593548,
    3.4043293,
    -0.055590488,
    -0.023787504,
    1.6312574,
    -0.012212193,
    -0.1322091,
    -0.12661995,
    -0.095472276,
    1.1296206,
    -0.04125536,
    0.83826846,
    1.3467681,
];

/// Depthwise and dense convolution, normalization, linear layers, attention of two heads.
///
/// # Shapes
/// - output: `[2, 36, 16]`
pub fn known_answer(device: &Device) -> Tensor<3> {
    const SIDE: usize = 12;
    const CHANNELS: usize = 16;
    const TOKENS: usize = SIDE * SIDE / 4;
    let wave = |count: usize, step: f64| (Tensor::<1, Int>::arange(0..count as i64, device).float() * step).sin();
    let x = wave(SIDE * SIDE * CHANNELS, 0.7).reshape([1, SIDE, SIDE, CHANNELS]);
    let kernel = wave(CHANNELS * 9, 0.3).reshape([CHANNELS, 1, 3, 3]);
    let x = depthwise(x, kernel, Some(wave(CHANNELS, 0.2)), 1, Activation::Gelu);
    let kernel = wave(2 * CHANNELS * CHANNELS * 9, 0.11).reshape([2 * CHANNELS, CHANNELS, 3, 3]);
    let x = conv3x3(x, kernel, None, 2, Activation::None);
    let x = layer_norm(x, wave(2 * CHANNELS, 0.1) + 1.0, wave(2 * CHANNELS, 0.2), 1e-6);
    let weight = wave(4 * CHANNELS * CHANNELS, 0.9).reshape([2 * CHANNELS, 2 * CHANNELS]);
    let x = linear(x, weight, Some(wave(2 * CHANNELS, 0.4)), Activation::Gelu);
    let heads = x.reshape([TOKENS, 2, CHANNELS]).swap_dims(0, 1);
    let attention = softmax(matmul(heads.clone(), heads.clone().swap_dims(1, 2)) * 0.1, 2);
    matmul(attention, heads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_known() {
        let values: Vec<f32> = known_answer(&Device::flex()).into_data().try_into_vec().unwrap();
        let answer: Vec<f32> = values.iter().copied().step_by(STEP).collect();
        let largest = answer.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        assert!(answer.iter().all(|value| value.abs() > 1e-3 * largest), "every value tells something: {answer:?}");
        for (value, expected) in answer.iter().zip(ANSWER) {
            assert!((value - expected).abs() <= 1e-5 * largest, "the answer is {answer:?}");
        }
        assert_eq!(answer.len(), ANSWER.len());
    }
}
