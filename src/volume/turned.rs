//! Prompts and results between the stored slice, where files and scripts count, and the upright picture, which the network sees.

use std::sync::Arc;

use umedsam_volume::Turn;

use crate::image::BoundingBox;
use crate::segment::{Point, Previous, Prompt, Scribble, Segmentation};
use crate::uncertainty::Suggestion;

/// Prompts and results from a stored slice to the upright picture and back.
pub trait Turned {
    /// A prompt of the stored slice as one of the upright picture. Low-res logits of an earlier answer are the picture's already.
    fn upright_prompt(&self, prompt: &Prompt) -> Prompt;

    /// A result of the upright picture as one of the stored slice, but for its low-res logits, which stay the picture's.
    fn stored_segmentation(&self, found: Segmentation) -> Segmentation;
}

impl Turned for Turn {
    fn upright_prompt(&self, prompt: &Prompt) -> Prompt {
        let point = |point: &Point| {
            let [x, y] = self.upright_point([point.x, point.y]);
            Point { x, y, label: point.label }
        };
        let scribble = |scribble: &Scribble| Scribble {
            points: scribble.points.iter().map(|&point| self.upright_point(point)).collect(),
            label: scribble.label,
        };
        Prompt {
            bounding_box: prompt.bounding_box.map(|corners| self.upright_box(corners)),
            points: prompt.points.iter().map(point).collect(),
            scribbles: prompt.scribbles.iter().map(scribble).collect(),
            previous: prompt.previous.as_ref().map(|previous| match previous {
                Previous::Mask(mask) => Previous::Mask(Arc::new(self.turned(mask, 1))),
                low_res => low_res.clone(),
            }),
        }
    }

    fn stored_segmentation(&self, found: Segmentation) -> Segmentation {
        let mask = |values: &Vec<u8>| self.turned_back(values, 1);
        let map = |values: &Vec<f32>| self.turned_back(values, 1);
        let suggestion = |suggestion: &Suggestion| {
            let [x, y] = self.stored_point([suggestion.x, suggestion.y]);
            Suggestion { x, y, ..*suggestion }
        };
        let zoom = found.zoom.map(|mut crop| {
            let [x0, y0, x1, y1] = self.stored_box([
                crop.x as f64,
                crop.y as f64,
                (crop.x + crop.width) as f64,
                (crop.y + crop.height) as f64,
            ]);
            (crop.x, crop.y, crop.width, crop.height) =
                (x0 as usize, y0 as usize, (x1 - x0) as usize, (y1 - y0) as usize);
            crop
        });
        let mut uncertainty = found.uncertainty;
        for values in [&mut uncertainty.total, &mut uncertainty.aleatoric, &mut uncertainty.epistemic] {
            *values = map(values);
        }
        Segmentation {
            bounding_box: found.bounding_box.map(|BoundingBox(corners)| BoundingBox(self.stored_box(corners))),
            mask: mask(&found.mask),
            probability: map(&found.probability),
            outer: found.outer.as_ref().map(mask),
            inner: found.inner.as_ref().map(mask),
            suggestions: found.suggestions.iter().map(suggestion).collect(),
            uncertainty,
            zoom,
            ..found
        }
    }
}
