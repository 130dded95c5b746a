//! Mirrored images.

use super::geometry::Geometry;
use crate::model::prompt_encoder::{InputBox, InputPoint, InputPrompt};

/// A mirrored image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flip {
    /// Left to right.
    Horizontal,
    /// Top to bottom.
    Vertical,
}

impl Flip {
    /// Mirrors a map in place.
    ///
    /// # Shapes
    /// - `values`: rows of `width` pixels of `channels` values
    pub fn apply<T: Copy>(self, values: &mut [T], width: usize, channels: usize) {
        match self {
            Self::Horizontal => {
                for row in values.chunks_exact_mut(width * channels) {
                    for x in 0..width / 2 {
                        for channel in 0..channels {
                            row.swap(x * channels + channel, (width - 1 - x) * channels + channel);
                        }
                    }
                }
            }
            Self::Vertical => {
                let stride = width * channels;
                let height = values.len() / stride;
                for y in 0..height / 2 {
                    let (above, below) = values.split_at_mut((height - 1 - y) * stride);
                    above[y * stride..][..stride].swap_with_slice(&mut below[..stride]);
                }
            }
        }
    }

    /// Mirrors the image's part of a map of the network's input; the padding stays at the right and the bottom.
    ///
    /// # Shapes
    /// - `values`: `input_size · input_size · channels` values
    pub fn apply_to_input<T: Copy>(self, values: &mut [T], geometry: &Geometry, channels: usize) {
        let (width, height) = geometry.resized();
        let stride = geometry.input_size * channels;
        let mut content: Vec<T> =
            values.chunks_exact(stride).take(height).flat_map(|row| &row[..width * channels]).copied().collect();
        self.apply(&mut content, width, channels);
        for (row, content) in values.chunks_exact_mut(stride).zip(content.chunks_exact(width * channels)) {
            row[..width * channels].copy_from_slice(content);
        }
    }

    /// The box around the same pixels in the mirrored image.
    pub fn apply_to_box(self, [x0, y0, x1, y1]: InputBox, geometry: &Geometry) -> InputBox {
        let (width, height) = geometry.resized();
        let (width, height) = (width as f32, height as f32);
        match self {
            Self::Horizontal => [width - x1, y0, width - x0, y1],
            Self::Vertical => [x0, height - y1, x1, height - y0],
        }
    }

    /// The same prompt in the mirrored image.
    pub fn apply_to_prompt(self, prompt: &InputPrompt, geometry: &Geometry) -> InputPrompt {
        let (width, height) = geometry.resized();
        let mirrored = |point: &InputPoint| match self {
            Self::Horizontal => InputPoint { x: width as f32 - 1.0 - point.x, ..*point },
            Self::Vertical => InputPoint { y: height as f32 - 1.0 - point.y, ..*point },
        };
        InputPrompt {
            points: prompt.points.iter().map(mirrored).collect(),
            bounding_box: prompt.bounding_box.map(|corners| self.apply_to_box(corners, geometry)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GEOMETRY: Geometry = Geometry { width: 200, height: 100, input_size: 256 };

    #[test]
    fn prompts_are_mirrored_with_their_pixels() {
        let label = crate::model::prompt_encoder::PointLabel::Foreground;
        let points = vec![InputPoint { x: 10.0, y: 20.0, label }];
        let prompt = InputPrompt { points, bounding_box: Some([1.0, 2.0, 30.0, 40.0]) };
        let mut marked = vec![0u8; 256 * 256];
        marked[20 * 256 + 10] = 1;
        for flip in [Flip::Horizontal, Flip::Vertical] {
            let mirrored = flip.apply_to_prompt(&prompt, &GEOMETRY);
            let mut pixels = marked.clone();
            flip.apply_to_input(&mut pixels, &GEOMETRY, 1);
            let InputPoint { x, y, .. } = mirrored.points[0];
            assert_eq!(pixels[y as usize * 256 + x as usize], 1, "{flip:?}: {x}, {y}");
            assert_eq!(mirrored.bounding_box, Some(flip.apply_to_box([1.0, 2.0, 30.0, 40.0], &GEOMETRY)));
            assert_eq!(flip.apply_to_prompt(&mirrored, &GEOMETRY), prompt);
        }
    }

    #[test]
    fn flipping_twice_changes_nothing() {
        let original: Vec<u8> = (0..24).collect();
        for flip in [Flip::Horizontal, Flip::Vertical] {
            let mut values = original.clone();
            flip.apply(&mut values, 4, 2);
            assert_ne!(values, original);
            flip.apply(&mut values, 4, 2);
            assert_eq!(values, original);
            let corners = [1.0, 2.0, 30.0, 40.0];
            assert_eq!(flip.apply_to_box(flip.apply_to_box(corners, &GEOMETRY), &GEOMETRY), corners);
        }
        let mut values = [1, 2, 3, 4, 5, 6];
        Flip::Horizontal.apply(&mut values, 3, 1);
        assert_eq!(values, [3, 2, 1, 6, 5, 4]);
        Flip::Vertical.apply(&mut values, 3, 1);
        assert_eq!(values, [6, 5, 4, 3, 2, 1]);
    }
}
