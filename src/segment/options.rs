//! What is asked for beside the mask.

use serde::{Deserialize, Serialize};

use super::zoom::Zoom;
use crate::error::{Error, Result};
use crate::uncertainty::UncertaintyOptions;

/// What is asked for beside the mask.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SegmentOptions {
    /// How the uncertainty is found.
    pub uncertainty: UncertaintyOptions,
    /// Bound of the outer mask's expected false-negative rate and of the inner mask's expected false-positive share, between 0 and 1.
    pub alpha: f64,
    /// Whether probabilities are calibrated, where the weights bring a calibration.
    pub calibrated: bool,
    /// What the mask is.
    pub mask: MaskSource,
    /// Whether small boxes are seen in a crop of their own.
    pub zoom: Zoom,
}

/// What a mask is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MaskSource {
    /// Where the network's logits for the box as it was given are positive: the official network's mask.
    #[default]
    Network,
    /// Where the probability is above ½: the calibrated mean of the ensemble. More accurate on the validation images; see
    /// `docs/uncertainty.md`.
    Consensus,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self {
            uncertainty: UncertaintyOptions::default(),
            alpha: 0.1,
            calibrated: true,
            mask: MaskSource::Network,
            zoom: Zoom::Off,
        }
    }
}

impl SegmentOptions {
    /// Refuses values out of range.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] that names the value and its range.
    pub fn checked(self) -> Result<Self> {
        self.uncertainty.checked()?;
        match self.alpha > 0.0 && self.alpha < 1.0 {
            true => Ok(self),
            false => Err(Error::InvalidOption(format!("alpha is {}; use a number between 0 and 1", self.alpha))),
        }
    }
}
