//! Intensities of any type to 8 bits.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::buffer::{ImageView, Pixels};
use super::resize::Image8;
use crate::error::{Error, Result};

/// How intensities become 0–255. Values outside the range are clipped; NaN becomes the lower end.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Window {
    /// 8-bit images as they are; other types by [`Window::PERCENTILES`].
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
        let kept = channels.min(3);
        let data: Vec<u8> = match (image.pixels(), self) {
            (Pixels::U8(values), Self::Auto) => without_alpha(values, channels).into_owned(),
            (Pixels::U8(values), _) => self.scale(&without_alpha(values, channels))?,
            (Pixels::U16(values), _) => self.scale(&without_alpha(values, channels))?,
            (Pixels::I16(values), _) => self.scale(&without_alpha(values, channels))?,
            (Pixels::F32(values), _) => self.scale(&without_alpha(values, channels))?,
        };
        Ok(Image8 { width: image.width(), height: image.height(), channels: kept, data })
    }

    fn scale<T: Copy + Into<f32>>(&self, values: &[T]) -> Result<Vec<u8>> {
        let range = match *self {
            Self::Level { center, width } => Some((center - width / 2.0, center + width / 2.0)),
            Self::MinMax => finite_range(values),
            Self::Auto => percentile_range(values, 0.5, 99.5),
            Self::Percentiles { low, high } => percentile_range(values, low, high),
        };
        let Some((low, high)) = range else {
            return Err(Error::InvalidImage("no pixel is a finite number".into()));
        };
        let span = (high - low).max(1e-8);
        let to_byte = |&value: &T| {
            let value: f32 = value.into();
            // A float-to-integer cast truncates and saturates, and takes NaN to 0.
            ((f64::from(value).clamp(low, high) - low) / span * 255.0) as u8
        };
        Ok(values.iter().map(to_byte).collect())
    }
}

fn without_alpha<T: Copy>(values: &[T], channels: usize) -> Cow<'_, [T]> {
    match channels {
        4 => Cow::Owned(values.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()),
        _ => Cow::Borrowed(values),
    }
}

fn finite_range<T: Copy + Into<f32>>(values: &[T]) -> Option<(f64, f64)> {
    let mut range: Option<(f32, f32)> = None;
    for &value in values {
        let value: f32 = value.into();
        if value.is_finite() {
            let (low, high) = range.unwrap_or((value, value));
            range = Some((low.min(value), high.max(value)));
        }
    }
    range.map(|(low, high)| (low.into(), high.into()))
}

/// Percentiles of the finite non-zero values, interpolated linearly as NumPy does; the range of all finite values where every
/// one is zero.
fn percentile_range<T: Copy + Into<f32>>(values: &[T], low: f64, high: f64) -> Option<(f64, f64)> {
    let mut finite: Vec<f32> =
        values.iter().map(|&value| value.into()).filter(|value| value.is_finite() && *value != 0.0).collect();
    if finite.is_empty() {
        return finite_range(values);
    }
    let mut percentile = |percent: f64| {
        let position = percent / 100.0 * (finite.len() - 1) as f64;
        let index = position.floor() as usize;
        let (_, &mut below, above) = finite.select_nth_unstable_by(index, f32::total_cmp);
        let next = above.iter().copied().min_by(f32::total_cmp).unwrap_or(below);
        f64::from(below) + (f64::from(next) - f64::from(below)) * position.fract()
    };
    Some((percentile(low), percentile(high)))
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
        let error = grey(&[f32::NAN, f32::INFINITY], Window::Auto).unwrap_err();
        assert_eq!(error.code(), "invalid-image");
    }

    #[test]
    fn constant_images_do_not_divide_by_zero() {
        assert_eq!(grey(&[7.0; 4], Window::Auto).unwrap(), [0; 4]);
        assert_eq!(grey(&[0.0; 4], Window::Auto).unwrap(), [0; 4]);
    }

    #[test]
    fn bytes_stay_as_they_are_and_alpha_goes() {
        let view = ImageView::new(Pixels::U8(&[1, 2, 3, 9, 4, 5, 6, 9]), 2, 1, 4).unwrap();
        let image = Window::Auto.apply(&view).unwrap();
        assert_eq!((image.channels, image.data.as_slice()), (3, [1, 2, 3, 4, 5, 6].as_slice()));
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
            assert_eq!(grey(&[1.0], window).unwrap_err().code(), "invalid-window", "{window:?}");
        }
    }
}
