//! Doubt along the outline and doubt elsewhere, which mean different things: where exactly an edge is, and whether a part belongs to the object at all.

use crate::metrics::squared_distance_transform;

/// Half the width of the band along the outline, as a share of the radius of a disc of the mask's area.
const BAND_OF_RADIUS: f64 = 0.1;
/// The least half width, in pixels of the network's input of 256.
const LEAST_BAND: f64 = 2.0;
/// What the input's longer side is.
const INPUT: f64 = 256.0;

/// The pixels near a mask's outline.
#[derive(Debug, Clone, PartialEq)]
pub struct OutlineBand {
    /// How far from the outline the band reaches to both sides, in pixels.
    pub reach: f64,
    /// Whether each pixel is within it.
    pub within: Vec<bool>,
}

/// A sum of values by where they are.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DoubtSplit {
    /// Within the band along the outline.
    pub boundary: f64,
    /// Elsewhere, inside or outside of the mask.
    pub scattered: f64,
}

impl OutlineBand {
    /// The band of a mask: pixels whose nearest pixel of the other side is at most `reach` away, which is a tenth of the radius of a disc of the mask's area, but at
    /// least 2 pixels of the network's input. Without an outline, as of an empty mask, no pixel is within it.
    ///
    /// # Shapes
    /// - `mask`: rows of `width` pixels, non-zero meaning inside
    pub fn new(mask: &[u8], width: usize) -> Self {
        let height = mask.len().checked_div(width).unwrap_or(0);
        let inside: Vec<bool> = mask.iter().map(|&value| value != 0).collect();
        let area = inside.iter().filter(|inside| **inside).count() as f64;
        let pixel = (width.max(height) as f64 / INPUT).max(1.0);
        let reach = (BAND_OF_RADIUS * (area / std::f64::consts::PI).sqrt()).max(LEAST_BAND * pixel);
        let shape = [1, height, width];
        let outside: Vec<bool> = inside.iter().map(|inside| !inside).collect();
        let [to_inside, to_outside] =
            [&inside, &outside].map(|marked| squared_distance_transform(marked, shape, [1.0; 3]));
        let distance = to_inside.into_iter().zip(to_outside).map(|(a, b)| a.max(b));
        Self { reach, within: distance.map(|squared| squared <= reach * reach).collect() }
    }

    /// Sums a value per pixel within the band and elsewhere.
    pub fn split(&self, values: impl Iterator<Item = f64>) -> DoubtSplit {
        let mut sums = DoubtSplit::default();
        for (value, &within) in values.zip(&self.within) {
            *(if within { &mut sums.boundary } else { &mut sums.scattered }) += value;
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_band_reaches_two_pixels_to_both_sides() {
        // Columns 10–19 of a strip are inside: the pixels 8–11 and 18–21 are at most 2 pixels from the other side.
        let mask: Vec<u8> = (0..3 * 40).map(|pixel| u8::from((10..20).contains(&(pixel % 40)))).collect();
        let band = OutlineBand::new(&mask, 40);
        assert_eq!(band.reach, 2.0);
        let columns: Vec<usize> = (0..40).filter(|&column| band.within[40 + column]).collect();
        assert_eq!(columns, [8, 9, 10, 11, 18, 19, 20, 21]);
        let split = band.split((0..120).map(|pixel| f64::from(u8::from(pixel % 40 == 9)) + 0.5));
        assert_eq!(split, DoubtSplit { boundary: 24.0 * 0.5 + 3.0, scattered: 96.0 * 0.5 });
    }

    #[test]
    fn the_band_grows_with_the_object_and_the_image() {
        // 100 · 100 pixels are a disc of radius 56.4.
        let mask: Vec<u8> = (0..200 * 200)
            .map(|pixel: usize| u8::from((50..150).contains(&(pixel % 200)) && (50..150).contains(&(pixel / 200))))
            .collect();
        assert!((OutlineBand::new(&mask, 200).reach - 5.642).abs() < 1e-3);
        assert_eq!(OutlineBand::new(&[0; 512], 512).reach, 4.0);
    }

    #[test]
    fn without_an_outline_all_doubt_is_scattered() {
        for mask in [vec![0; 12], vec![1; 12], vec![]] {
            let band = OutlineBand::new(&mask, 4);
            let split = band.split(mask.iter().map(|_| 0.25));
            assert_eq!(split, DoubtSplit { boundary: 0.0, scattered: mask.len() as f64 * 0.25 });
        }
    }
}
