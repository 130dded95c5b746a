//! What holds for any image and any box.

use proptest::prelude::*;
use umedsam::image::{BoundingBox, Geometry, ImageView, Pixels, Window, preprocess, upsample_logits};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn preprocessing_never_panics_and_stays_in_range(
        width in 1usize..70, height in 1usize..70, channels in prop::sample::select(vec![1usize, 3, 4]),
        bits in prop::collection::vec(any::<u32>(), 70 * 70 * 4),
        low in -10.0f64..110.0, high in -10.0f64..110.0,
    ) {
        let values: Vec<f32> = bits[..width * height * channels].iter().map(|&bits| f32::from_bits(bits)).collect();
        let view = ImageView::new(Pixels::F32(&values), width, height, channels).unwrap();
        for window in [Window::Auto, Window::MinMax, Window::Percentiles { low, high }, Window::Level { center: low, width: high }] {
            if let Ok(result) = preprocess(&view, window, 64) {
                prop_assert!(result.input.iter().all(|value| (0.0..=1.0).contains(value)), "{window:?}");
                let (width, height) = result.geometry.resized();
                prop_assert_eq!((result.resized.width, result.resized.height), (width, height));
                prop_assert!(width.max(height) == 64 && width.min(height) >= 1);
            }
        }
    }

    #[test]
    fn checked_boxes_lie_in_the_image(
        corners in prop::array::uniform4(prop_oneof![-100.0f64..300.0, any::<f64>()]), width in 1usize..300, height in 1usize..300,
    ) {
        if let Ok(BoundingBox([x0, y0, x1, y1])) = BoundingBox::checked(corners, width, height) {
            prop_assert!(0.0 <= x0 && x0 < x1 && x1 <= width as f64);
            prop_assert!(0.0 <= y0 && y0 < y1 && y1 <= height as f64);
            let geometry = Geometry { width, height, input_size: 256 };
            let input = BoundingBox([x0, y0, x1, y1]).to_input(&geometry);
            prop_assert!(input.iter().all(|coordinate| (0.0..=256.0).contains(coordinate)));
        }
    }

    #[test]
    fn enlarged_logits_stay_between_their_extremes(
        logits in prop::collection::vec(-50.0f32..50.0, 16 * 16), width in 1usize..90, height in 1usize..90,
    ) {
        let geometry = Geometry { width, height, input_size: 16 };
        let result = upsample_logits(&logits, 16, &geometry);
        prop_assert_eq!(result.len(), width * height);
        let low = logits.iter().copied().fold(f32::MAX, f32::min) - 1e-4;
        let high = logits.iter().copied().fold(f32::MIN, f32::max) + 1e-4;
        prop_assert!(result.iter().all(|value| (low..=high).contains(value)));
    }
}
