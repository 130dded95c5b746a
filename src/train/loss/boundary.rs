//! Optional loss of the distance to the target's edge.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

use crate::metrics::squared_distance_transform;

/// Signed distance of every pixel to the mask's edge, in pixels: positive outside, negative inside; 0 everywhere if the mask is empty or
/// full, which has no edge.
///
/// # Shapes
/// - `mask`: rows of `width` pixels, non-zero meaning inside
pub fn signed_distance(mask: &[u8], width: usize) -> Vec<f32> {
    let shape = [1, mask.len() / width.max(1), width];
    let inside: Vec<bool> = mask.iter().map(|&value| value != 0).collect();
    let outside: Vec<bool> = inside.iter().map(|inside| !inside).collect();
    let to_inside = squared_distance_transform(&inside, shape, [1.0; 3]);
    let to_outside = squared_distance_transform(&outside, shape, [1.0; 3]);
    let signed = |(to_inside, to_outside): (f64, f64)| match to_inside.is_finite() && to_outside.is_finite() {
        // Half a pixel lies between a pixel's centre and its edge.
        true if to_inside > 0.0 => (to_inside.sqrt() - 0.5) as f32,
        true => (0.5 - to_outside.sqrt()) as f32,
        false => 0.0,
    };
    to_inside.into_iter().zip(to_outside).map(signed).collect()
}

/// Boundary loss: mean of `σ(logits) · φ`, with φ the target's signed distance divided by the width.
///
/// Source: Kervadec et al., *Boundary loss for highly unbalanced segmentation*, 2019. Not part of U-MedSAM; it can be negative.
///
/// # Shapes
/// - `logits`, `distance`: `[batch, height, width]`, distances from [`signed_distance`]
/// - output: `[1]`
pub fn boundary(logits: Tensor<3>, distance: Tensor<3>) -> Tensor<1> {
    let [_, _, width] = logits.dims();
    (sigmoid(logits) * distance).mean() / width as f64
}

#[cfg(test)]
mod tests {
    use super::super::check::{example, gradient, tensor, value};
    use super::*;

    #[test]
    fn values_by_hand() {
        assert_eq!(signed_distance(&[0, 0, 1, 1, 1], 5), [1.5, 0.5, -0.5, -1.5, -2.5]);
        assert_eq!(signed_distance(&[0; 4], 2), [0.0; 4]);
        assert_eq!(signed_distance(&[1; 4], 2), [0.0; 4]);
        let distance = tensor(&[1.5, 0.5, -0.5, -1.5], [1, 1, 4]);
        let right = value(boundary(tensor(&[-50.0, -50.0, 50.0, 50.0], [1, 1, 4]), distance.clone()));
        assert!((right - -2.0 / 16.0).abs() < 1e-6);
        assert!(value(boundary(tensor(&[50.0, -50.0, 50.0, 50.0], [1, 1, 4]), distance)) > right);
    }

    #[test]
    fn gradients_match_finite_differences() {
        let (logits, target, shape) = example();
        let mask: Vec<u8> = target.iter().map(|&value| value as u8).collect();
        let distance: Vec<f32> = mask.chunks(6).flat_map(|mask| signed_distance(mask, 3)).collect();
        gradient(&logits, shape, |x| {
            let distance = Tensor::from_data(burn::tensor::TensorData::new(distance.clone(), shape), &x.device());
            boundary(x, distance) * 10.0
        });
    }
}
