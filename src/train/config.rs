//! What to train, read from TOML.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::loss::{Denominator, Focal};
use super::sharp_min::SharpMin;
use crate::error::{Error, Result};

/// A training run. Everything has a default; unknown keys are errors.
///
/// ```
/// use umedsam::train::config::TrainConfig;
/// let config = TrainConfig::from_toml("steps = 100\n[sharp_min]\nrho = 0.1\n")?;
/// assert_eq!((config.steps, config.sharp_min.unwrap().rho), (100, 0.1));
/// assert!(TrainConfig::from_toml("step = 100").is_err());
/// # Ok::<(), umedsam::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Which parameters change.
    pub part: Part,
    /// Decides which images, boxes and flips come when.
    pub seed: u64,
    /// Boxes per step, each of another image, 1–64.
    pub batch: usize,
    /// Number of steps.
    pub steps: usize,
    /// The loss.
    pub loss: LossConfig,
    /// Sharpness-Aware Minimization; without it, training is exactly the optimizer's.
    pub sharp_min: Option<SharpMin>,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Largest norm of a parameter's gradient.
    pub clip_norm: Option<f32>,
    /// What is changed at random in the data.
    pub augmentation: Augmentation,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            part: Part::Decoder,
            seed: 0,
            batch: 4,
            steps: 1000,
            loss: LossConfig::default(),
            sharp_min: None,
            optimizer: OptimizerConfig::default(),
            schedule: Schedule::Constant,
            clip_norm: None,
            augmentation: Augmentation::default(),
        }
    }
}

/// Which parameters change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The mask decoder: embeddings are computed once.
    Decoder,
    /// The image encoder.
    Encoder,
    /// Image encoder and mask decoder.
    All,
}

/// The loss of a mask, and what is added for the predicted IoU.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossConfig {
    /// How the terms are combined.
    pub kind: LossKind,
    /// The region term's denominator.
    pub region: Denominator,
    /// The pixel term.
    pub focal: Focal,
    /// Weight of the predicted IoU's squared error.
    pub iou: f64,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self { kind: LossKind::UncertaintyAware, region: Denominator::Plain, focal: Focal::default(), iou: 1.0 }
    }
}

/// How the terms are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossKind {
    /// The region term alone.
    Region,
    /// Region and cross-entropy with weight 1, as LiteMedSAM was trained.
    Sum,
    /// Region, cross-entropy and focal with learned σ: the paper's.
    UncertaintyAware,
}

/// The optimizer and its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Which one.
    pub kind: OptimizerKind,
    /// Size of the steps.
    pub learning_rate: f64,
    /// Share of the weights that each step takes away, times the learning rate; never of the σ.
    pub weight_decay: f32,
    /// Momentum of SGD.
    pub momentum: f64,
}

impl Default for OptimizerConfig {
    /// LiteMedSAM's AdamW.
    fn default() -> Self {
        Self { kind: OptimizerKind::Adamw, learning_rate: 5e-5, weight_decay: 0.01, momentum: 0.9 }
    }
}

/// Optimizers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// AdamW.
    Adamw,
    /// Stochastic gradient descent with momentum.
    Sgd,
}

/// How the learning rate changes over the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// It stays.
    Constant,
    /// Half a cosine down to 0.
    Cosine,
    /// `(1 − step / steps)^0.9`, as nnU-Net and UU-Mamba.
    Poly,
}

impl Schedule {
    /// Factor of the learning rate at a step.
    pub fn factor(self, step: usize, steps: usize) -> f64 {
        let done = (step as f64 / steps.max(1) as f64).min(1.0);
        match self {
            Self::Constant => 1.0,
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
            Self::Poly => (1.0 - done).powf(0.9),
        }
    }
}

/// What is changed at random in the data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Each side of a box moves outwards by up to this many pixels of the input, 0–50.
    pub box_shift: u32,
    /// Mirrors images left to right or top to bottom.
    pub flips: bool,
}

impl Default for Augmentation {
    /// LiteMedSAM's.
    fn default() -> Self {
        Self { box_shift: 5, flips: true }
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

    /// Reads a configuration file.
    ///
    /// # Errors
    /// As [`TrainConfig::from_toml`]; [`Error::File`] if the file cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::file(path, error))?;
        Self::from_toml(&text).map_err(|error| Error::file(path, error))
    }

    fn checked(self) -> Result<Self> {
        let fail = |message: String| Err(Error::InvalidOption(message));
        let OptimizerConfig { learning_rate, weight_decay, momentum, .. } = self.optimizer;
        if !(1..=64).contains(&self.batch) {
            return fail(format!("batch is {}; use 1–64", self.batch));
        }
        if self.steps == 0 {
            return fail("steps is 0; use 1 or more".into());
        }
        if !(learning_rate > 0.0 && learning_rate.is_finite()) {
            return fail(format!("optimizer.learning_rate is {learning_rate}; use a positive number"));
        }
        if !(0.0..=1.0).contains(&weight_decay) {
            return fail(format!("optimizer.weight_decay is {weight_decay}; use 0–1"));
        }
        if !(0.0..1.0).contains(&momentum) {
            return fail(format!("optimizer.momentum is {momentum}; use 0 to below 1"));
        }
        if self.augmentation.box_shift > 50 {
            return fail(format!("augmentation.box_shift is {}; use 0–50", self.augmentation.box_shift));
        }
        if let Some(SharpMin { rho, .. }) = self.sharp_min.filter(|sharp_min| !(0.0..=10.0).contains(&sharp_min.rho)) {
            return fail(format!("sharp_min.rho is {rho}; use 0–10"));
        }
        if let Some(norm) = self.clip_norm.filter(|norm| norm.is_nan() || *norm <= 0.0) {
            return fail(format!("clip_norm is {norm}; use a positive number"));
        }
        Ok(self)
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
            ("epochs = 3", "epochs"),
            ("[optimizer]\nlr = 1e-3", "lr"),
            ("[loss]\nkind = \"dice\"", "dice"),
            ("batch = 0", "batch is 0"),
            ("steps = 0", "steps is 0"),
            ("[optimizer]\nlearning_rate = -1.0", "learning_rate is -1"),
            ("[optimizer]\nlearning_rate = nan", "learning_rate is NaN"),
            ("[sharp_min]\nrho = -0.1", "rho is -0.1"),
            ("[augmentation]\nbox_shift = 51", "box_shift is 51"),
            ("clip_norm = 0.0", "clip_norm is 0"),
        ] {
            let error = TrainConfig::from_toml(text).unwrap_err();
            assert_eq!(error.code(), "invalid-option");
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn schedules_begin_at_one_and_end_at_zero() {
        for schedule in [Schedule::Cosine, Schedule::Poly] {
            assert_eq!(schedule.factor(0, 10), 1.0);
            assert!(schedule.factor(5, 10) < 0.6 && schedule.factor(10, 10).abs() < 1e-12);
        }
        assert_eq!(Schedule::Constant.factor(10, 10), 1.0);
    }
}
