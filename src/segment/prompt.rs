//! What people say of an object: a box, points, scribbles, an earlier mask, in pixels of the image.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::zoom::Crop;
use crate::error::{Error, Result};
use crate::image::BoundingBox;
use crate::model::prompt_encoder::PointLabel;
use crate::uncertainty::PromptKind;

/// Most points of a prompt, those along its scribbles included: the decoder's work grows with them.
pub const MOST_POINTS: usize = 128;

/// A prompt for one object: any mix of its parts, but not an earlier mask alone.
///
/// ```
/// use umedsam::segment::{Point, Prompt};
/// use umedsam::model::prompt_encoder::PointLabel;
/// let prompt = Prompt { points: vec![Point { x: 12.5, y: 8.0, label: PointLabel::Foreground }], ..Default::default() };
/// assert!(prompt.checked(64, 64, 256).is_ok());
/// assert_eq!(Prompt::default().checked(64, 64, 256).unwrap_err().code(), "invalid-prompt");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prompt {
    /// A box `[x0, y0, x1, y1]`; its corners may come in any order and lie outside of the image.
    #[serde(rename = "box")]
    pub bounding_box: Option<[f64; 4]>,
    /// Points inside and outside of the object.
    pub points: Vec<Point>,
    /// Strokes inside and outside of the object.
    pub scribbles: Vec<Scribble>,
    /// The mask that is corrected.
    #[serde(skip)]
    pub previous: Option<Previous>,
}

/// A point in pixels of the image, x to the right and y down, the origin at the outer corner of the first pixel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Column, 0 to the image's width.
    pub x: f64,
    /// Row, 0 to the image's height.
    pub y: f64,
    /// Whether it is inside the object; by default it is.
    #[serde(default = "foreground")]
    pub label: PointLabel,
}

/// A stroke through points in pixels of the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scribble {
    /// The line's corners, `[x, y]`.
    pub points: Vec<[f64; 2]>,
    /// Whether it is inside the object; by default it is.
    #[serde(default = "foreground")]
    pub label: PointLabel,
}

fn foreground() -> PointLabel {
    PointLabel::Foreground
}

/// The mask that a prompt corrects.
#[derive(Debug, Clone, PartialEq)]
pub enum Previous {
    /// The low-res logits of an earlier answer: what the network takes best.
    LowRes(LowResMask),
    /// Any mask of the image's size: `height · width` values, non-zero inside.
    Mask(Arc<Vec<u8>>),
}

/// The network's own answer before it is enlarged, kept to be corrected.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LowResMask {
    /// Logits, `low_res_size · low_res_size` values, row by row, of the network's square input.
    pub logits: Arc<Vec<f32>>,
    /// The part of the image that was looked at by itself; `None` if it was the whole.
    pub crop: Option<Crop>,
}

impl From<BoundingBox> for Prompt {
    fn from(BoundingBox(corners): BoundingBox) -> Self {
        corners.into()
    }
}

impl From<[f64; 4]> for Prompt {
    fn from(corners: [f64; 4]) -> Self {
        Self { bounding_box: Some(corners), ..Self::default() }
    }
}

impl Prompt {
    /// What it is made of.
    pub fn kind(&self) -> PromptKind {
        let has_points = !self.points.is_empty() || !self.scribbles.is_empty();
        match (self.bounding_box.is_some(), has_points, self.previous.is_some()) {
            (true, false, false) => PromptKind::Box,
            (false, _, false) => PromptKind::Points,
            _ => PromptKind::Corrected,
        }
    }

    /// Puts the box in order and within the image, and refuses what cannot be used on an image of `width · height` pixels by a network whose low-res masks have
    /// `low_res_size · low_res_size` pixels.
    ///
    /// # Errors
    /// [`Error::InvalidBox`] as [`BoundingBox::checked`]; [`Error::InvalidPrompt`] that names the value: nothing but an earlier mask, a point outside of the image,
    /// an empty scribble, too many points, an earlier mask of another size or with values that are not finite.
    pub fn checked(mut self, width: usize, height: usize, low_res_size: usize) -> Result<Self> {
        let fail = |message: String| Err(Error::InvalidPrompt(message));
        if let Some(corners) = &mut self.bounding_box {
            *corners = BoundingBox::checked(*corners, width, height)?.0;
        } else if self.points.is_empty() && self.scribbles.is_empty() {
            return fail("it has no box, no points and no scribbles; give at least one of them".into());
        }
        let is_inside = |[x, y]: [f64; 2]| (0.0..=width as f64).contains(&x) && (0.0..=height as f64).contains(&y);
        let points = self.points.iter().map(|point| [point.x, point.y]);
        let corners = self.scribbles.iter().flat_map(|scribble| scribble.points.iter().copied());
        if let Some(outside) = points.chain(corners).find(|&place| !is_inside(place)) {
            return fail(format!("the point {outside:?} is not in the {width}×{height} image"));
        }
        let least = self.points.len() + self.scribbles.len();
        if least > MOST_POINTS {
            return fail(format!(
                "{least} points and scribbles; use at most {MOST_POINTS} points, those along scribbles included"
            ));
        }
        if self.scribbles.iter().any(|scribble| scribble.points.is_empty()) {
            return fail("a scribble has no points".into());
        }
        match &self.previous {
            Some(Previous::LowRes(low_res)) => {
                let expected = low_res_size * low_res_size;
                if low_res.logits.len() != expected {
                    let count = low_res.logits.len();
                    return fail(format!("the previous logits are {count} values; these weights give {expected}"));
                }
                if let Some(value) = low_res.logits.iter().find(|value| !value.is_finite()) {
                    return fail(format!("the previous logits contain {value}; use finite numbers"));
                }
                if let Some(crop) = low_res.crop.filter(|crop| !crop.is_within(width, height)) {
                    return fail(format!("{crop:?} of the previous logits is not within the {width}×{height} image"));
                }
            }
            Some(Previous::Mask(mask)) if mask.len() != width * height => {
                let (count, expected) = (mask.len(), width * height);
                return fail(format!(
                    "the previous mask has {count} values; the {width}×{height} image has {expected} pixels"
                ));
            }
            _ => {}
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: f64, y: f64) -> Prompt {
        Prompt { points: vec![Point { x, y, label: PointLabel::Background }], ..Prompt::default() }
    }

    fn low_res(values: Vec<f32>, crop: Option<Crop>) -> Option<Previous> {
        Some(Previous::LowRes(LowResMask { logits: Arc::new(values), crop }))
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let crop = Crop { x: 5, y: 0, width: 6, height: 2 };
        let scribble = |points| vec![Scribble { points, label: PointLabel::Foreground }];
        for (prompt, part) in [
            (Prompt::default(), "no box, no points"),
            (Prompt { previous: Some(Previous::Mask(Arc::new(vec![1; 80]))), ..Prompt::default() }, "no box"),
            (point(f64::NAN, 1.0), "NaN"),
            (point(10.5, 1.0), "[10.5, 1.0]"),
            (point(1.0, -0.1), "-0.1"),
            (Prompt { scribbles: scribble(vec![]), ..point(1.0, 1.0) }, "scribble"),
            (Prompt { scribbles: scribble(vec![[1.0, 1.0], [1.0, 8.1]]), ..Prompt::default() }, "8.1"),
            (Prompt { previous: Some(Previous::Mask(Arc::new(vec![1; 79]))), ..point(1.0, 1.0) }, "79 values"),
            (Prompt { previous: low_res(vec![0.0; 15], None), ..point(1.0, 1.0) }, "15 values"),
            (Prompt { previous: low_res(vec![f32::INFINITY; 16], None), ..point(1.0, 1.0) }, "inf"),
            (Prompt { previous: low_res(vec![0.0; 16], Some(crop)), ..point(1.0, 1.0) }, "Crop"),
        ] {
            let error = prompt.clone().checked(10, 8, 4).unwrap_err();
            assert_eq!(error.code(), "invalid-prompt", "{prompt:?}");
            assert!(error.to_string().contains(part), "{error}");
        }
        assert_eq!(Prompt::from([0.0; 4]).checked(10, 8, 4).unwrap_err().code(), "invalid-box");
    }

    #[test]
    fn what_can_be_used_is_put_in_order() {
        let prompt = Prompt { previous: low_res(vec![0.0; 16], None), ..Prompt::from([9.0, 12.0, -3.0, 2.0]) };
        assert_eq!(prompt.checked(10, 8, 4).unwrap().bounding_box, Some([0.0, 2.0, 9.0, 8.0]));
        assert!(point(10.0, 8.0).checked(10, 8, 4).is_ok());
    }

    #[test]
    fn kinds_follow_the_parts() {
        let with_box = Prompt { bounding_box: Some([0.0, 0.0, 1.0, 1.0]), ..point(1.0, 1.0) };
        let corrected = Prompt { previous: Some(Previous::Mask(Arc::default())), ..point(1.0, 1.0) };
        let kinds = [Prompt::from([0.0; 4]), point(1.0, 1.0), with_box, corrected].map(|prompt| prompt.kind());
        assert_eq!(kinds, [PromptKind::Box, PromptKind::Points, PromptKind::Corrected, PromptKind::Corrected]);
    }
}
