//! Arithmetic on a few tokens.

use crate::kernels::cpu::{Activation, LayerNorm, PackedMatrix, Residual, gemm};

/// A token through linear layers with ReLU between them.
pub fn through(layers: &[PackedMatrix], mut token: Vec<f32>) -> Vec<f32> {
    for (index, layer) in layers.iter().enumerate() {
        token = apply(layer, &token);
        if index + 1 < layers.len() {
            relu(&mut token);
        }
    }
    token
}

pub fn apply(matrix: &PackedMatrix, x: &[f32]) -> Vec<f32> {
    let rows = x.len() / matrix.depth();
    let mut output = vec![0.0; rows * matrix.columns()];
    gemm(x, matrix.depth(), rows, matrix, Residual::None, Activation::None, &mut output, matrix.columns());
    output
}

pub fn relu(values: &mut [f32]) {
    values.iter_mut().for_each(|value| *value = value.max(0.0));
}

pub fn sum(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

pub fn add_into(output: &mut [f32], a: &[f32], b: &[f32]) {
    output.iter_mut().zip(a.iter().zip(b)).for_each(|(output, (a, b))| *output = a + b);
}

pub fn add_and_normalize(tokens: &mut [f32], addition: &[f32], norm: &LayerNorm) {
    add_scaled(tokens, addition, 1.0);
    norm.normalize_in_place(tokens);
}

pub fn add_scaled(output: &mut [f32], values: &[f32], factor: f32) {
    output.iter_mut().zip(values).for_each(|(output, value)| *output += value * factor);
}

/// Several sums at a time, so that the compiler makes vectors of them.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    const SUMS: usize = 8;
    let (a_blocks, a_rest) = a.as_chunks::<SUMS>();
    let (b_blocks, b_rest) = b.as_chunks::<SUMS>();
    let mut sums = [0.0; SUMS];
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..SUMS {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}
