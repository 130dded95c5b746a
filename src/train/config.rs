//! What to train, read from TOML.

mod augmentation;
mod interaction;
mod loss;
mod optimizer;

pub use augmentation::{Affine, Augmentation, DrawnBoxes, Intensity, Views};
pub use interaction::Interaction;
pub use loss::{LossConfig, LossKind};
pub use optimizer::{OptimizerConfig, OptimizerKind, Schedule};

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::sharp_min::SharpMin;
use crate::error::{Error, Result};

/// A training run. Everything has a default; unknown keys are errors.
///
/// ```
/// use umedsam::train::config::{Length, TrainConfig};
/// let config = TrainConfig::from_toml("steps = 100\n[sharp_min]\nrho = 0.1\n")?;
/// assert_eq!(config.length(), Length::Steps(100));
/// assert_eq!(config.sharp_min.unwrap().rho, 0.1);
/// assert!(TrainConfig::from_toml("step = 100").is_err());
/// # Ok::<(), umedsam::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Which parameters change.
    pub part: Part,
    /// Where the work is done.
    pub device: TrainDevice,
    /// Decides which images, boxes and augmentations come when.
    pub seed: u64,
    /// How much more often the images of small datasets come, 0–1: at 0 every image once a pass, at 1 every dataset equally often.
    pub balance: f64,
    /// Images per step, 1–64.
    pub batch: usize,
    /// Boxes of each image, 1–16, their structures drawn anew for each. An image is encoded once for all its boxes.
    pub boxes_per_image: usize,
    /// Length in steps. At most one of `steps`, `epochs` and `minutes`; 1000 steps without any.
    pub steps: Option<usize>,
    /// Length in passes over the images.
    pub epochs: Option<f64>,
    /// Length in minutes of training; such a run depends on the machine's speed.
    pub minutes: Option<f64>,
    /// Steps between checkpoints.
    pub checkpoint_every: usize,
    /// Largest norm of the gradient of all parameters together.
    pub clip_norm: Option<f64>,
    /// Decay of the exponential moving average of the weights that is validated and exported, from 0 to below 1; without it, the weights
    /// themselves are.
    pub ema: Option<f64>,
    /// Learning from a teacher's embeddings.
    pub distillation: Option<Distillation>,
    /// Learning from clicks, strokes and corrections; without it every prompt is a box.
    pub interaction: Option<Interaction>,
    /// The loss.
    pub loss: LossConfig,
    /// Sharpness-Aware Minimization; without it, training is exactly the optimizer's.
    pub sharp_min: Option<SharpMin>,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Steps over which the learning rate rises from 0 to the schedule's.
    pub warmup_steps: usize,
    /// What the best weights are chosen by.
    pub validation: ValidationConfig,
    /// What is changed at random in the data.
    pub augmentation: Augmentation,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            part: Part::Decoder,
            device: TrainDevice::Cpu,
            seed: 0,
            balance: 0.0,
            batch: 4,
            boxes_per_image: 1,
            steps: None,
            epochs: None,
            minutes: None,
            checkpoint_every: 100,
            clip_norm: None,
            ema: None,
            distillation: None,
            interaction: None,
            loss: LossConfig::default(),
            sharp_min: None,
            optimizer: OptimizerConfig::default(),
            schedule: Schedule::Constant,
            warmup_steps: 0,
            validation: ValidationConfig::default(),
            augmentation: Augmentation::default(),
        }
    }
}

/// Learning from a teacher's embeddings: the image encoder is to give what another encoder gives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Distillation {
    /// Weight of the embeddings' mean squared difference, 0–10,000. LiteMedSAM's embeddings have a variance of about 0.01, so that with 100 an encoder that knows
    /// nothing has a loss of about 1.
    pub weight: f64,
    /// Whether masks are learned as well. Without them images need none, the mask decoder is left out of a step, and pictures without labels are learned from too.
    pub masks: bool,
    /// Share of the examples with labels whose mask is nevertheless the teacher's, of a box at a random place, 0–1: it keeps what the labels do not show. Above 0
    /// images without masks are learned from too, always so. Only with `masks`.
    pub taught_masks: f64,
    /// Of how many of the [`Views`] the teacher's embedding is learned; the others have their labels alone. By default of all.
    pub taught_views: Option<usize>,
}

impl Default for Distillation {
    fn default() -> Self {
        Self { weight: 100.0, masks: false, taught_masks: 0.0, taught_views: None }
    }
}

/// How long a run is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// This many steps.
    Steps(usize),
    /// This many passes over the images.
    Epochs(f64),
    /// This long.
    Minutes(f64),
}

/// Where the work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainDevice {
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU; needs the feature `cuda`.
    Cuda,
    /// Any GPU with Vulkan; needs the feature `vulkan`.
    Vulkan,
}

/// What the best weights are chosen by: the mean DSC, at the input's scale, of images that are not trained on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValidationConfig {
    /// Share of each dataset's images that is held out, 0–0.9: the last ones by name, so that slices of one patient mostly stay together.
    /// Not used where there is a folder for validation.
    pub share: f64,
    /// At most this many images, evenly spread.
    pub images: usize,
    /// At most this many boxes of an image, evenly spread.
    pub boxes_per_image: usize,
    /// Every box is used once more, the tight one with all sides moved outwards by this share of the box's own, 0–1.
    pub loosen: Option<f64>,
    /// Steps between validations; there is one at the beginning and one at the end in any case.
    pub every: usize,
}

impl Default for ValidationConfig {
    fn default() -> Self {
        Self { share: 0.1, images: 160, boxes_per_image: 2, loosen: None, every: 200 }
    }
}

/// Which parameters change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The mask decoder: embeddings are computed once.
    Decoder,
    /// Prompt encoder and mask decoder, for points and mask prompts; embeddings are computed once.
    Prompts,
    /// A prompt encoder and a mask decoder for what is not a box alone, see [`crate::model::CorrectionHead`]: boxes alone are answered as before. They begin as the
    /// weights' own, or as another file's prompt encoder and mask decoder. Embeddings are computed once.
    Corrections,
    /// The image encoder.
    Encoder,
    /// Image encoder and mask decoder.
    All,
}

impl Part {
    /// Whether the image encoder changes.
    pub fn has_encoder(self) -> bool {
        matches!(self, Self::Encoder | Self::All)
    }

    /// Whether the mask decoder of boxes changes.
    pub fn has_decoder(self) -> bool {
        !matches!(self, Self::Encoder | Self::Corrections)
    }
}

impl TrainConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] naming an unknown key, or a value out of range.
    pub fn from_toml(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|error| Error::InvalidOption(error.to_string()))?;
        config.checked()
    }

    /// The configuration with every default spelt out.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration is plain data")
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// As [`TrainConfig::from_toml`]; [`Error::File`] if the file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::file(path, error))?;
        Self::from_toml(&text).map_err(|error| Error::file(path, error))
    }

    /// How long the run is.
    pub fn length(&self) -> Length {
        match (self.steps, self.epochs, self.minutes) {
            (_, Some(epochs), _) => Length::Epochs(epochs),
            (_, _, Some(minutes)) => Length::Minutes(minutes),
            (steps, ..) => Length::Steps(steps.unwrap_or(1000)),
        }
    }

    /// Refuses values out of range.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] naming the value and its range.
    pub fn checked(self) -> Result<Self> {
        let fail = |message: String| Err(Error::InvalidOption(message));
        let lengths = [self.steps.is_some(), self.epochs.is_some(), self.minutes.is_some()];
        if lengths.iter().filter(|is_given| **is_given).count() > 1 {
            return fail("only one of steps, epochs and minutes can be given".into());
        }
        if self.distillation.is_some() && !self.part.has_encoder() {
            return fail("distillation is for the image encoder; use part = \"encoder\" or \"all\"".into());
        }
        if self.distillation.is_some_and(|distillation| !distillation.masks) && self.part != Part::Encoder {
            return fail("distillation without masks leaves the mask decoder as it is; use part = \"encoder\"".into());
        }
        if self.distillation.is_some_and(|distillation| !distillation.masks && distillation.taught_masks > 0.0) {
            return fail("distillation.taught_masks needs masks = true".into());
        }
        if self.interaction.is_some() && self.distillation.is_some() {
            return fail("interaction and distillation exclude each other: corrections have no teacher".into());
        }
        if self.part == Part::Corrections && self.interaction.is_none_or(|interaction| interaction.corrections == 0) {
            return fail(
                "part = \"corrections\" learns from corrections; give [interaction] with corrections above 0".into(),
            );
        }
        let is_positive = |value: f64| value > 0.0 && value.is_finite();
        for (name, value, low, high) in self.ranges() {
            if !(low..=high).contains(&value) {
                return fail(format!("{name} is {value}; use {low}–{high}"));
            }
        }
        let positive = [
            ("optimizer.learning_rate", Some(self.optimizer.learning_rate)),
            ("optimizer.sigma_learning_rate", self.optimizer.sigma_learning_rate),
            ("epochs", self.epochs),
            ("minutes", self.minutes),
            ("clip_norm", self.clip_norm),
        ];
        for (name, value) in positive {
            if let Some(value) = value.filter(|value| !is_positive(*value)) {
                return fail(format!("{name} is {value}; use a positive number"));
            }
        }
        for (name, count) in [
            ("steps", self.steps.unwrap_or(1)),
            ("checkpoint_every", self.checkpoint_every),
            ("validation.every", self.validation.every),
            ("validation.images", self.validation.images),
            ("validation.boxes_per_image", self.validation.boxes_per_image),
        ] {
            if count == 0 {
                return fail(format!("{name} is 0; use 1 or more"));
            }
        }
        Ok(self)
    }

    /// Name, value, lowest and highest value.
    fn ranges(&self) -> Vec<(&'static str, f64, f64, f64)> {
        /// "Below 1" for people, and the largest decay that still forgets.
        const BELOW_ONE: f64 = 0.999_999;
        let mut ranges = vec![
            ("batch", self.batch as f64, 1.0, 64.0),
            ("boxes_per_image", self.boxes_per_image as f64, 1.0, 16.0),
            ("balance", self.balance, 0.0, 1.0),
            ("optimizer.weight_decay", f64::from(self.optimizer.weight_decay), 0.0, 1.0),
            ("optimizer.momentum", self.optimizer.momentum, 0.0, BELOW_ONE),
            ("loss.iou", self.loss.iou, 0.0, 1000.0),
            ("loss.boundary", self.loss.boundary, 0.0, 1000.0),
            ("loss.focal.alpha", self.loss.focal.alpha, 0.0, 1.0),
            ("loss.focal.gamma", self.loss.focal.gamma, 0.0, 10.0),
            ("validation.share", self.validation.share, 0.0, 0.9),
            ("optimizer.trunk_rate", self.optimizer.trunk_rate, 0.0, 10.0),
            ("optimizer.decoder_rate", self.optimizer.decoder_rate, 0.0, 10.0),
        ];
        if let Some(distillation) = self.distillation {
            ranges.push(("distillation.weight", distillation.weight, 0.0, 10_000.0));
            ranges.push(("distillation.taught_masks", distillation.taught_masks, 0.0, 1.0));
            ranges
                .extend(distillation.taught_views.map(|views| ("distillation.taught_views", views as f64, 1.0, 64.0)));
        }
        ranges.extend(self.ema.map(|decay| ("ema", decay, 0.0, BELOW_ONE)));
        ranges.extend(self.sharp_min.map(|sharp_min| ("sharp_min.rho", sharp_min.rho, 0.0, 10.0)));
        ranges.extend(self.sharp_min.map(|sharp_min| ("sharp_min.begin", sharp_min.begin, 0.0, 1.0)));
        ranges.extend(self.validation.loosen.map(|share| ("validation.loosen", share, 0.0, 1.0)));
        ranges.extend(self.interaction.iter().flat_map(Interaction::ranges));
        ranges.extend(self.augmentation.ranges());
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default_and_survives_writing() {
        assert_eq!(TrainConfig::from_toml("").unwrap(), TrainConfig::default());
        let config = TrainConfig { sharp_min: Some(SharpMin::default()), ..Default::default() };
        assert_eq!(TrainConfig::from_toml(&toml::to_string(&config).unwrap()).unwrap(), config);
    }

    #[test]
    fn unknown_keys_and_bad_values_are_named() {
        for (text, part) in [
            ("epoch = 3", "epoch"),
            ("epochs = 3.0\nsteps = 10", "only one of"),
            ("epochs = -1.0", "epochs is -1"),
            ("minutes = 0.0", "minutes is 0"),
            ("device = \"tpu\"", "tpu"),
            ("ema = 1.0", "ema is 1"),
            ("checkpoint_every = 0", "checkpoint_every is 0"),
            ("[validation]\nshare = 0.95", "validation.share is 0.95"),
            ("[augmentation.affine]\nrotate = 200.0", "rotate is 200"),
            ("[augmentation.intensity]\ngama = 0.1", "gama"),
            ("[optimizer]\nlr = 1e-3", "lr"),
            ("[loss]\nkind = \"dice\"", "dice"),
            ("batch = 0", "batch is 0"),
            ("steps = 0", "steps is 0"),
            ("[optimizer]\nlearning_rate = -1.0", "learning_rate is -1"),
            ("[optimizer]\nlearning_rate = nan", "learning_rate is NaN"),
            ("[sharp_min]\nrho = -0.1", "rho is -0.1"),
            ("[augmentation]\nbox_shift = 51", "box_shift is 51"),
            ("clip_norm = 0.0", "clip_norm is 0"),
            ("part = \"all\"\n[interaction]\n[distillation]\nmasks = true", "interaction and distillation"),
            ("[interaction]\nclicks = 0.9\nstrokes = 0.2", "clicks + strokes is 1.1"),
        ] {
            let error = TrainConfig::from_toml(text).unwrap_err();
            assert_eq!(error.code(), "invalid-option");
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
