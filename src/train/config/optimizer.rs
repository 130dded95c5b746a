//! How the weights change.

use serde::{Deserialize, Serialize};

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
    /// Momentum of SGD, after Nesterov.
    pub momentum: f64,
    /// Learning rate of the loss's σ, which follows the same schedule; without it, that of the weights. Fine-tuning's small steps would
    /// leave σ, which begin at 1, about where they are.
    pub sigma_learning_rate: Option<f64>,
    /// What the learning rate of a light encoder's pretrained trunk is multiplied by, 0–10.
    pub trunk_rate: f64,
    /// What the learning rate of the mask decoder is multiplied by, 0–10.
    pub decoder_rate: f64,
}

impl Default for OptimizerConfig {
    /// LiteMedSAM's AdamW.
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adamw,
            learning_rate: 5e-5,
            weight_decay: 0.01,
            momentum: 0.9,
            sigma_learning_rate: None,
            trunk_rate: 1.0,
            decoder_rate: 1.0,
        }
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
    /// `(1 − done)^0.9`, as nnU-Net and UU-Mamba.
    Poly,
}

impl Schedule {
    /// Factor of the learning rate when a share of the run, 0–1, is done.
    pub fn factor(self, done: f64) -> f64 {
        let done = done.min(1.0);
        match self {
            Self::Constant => 1.0,
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
            Self::Poly => (1.0 - done).powf(0.9),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_begin_at_one_and_end_at_zero() {
        for schedule in [Schedule::Cosine, Schedule::Poly] {
            assert_eq!(schedule.factor(0.0), 1.0);
            assert!(schedule.factor(0.5) < 0.6 && schedule.factor(1.0).abs() < 1e-12);
        }
        assert_eq!(Schedule::Constant.factor(1.0), 1.0);
    }
}
