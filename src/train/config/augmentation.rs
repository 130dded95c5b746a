//! What is changed at random in the data.

use serde::{Deserialize, Serialize};

/// What is changed at random in the data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Each side of a box moves outwards by up to this many pixels of the input, 0–50.
    pub box_shift: u32,
    /// Boxes that are moved by a share of their own size instead.
    pub drawn_boxes: Option<DrawnBoxes>,
    /// A few fixed versions of every image, whose embeddings are worth keeping.
    pub views: Option<Views>,
    /// Mirrors images left to right and top to bottom, each for half of them.
    pub flips: bool,
    /// Moves, scales and turns images; every image is then encoded anew, which takes most of the time where only the decoder is trained.
    pub affine: Option<Affine>,
    /// Changes brightness, contrast and gamma; as costly as `affine`.
    pub intensity: Option<Intensity>,
}

impl Default for Augmentation {
    /// LiteMedSAM's.
    fn default() -> Self {
        Self { box_shift: 5, drawn_boxes: None, views: None, flips: true, affine: None, intensity: None }
    }
}

impl Augmentation {
    /// Name, value, lowest and highest value.
    pub(super) fn ranges(&self) -> Vec<(&'static str, f64, f64, f64)> {
        let mut ranges = vec![("augmentation.box_shift", f64::from(self.box_shift), 0.0, 50.0)];
        if let Some(views) = self.views {
            ranges.extend([
                ("augmentation.views.count", views.count as f64, 1.0, 64.0),
                ("augmentation.views.crop", views.crop, 0.0, 1.0),
                ("augmentation.views.smallest_crop", views.smallest_crop, 0.1, 1.0),
                ("augmentation.views.turn", views.turn, 0.0, 1.0),
                ("augmentation.views.gamma", views.gamma, 0.0, 1.0),
                ("augmentation.views.invert", views.invert, 0.0, 1.0),
            ]);
        }
        if let Some(boxes) = self.drawn_boxes {
            ranges.extend([
                ("augmentation.drawn_boxes.probability", boxes.probability, 0.0, 1.0),
                ("augmentation.drawn_boxes.inwards", boxes.inwards, 0.0, 0.4),
                ("augmentation.drawn_boxes.outwards", boxes.outwards, 0.0, 1.0),
                ("augmentation.drawn_boxes.power", boxes.power, 0.0, 4.0),
                ("augmentation.drawn_boxes.alike", boxes.alike, 0.0, 1.0),
            ]);
        }
        if let Some(Affine { probability, shift, scale, rotate }) = self.affine {
            ranges.extend([
                ("augmentation.affine.probability", probability, 0.0, 1.0),
                ("augmentation.affine.shift", shift, 0.0, 0.5),
                ("augmentation.affine.scale", scale, 0.0, 0.9),
                ("augmentation.affine.rotate", rotate, 0.0, 180.0),
            ]);
        }
        if let Some(Intensity { probability, brightness, contrast, gamma }) = self.intensity {
            ranges.extend([
                ("augmentation.intensity.probability", probability, 0.0, 1.0),
                ("augmentation.intensity.brightness", brightness, 0.0, 1.0),
                ("augmentation.intensity.contrast", contrast, 0.0, 1.0),
                ("augmentation.intensity.gamma", gamma, 0.0, 1.0),
            ]);
        }
        ranges
    }

    /// Whether an image has only a few versions, whose embeddings are worth keeping.
    pub fn is_discrete(&self) -> bool {
        self.affine.is_none() && self.intensity.is_none()
    }
}

/// Boxes as people draw them: each side moves by a share of the box's own width or height, mostly by little.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DrawnBoxes {
    /// Share of the boxes that are drawn so, 0–1.
    pub probability: f64,
    /// The most that a side moves inwards, 0–0.4.
    pub inwards: f64,
    /// The most that a side moves outwards, 0–1. A box's own limit is this times a power of a random number in 0–1.
    pub outwards: f64,
    /// That power, 0–4: at 2 most boxes are nearly tight, at 0 every box's limit is `outwards`.
    pub power: f64,
    /// Share of these boxes whose sides all move alike, 0–1.
    pub alike: f64,
}

impl Default for DrawnBoxes {
    fn default() -> Self {
        Self { probability: 0.7, inwards: 0.05, outwards: 0.35, power: 2.0, alike: 0.3 }
    }
}

/// Fixed versions of an image: the image itself, then others that are mirrored, turned by quarters, cut out and enlarged, and changed in brightness, as chance
/// has it. What they are follows from the image's name and their number alone, so that a teacher's embeddings of them can be kept between runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Views {
    /// How many, the image itself included, 1–64.
    pub count: usize,
    /// Share of the versions that are cut out, 0–1.
    pub crop: f64,
    /// The smallest share of the image's sides that is cut out, 0.1–1.
    pub smallest_crop: f64,
    /// Share of the versions that are turned by a quarter, 0–1.
    pub turn: f64,
    /// The logarithm of gamma is drawn from −this…this for half of the versions, 0–1.
    pub gamma: f64,
    /// Share of the versions whose contrast is inverted, 0–1.
    pub invert: f64,
}

impl Default for Views {
    fn default() -> Self {
        Self { count: 4, crop: 0.6, smallest_crop: 0.5, turn: 0.5, gamma: 0.4, invert: 0.1 }
    }
}

/// Shift, scale and rotation around the image's centre, each drawn evenly from −limit…limit. The defaults are MedficientSAM's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Affine {
    /// Share of the images that are changed, 0–1.
    pub probability: f64,
    /// Shift as a share of the image's sides, 0–0.5.
    pub shift: f64,
    /// Change of scale, 0–0.9.
    pub scale: f64,
    /// Rotation in degrees, 0–180.
    pub rotate: f64,
}

impl Default for Affine {
    fn default() -> Self {
        Self { probability: 0.5, shift: 0.0625, scale: 0.2, rotate: 90.0 }
    }
}

/// Changes of the pixels' values x in 0–1: `((x − ½) · contrast + ½ + brightness) ^ gamma`, cut off at 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Intensity {
    /// Share of the images that are changed, 0–1.
    pub probability: f64,
    /// Brightness is drawn from −this…this, 0–1.
    pub brightness: f64,
    /// Contrast is drawn from 1 − this…1 + this, 0–1.
    pub contrast: f64,
    /// The logarithm of gamma is drawn from −this…this, 0–1.
    pub gamma: f64,
}

impl Default for Intensity {
    fn default() -> Self {
        Self { probability: 0.5, brightness: 0.1, contrast: 0.2, gamma: 0.2 }
    }
}
