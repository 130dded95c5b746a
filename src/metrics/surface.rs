//! Agreement of contours and surfaces.
//!
//! Source: Nikolov et al., *Deep learning to achieve clinically applicable segmentation of head and neck anatomy*, 2018, and its
//! `surface-distance` code, which the challenge uses: the surface lies on the corners of the pixels, and every corner's share of it
//! follows from which of the 4 (8) pixels around it are inside.

use super::distance::squared_distance_transform;

/// A binary mask, non-zero meaning inside.
#[derive(Debug, Clone, Copy)]
pub struct Mask<'a> {
    /// `shape[0] · shape[1] · shape[2]` values, the last axis fastest.
    pub values: &'a [u8],
    /// Depth, height, width.
    pub shape: [usize; 3],
}

impl<'a> Mask<'a> {
    /// An image's mask.
    pub fn image(values: &'a [u8], width: usize) -> Self {
        Self { values, shape: [1, values.len() / width.max(1), width] }
    }

    fn is_inside(&self, place: [usize; 3]) -> bool {
        let [_, height, width] = self.shape;
        self.values[(place[0] * height + place[1]) * width + place[2]] != 0
    }
}

/// Normalized surface Dice (NSD) as the challenge computes it: the share of both surfaces that lies within `tolerance` of the other one; 1
/// if both masks are empty, 0 if one is. An image is a volume of one slice, whose faces count as surface, so that values are far higher
/// than those of [`contour_nsd`].
///
/// # Panics
/// If the masks differ in shape.
pub fn nsd(a: Mask, b: Mask, spacing: [f64; 3], tolerance: f64) -> f64 {
    surface_dice(a, b, spacing, tolerance, &surface_areas(spacing))
}

/// The NSD of the contours of two images: no faces, only outlines.
///
/// # Panics
/// If the masks differ in shape or are volumes.
pub fn contour_nsd(a: Mask, b: Mask, spacing: [f64; 3], tolerance: f64) -> f64 {
    assert_eq!(a.shape[0], 1, "contours are those of images");
    surface_dice(a, b, spacing, tolerance, &contour_lengths(spacing))
}

/// `weights` has the surface's share at a corner by code: 16 for images, 256 for volumes.
fn surface_dice(a: Mask, b: Mask, spacing: [f64; 3], tolerance: f64, weights: &[f64]) -> f64 {
    assert_eq!(a.shape, b.shape, "masks of one image have one size");
    let is_flat = weights.len() == 16;
    let Some(region) = Region::around(&a, &b, is_flat) else { return 1.0 };
    let (a, b) = (Surface::of(&a, &region, weights), Surface::of(&b, &region, weights));
    let total = a.total() + b.total();
    let near = a.within(&b, spacing, tolerance) + b.within(&a, spacing, tolerance);
    if total > 0.0 { near / total } else { 1.0 }
}

/// The box around both masks.
struct Region {
    low: [usize; 3],
    /// Number of corners along each axis; 1 along the first for images.
    corners: [usize; 3],
    is_flat: bool,
}

impl Region {
    fn around(a: &Mask, b: &Mask, is_flat: bool) -> Option<Self> {
        let [_, height, width] = a.shape;
        let (mut low, mut high) = ([usize::MAX; 3], [0; 3]);
        for index in (0..a.values.len()).filter(|&index| a.values[index] != 0 || b.values[index] != 0) {
            let place = [index / (height * width), index / width % height, index % width];
            for axis in 0..3 {
                low[axis] = low[axis].min(place[axis]);
                high[axis] = high[axis].max(place[axis]);
            }
        }
        let corners = |axis: usize| if axis == 0 && is_flat { 1 } else { high[axis] - low[axis] + 2 };
        (low[0] != usize::MAX).then(|| Self { low, corners: std::array::from_fn(corners), is_flat })
    }

    /// Which of the pixels around a corner are inside, the first as the highest bit.
    fn code(&self, mask: &Mask, corner: [usize; 3]) -> usize {
        let depths = if self.is_flat { 1 } else { 2 };
        let mut code = 0;
        for (dz, dy, dx) in (0..depths).flat_map(|dz| (0..2).flat_map(move |dy| (0..2).map(move |dx| (dz, dy, dx)))) {
            // Corner c lies between the pixels c − 1 and c of the region.
            let step = [dz + 2 - depths, dy, dx];
            let inside = (0..3).all(|axis| {
                let place = self.low[axis] + corner[axis] + step[axis];
                place > self.low[axis] && place - 1 < mask.shape[axis]
            });
            let place = std::array::from_fn(|axis| (self.low[axis] + corner[axis] + step[axis]).saturating_sub(1));
            code = 2 * code + usize::from(inside && mask.is_inside(place));
        }
        code
    }
}

/// The corners that lie on a mask's surface.
struct Surface {
    shape: [usize; 3],
    is_border: Vec<bool>,
    weight: Vec<f64>,
}

impl Surface {
    fn of(mask: &Mask, region: &Region, weights: &[f64]) -> Self {
        let shape = region.corners;
        let codes: Vec<usize> = (0..shape.iter().product())
            .map(|index: usize| [index / (shape[1] * shape[2]), index / shape[2] % shape[1], index % shape[2]])
            .map(|corner| region.code(mask, corner))
            .collect();
        let is_border = codes.iter().map(|&code| code != 0 && code != weights.len() - 1).collect();
        Self { shape, is_border, weight: codes.iter().map(|&code| weights[code]).collect() }
    }

    fn total(&self) -> f64 {
        self.weight.iter().zip(&self.is_border).filter(|&(_, &border)| border).map(|(weight, _)| weight).sum()
    }

    /// How much of this surface is within the tolerance of the other one.
    fn within(&self, other: &Self, spacing: [f64; 3], tolerance: f64) -> f64 {
        let squared = squared_distance_transform(&other.is_border, other.shape, spacing);
        let near = |&index: &usize| self.is_border[index] && squared[index].sqrt() <= tolerance;
        (0..squared.len()).filter(near).map(|index| self.weight[index]).sum()
    }
}

/// The contour's length around a corner of an image, by code.
fn contour_lengths([_, vertical, horizontal]: [f64; 3]) -> Vec<f64> {
    let diagonal = 0.5 * vertical.hypot(horizontal);
    let d = diagonal;
    let half = [0.0, d, d, horizontal, d, vertical, 2.0 * d, d];
    (0..16).map(|code: usize| half[code.min(15 - code)]).collect()
}

/// The surface's area around a corner of a volume, by code: marching cubes.
fn surface_areas(spacing: [f64; 3]) -> Vec<f64> {
    let [z, y, x] = spacing;
    let area = |normal: &[u8; 3]| {
        let eighth = |value: u8| f64::from(value) / 8.0;
        let normal = [eighth(normal[0]) * y * x, eighth(normal[1]) * z * x, eighth(normal[2]) * z * y];
        normal.iter().map(|value| value * value).sum::<f64>().sqrt()
    };
    (0..256usize)
        .map(|code| TRIANGLES[usize::from(PATTERN_OF_CODE[code.min(255 - code)] - b'A')].iter().map(area).sum())
        .collect()
}

/// Which of [`TRIANGLES`] a code below 128 has; the inverse of a code has the same.
const PATTERN_OF_CODE: &[u8; 128] = b"ABBHBGFPBFGPHPPIBDFLFJMWFKNSOTXPBFDLFNKSFMJWOXTPHLLEOYULOUYL[OOH\
    BFFODJKTFMNXLWSPGJNYJCQJNQZNYJNGFMKUKQRKMVQMUMKFPWSLTJKDXMNFOFFB";

/// The patterns of surface triangles in a 2×2×2 neighbourhood: each triangle's normal, as long as its area, without signs and in eighths.
const TRIANGLES: [&[[u8; 3]]; 27] = [
    &[],
    &[[1, 1, 1]],
    &[[0, 0, 4], [0, 0, 4]],
    &[[0, 2, 2], [0, 2, 2]],
    &[[0, 4, 0], [0, 4, 0]],
    &[[1, 1, 1], [1, 1, 1]],
    &[[2, 0, 2], [2, 0, 2]],
    &[[2, 2, 0], [2, 2, 0]],
    &[[4, 0, 0], [4, 0, 0]],
    &[[0, 0, 4], [1, 1, 1], [2, 2, 2]],
    &[[0, 2, 2], [0, 2, 2], [1, 1, 1]],
    &[[0, 4, 0], [1, 1, 1], [2, 2, 2]],
    &[[1, 1, 1], [1, 1, 1], [1, 1, 1]],
    &[[1, 1, 1], [2, 0, 2], [2, 0, 2]],
    &[[1, 1, 1], [2, 2, 0], [2, 2, 0]],
    &[[1, 1, 1], [2, 2, 2], [4, 0, 0]],
    &[[0, 0, 4], [1, 1, 1], [1, 1, 1], [2, 2, 2]],
    &[[0, 2, 2], [0, 2, 2], [0, 2, 2], [0, 2, 2]],
    &[[0, 2, 2], [1, 1, 1], [2, 0, 2], [3, 3, 3]],
    &[[0, 2, 2], [1, 1, 1], [2, 2, 0], [3, 3, 3]],
    &[[0, 4, 0], [1, 1, 1], [1, 1, 1], [2, 2, 2]],
    &[[1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1]],
    &[[1, 1, 1], [1, 1, 1], [2, 2, 2], [2, 2, 2]],
    &[[1, 1, 1], [1, 1, 1], [2, 2, 2], [4, 0, 0]],
    &[[1, 1, 1], [2, 0, 2], [2, 2, 0], [3, 3, 3]],
    &[[2, 0, 2], [2, 0, 2], [2, 0, 2], [2, 0, 2]],
    &[[2, 2, 0], [2, 2, 0], [2, 2, 0], [2, 2, 0]],
];

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(shape: [usize; 3], inside: impl Fn(f64, f64, f64) -> bool) -> Vec<u8> {
        let place = |index: usize| [index / (shape[1] * shape[2]), index / shape[2] % shape[1], index % shape[2]];
        (0..shape.iter().product())
            .map(|index| place(index).map(|side| side as f64))
            .map(|[z, y, x]| u8::from(inside(z, y, x)))
            .collect()
    }

    #[track_caller]
    fn assert_nsd(a: &[u8], b: &[u8], shape: [usize; 3], spacing: [f64; 3], tolerance: f64, expected: f64) {
        let actual = nsd(Mask { values: a, shape }, Mask { values: b, shape }, spacing, tolerance);
        assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
    }

    #[track_caller]
    fn assert_contour_nsd(a: &[u8], b: &[u8], width: usize, spacing: [f64; 3], tolerance: f64, expected: f64) {
        let actual = contour_nsd(Mask::image(a, width), Mask::image(b, width), spacing, tolerance);
        assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
    }

    #[test]
    fn a_shifted_square_by_hand() {
        // Two 2×2 squares, one pixel apart along x. Each contour: 4 corners of √2/2 and 4 edge points of 1.
        let a = [1, 1, 0, 1, 1, 0];
        let b = [0, 1, 1, 0, 1, 1];
        assert_contour_nsd(&a, &b, 3, [1.0; 3], 1.0, 1.0);
        // At tolerance 0 only shared points count. Of the 9 points around each square, columns 1 and 2 of the top, and of the bottom edge are
        // shared (an edge point of one, a corner of the other), and in the middle row none: there each edge is within the other.
        let diagonal = 0.5 * 2f64.sqrt();
        let total = 2.0 * (4.0 + 4.0 * diagonal);
        let shared = 2.0 * (2.0 + 2.0 * diagonal);
        assert_contour_nsd(&a, &b, 3, [1.0; 3], 0.0, shared / total);
    }

    #[test]
    fn empty_masks_are_defined() {
        for shape in [[1, 2, 2], [2, 1, 2]] {
            assert_nsd(&[0; 4], &[0; 4], shape, [1.0; 3], 2.0, 1.0);
            assert_nsd(&[1; 4], &[0; 4], shape, [1.0; 3], 2.0, 0.0);
            assert_nsd(&[1; 4], &[1; 4], shape, [1.0; 3], 0.0, 1.0);
        }
        assert_contour_nsd(&[0; 4], &[0; 4], 2, [1.0; 3], 2.0, 1.0);
        assert_contour_nsd(&[1; 4], &[0; 4], 2, [1.0; 3], 2.0, 0.0);
    }

    // The values below are what `surface-distance` 0.1 gives for the same shapes.

    #[test]
    fn known_values_of_contours() {
        let shape = [1, 40, 50];
        let a = mask(shape, |_, y, x| (x - 20.0).powi(2) + (y - 18.0).powi(2) <= 100.0);
        let b = mask(shape, |_, y, x| (x - 23.0).powi(2) / 1.5 + (y - 19.0).powi(2) <= 120.0);
        assert_contour_nsd(&a, &b, 50, [1.0; 3], 1.0, 0.5456631535519203);
        assert_contour_nsd(&a, &b, 50, [1.0; 3], 2.0, 0.6503638886807557);
        assert_contour_nsd(&a, &b, 50, [1.0, 1.0, 2.0], 1.5, 0.5348578958182277);
        let shape = [1, 6, 6];
        let a = mask(shape, |_, y, x| (1.0..4.0).contains(&y) && (1.0..5.0).contains(&x));
        let b = mask(shape, |_, y, x| (2.0..5.0).contains(&y) && (2.0..6.0).contains(&x));
        assert_contour_nsd(&a, &b, 6, [1.0; 3], 1.0, 0.9448796976971143);
        assert_nsd(&a, &b, shape, [1.0; 3], 1.0, 0.9844654586436288);
    }

    #[test]
    fn known_values_of_surfaces() {
        let shape = [12, 20, 24];
        let a = mask(shape, |z, y, x| (x - 11.0).powi(2) + (y - 9.0).powi(2) + 4.0 * (z - 5.0).powi(2) <= 49.0);
        let b = mask(shape, |z, y, x| (x - 12.0).powi(2) + (y - 10.0).powi(2) * 1.5 + 5.0 * (z - 6.0).powi(2) <= 64.0);
        assert_nsd(&a, &b, shape, [1.0; 3], 1.0, 0.8536139113665908);
        assert_nsd(&a, &b, shape, [3.0, 0.8, 0.8], 2.0, 0.8880150850435835);
        assert_nsd(&a, &b, shape, [3.0, 0.8, 0.8], 0.8, 0.696641693925535);
    }

    #[test]
    fn known_values_of_noise_meet_every_code() {
        let count = 7 * 6 * 5u64;
        let a: Vec<u8> = (0..count).map(|index| ((index * 2_654_435_761) >> 16 & 1) as u8).collect();
        let b: Vec<u8> = (0..count).map(|index| ((index * 40_503 + 77) >> 7 & 1) as u8).collect();
        assert_nsd(&a, &b, [7, 6, 5], [1.0, 2.0, 3.0], 0.5, 0.9513830689255965);
        assert_nsd(&a, &b, [7, 6, 5], [1.0, 2.0, 3.0], 1.0, 0.9986474561800683);
    }
}
