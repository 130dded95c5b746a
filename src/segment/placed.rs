//! Prompts in the network's input.

use std::sync::Arc;

use super::prompt::{LowResMask, MOST_POINTS, Previous, Prompt};
use super::zoom::Crop;
use crate::error::{Error, Result};
use crate::image::{BoundingBox, Geometry, Image8, points_along, resize_area, upsample_logits};
use crate::model::prompt_encoder::{InputBox, InputPoint, InputPrompt, PLAIN_MASK_LOGIT};
use crate::uncertainty::PromptKind;

/// A prompt and its place in the network's input.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedPrompt {
    /// In pixels of the image.
    pub bounding_box: Option<BoundingBox>,
    /// In pixels of the network's input.
    pub input: InputPrompt,
    /// Low-res logits that are corrected, `low_res_size · low_res_size` values.
    pub mask_prompt: Option<Arc<Vec<f32>>>,
    /// What it was made of.
    pub kind: PromptKind,
}

impl PlacedPrompt {
    /// A box of the image, truncated to the input's pixels as the challenge's baseline does.
    pub fn of_box(bounding_box: BoundingBox, geometry: &Geometry) -> Self {
        Self::boxed(Some(bounding_box), bounding_box.to_input(geometry))
    }

    /// A box of the input.
    pub fn of_input_box(input: InputBox, geometry: &Geometry) -> Self {
        let corners = input.map(|coordinate| f64::from(coordinate) / geometry.scale());
        Self::boxed(Some(BoundingBox(corners)), input)
    }

    fn boxed(bounding_box: Option<BoundingBox>, input: InputBox) -> Self {
        Self { bounding_box, input: input.into(), mask_prompt: None, kind: PromptKind::Box }
    }

    /// The places of its points, in pixels of what the network saw.
    pub(super) fn said(&self, geometry: &Geometry) -> Vec<[f64; 2]> {
        let place = |value: f32| (f64::from(value) + 0.5) / geometry.scale();
        self.input.points.iter().map(|point| [place(point.x), place(point.y)]).collect()
    }

    /// A checked prompt of the whole image, or of a crop of it, for a network with low-res masks of `low_res_size`. `geometry` is that of what the network sees,
    /// `whole` the image's.
    ///
    /// # Errors
    /// [`Error::InvalidPrompt`] if it has more than [`MOST_POINTS`] points.
    pub(super) fn new(
        prompt: &Prompt,
        geometry: &Geometry,
        crop: Option<Crop>,
        whole: &Geometry,
        low_res_size: usize,
    ) -> Result<Self> {
        let [left, top] = crop.map_or([0.0; 2], |crop| [crop.x as f64, crop.y as f64]);
        let scale = geometry.scale();
        // SAM counts from the middle of the first pixel, images here from its outer corner.
        let place = |[x, y]: [f64; 2]| [((x - left) * scale - 0.5) as f32, ((y - top) * scale - 0.5) as f32];
        let mut points: Vec<InputPoint> = Vec::new();
        for point in &prompt.points {
            let [x, y] = place([point.x, point.y]);
            points.push(InputPoint { x, y, label: point.label });
        }
        for scribble in &prompt.scribbles {
            let line: Vec<[f32; 2]> = scribble.points.iter().map(|&corner| place(corner)).collect();
            let along = points_along(&line).into_iter();
            points.extend(along.map(|[x, y]| InputPoint { x, y, label: scribble.label }));
        }
        if points.len() > MOST_POINTS {
            let count = points.len();
            return Err(Error::InvalidPrompt(format!(
                "{count} points, those along scribbles included; use at most {MOST_POINTS}"
            )));
        }
        let bounding_box = prompt.bounding_box.map(BoundingBox);
        let seen = bounding_box.map(|corners| crop.map_or(corners, |crop| crop.box_within(&corners)));
        let mask_prompt = prompt.previous.as_ref().map(|previous| match previous {
            Previous::LowRes(LowResMask { logits, crop: of }) if *of == crop => logits.clone(),
            Previous::LowRes(low_res) => {
                Arc::new(of_mask(&low_res.mask(whole, low_res_size), geometry, crop, whole.width, low_res_size))
            }
            Previous::Mask(mask) => Arc::new(of_mask(mask, geometry, crop, whole.width, low_res_size)),
        });
        Ok(Self {
            bounding_box,
            input: InputPrompt { points, bounding_box: seen.map(|seen| seen.to_input(geometry)) },
            mask_prompt,
            kind: prompt.kind(),
        })
    }
}

impl LowResMask {
    /// The mask at the image's size.
    fn mask(&self, whole: &Geometry, low_res_size: usize) -> Vec<u8> {
        let binary = |logits: Vec<f32>| logits.into_iter().map(|logit| u8::from(logit > 0.0)).collect::<Vec<u8>>();
        match self.crop {
            None => binary(upsample_logits(&self.logits, low_res_size, whole)),
            Some(crop) => {
                let geometry = Geometry { width: crop.width, height: crop.height, input_size: whole.input_size };
                let mask = binary(upsample_logits(&self.logits, low_res_size, &geometry));
                crop.paste(&mask, 0, whole.width, whole.height)
            }
        }
    }
}

/// Low-res logits of a mask of the image: by the share of each low-res pixel that is inside, from −5 to 5.
fn of_mask(mask: &[u8], geometry: &Geometry, crop: Option<Crop>, image_width: usize, low_res_size: usize) -> Vec<f32> {
    let cut = crop.map_or_else(|| mask.to_vec(), |crop| crop.cut_values(mask, image_width));
    let data = cut.into_iter().map(|inside| if inside != 0 { u8::MAX } else { 0 }).collect();
    let low_res = Geometry { input_size: low_res_size, ..*geometry };
    let (width, height) = low_res.resized();
    let image = Image8 { data, width: geometry.width, height: geometry.height, channels: 1 };
    let share = resize_area(&image, width, height);
    let mut logits = vec![-PLAIN_MASK_LOGIT; low_res_size * low_res_size];
    for (row, shares) in logits.chunks_exact_mut(low_res_size).zip(share.data.chunks_exact(width)) {
        for (logit, &share) in row.iter_mut().zip(shares) {
            *logit = PLAIN_MASK_LOGIT * (f32::from(share) / 127.5 - 1.0);
        }
    }
    logits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::prompt_encoder::PointLabel;
    use crate::segment::{Point, Scribble};

    const WHOLE: Geometry = Geometry { width: 100, height: 50, input_size: 200 };

    #[test]
    fn points_lie_in_the_middle_of_their_pixels() {
        let label = PointLabel::Background;
        let points = vec![Point { x: 0.5, y: 10.0, label }];
        let scribbles = vec![Scribble { points: vec![[5.0, 5.0], [5.0, 20.0]], label }];
        let prompt = Prompt { points, scribbles, ..Prompt::from([10.0, 10.0, 40.0, 30.0]) };
        let placed = PlacedPrompt::new(&prompt, &WHOLE, None, &WHOLE, 200).unwrap();
        // A pixel of the image is two by two of the input: the middle lies between both.
        assert_eq!((placed.input.points[0].x, placed.input.points[0].y), (0.5, 19.5));
        assert_eq!(placed.input.bounding_box, Some([20.0, 20.0, 80.0, 60.0]));
        assert_eq!(placed.input.points.len(), 1 + 4);
        let crop = Crop { x: 10, y: 0, width: 50, height: 50 };
        let geometry = Geometry { width: 50, height: 50, input_size: 200 };
        let placed = PlacedPrompt::new(&prompt, &geometry, Some(crop), &WHOLE, 200).unwrap();
        assert_eq!(placed.input.bounding_box, Some([0.0, 40.0, 120.0, 120.0]));
        assert_eq!(placed.bounding_box, Some(BoundingBox([10.0, 10.0, 40.0, 30.0])));
    }

    #[test]
    fn masks_become_logits_by_the_share_that_is_inside() {
        let mut mask = vec![0; 100 * 50];
        (0..50).for_each(|y| mask[y * 100..y * 100 + 25].fill(1));
        let logits = of_mask(&mask, &WHOLE, None, 100, 20);
        assert_eq!((logits[0], logits[4], logits[5], logits[19]), (5.0, 5.0, -5.0, -5.0));
        assert!(logits[10 * 20..].iter().all(|&logit| logit == -5.0), "below the image");
        (0..50).for_each(|y| mask[y * 100 + 25] = 1);
        let edge = of_mask(&mask, &WHOLE, None, 100, 20)[5];
        assert!((edge - (-3.0)).abs() < 0.05, "{edge}");
    }

    #[test]
    fn logits_of_another_crop_are_carried_over() {
        let crop = Crop { x: 20, y: 10, width: 20, height: 20 };
        let logits = Arc::new(vec![1.0; 200 * 200]);
        let previous = Some(Previous::LowRes(LowResMask { logits: logits.clone(), crop: Some(crop) }));
        let prompt = Prompt { previous, ..Prompt::from([22.0, 12.0, 38.0, 28.0]) };
        let placed = PlacedPrompt::new(&prompt, &WHOLE, None, &WHOLE, 200).unwrap().mask_prompt.unwrap();
        let at = |x: usize, y: usize| placed[y * 200 + x];
        assert_eq!([at(50, 30), at(38, 30), at(82, 30), at(50, 18)], [5.0, -5.0, -5.0, -5.0]);
        let geometry = Geometry { width: 20, height: 20, input_size: 200 };
        let same = PlacedPrompt::new(&prompt, &geometry, Some(crop), &WHOLE, 200).unwrap().mask_prompt.unwrap();
        assert!(Arc::ptr_eq(&same, &logits));
    }

    #[test]
    fn too_many_points_are_refused() {
        let point = Point { x: 1.0, y: 1.0, label: PointLabel::Foreground };
        let prompt = Prompt { points: vec![point; MOST_POINTS + 1], ..Prompt::default() };
        let error = PlacedPrompt::new(&prompt, &WHOLE, None, &WHOLE, 200).unwrap_err();
        assert!(error.code() == "invalid-prompt" && error.to_string().contains("129"), "{error}");
    }
}
