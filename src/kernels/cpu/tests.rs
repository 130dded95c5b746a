//! Every kernel against a plain f64 reference, at odd sizes, with every instruction set of the machine.

use super::conv3x3::pack_conv3x3_with;
use super::gelu::{exp_of_nonpositive, gelu_with};
use super::gemm::PackedMatrix;
use super::simd::{Isa, Kernel, Simd};
use super::*;

/// Uniform random numbers in ±1.
fn random(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn double(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

#[track_caller]
fn assert_close(actual: &[f32], expected: &[f64], what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let error: f64 = actual.iter().zip(expected).map(|(a, e)| (f64::from(*a) - e).powi(2)).sum();
    let norm: f64 = expected.iter().map(|value| value * value).sum();
    assert!(error.sqrt() <= 3e-6 * norm.sqrt().max(1e-3), "{what}: error {} of {}", error.sqrt(), norm.sqrt());
}

/// erf by a series of positive terms, or 1 where that is 1 to 10⁻¹⁵.
fn erf(x: f64) -> f64 {
    if x.abs() > 5.7 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
        if term.abs() < 1e-17 * sum.abs() {
            break;
        }
    }
    sum * (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI
}

fn reference_gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

fn reference_product(a: &[f64], b: &[f64], bias: &[f64]) -> Vec<f64> {
    let columns = bias.len();
    let depth = b.len() / columns;
    a.chunks(depth)
        .flat_map(|row| {
            (0..columns).map(move |column| {
                bias[column] + row.iter().enumerate().map(|(k, a)| a * b[k * columns + column]).sum::<f64>()
            })
        })
        .collect()
}

fn reference_norm(x: &[f64], weight: &[f64], bias: &[f64], epsilon: f64) -> Vec<f64> {
    let channels = weight.len();
    x.chunks(channels)
        .flat_map(|row| {
            let mean = row.iter().sum::<f64>() / channels as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / channels as f64;
            row.iter()
                .zip(weight)
                .zip(bias)
                .map(move |((x, weight), bias)| (x - mean) / (variance + epsilon).sqrt() * weight + bias)
        })
        .collect()
}

fn reference_activation(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::None => x,
        Activation::Gelu => reference_gelu(x),
        Activation::GeluTanh => {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
        Activation::Relu6 => x.clamp(0.0, 6.0),
    }
}

/// A convolution with a square kernel, the weight of (output channel, input channel, tap) being given by a function.
fn reference_conv(
    x: &[f64],
    [height, width, channels]: [usize; 3],
    [kernel, stride]: [usize; 2],
    bias: &[f64],
    weight: impl Fn(usize, usize, usize) -> f64,
) -> Vec<f64> {
    let mut output = Vec::new();
    for y in 0..height.div_ceil(stride) {
        for x_out in 0..width.div_ceil(stride) {
            for (out, bias) in bias.iter().enumerate() {
                let mut sum = *bias;
                for tap in 0..kernel * kernel {
                    let place = |output: usize, tap: usize| (output * stride + tap).wrapping_sub(kernel / 2);
                    let (row, column) = (place(y, tap / kernel), place(x_out, tap % kernel));
                    if row < height && column < width {
                        let pixel = &x[(row * width + column) * channels..][..channels];
                        sum += pixel.iter().enumerate().map(|(c, x)| x * weight(out, c, tap)).sum::<f64>();
                    }
                }
                output.push(sum);
            }
        }
    }
    output
}

fn reference_depthwise(x: &[f64], size: [usize; 3], stride: usize, weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let [height, width, channels] = size;
    let taps = weight.len() / channels;
    let kernel = taps.isqrt();
    let outputs = height.div_ceil(stride) * width.div_ceil(stride);
    let mut output = vec![0.0; outputs * channels];
    for channel in 0..channels {
        let plane: Vec<f64> = x.iter().skip(channel).step_by(channels).copied().collect();
        let weight = &weight[channel * taps..][..taps];
        let bias = &bias[channel..=channel];
        let convolved = reference_conv(&plane, [height, width, 1], [kernel, stride], bias, |_, _, tap| weight[tap]);
        convolved.iter().enumerate().for_each(|(pixel, value)| output[pixel * channels + channel] = *value);
    }
    output
}

fn packed(isa: Isa, matrix: &[f32], depth: usize, columns: usize) -> PackedMatrix {
    PackedMatrix::from_fn(isa, depth, columns, |row, column| matrix[row * columns + column])
}

#[test]
fn gelu_and_exp_are_exact_to_rounding() {
    struct Exp<'a>(&'a mut [f32]);
    impl Kernel for Exp<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            for x in self.0 {
                let [power] = exp_of_nonpositive::<S, 1>([S::splat(*x)]);
                *x = S::to_lanes(power)[0];
            }
        }
    }
    let inputs: Vec<f32> = (-60_000..=60_000).map(|step| step as f32 * 2.5e-4).collect();
    for isa in Isa::available() {
        let mut outputs = inputs.clone();
        gelu_with(isa, &mut outputs);
        for (&x, &actual) in inputs.iter().zip(&outputs) {
            let expected = reference_gelu(f64::from(x));
            let error = (f64::from(actual) - expected).abs();
            assert!(error <= 3e-7 * f64::from(x.abs().max(1.0)), "{isa:?}: gelu({x}) is {actual}, not {expected}");
        }
        let mut extremes = [f32::MIN, -100.0, -0.0, 0.0, 100.0, f32::MAX, f32::NAN];
        gelu_with(isa, &mut extremes);
        assert_eq!(extremes[..6], [0.0, 0.0, 0.0, 0.0, 100.0, f32::MAX], "{isa:?}");
        assert!(extremes[6].is_nan(), "{isa:?}");

        let mut powers: Vec<f32> = (0..=8600).map(|step| -step as f32 * 0.01).collect();
        let inputs = powers.clone();
        isa.run(Exp(&mut powers));
        for (x, power) in inputs.iter().zip(&powers) {
            let expected = f64::from(*x).exp();
            assert!((f64::from(*power) - expected).abs() <= 3e-7 * expected, "{isa:?}: exp({x}) is {power}");
        }
        let mut extremes = [f32::NEG_INFINITY, -1e30, f32::NAN];
        isa.run(Exp(&mut extremes));
        assert!(extremes[0] < 1e-37 && extremes[1] < 1e-37 && extremes[2].is_nan(), "{isa:?}: {extremes:?}");
    }
}

#[test]
fn gemm_of_any_size() {
    let sizes = [
        [1, 1, 1],
        [1, 5, 3],
        [9, 256, 70],
        [2, 3, 33],
        [13, 1, 8],
        [49, 32, 49],
        [50, 33, 31],
        [97, 160, 64],
        [7, 10, 1],
    ];
    for isa in Isa::available() {
        for [rows, depth, columns] in sizes {
            let (a_stride, c_stride) = (depth + 3, columns + 2);
            let a = random(1, rows * a_stride);
            let (b, bias) = (random(2, depth * columns), random(3, columns));
            let residual = random(4, rows * c_stride);
            let dense: Vec<f64> = a.chunks(a_stride).flat_map(|row| double(&row[..depth])).collect();
            let product = reference_product(&dense, &double(&b), &double(&bias));
            let matrix = packed(isa, &b, depth, columns).with_bias(&bias);
            for (kind, activation) in [
                (0, Activation::None),
                (0, Activation::Gelu),
                (1, Activation::None),
                (2, Activation::Gelu),
                (0, Activation::GeluTanh),
                (1, Activation::Relu6),
            ] {
                let mut c = residual.clone();
                let residual_of = match kind {
                    0 => Residual::None,
                    1 => Residual::Output,
                    _ => Residual::Matrix { values: &residual, stride: c_stride },
                };
                gemm(&a, a_stride, rows, &matrix, residual_of, activation, &mut c, c_stride);
                let mut expected = double(&residual);
                for (expected, product) in expected.chunks_mut(c_stride).zip(product.chunks(columns)) {
                    for (expected, product) in expected.iter_mut().zip(product) {
                        *expected = product + if kind == 0 { 0.0 } else { *expected };
                        *expected = reference_activation(activation, *expected);
                    }
                }
                assert_close(&c, &expected, &format!("{isa:?} {rows} {depth} {columns} {kind} {activation:?}"));
            }
        }
        let nothing = packed(isa, &[], 0, 3).with_bias(&[1.0, 2.0, 3.0]);
        let mut c = [0.0; 6];
        gemm(&[], 0, 2, &nothing, Residual::None, Activation::None, &mut c, 3);
        assert_eq!(c, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    }
}

#[test]
fn packing_a_matrix_or_its_transpose_is_the_same() {
    let matrix = random(1, 6);
    let transposed: Vec<f32> = (0..6).map(|index| matrix[index % 3 * 2 + index / 3]).collect();
    let (mut first, mut second) = ([0.0; 2], [0.0; 2]);
    let a = [0.5, -1.0, 2.0];
    gemm(&a, 3, 1, &PackedMatrix::new(&matrix, 3, 2), Residual::None, Activation::None, &mut first, 2);
    gemm(&a, 3, 1, &PackedMatrix::from_transposed(&transposed, 2, 3), Residual::None, Activation::None, &mut second, 2);
    assert_eq!(first, second);
}

#[test]
fn layer_norm_of_any_width() {
    for isa in Isa::available() {
        for (rows, channels) in [(1, 1), (3, 7), (70, 33), (2, 160), (1, 64)] {
            let x: Vec<f32> = random(1, rows * channels).iter().map(|x| x + 10.0).collect();
            let (weight, bias) = (random(2, channels), random(3, channels));
            let norm = LayerNorm::with_isa(isa, &weight, &bias, 1e-5);
            let mut output = vec![0.0; x.len()];
            norm.forward(&x, &mut output);
            let expected = reference_norm(&double(&x), &double(&weight), &double(&bias), 1e-5);
            assert_close(&output, &expected, &format!("{isa:?} {rows} {channels}"));
            let mut poisoned = x.clone();
            poisoned[0] = f32::NAN;
            norm.forward(&poisoned, &mut output);
            assert!(output[..channels].iter().all(|value| value.is_nan()), "{isa:?}");
        }
    }
}

const MAPS: [[usize; 2]; 8] = [[1, 1], [1, 2], [2, 1], [3, 5], [7, 4], [6, 6], [17, 9], [33, 21]];

#[test]
fn depthwise_of_any_size() {
    for isa in Isa::available() {
        for [height, width] in MAPS {
            for (channels, kernel, stride) in
                [(1, 3, 1), (5, 3, 2), (16, 3, 1), (16, 5, 2), (33, 5, 1), (40, 3, 2), (7, 5, 2)]
            {
                let x = random(1, height * width * channels);
                let (weight, bias) = (random(2, kernel * kernel * channels), random(3, channels));
                let conv = Depthwise::with_isa(isa, &weight, &bias, stride);
                let mut output = vec![f32::NAN; height.div_ceil(stride) * width.div_ceil(stride) * channels];
                conv.forward(&x, height, width, Activation::None, &mut output);
                let size = [height, width, channels];
                let expected = reference_depthwise(&double(&x), size, stride, &double(&weight), &double(&bias));
                assert_close(&output, &expected, &format!("{isa:?} {size:?} {stride}"));
            }
        }
    }
}

#[test]
fn mb_conv_of_any_size() {
    for isa in Isa::available() {
        // The widest maps are cut into parts and stripes.
        for [height, width] in MAPS.into_iter().chain([[40, 70]]) {
            for (channels_in, hidden, channels_out, kernel, stride, residual, activations) in [
                (3, 5, 3, 3, 1, true, [Activation::Gelu; 2]),
                (4, 9, 7, 3, 2, false, [Activation::Gelu, Activation::None]),
                (8, 1500, 8, 3, 1, true, [Activation::Gelu; 2]),
                (6, 1000, 4, 5, 2, false, [Activation::Relu6, Activation::None]),
                (2, 3, 4, 5, 1, false, [Activation::Relu6, Activation::None]),
                (5, 700, 5, 5, 1, true, [Activation::Relu6, Activation::None]),
                // As wide inside as outside: nothing is widened.
                (600, 600, 4, 3, 1, false, [Activation::Relu6, Activation::None]),
                (7, 7, 7, 5, 1, true, [Activation::Relu6, Activation::None]),
            ] {
                let x = random(1, height * width * channels_in);
                let (w1, b1) = (random(2, channels_in * hidden), random(3, hidden));
                let (w2, b2) = (random(4, kernel * kernel * hidden), random(5, hidden));
                let widens = channels_in != hidden;
                let (w3, b3) = (random(6, hidden * channels_out), random(7, channels_out));
                let block = MbConv {
                    conv1: widens.then(|| packed(isa, &w1, channels_in, hidden).with_bias(&b1)),
                    conv2: Depthwise::with_isa(isa, &w2, &b2, stride),
                    conv3: packed(isa, &w3, hidden, channels_out).with_bias(&b3),
                    activation: activations[0],
                    residual,
                    output_activation: activations[1],
                };
                let mut output = vec![f32::NAN; height.div_ceil(stride) * width.div_ceil(stride) * channels_out];
                block.forward(&x, height, width, &mut output);
                let activated = |values: Vec<f64>| -> Vec<f64> {
                    values.into_iter().map(|value| reference_activation(activations[0], value)).collect()
                };
                let map = match widens {
                    true => activated(reference_product(&double(&x), &double(&w1), &double(&b1))),
                    false => double(&x),
                };
                let map = reference_depthwise(&map, [height, width, hidden], stride, &double(&w2), &double(&b2));
                let mut map = reference_product(&activated(map), &double(&w3), &double(&b3));
                if residual {
                    map.iter_mut().zip(&x).for_each(|(map, x)| *map += f64::from(*x));
                }
                map.iter_mut().for_each(|value| *value = reference_activation(activations[1], *value));
                assert_close(&output, &map, &format!("{isa:?} {height} {width} {hidden} {stride}"));
            }
        }
    }
}

#[test]
fn window_attention_of_any_size() {
    for isa in Isa::available() {
        for [height, width] in MAPS {
            for (dim, heads, window) in [(1, 1, 1), (6, 2, 3), (64, 2, 7), (35, 5, 2)] {
                let tokens = window * window;
                let (x, norm_weight, norm_bias) = (random(1, height * width * dim), random(2, dim), random(3, dim));
                let (qkv, qkv_bias) = (random(4, 3 * dim * dim), random(5, 3 * dim));
                let (proj, proj_bias) = (random(6, dim * dim), random(7, dim));
                let biases = random(8, heads * tokens);
                let weights = WindowAttentionWeights {
                    dim,
                    heads,
                    window,
                    qkv: &qkv,
                    qkv_bias: &qkv_bias,
                    proj: &proj,
                    proj_bias: &proj_bias,
                    biases: &biases,
                };
                let norm = LayerNorm::with_isa(isa, &norm_weight, &norm_bias, 1e-5);
                let attention = WindowAttention::with_isa(isa, norm, weights);
                let mut output = x.clone();
                attention.forward(&mut output, height, width);

                let mut expected = double(&x);
                for top in (0..height).step_by(window) {
                    for left in (0..width).step_by(window) {
                        let place = |token: usize| {
                            let (y, x) = (top + token / window, left + token % window);
                            (y < height && x < width).then_some((y * width + x) * dim)
                        };
                        let gathered: Vec<f64> = (0..tokens)
                            .flat_map(|token| match place(token) {
                                Some(first) => double(&x[first..first + dim]),
                                None => vec![0.0; dim],
                            })
                            .collect();
                        let projected = reference_attention(&gathered, &norm_weight, &norm_bias, &weights);
                        for token in 0..tokens {
                            if let Some(first) = place(token) {
                                for channel in 0..dim {
                                    expected[first + channel] += projected[token * dim + channel];
                                }
                            }
                        }
                    }
                }
                assert_close(&output, &expected, &format!("{isa:?} {height} {width} {dim} {window}"));
            }
        }
    }
}

/// Attention of one window, `[tokens, dim]`, without the residual connection.
fn reference_attention(
    x: &[f64],
    norm_weight: &[f32],
    norm_bias: &[f32],
    weights: &WindowAttentionWeights<'_>,
) -> Vec<f64> {
    let &WindowAttentionWeights { dim, heads, window, qkv, qkv_bias, proj, proj_bias, biases } = weights;
    let (tokens, head_dim) = (window * window, dim / heads);
    let x = reference_norm(x, &double(norm_weight), &double(norm_bias), 1e-5);
    let qkv = reference_product(&x, &double(qkv), &double(qkv_bias));
    let part =
        |token: usize, head: usize, part: usize| &qkv[token * 3 * dim + (head * 3 + part) * head_dim..][..head_dim];
    let mut attended = vec![0.0; tokens * dim];
    for head in 0..heads {
        for from in 0..tokens {
            let scores: Vec<f64> = (0..tokens)
                .map(|to| {
                    let dot: f64 = part(from, head, 0).iter().zip(part(to, head, 1)).map(|(q, k)| q * k).sum();
                    let offset = (from / window).abs_diff(to / window) * window + (from % window).abs_diff(to % window);
                    (dot * (head_dim as f64).powf(-0.5) + f64::from(biases[head * tokens + offset])).exp()
                })
                .collect();
            let sum: f64 = scores.iter().sum();
            for (to, score) in scores.iter().enumerate() {
                for (channel, value) in part(to, head, 2).iter().enumerate() {
                    attended[from * dim + head * head_dim + channel] += score / sum * value;
                }
            }
        }
    }
    reference_product(&attended, &double(proj), &double(proj_bias))
}

#[test]
fn mlp_of_any_size() {
    for isa in Isa::available() {
        for ([height, width], dim, hidden) in [([1, 1], 1, 1), ([3, 5], 7, 19), ([5, 53], 40, 160), ([1, 100], 16, 64)]
        {
            let x = random(1, height * width * dim);
            let (norm_weight, norm_bias) = (random(2, dim), random(3, dim));
            let (w1, b1) = (random(4, dim * hidden), random(5, hidden));
            let (w2, b2) = (random(6, dim * hidden), random(7, dim));
            let mlp = Mlp {
                norm: LayerNorm::with_isa(isa, &norm_weight, &norm_bias, 1e-5),
                fc1: packed(isa, &w1, dim, hidden).with_bias(&b1),
                fc2: packed(isa, &w2, hidden, dim).with_bias(&b2),
            };
            let reference = |x: &[f64]| -> Vec<f64> {
                let normalized = reference_norm(x, &double(&norm_weight), &double(&norm_bias), 1e-5);
                let mut hidden = reference_product(&normalized, &double(&w1), &double(&b1));
                hidden.iter_mut().for_each(|value| *value = reference_gelu(*value));
                let output = reference_product(&hidden, &double(&w2), &double(&b2));
                output.iter().zip(x).map(|(output, x)| output + x).collect()
            };
            let mut output = x.clone();
            mlp.forward(&mut output);
            assert_close(&output, &reference(&double(&x)), &format!("{isa:?} {height} {width} {dim}"));

            let (weight, bias) = (random(8, 9 * dim), random(9, dim));
            let conv = Depthwise::with_isa(isa, &weight, &bias, 1);
            let size = [height, width, dim];
            mlp.forward_after(&conv, &x, height, width, &mut output);
            let convolved = reference_depthwise(&double(&x), size, 1, &double(&weight), &double(&bias));
            assert_close(&output, &reference(&convolved), &format!("{isa:?} {size:?} after a convolution"));
        }
    }
}

#[test]
fn neck_of_any_size() {
    for isa in Isa::available() {
        for [height, width] in MAPS {
            for (channels_in, channels) in [(1, 2), (5, 7), (12, 32)] {
                let x = random(1, height * width * channels_in);
                let (w1, w2) = (random(2, channels_in * channels), random(3, channels * channels * 9));
                let norms: [Vec<f32>; 4] = std::array::from_fn(|index| random(4 + index as u64, channels));
                let neck = Neck {
                    conv1: packed(isa, &w1, channels_in, channels),
                    norm1: LayerNorm::with_isa(isa, &norms[0], &norms[1], 1e-2),
                    conv2: pack_conv3x3_with(isa, &w2, channels, channels),
                    norm2: LayerNorm::with_isa(isa, &norms[2], &norms[3], 1e-2),
                };
                let mut padded = vec![f32::NAN; neck.padded_length(height, width)];
                let mut output = vec![f32::NAN; height * width * channels];
                neck.forward(&x, height, width, &mut padded, &mut output);
                let zeros = vec![0.0; channels];
                let map = reference_product(&double(&x), &double(&w1), &zeros);
                let map = reference_norm(&map, &double(&norms[0]), &double(&norms[1]), 1e-2);
                let size = [height, width, channels];
                let map = reference_conv(&map, size, [3, 1], &zeros, |out, channel, tap| {
                    f64::from(w2[(out * channels + channel) * 9 + tap])
                });
                let map = reference_norm(&map, &double(&norms[2]), &double(&norms[3]), 1e-2);
                assert_close(&output, &map, &format!("{isa:?} {size:?}"));
            }
        }
    }
}

#[test]
fn nan_stays() {
    let isa = Isa::best();
    let dim = 8;
    let mut x = random(1, 36 * dim);
    x[0] = f32::NAN;
    let square = |seed| packed(isa, &random(seed, dim * dim), dim, dim);
    let norm = LayerNorm::new(&random(2, dim), &random(3, dim), 1e-5);
    let conv = Depthwise::new(&random(4, 9 * dim), &random(5, dim), 1);
    let block = MbConv {
        conv1: Some(square(6)),
        conv2: conv,
        conv3: square(7),
        activation: Activation::Gelu,
        residual: true,
        output_activation: Activation::Gelu,
    };
    let mut output = vec![0.0; x.len()];
    block.forward(&x, 6, 6, &mut output);
    assert!(output[..2 * dim].iter().all(|value| value.is_nan()));
    let mlp = Mlp { norm: norm.clone(), fc1: square(8), fc2: square(9) };
    let mut output = x.clone();
    mlp.forward(&mut output);
    assert!(output[..dim].iter().all(|value| value.is_nan()));
    let attention = WindowAttention::new(
        norm,
        WindowAttentionWeights {
            dim,
            heads: 2,
            window: 3,
            qkv: &random(10, 3 * dim * dim),
            qkv_bias: &random(11, 3 * dim),
            proj: &random(12, dim * dim),
            proj_bias: &random(13, dim),
            biases: &random(14, 2 * 9),
        },
    );
    let mut output = x.clone();
    attention.forward(&mut output, 6, 6);
    assert!(output[..3 * dim].iter().all(|value| value.is_nan()));
}

#[test]
fn upsampling_is_bilinear_between_centres() {
    for [height, width] in MAPS {
        let channels = 5;
        let x = random(1, height * width * channels);
        let begin = random(2, 4 * x.len());
        let mut output = begin.clone();
        add_upsampled(&x, [height, width, channels], &mut output);
        let at = |y: f64, x_at: f64, channel: usize| {
            let (y, x_at) = (y.clamp(0.0, (height - 1) as f64), x_at.clamp(0.0, (width - 1) as f64));
            let value = |row: f64, column: f64| {
                let (row, column) = ((row as usize).min(height - 1), (column as usize).min(width - 1));
                f64::from(x[(row * width + column) * channels + channel])
            };
            let (top, left) = (y.floor(), x_at.floor());
            let (down, right) = (y - top, x_at - left);
            (value(top, left) * (1.0 - right) + value(top, left + 1.0) * right) * (1.0 - down)
                + (value(top + 1.0, left) * (1.0 - right) + value(top + 1.0, left + 1.0) * right) * down
        };
        let expected: Vec<f64> = (0..output.len())
            .map(|index| {
                let (pixel, channel) = (index / channels, index % channels);
                let (row, column) = (pixel / (2 * width), pixel % (2 * width));
                f64::from(begin[index]) + at((row as f64 - 0.5) / 2.0, (column as f64 - 0.5) / 2.0, channel)
            })
            .collect();
        assert_close(&output, &expected, &format!("{height} {width}"));
    }
}

#[test]
fn strided_conv3x3_of_any_size() {
    for isa in Isa::available() {
        for [height, width] in MAPS {
            for (channels_in, channels, stride) in [(3, 8, 2), (5, 7, 1), (12, 33, 2)] {
                let x = random(1, height * width * channels_in);
                let (weight, bias) = (random(2, channels * channels_in * 9), random(3, channels));
                let packed = pack_conv3x3_with(isa, &weight, channels, channels_in).with_bias(&bias);
                let size = [height, width, channels_in];
                let mut output = vec![f32::NAN; height.div_ceil(stride) * width.div_ceil(stride) * channels];
                conv3x3(&padded(&x, size), [height, width], &packed, stride, Activation::Relu6, &mut output);
                let mut expected =
                    reference_conv(&double(&x), size, [3, stride], &double(&bias), |out, channel, tap| {
                        f64::from(weight[(out * channels_in + channel) * 9 + tap])
                    });
                expected.iter_mut().for_each(|value| *value = reference_activation(Activation::Relu6, *value));
                assert_close(&output, &expected, &format!("{isa:?} {size:?} {channels} {stride}"));
            }
        }
    }
}
