//! Transparency: what is hidden is not seen, so colours are composited over black.

use std::borrow::Cow;

/// A pixel's value.
pub(crate) trait Sample: Copy + PartialOrd + Into<f64> {
    /// The sample over black, `alpha` being of the same type; as it is for types whose alpha has no agreed range.
    fn over_black(self, alpha: Self) -> Self;
}

impl Sample for u8 {
    fn over_black(self, alpha: Self) -> Self {
        ((u32::from(self) * u32::from(alpha) + 127) / 255) as u8
    }
}

impl Sample for u16 {
    fn over_black(self, alpha: Self) -> Self {
        ((u64::from(self) * u64::from(alpha) + 32_767) / 65_535) as u16
    }
}

macro_rules! without_alpha {
    ($($sample:ty),*) => {
        $(impl Sample for $sample {
            fn over_black(self, _: Self) -> Self {
                self
            }
        })*
    };
}
without_alpha!(i8, i16, i32, u32, f32, f64);

/// Colours without alpha: of 2 channels (grey, alpha) the first, of 4 (RGBA) the first three, over black.
pub(crate) fn flattened<T: Sample>(values: &[T], channels: usize) -> Cow<'_, [T]> {
    if !matches!(channels, 2 | 4) {
        return Cow::Borrowed(values);
    }
    let pixels = values.chunks_exact(channels);
    let colours = pixels.flat_map(|pixel| {
        let (alpha, colours) = pixel.split_last().expect("a pixel has two or four values");
        colours.iter().map(|value| value.over_black(*alpha))
    });
    Cow::Owned(colours.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_colours_are_black_and_others_fade() {
        assert_eq!(
            *flattened(&[200u8, 100, 50, 0, 200, 100, 50, 255, 200, 100, 50, 51], 4),
            [0, 0, 0, 200, 100, 50, 40, 20, 10]
        );
        assert_eq!(*flattened(&[60_000u16, 65_535, 60_000, 0, 60_000, 13_107], 2), [60_000, 0, 12_000]);
        assert_eq!(*flattened(&[-5i16, 7, 9, 0], 4), [-5, 7, 9]);
        assert_eq!(*flattened(&[1u8, 2, 3], 3), [1, 2, 3]);
    }
}
