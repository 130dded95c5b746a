use std::f32::consts::FRAC_1_SQRT_2;

use cubecl::prelude::*;

use crate::kernels::Activation;

/// What follows a product or a convolution; the GELU within 1.5·10⁻⁷ relative to the input (cubecl's `erf`).
#[cube]
pub fn activated(x: f32, #[comptime] activation: Activation) -> f32 {
    let mut result = x;
    if comptime!(activation == Activation::Gelu) {
        result = 0.5f32 * x * (1.0f32 + Erf::erf(x * FRAC_1_SQRT_2));
    }
    if comptime!(activation == Activation::GeluTanh) {
        result = 0.5f32 * x * (1.0f32 + Tanh::tanh(0.797_884_6f32 * (x + 0.044_715f32 * x * x * x)));
    }
    if comptime!(activation == Activation::Relu6) {
        result = clamp(x, 0.0f32, 6.0f32);
    }
    result
}
