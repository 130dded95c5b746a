//! Intensities of any type to 8 bits.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::alpha::{Sample, flattened};
use crate::{Error, Image8, ImageView, Pixels, Result};

/// How intensities become 0–255. Values outside the range are clipped; NaN becomes the lower end.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Window {
    /// 8-bit images as they are; other types by [`Window::PERCENTILES`], without padding: one value, the lowest, that more than 0.5 % of the values have and that lies
    /// further below the others' 0.5th percentile than 15 % of their 0.5–99.5 range, such as the −2000 around a CT's round field of view. Up to
    /// three such values are left out; they become the lower end.
    #[default]
    Auto,
    /// The range `center ± width / 2`, as in DICOM's window centre and width. The challenge uses centre/width 40/400 for
    /// abdominal CT, −600/1500 for chest CT, 40/80 for brain CT.
    Level {
        /// Middle of the range, in the image's units.
        center: f64,
        /// Length of the range, in the image's units; positive.
        width: f64,
    },
    /// The range between two percentiles of the finite non-zero values.
    Percentiles {
        /// Lower percentile, 0–100.
        low: f64,
        /// Upper percentile, 0–100, above the lower.
        high: f64,
    },
    /// The range from the smallest to the largest finite value.
    MinMax,
}

impl Window {
    /// The challenge's range for MR and other modalities: percentiles 0.5–99.5 of the non-zero values.
    pub const PERCENTILES: Self = Self::Percentiles { low: 0.5, high: 99.5 };

    fn check(&self) -> Result<()> {
        match *self {
            Self::Level { center, width } if !center.is_finite() || !width.is_finite() || width <= 0.0 => Err(
                Error::InvalidWindow(format!("center {center}, width {width}; both must be finite, width positive")),
            ),
            Self::Percentiles { low, high } if !(0.0 <= low && low < high && high <= 100.0) => {
                Err(Error::InvalidWindow(format!("percentiles {low} and {high}; use 0 ≤ low < high ≤ 100")))
            }
            _ => Ok(()),
        }
    }

    /// Converts an image to 8 bits, grey or RGB.
    ///
    /// # Errors
    /// [`Error::InvalidWindow`] for a range that is none, [`Error::InvalidImage`] for an image without a finite value.
    pub fn apply(&self, image: &ImageView) -> Result<Image8> {
        self.check()?;
        let channels = image.channels();
        let mut data: Vec<u8> = match (image.pixels(), self) {
            (Pixels::U8(values), Self::Auto) => flattened(values, channels).into_owned(),
            (Pixels::U8(values), _) => self.scale(&flattened(values, channels))?,
            (Pixels::I8(values), _) => self.scale(&flattened(values, channels))?,
            (Pixels::U16(values), _) => self.scale(&flattened(values, channels))?,
            (Pixels::I16(values), _) => self.scale(&flattened(values, channels))?,
            (Pixels::U32(values), _) => self.scale(&flattened(values, channels))?,
            (Pixels::I32(values), _) => self.scale(&flattened(values, channels))?,
            (Pixels::F32(values), _) => self.scale(&flattened(values, channels))?,
            (Pixels::F64(values), _) => self.scale(&flattened(values, channels))?,
        };
        if image.is_inverted() {
            data.iter_mut().for_each(|value| *value = u8::MAX - *value);
        }
        let channels = if channels < 3 { 1 } else { 3 };
        Ok(Image8 { width: image.width(), height: image.height(), channels, data })
    }

    fn scale<T: Sample>(&self, values: &[T]) -> Result<Vec<u8>> {
        let range = match *self {
            Self::Level { center, width } => Some((center - width / 2.0, center + width / 2.0)),
            Self::MinMax => finite_range(values),
            Self::Auto => range_without_padding(values),
            Self::Percentiles { low, high } => percentile_range(values, low, high),
        };
        let Some((low, high)) = range else {
            return Err(Error::InvalidImage("no pixel is a finite number".into()));
        };
        // Relative to the values, however small: diffusion maps are of 1e-9 m²/s.
        let span = if high > low { high - low } else { 1.0 };
        let to_byte = |&value: &T| {
            let value: f64 = value.into();
            // A float-to-integer cast truncates and saturates, and takes NaN to 0.
            ((value.clamp(low, high) - low) / span * 255.0) as u8
        };
        Ok(values.iter().map(to_byte).collect())
    }
}

fn finite_range<T: Sample>(values: &[T]) -> Option<(f64, f64)> {
    let mut range: Option<(f64, f64)> = None;
    for &value in values {
        let value: f64 = value.into();
        if value.is_finite() {
            let (low, high) = range.unwrap_or((value, value));
            range = Some((low.min(value), high.max(value)));
        }
    }
    range
}

/// Percentiles of the finite non-zero values, interpolated linearly as NumPy does; the range of all finite values where every
/// one is zero.
fn percentile_range<T: Sample>(values: &[T], low: f64, high: f64) -> Option<(f64, f64)> {
    match non_zero(values) {
        mut finite if !finite.is_empty() => Some((percentile(&mut finite, low), percentile(&mut finite, high))),
        _ => finite_range(values),
    }
}

fn non_zero<T: Sample>(values: &[T]) -> Vec<T> {
    let is_it = |value: &T| Into::<f64>::into(*value).is_finite() && Into::<f64>::into(*value) != 0.0;
    values.iter().copied().filter(is_it).collect()
}

/// In the order of finite values.
fn order<T: Sample>(a: &T, b: &T) -> Ordering {
    a.partial_cmp(b).unwrap_or(Ordering::Equal)
}

fn percentile<T: Sample>(values: &mut [T], percent: f64) -> f64 {
    let position = percent / 100.0 * (values.len() - 1) as f64;
    let index = position.floor() as usize;
    let (_, &mut below, above) = values.select_nth_unstable_by(index, order);
    let next = above.iter().copied().min_by(order).unwrap_or(below);
    let (below, next): (f64, f64) = (below.into(), next.into());
    below + (next - below) * position.fract()
}

/// Values that are left out at most.
const PADDINGS: usize = 3;
/// The share of the values that a padding has at least: less would not move the percentile.
const PADDING_SHARE: f64 = 0.005;
/// How far below the others a padding lies at least, as a share of their range.
const PADDING_GAP: f64 = 0.15;

/// The range of [`Window::PERCENTILES`] without padding.
fn range_without_padding<T: Sample>(values: &[T]) -> Option<(f64, f64)> {
    let mut kept = non_zero(values);
    for _ in 0..PADDINGS {
        let Some(lowest) = kept.iter().copied().min_by(order) else { break };
        let mut others: Vec<T> = kept.iter().copied().filter(|value| *value != lowest).collect();
        let count = kept.len() - others.len();
        if others.is_empty() || count as f64 <= PADDING_SHARE * values.len() as f64 {
            break;
        }
        let (low, high) = (percentile(&mut others, 0.5), percentile(&mut others, 99.5));
        if low - Into::<f64>::into(lowest) <= PADDING_GAP * (high - low) {
            break;
        }
        kept = others;
    }
    match kept.is_empty() {
        true => finite_range(values),
        false => Some((percentile(&mut kept, 0.5), percentile(&mut kept, 99.5))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(values: &[f32], window: Window) -> Result<Vec<u8>> {
        let view = ImageView::new(Pixels::F32(values), values.len(), 1, 1)?;
        window.apply(&view).map(|image| image.data)
    }

    #[test]
    fn level_clips_and_truncates() {
        let window = Window::Level { center: 40.0, width: 400.0 };
        let bytes = grey(&[-1000.0, -160.0, 40.0, 240.0, 3000.0], window).unwrap();
        assert_eq!(bytes, [0, 0, 127, 255, 255]);
    }

    #[test]
    fn min_max_spans_the_range() {
        assert_eq!(grey(&[-2.0, 0.0, 2.0], Window::MinMax).unwrap(), [0, 127, 255]);
    }

    #[test]
    fn percentiles_match_numpy_on_non_zero_values() {
        // numpy.percentile([1..=9], [25, 75]) is (3, 7); zeros are left out.
        let values: Vec<f32> = (0..=9).rev().map(|value| value as f32).collect();
        assert_eq!(percentile_range(&values, 25.0, 75.0), Some((3.0, 7.0)));
        assert_eq!(percentile_range(&values, 10.0, 99.5), Some((1.8, 8.96)));
    }

    #[test]
    fn non_finite_pixels_have_defined_values() {
        let values = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY, 1.0, 3.0];
        assert_eq!(grey(&values, Window::MinMax).unwrap(), [0, 0, 255, 0, 255]);
        assert!(matches!(grey(&[f32::NAN, f32::INFINITY], Window::Auto), Err(Error::InvalidImage(_))));
    }

    #[test]
    fn constant_images_do_not_divide_by_zero() {
        assert_eq!(grey(&[7.0; 4], Window::Auto).unwrap(), [0; 4]);
        assert_eq!(grey(&[0.0; 4], Window::Auto).unwrap(), [0; 4]);
    }

    #[test]
    fn bytes_stay_as_they_are_and_alpha_hides() {
        let view = ImageView::new(Pixels::U8(&[1, 2, 3, 255, 4, 5, 6, 0]), 2, 1, 4).unwrap();
        let image = Window::Auto.apply(&view).unwrap();
        assert_eq!((image.channels, image.data.as_slice()), (3, [1, 2, 3, 0, 0, 0].as_slice()));
        let view = ImageView::new(Pixels::U8(&[9, 255, 8, 0]), 2, 1, 2).unwrap();
        let image = Window::Auto.apply(&view).unwrap();
        assert_eq!((image.channels, image.data.as_slice()), (1, [9, 0].as_slice()));
    }

    #[test]
    fn inverted_images_are_the_negative() {
        let view = ImageView::new(Pixels::I16(&[-100, 0, 100]), 3, 1, 1).unwrap().inverted(true);
        assert_eq!(Window::MinMax.apply(&view).unwrap().data, [255, 128, 0]);
    }

    #[test]
    fn windows_do_not_depend_on_the_unit() {
        let values: Vec<f32> = (1..200).map(|value| (value * value % 97) as f32 + 1.0).collect();
        for window in [Window::Auto, Window::MinMax, Window::PERCENTILES] {
            let expected = grey(&values, window).unwrap();
            for scale in [1e-12f32, 1e-30, 1e12] {
                let scaled: Vec<f32> = values.iter().map(|value| value * scale).collect();
                let found = grey(&scaled, window).unwrap();
                let is_near = |(a, b): (&u8, &u8)| a.abs_diff(*b) <= 1;
                assert!(found.iter().zip(&expected).all(is_near), "{window:?} at {scale}");
            }
        }
        let tiny = Window::Level { center: 1e-9, width: 2e-9 };
        assert_eq!(grey(&[0.0, 1e-9, 2.1e-9, 3e-9], tiny).unwrap(), [0, 127, 255, 255]);
    }

    #[test]
    fn padding_is_left_out_of_the_automatic_range_only() {
        let body: Vec<f32> = (0..10_000).map(|index| (index * 7919 % 1400) as f32 - 1000.0).collect();
        let (low, high) = range_without_padding(&body).unwrap();
        for (padding, share) in [(-2000.0, 0.21), (-3024.0, 0.01), (-32768.0, 0.6)] {
            let count = (share * body.len() as f64) as usize;
            let padded = [vec![padding; count], body.clone()].concat();
            let (padded_low, padded_high) = range_without_padding(&padded).unwrap();
            assert!((padded_low - low).abs() < 20.0 && (padded_high - high).abs() < 20.0, "{padding}");
            assert_eq!(grey(&padded, Window::Auto).unwrap()[0], 0);
            assert!(percentile_range(&padded, 0.5, 99.5).unwrap().0 < -1900.0);
        }
        // Two of them, as where a round field of view lies in a padded square.
        let both = [vec![-3024.0; 900], vec![-2000.0; 900], body.clone()].concat();
        assert!((range_without_padding(&both).unwrap().0 - low).abs() < 20.0);
        // What is part of the picture stays: a large dark area a little below the rest, and few far outliers.
        let dark = [vec![-1030.0; 4000], body.clone()].concat();
        assert_eq!(range_without_padding(&dark).unwrap().0, -1030.0);
        let outliers = [vec![-5000.0; 20], body].concat();
        assert!(range_without_padding(&outliers).unwrap().0 < low + 1.0);
    }

    #[test]
    fn impossible_windows_are_errors() {
        for window in [
            Window::Level { center: f64::NAN, width: 1.0 },
            Window::Level { center: 0.0, width: 0.0 },
            Window::Level { center: 0.0, width: f64::INFINITY },
            Window::Percentiles { low: 50.0, high: 50.0 },
            Window::Percentiles { low: -1.0, high: 50.0 },
            Window::Percentiles { low: f64::NAN, high: 50.0 },
        ] {
            assert!(matches!(grey(&[1.0], window), Err(Error::InvalidWindow(_))), "{window:?}");
        }
    }
}
