//! Low-res logits to the image's own size.

use super::geometry::Geometry;

/// Source positions and weight of one destination position.
struct Sample {
    below: usize,
    above: usize,
    fraction: f32,
}

/// Bilinear sampling along one axis, pixel centres aligned (`align_corners = false`).
fn samples(source: usize, destination: usize) -> Vec<Sample> {
    let scale = source as f32 / destination as f32;
    (0..destination)
        .map(|index| {
            let position = ((index as f32 + 0.5) * scale - 0.5).max(0.0);
            let below = (position as usize).min(source - 1);
            Sample { below, above: (below + 1).min(source - 1), fraction: position - below as f32 }
        })
        .collect()
}

/// Crops low-res logits to the image's part and enlarges them bilinearly to the image's size.
///
/// # Shapes
/// - `logits`: `low_res_size · low_res_size` values, row by row
/// - output: `height · width` values, row by row
pub fn upsample_logits(logits: &[f32], low_res_size: usize, geometry: &Geometry) -> Vec<f32> {
    assert_eq!(logits.len(), low_res_size * low_res_size, "low-res logits are square");
    let (width, height) = geometry.resized();
    let to_low_res = |side: usize| (side * low_res_size).div_ceil(geometry.input_size);
    let columns = samples(to_low_res(width), geometry.width);
    let rows = samples(to_low_res(height), geometry.height);

    let mut output = Vec::with_capacity(geometry.width * geometry.height);
    let mut row_logits = vec![0f32; low_res_size];
    for row in &rows {
        let below = &logits[row.below * low_res_size..][..low_res_size];
        let above = &logits[row.above * low_res_size..][..low_res_size];
        for ((value, below), above) in row_logits.iter_mut().zip(below).zip(above) {
            *value = below + (above - below) * row.fraction;
        }
        output.extend(columns.iter().map(|column| {
            let (below, above) = (row_logits[column.below], row_logits[column.above]);
            below + (above - below) * column.fraction
        }));
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enlarging_matches_torch() {
        // F.interpolate(tensor([[0., 4.], [8., 12.]]), size=(4, 4), mode="bilinear", align_corners=False)
        let geometry = Geometry { width: 4, height: 4, input_size: 2 };
        let expected = [0., 1., 3., 4., 2., 3., 5., 6., 6., 7., 9., 10., 8., 9., 11., 12.];
        assert_eq!(upsample_logits(&[0.0, 4.0, 8.0, 12.0], 2, &geometry), expected);
    }

    #[test]
    fn the_padding_takes_no_part() {
        let geometry = Geometry { width: 4, height: 2, input_size: 4 };
        let mut logits = vec![1.0; 16];
        logits[8..].fill(f32::NAN);
        assert_eq!(upsample_logits(&logits, 4, &geometry), [1.0; 8]);
    }
}
