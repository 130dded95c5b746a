//! What follows a product or a convolution.

use super::gelu::{gelu_of, gelu_tanh_of};
use super::simd::Simd;

/// A function of each value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// The value itself.
    None,
    /// The exact GELU.
    Gelu,
    /// GELU by a hyperbolic tangent, within 5·10⁻⁴ of the exact one: EfficientViT-SAM's.
    GeluTanh,
    /// The value cut off at 0 and 6 (Howard et al., *MobileNets*, 2017).
    Relu6,
}

/// Applies a function to several vectors.
#[inline(always)]
pub(super) fn activated<S: Simd, const N: usize>(activation: Activation, mut x: [S::Vector; N]) -> [S::Vector; N] {
    match activation {
        Activation::None => x,
        Activation::Gelu => gelu_of::<S, N>(x),
        Activation::GeluTanh => gelu_tanh_of::<S, N>(x),
        Activation::Relu6 => {
            let (zero, six) = (S::constant(&0.0), S::constant(&6.0));
            for x in &mut x {
                // `max_or_nan` keeps NaN, so that a damaged input does not pass for a dark one.
                *x = S::min_or_nan(S::max_or_nan(*x, zero), six);
            }
            x
        }
    }
}
