//! Small boxes seen closer: a part of the image around the box is encoded by itself.
//!
//! The network sees an image at 256 pixels, where a structure of a hundredth of a large image is a speck. A crop around the box shows it at the size that the
//! network was trained on; `docs/zoom.md` has what that gains and loses.

use serde::{Deserialize, Serialize};

use super::image::EncodedImage;
use super::prompt::{LowResMask, Prompt};
use super::result::{Calibrated, Segmentation};
use crate::image::{BoundingBox, Geometry, Image8, Preprocessed};
use crate::uncertainty::Suggestion;

/// When a box is seen in a crop of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Zoom {
    /// Small boxes, where the weights were calibrated for it.
    Auto,
    /// Small boxes, whatever the weights.
    On,
    /// Never.
    #[default]
    Off,
}

/// The largest share of the image's longer side that a box's longer side is of for a crop.
const LARGEST_SHARE: f64 = 0.25;
/// A crop's side is at least this many times the box's longer side; on average 4 times.
const LEAST_CONTEXT: f64 = 3.4;
/// The smallest side of a crop, in pixels.
const SMALLEST_SIDE: f64 = 32.0;
/// A crop that is not smaller than this share of the image shows nothing new.
const LARGEST_CROP: f64 = 0.75;
/// Places of a crop are multiples of this share of its side, so that a box that is moved a little finds its crop again.
const PLACE_STEP: f64 = 1.0 / 16.0;
/// Crops of an image that are kept, about 10 MB each.
pub(super) const CROPS_KEPT: usize = 4;

/// A part of an image, in its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crop {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Number of columns.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
}

/// A crop with its embedding.
#[derive(Debug, Clone)]
pub(super) struct EncodedCrop {
    pub(super) crop: Crop,
    /// For its mirror images.
    pub(super) preprocessed: Preprocessed,
    pub(super) encoded: EncodedImage,
}

impl Crop {
    /// The part of a `width · height` image to look at for a box; `None` where the whole image shows the box well enough. It depends on box and image alone.
    ///
    /// ```
    /// use umedsam::image::BoundingBox;
    /// use umedsam::segment::Crop;
    /// let crop = |corners| Crop::around(&BoundingBox(corners), 1000, 800);
    /// let small = crop([500.0, 400.0, 540.0, 430.0]).unwrap();
    /// assert_eq!([small.width, small.height], [181, 181]);
    /// assert_eq!(crop([100.0, 100.0, 600.0, 300.0]), None);
    /// ```
    pub fn around(bounding_box: &BoundingBox, width: usize, height: usize) -> Option<Self> {
        let [x0, y0, x1, y1] = bounding_box.0;
        let (longer, whole) = ((x1 - x0).max(y1 - y0), width.max(height) as f64);
        if longer > LARGEST_SHARE * whole {
            return None;
        }
        let mut side = SMALLEST_SIDE;
        while side < LEAST_CONTEXT * longer {
            side *= std::f64::consts::SQRT_2;
        }
        let side = side.round();
        if side > LARGEST_CROP * whole {
            return None;
        }
        let step = (side * PLACE_STEP).round().max(1.0);
        let place = |low: f64, high: f64, length: usize| {
            let size = (side as usize).min(length);
            let begin = (((low + high - side) / 2.0 / step).round() * step).max(0.0) as usize;
            (begin.min(length - size), size)
        };
        let ((x, width), (y, height)) = (place(x0, x1, width), place(y0, y1, height));
        Some(Self { x, y, width, height })
    }

    /// The part to look at for a checked prompt: that around its box, if it holds every point; of a prompt without a box the whole image.
    pub(super) fn of_prompt(prompt: &Prompt, whole: &Geometry) -> Option<Self> {
        let crop = Self::around(&BoundingBox(prompt.bounding_box?), whole.width, whole.height)?;
        let points = prompt.points.iter().map(|point| [point.x, point.y]);
        let mut all = points.chain(prompt.scribbles.iter().flat_map(|scribble| scribble.points.iter().copied()));
        let holds = |begin: usize, length: usize, value: f64| (begin as f64..=(begin + length) as f64).contains(&value);
        all.all(|[x, y]| holds(crop.x, crop.width, x) && holds(crop.y, crop.height, y)).then_some(crop)
    }

    /// Where the crop lies in the network's input.
    pub(super) fn geometry(&self, input_size: usize) -> Geometry {
        Geometry { width: self.width, height: self.height, input_size }
    }

    /// Whether it is a part of a `width · height` image, and not empty.
    pub(super) fn is_within(&self, width: usize, height: usize) -> bool {
        let fits = |begin: usize, length: usize, end: usize| {
            length > 0 && begin.checked_add(length).is_some_and(|last| last <= end)
        };
        fits(self.x, self.width, width) && fits(self.y, self.height, height)
    }

    /// A place of the crop as one of the image.
    fn moved(self, suggestion: Suggestion) -> Suggestion {
        Suggestion { x: suggestion.x + self.x as f64, y: suggestion.y + self.y as f64, ..suggestion }
    }

    /// The pixels of the crop.
    pub fn cut(&self, image: &Image8) -> Image8 {
        let channels = image.channels;
        let columns = Self { x: self.x * channels, width: self.width * channels, ..*self };
        let data = columns.cut_values(&image.data, image.width * channels);
        Image8 { width: self.width, height: self.height, channels, data }
    }

    /// Those of an image's values, of which a row has `width`, that are within the crop.
    pub fn cut_values<T: Copy>(&self, values: &[T], width: usize) -> Vec<T> {
        let rows = values.chunks_exact(width).skip(self.y).take(self.height);
        rows.flat_map(|row| &row[self.x..][..self.width]).copied().collect()
    }

    /// A box of the image as one of the crop.
    pub fn box_within(&self, bounding_box: &BoundingBox) -> BoundingBox {
        let [x0, y0, x1, y1] = bounding_box.0;
        let (x, y) = (self.x as f64, self.y as f64);
        BoundingBox([x0 - x, y0 - y, x1 - x, y1 - y])
    }

    /// Values of the crop at their place in the image, which has `fill` elsewhere.
    pub fn paste<T: Copy>(&self, values: &[T], fill: T, width: usize, height: usize) -> Vec<T> {
        let mut whole = vec![fill; width * height];
        for (row, values) in values.chunks_exact(self.width).enumerate() {
            whole[(self.y + row) * width + self.x..][..self.width].copy_from_slice(values);
        }
        whole
    }

    /// What the network says of a box of the crop, as one of the image: nothing is outside of the crop, but where no threshold was found the outer mask and the largest
    /// area are the whole image.
    pub(super) fn whole(
        self,
        found: Segmentation,
        calibrated: &Calibrated,
        [width, height]: [usize; 2],
    ) -> Segmentation {
        let has_outer_threshold = calibrated.thresholds.is_some_and(|thresholds| thresholds.outer.is_some());
        let has_largest = calibrated.area.is_some_and(|thresholds| thresholds.largest.is_some());
        let map = |values: Vec<f32>| self.paste(&values, 0.0, width, height);
        let mask = |values: Vec<u8>, fill: u8| self.paste(&values, fill, width, height);
        let mut uncertainty = found.uncertainty;
        for values in [&mut uncertainty.total, &mut uncertainty.aleatoric, &mut uncertainty.epistemic] {
            *values = map(std::mem::take(values));
        }
        Segmentation {
            mask: mask(found.mask, 0),
            probability: map(found.probability),
            uncertainty,
            outer: found.outer.map(|values| mask(values, u8::from(!has_outer_threshold))),
            inner: found.inner.map(|values| mask(values, 0)),
            area_interval: found
                .area_interval
                .map(|[low, high]| [low, if has_largest { high } else { width * height }]),
            suggestions: found.suggestions.into_iter().map(|suggestion| self.moved(suggestion)).collect(),
            zoom: Some(self),
            low_res: LowResMask { crop: Some(self), ..found.low_res },
            ..found
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_hold_their_boxes_with_context_and_lie_in_the_image() {
        for [width, height] in [[640, 480], [100, 900], [2000, 31], [129, 129]] {
            for [x0, y0, w, h] in
                [[0.0, 0.0, 5.0, 3.0], [0.4, 0.9, 1.0, 1.0], [0.97, 0.95, 20.0, 9.0], [0.5, 0.3, 24.0, 30.0]]
            {
                let (x0, y0): (f64, f64) = (x0 * width as f64, y0 * height as f64);
                let corners = [x0, y0, (x0 + w).min(width as f64), (y0 + h).min(height as f64)];
                let Some(crop) = Crop::around(&BoundingBox(corners), width, height) else { continue };
                assert!(crop.x + crop.width <= width && crop.y + crop.height <= height, "{crop:?}");
                let [left, top, right, bottom] = crop.box_within(&BoundingBox(corners)).0;
                assert!(
                    left >= 0.0 && top >= 0.0 && right <= crop.width as f64 && bottom <= crop.height as f64,
                    "{crop:?}"
                );
                let longer = (corners[2] - corners[0]).max(corners[3] - corners[1]);
                let side = crop.width.max(crop.height) as f64;
                assert!(side >= 3.4 * longer - 1.0 && (side <= 4.9 * longer || side == 32.0), "{side} for {longer}");
            }
        }
    }

    #[test]
    fn large_boxes_and_small_images_have_none() {
        assert_eq!(Crop::around(&BoundingBox([0.0, 0.0, 26.0, 5.0]), 100, 100), None);
        assert_eq!(Crop::around(&BoundingBox([0.0, 0.0, 3.0, 3.0]), 40, 40), None);
        assert_eq!(Crop::around(&BoundingBox([0.0, 0.0, 1.0, 1.0]), 1, 1), None);
    }

    #[test]
    fn boxes_that_hardly_move_share_a_crop() {
        let crop = |shift: f64| Crop::around(&BoundingBox([300.0 + shift, 200.0, 340.0 + shift, 230.0]), 800, 600);
        let same = (0..8).filter(|&shift| crop(f64::from(shift)) == crop(0.0)).count();
        assert!(same >= 4, "{same}");
    }

    #[test]
    fn what_is_cut_is_pasted_where_it_was() {
        let image = Image8 { width: 5, height: 4, channels: 1, data: (0..20).collect() };
        let crop = Crop { x: 1, y: 2, width: 3, height: 2 };
        let cut = crop.cut(&image);
        assert_eq!(cut.data, [11, 12, 13, 16, 17, 18]);
        let pasted = crop.paste(&cut.data, 99, 5, 4);
        assert_eq!(pasted[..11], [99; 11]);
        assert_eq!(pasted[11..], [11, 12, 13, 99, 99, 16, 17, 18, 99]);
    }
}
