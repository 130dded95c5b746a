use std::f32::consts::FRAC_1_SQRT_2;

use cubecl::prelude::*;

/// The exact GELU, within 1.5·10⁻⁷ relative to the input (cubecl's `erf`).
#[cube]
pub fn gelu(x: f32) -> f32 {
    0.5f32 * x * (1.0f32 + Erf::erf(x * FRAC_1_SQRT_2))
}
