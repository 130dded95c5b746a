//! Maps between the strides of a pyramid.

use super::simd::{Isa, Kernel, Simd};
use super::threads::{for_each_chunk, with_scratch};

/// Doubles a map's height and width, bilinear between pixels' centres (`align_corners = false`), and adds it to another, on all threads.
///
/// # Shapes
/// - `x`: `[height, width, channels]`, `output`: `[2 · height, 2 · width, channels]`
pub fn add_upsampled(x: &[f32], [height, width, channels]: [usize; 3], output: &mut [f32]) {
    assert_eq!(x.len(), height * width * channels, "a map of {height} by {width}");
    assert_eq!(output.len(), 4 * x.len(), "an output of twice the size");
    let isa = Isa::best();
    let row = width * channels;
    for_each_chunk(output, 2 * row, |y, output| {
        let [near, far] = neighbours(y, height).map(|y| &x[y * row..][..row]);
        with_scratch(row, |blended| isa.run(AddRow { near, far, blended, channels, output }));
    });
}

/// The nearer and the farther of the two places that a place of twice the length lies between: three quarters and one.
fn neighbours(index: usize, length: usize) -> [usize; 2] {
    let near = index / 2;
    [near, if index.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(length - 1) }]
}

struct AddRow<'a> {
    near: &'a [f32],
    far: &'a [f32],
    /// `[width, channels]`, scratch.
    blended: &'a mut [f32],
    channels: usize,
    /// `[2 · width, channels]`
    output: &'a mut [f32],
}

impl Kernel for AddRow<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { near, far, blended, channels, output } = self;
        for ((blended, near), far) in blended.iter_mut().zip(near).zip(far) {
            *blended = 0.75 * near + 0.25 * far;
        }
        let width = blended.len() / channels;
        for (x, output) in output.chunks_exact_mut(channels).enumerate() {
            let [near, far] = neighbours(x, width).map(|x| &blended[x * channels..][..channels]);
            for ((output, near), far) in output.iter_mut().zip(near).zip(far) {
                *output += 0.75 * near + 0.25 * far;
            }
        }
    }
}

/// A map with a border of zeros, a pixel wide.
///
/// # Shapes
/// - `x`: `[height, width, channels]`, output: `[height + 2, width + 2, channels]`
pub fn padded(x: &[f32], [height, width, channels]: [usize; 3]) -> Vec<f32> {
    let row = width * channels;
    let mut padded = vec![0.0; (height + 2) * (width + 2) * channels];
    for (padded, x) in padded.chunks_exact_mut(row + 2 * channels).skip(1).zip(x.chunks_exact(row)) {
        padded[channels..channels + row].copy_from_slice(x);
    }
    padded
}
