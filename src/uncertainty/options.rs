//! How an ensemble is made.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::image::{Flip, Geometry};
use crate::model::prompt_encoder::{InputBox, InputPoint, InputPrompt};
use crate::random::SplitMix64;

/// Most perturbed boxes of an ensemble.
pub const MAX_SAMPLES: usize = 64;

/// Largest jitter, in pixels of the network's input.
pub const MAX_JITTER: f64 = 20.0;

/// How far points move, as a share of the jitter of a box's sides: a click is more exact than a box.
const POINT_SHARE: f64 = 0.4;

/// The largest seed: the whole numbers that JavaScript can tell apart.
const MAX_SEED: u64 = (1 << 53) - 1;

/// How the uncertainty of a prompt is found. The network's mask does not depend on it.
///
/// ```
/// use umedsam::uncertainty::UncertaintyOptions;
/// let options: UncertaintyOptions = "samples=4,seed=7".parse()?;
/// assert_eq!((options.samples, options.seed), (4, 7));
/// assert!("samples=1000".parse::<UncertaintyOptions>().is_err());
/// # Ok::<(), umedsam::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UncertaintyOptions {
    /// Number K of perturbed boxes decoded beside the box itself, 0–64. 0 is the plain single pass, without epistemic uncertainty.
    pub samples: usize,
    /// Each side of a perturbed box moves by up to this many pixels of the network's input (256 for LiteMedSAM, which was trained
    /// with shifts of up to 5), 0–20.
    pub jitter: f64,
    /// Share of the weight that goes to SAM's multimask hypotheses, in proportion to their predicted IoU, 0–1.
    pub multimask: f64,
    /// Repeats the ensemble on the image flipped left to right and top to bottom: two more encodes.
    pub flips: bool,
    /// Which perturbations are drawn. The same seed gives the same maps.
    pub seed: u64,
}

impl Default for UncertaintyOptions {
    /// Chosen by `cargo xtask study`; see `docs/uncertainty.md`.
    fn default() -> Self {
        Self { samples: 8, jitter: 5.0, multimask: 0.0, flips: false, seed: 0 }
    }
}

impl UncertaintyOptions {
    /// One pass, no ensemble.
    pub fn single_pass() -> Self {
        Self { samples: 0, multimask: 0.0, flips: false, ..Self::default() }
    }

    /// Whether there is only one member.
    pub fn is_single_pass(&self) -> bool {
        self.samples == 0 && self.multimask == 0.0 && !self.flips
    }

    /// Whether calibration learned with `other` holds for this: all the same but the seed, and the jitter where nothing is jittered.
    pub fn same_ensemble(&self, other: &Self) -> bool {
        let jitter = |options: &Self| if options.samples == 0 { 0.0 } else { options.jitter };
        self.samples == other.samples
            && jitter(self) == jitter(other)
            && self.multimask == other.multimask
            && self.flips == other.flips
    }

    /// Refuses values out of range.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] that names the value and its range.
    pub fn checked(self) -> Result<Self> {
        let fail = |message: String| Err(Error::InvalidOption(message));
        if self.samples > MAX_SAMPLES {
            return fail(format!("samples is {}; use 0–{MAX_SAMPLES}", self.samples));
        }
        if !(0.0..=MAX_JITTER).contains(&self.jitter) {
            return fail(format!("jitter is {}; use 0–{MAX_JITTER} pixels of the network's input", self.jitter));
        }
        if !(0.0..=1.0).contains(&self.multimask) {
            return fail(format!("multimask is {}; use 0–1", self.multimask));
        }
        if self.seed > MAX_SEED {
            return fail(format!("seed is {}; use 0–{MAX_SEED}", self.seed));
        }
        Ok(self)
    }

    /// The flips of the image that the ensemble needs.
    pub fn flips(&self) -> &'static [Flip] {
        if self.flips { &[Flip::Horizontal, Flip::Vertical] } else { &[] }
    }

    /// A prompt and its perturbations, the prompt itself first: its box as [`UncertaintyOptions::boxes`], every point by up to two fifths of the jitter, within the
    /// image.
    pub fn prompts(&self, prompt: &InputPrompt, geometry: &Geometry) -> Vec<InputPrompt> {
        let boxes = prompt.bounding_box.map(|corners| self.boxes(corners, geometry));
        let (width, height) = geometry.resized();
        // Numbers of their own, so that boxes move the same with points and without.
        let mut random = SplitMix64::new(!self.seed);
        let mut shift =
            || (((random.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0) * POINT_SHARE * self.jitter) as f32;
        let mut shifts = vec![[0.0; 2]; prompt.points.len()];
        let moved = |(point, [x, y]): (&InputPoint, &[f32; 2])| InputPoint {
            x: (point.x + x).clamp(-0.5, width as f32 - 0.5),
            y: (point.y + y).clamp(-0.5, height as f32 - 0.5),
            ..*point
        };
        (0..=self.samples)
            .map(|sample| {
                for shift_of_point in &mut shifts {
                    *shift_of_point = match (sample, sample % 2) {
                        (0, _) => [0.0; 2],
                        (_, 1) => [shift(), shift()],
                        _ => shift_of_point.map(|side: f32| -side),
                    };
                }
                InputPrompt {
                    points: prompt.points.iter().zip(&shifts).map(moved).collect(),
                    bounding_box: boxes.as_ref().map(|boxes| boxes[sample]),
                }
            })
            .collect()
    }

    /// A box and its perturbations, the box itself first. Every second perturbation mirrors the one before it, so that they are balanced
    /// around the box. Perturbed boxes stay within the image and are at least a pixel wide.
    pub fn boxes(&self, corners: InputBox, geometry: &Geometry) -> Vec<InputBox> {
        let (width, height) = geometry.resized();
        let ends = [width as f32, height as f32, width as f32, height as f32];
        let mut random = SplitMix64::new(self.seed);
        let mut in_unit_interval = || (random.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        let mut shift = [0f32; 4];
        let mut boxes = vec![corners];
        for sample in 0..self.samples {
            shift = match sample % 2 {
                0 => std::array::from_fn(|_| (self.jitter * in_unit_interval()) as f32),
                _ => shift.map(|side| -side),
            };
            let mut moved: InputBox = std::array::from_fn(|side| (corners[side] + shift[side]).clamp(0.0, ends[side]));
            for axis in 0..2 {
                if moved[axis + 2] - moved[axis] < 1.0 {
                    (moved[axis], moved[axis + 2]) = (corners[axis], corners[axis + 2]);
                }
            }
            boxes.push(moved);
        }
        boxes
    }
}

impl std::str::FromStr for UncertaintyOptions {
    type Err = Error;

    /// Reads `none`, `default`, or `samples=K,jitter=PIXELS,multimask=SHARE,flips=true|false,seed=N`, each optional.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "none" => return Ok(Self::single_pass()),
            "default" | "" => return Ok(Self::default()),
            _ => {}
        }
        let mut options = Self::default();
        for part in text.split(',') {
            let unknown = || {
                let known = "none, default, samples=K, jitter=PIXELS, multimask=SHARE, flips=true|false, seed=N";
                Error::InvalidOption(format!("uncertainty {part:?}; use {known}"))
            };
            let (key, value) = part.trim().split_once('=').ok_or_else(unknown)?;
            match key {
                "samples" => options.samples = value.parse().map_err(|_| unknown())?,
                "jitter" => options.jitter = value.parse().map_err(|_| unknown())?,
                "multimask" => options.multimask = value.parse().map_err(|_| unknown())?,
                "flips" => options.flips = value.parse().map_err(|_| unknown())?,
                "seed" => options.seed = value.parse().map_err(|_| unknown())?,
                _ => return Err(unknown()),
            }
        }
        options.checked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GEOMETRY: Geometry = Geometry { width: 200, height: 100, input_size: 256 };

    #[test]
    fn perturbed_boxes_are_repeatable_balanced_and_within_bounds() {
        let options = UncertaintyOptions { samples: 6, jitter: 5.0, ..Default::default() };
        let corners = [40.0, 30.0, 90.0, 80.0];
        let boxes = options.boxes(corners, &GEOMETRY);
        assert_eq!(boxes.len(), 7);
        assert_eq!(boxes[0], corners);
        assert_eq!(boxes, options.boxes(corners, &GEOMETRY));
        assert_ne!(boxes, UncertaintyOptions { seed: 1, ..options }.boxes(corners, &GEOMETRY));
        for side in 0..4 {
            let mean = boxes.iter().map(|corners| corners[side]).sum::<f32>() / 7.0;
            assert!((mean - corners[side]).abs() < 1e-4);
            assert!(boxes.iter().all(|moved| (moved[side] - corners[side]).abs() <= 5.0));
        }
    }

    #[test]
    fn points_move_less_than_boxes_and_leave_them_as_they_are() {
        let label = crate::model::prompt_encoder::PointLabel::Background;
        let points = vec![InputPoint { x: 100.0, y: 50.0, label }, InputPoint { x: 255.0, y: 127.0, label }];
        let options = UncertaintyOptions { samples: 6, jitter: 5.0, ..Default::default() };
        let corners = [40.0, 30.0, 90.0, 80.0];
        let prompt = InputPrompt { points: points.clone(), bounding_box: Some(corners) };
        let prompts = options.prompts(&prompt, &GEOMETRY);
        assert_eq!(prompts[0], prompt);
        let boxes: Vec<InputBox> = prompts.iter().map(|prompt| prompt.bounding_box.unwrap()).collect();
        assert_eq!(boxes, options.boxes(corners, &GEOMETRY));
        for moved in &prompts[1..] {
            let shift = [moved.points[0].x - 100.0, moved.points[0].y - 50.0];
            assert!(shift.iter().all(|side| side.abs() <= 2.0) && shift != [0.0; 2], "{shift:?}");
            assert!(moved.points[1].x <= 255.5 && moved.points[1].y <= 127.5, "{moved:?}");
        }
        let mean = prompts.iter().map(|prompt| prompt.points[0].x).sum::<f32>() / prompts.len() as f32;
        assert!((mean - 100.0).abs() < 1e-4);
        let alone = options.prompts(&InputPrompt { points, bounding_box: None }, &GEOMETRY);
        assert!(alone.iter().all(|prompt| prompt.bounding_box.is_none()));
        assert_eq!(alone[3].points, prompts[3].points);
    }

    #[test]
    fn perturbed_boxes_stay_in_the_image_and_do_not_collapse() {
        let options = UncertaintyOptions { samples: 64, jitter: 20.0, ..Default::default() };
        for corners in [[0.0, 0.0, 256.0, 128.0], [100.0, 60.0, 101.0, 61.0], [0.0, 0.0, 0.0, 0.0]] {
            for [x0, y0, x1, y1] in options.boxes(corners, &GEOMETRY) {
                assert!(x0 >= 0.0 && y0 >= 0.0 && x1 <= 256.0 && y1 <= 128.0);
                assert!(x1 > x0 && y1 > y0 || [x0, y0, x1, y1] == corners || corners == [0.0; 4]);
            }
        }
    }

    #[test]
    fn values_out_of_range_are_named() {
        let good = UncertaintyOptions::default();
        for (options, part) in [
            (UncertaintyOptions { samples: 65, ..good }, "samples is 65"),
            (UncertaintyOptions { jitter: -1.0, ..good }, "jitter is -1"),
            (UncertaintyOptions { jitter: f64::NAN, ..good }, "jitter is NaN"),
            (UncertaintyOptions { multimask: 1.5, ..good }, "multimask is 1.5"),
            (UncertaintyOptions { seed: u64::MAX, ..good }, "seed is 18446744073709551615"),
        ] {
            let error = options.checked().unwrap_err();
            assert_eq!(error.code(), "invalid-option");
            assert!(error.to_string().contains(part), "{error}");
        }
        for text in ["samples", "samples=-1", "K=3", "jitter=x", "flips=maybe"] {
            assert!(text.parse::<UncertaintyOptions>().unwrap_err().to_string().contains(text));
        }
    }

    #[test]
    fn calibration_holds_for_other_seeds_only() {
        let options = UncertaintyOptions { samples: 8, ..Default::default() };
        assert!(options.same_ensemble(&UncertaintyOptions { seed: 9, ..options }));
        assert!(!options.same_ensemble(&UncertaintyOptions { samples: 4, ..options }));
        let single = UncertaintyOptions::single_pass();
        assert!(single.same_ensemble(&UncertaintyOptions { jitter: 1.0, ..single }));
    }
}
