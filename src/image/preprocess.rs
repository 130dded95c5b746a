//! 8-bit images to the network's input.

use std::sync::Arc;

use umedsam_picture::{Image8, ImageView, Window};

use super::flip::Flip;
use super::geometry::Geometry;
use super::resize::resize_area;
use crate::error::Result;

/// The network's input for one image.
#[derive(Debug, Clone)]
pub struct Preprocessed {
    /// The image at its own size after the window, grey or RGB.
    pub windowed: Arc<Image8>,
    /// The image at the input's scale, grey or RGB.
    pub resized: Image8,
    /// `input_size · input_size · 3` values in 0–1, row by row, channels of a pixel side by side.
    pub input: Vec<f32>,
    /// Where the image lies in the input.
    pub geometry: Geometry,
}

impl Preprocessed {
    /// The network's input for the mirrored image.
    pub fn flipped_input(&self, flip: Flip) -> Vec<f32> {
        let mut input = self.input.clone();
        flip.apply_to_input(&mut input, &self.geometry, 3);
        input
    }
}

/// Applies the window, resizes the longer side to `input_size`, scales the values to 0–1 by the smallest and largest of all
/// channels, and pads with zeros at the right and the bottom.
///
/// # Errors
/// As [`Window::apply`].
pub fn preprocess(image: &ImageView, window: Window, input_size: usize) -> Result<Preprocessed> {
    let geometry = Geometry { width: image.width(), height: image.height(), input_size };
    let (width, height) = geometry.resized();
    let windowed = Arc::new(window.apply(image)?);
    let resized = resize_area(&windowed, width, height);

    let low = resized.data.iter().copied().min().unwrap_or(0);
    let high = resized.data.iter().copied().max().unwrap_or(0);
    let span = f64::from(high - low).max(1e-8);
    let scaled: [f32; 256] = std::array::from_fn(|value| ((value as f64 - f64::from(low)) / span) as f32);

    let mut input = vec![0f32; input_size * input_size * 3];
    let channels = resized.channels;
    for (row, source) in input.chunks_exact_mut(input_size * 3).zip(resized.data.chunks_exact(width * channels)) {
        for (pixel, source) in row.chunks_exact_mut(3).zip(source.chunks_exact(channels)) {
            for channel in 0..3 {
                pixel[channel] = scaled[usize::from(source[channel % channels])];
            }
        }
    }
    Ok(Preprocessed { windowed, resized, input, geometry })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Pixels;

    fn input(pixels: &[u8], width: usize, height: usize, channels: usize, size: usize) -> Preprocessed {
        let view = ImageView::new(Pixels::U8(pixels), width, height, channels).unwrap();
        preprocess(&view, Window::Auto, size).unwrap()
    }

    #[test]
    fn grey_is_repeated_scaled_and_padded() {
        let result = input(&[10, 20], 2, 1, 1, 2);
        assert_eq!(result.input, [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn channels_share_one_range() {
        let result = input(&[0, 51, 255], 1, 1, 3, 1);
        assert_eq!(result.input, [0.0, 0.2, 1.0]);
    }

    #[test]
    fn mirrored_inputs_are_those_of_the_mirrored_image() {
        let pixels: Vec<u8> = (0..5 * 3 * 3).map(|index| (index * 37 % 251) as u8).collect();
        let original = input(&pixels, 5, 3, 3, 8);
        for flip in [Flip::Horizontal, Flip::Vertical] {
            let mut mirrored = pixels.clone();
            flip.apply(&mut mirrored, 5, 3);
            let expected = input(&mirrored, 5, 3, 3, 8).input;
            let actual = original.flipped_input(flip);
            // Resizing rounds to grey levels, which need not be the same from both sides.
            assert!(actual.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 2.0 / 255.0));
        }
    }

    #[test]
    fn a_constant_image_is_zero() {
        assert!(input(&[77; 12], 2, 2, 3, 4).input.iter().all(|&value| value == 0.0));
    }

    #[test]
    fn sizes_round_half_up_and_never_vanish() {
        let resized = |width, height| Geometry { width, height, input_size: 256 }.resized();
        assert_eq!(resized(432, 651), (170, 256));
        assert_eq!(resized(200, 120), (256, 154));
        assert_eq!(resized(1, 1), (256, 256));
        assert_eq!(resized(10_000, 1), (256, 1));
    }
}
