//! What an embedding says of an image as a whole.

use burn::tensor::Tensor;

use crate::image::Geometry;

/// Mean and standard deviation of every channel of an embedding over the image, without the padding beside it.
///
/// # Shapes
/// - `embedding`: `[side, side, dim]`
/// - output: `[2 · dim]`, the means first
pub fn features(embedding: &[f32], side: usize, geometry: &Geometry) -> Vec<f32> {
    let dim = embedding.len() / (side * side);
    let [columns, rows] = covered(side, geometry);
    let mut sums = vec![0.0f64; 2 * dim];
    for row in embedding.chunks_exact(side * dim).take(rows) {
        for token in row.chunks_exact(dim).take(columns) {
            let (sum, squares) = sums.split_at_mut(dim);
            for ((sum, square), &value) in sum.iter_mut().zip(squares).zip(token) {
                *sum += f64::from(value);
                *square += f64::from(value) * f64::from(value);
            }
        }
    }
    let count = (rows * columns) as f64;
    let (means, squares) = sums.split_at(dim);
    let deviation = |(sum, square): (&f64, &f64)| (square / count - (sum / count).powi(2)).max(0.0).sqrt() as f32;
    means.iter().map(|sum| (sum / count) as f32).chain(means.iter().zip(squares).map(deviation)).collect()
}

/// The same of a tensor, on its device.
///
/// # Shapes
/// - `embedding`: `[1, side, side, dim]`
/// - output: `[2 · dim]`
pub fn features_of_tensor(embedding: Tensor<4>, geometry: &Geometry) -> Tensor<1> {
    let [_, side, _, dim] = embedding.dims();
    let [columns, rows] = covered(side, geometry);
    let tokens = embedding.slice([0..1, 0..rows, 0..columns, 0..dim]).reshape([rows * columns, dim]);
    let mean = tokens.clone().mean_dim(0);
    let deviation = (tokens - mean.clone()).square().mean_dim(0).sqrt();
    Tensor::cat(vec![mean, deviation], 1).reshape([2 * dim])
}

/// Columns and rows of an embedding that the image reaches into.
fn covered(side: usize, geometry: &Geometry) -> [usize; 2] {
    let (width, height) = geometry.resized();
    let patch = geometry.input_size.div_ceil(side);
    [width, height].map(|pixels| pixels.div_ceil(patch).clamp(1, side))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    #[test]
    fn the_padding_does_not_count() {
        let geometry = Geometry { width: 40, height: 20, input_size: 16 };
        // 4 × 4 tokens of 2 channels; the image covers the upper two rows.
        let embedding: Vec<f32> =
            (0..32).map(|at| if at < 16 { (at / 2 % 2 * 2) as f32 + (at % 2) as f32 } else { 99.0 }).collect();
        let found = features(&embedding, 4, &geometry);
        assert_eq!(found, [1.0, 2.0, 1.0, 1.0]);
        let tensor = Tensor::<4>::from_data(TensorData::new(embedding, [1, 4, 4, 2]), &Device::flex());
        let of_tensor: Vec<f32> = features_of_tensor(tensor, &geometry).into_data().try_into_vec().unwrap();
        assert_eq!(of_tensor, found);
    }
}
