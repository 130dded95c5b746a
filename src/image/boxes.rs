//! Box prompts.

use serde::{Deserialize, Serialize};

use super::geometry::Geometry;
use crate::error::{Error, Result};
use crate::model::prompt_encoder::InputBox;

/// A box `[x0, y0, x1, y1]` in pixels of the image, x to the right and y down, the origin at the outer corner of the first
/// pixel. A checked box has `0 ≤ x0 < x1 ≤ width` and `0 ≤ y0 < y1 ≤ height`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BoundingBox(pub [f64; 4]);

impl BoundingBox {
    /// Puts corners in order and clips the box to the image.
    ///
    /// # Errors
    /// [`Error::InvalidBox`] if a coordinate is not finite, or the box has no area or lies wholly outside the image.
    pub fn checked(corners: [f64; 4], width: usize, height: usize) -> Result<Self> {
        if corners.iter().any(|coordinate| !coordinate.is_finite()) {
            return Err(Error::InvalidBox(format!("{corners:?}: coordinates must be finite numbers")));
        }
        let [x0, y0, x1, y1] = corners;
        if x0 == x1 || y0 == y1 {
            return Err(Error::InvalidBox(format!(
                "{corners:?} has no area; use [x0, y0, x1, y1] with x0 < x1, y0 < y1"
            )));
        }
        let (width, height) = (width as f64, height as f64);
        let clip = |low: f64, high: f64, end: f64| (low.min(high).max(0.0), low.max(high).min(end));
        let ((x0, x1), (y0, y1)) = (clip(x0, x1, width), clip(y0, y1, height));
        if x0 >= x1 || y0 >= y1 {
            return Err(Error::InvalidBox(format!("{corners:?} lies outside the {width}×{height} image")));
        }
        Ok(Self([x0, y0, x1, y1]))
    }

    /// The box in the network's input, truncated to whole pixels as the challenge's baseline does.
    pub fn to_input(self, geometry: &Geometry) -> InputBox {
        self.0.map(|coordinate| (coordinate * geometry.scale()).trunc() as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_are_ordered_and_clipped() {
        assert_eq!(BoundingBox::checked([8.0, 9.0, -3.0, 2.5], 7, 20).unwrap().0, [0.0, 2.5, 7.0, 9.0]);
    }

    #[test]
    fn unusable_boxes_name_the_value() {
        for corners in [
            [f64::NAN, 0.0, 1.0, 1.0],
            [0.0, f64::INFINITY, 1.0, 1.0],
            [1.0, 1.0, 1.0, 4.0],
            [1.0, 2.0, 3.0, 2.0],
            [10.0, 0.0, 12.0, 5.0],
            [-5.0, -5.0, 0.0, 5.0],
        ] {
            let error = BoundingBox::checked(corners, 10, 10).unwrap_err();
            assert_eq!(error.code(), "invalid-box");
            assert!(error.to_string().contains(&format!("{corners:?}")), "{error}");
        }
    }

    #[test]
    fn input_boxes_are_truncated() {
        let geometry = Geometry { width: 512, height: 300, input_size: 256 };
        assert_eq!(BoundingBox([1.0, 3.0, 511.0, 99.0]).to_input(&geometry), [0.0, 1.0, 255.0, 49.0]);
    }
}
