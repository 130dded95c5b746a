//! From a slice's mask to the next slice's box.

use crate::image::{Geometry, Image8, resize_area};
use crate::segment::PlacedPrompt;

/// How far a slice's box reaches beyond the mask of the slice before it, in pixels of the network's input.
const BOX_SHIFT: usize = 3;

/// The box around a mask in the network's input, widened; `None` if the mask is empty. The mask is scaled down with its label as its value, as the baseline does.
pub fn next_box(mask: &[u8], label: u8, geometry: &Geometry) -> Option<PlacedPrompt> {
    let data = mask.iter().map(|&inside| inside * label).collect();
    let (width, height) = geometry.resized();
    let resized =
        resize_area(&Image8 { data, width: geometry.width, height: geometry.height, channels: 1 }, width, height);
    let inside = || (0..width * height).filter(|&pixel| resized.data[pixel] > 0);
    let columns = || inside().map(|pixel| pixel % width);
    let rows = || inside().map(|pixel| pixel / width);
    let low = |value: usize| value.saturating_sub(BOX_SHIFT) as f32;
    let high = |value: usize| (value + BOX_SHIFT).min(geometry.input_size) as f32;
    let input = [low(columns().min()?), low(rows().min()?), high(columns().max()?), high(rows().max()?)];
    Some(PlacedPrompt::of_input_box(input, geometry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_lie_around_masks() {
        let geometry = Geometry { width: 20, height: 10, input_size: 40 };
        let mut mask = vec![0; 200];
        assert!(next_box(&mask, 1, &geometry).is_none());
        (4..7).for_each(|y| mask[y * 20 + 5..y * 20 + 12].fill(1));
        // Twice as large in the input: columns 10 to 23, rows 8 to 13.
        assert_eq!(next_box(&mask, 1, &geometry).unwrap().input.bounding_box, Some([7.0, 5.0, 26.0, 16.0]));
    }

    #[test]
    fn small_parts_survive_at_high_labels() {
        let geometry = Geometry { width: 40, height: 40, input_size: 10 };
        let mut mask = vec![0; 1600];
        mask[0] = 1;
        assert!(next_box(&mask, 1, &geometry).is_none());
        assert!(next_box(&mask, 9, &geometry).is_some());
    }
}
