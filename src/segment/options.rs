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
    /// How often that bound may fail for an object, between 0 and 1: the outer and the inner mask then hold for single objects with probability 1 − δ each. `None` for
    /// the bound in expectation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<f64>,
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
            delta: None,
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
        let is_share = |share: f64| share > 0.0 && share < 1.0;
        if !is_share(self.alpha) {
            return Err(Error::InvalidOption(format!("alpha is {}; use a number between 0 and 1", self.alpha)));
        }
        match self.delta.filter(|&delta| !is_share(delta)) {
            None => Ok(self),
            Some(delta) => Err(Error::InvalidOption(format!(
                "delta is {delta}; use a number between 0 and 1, or leave it out for a bound in expectation"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_out_of_range_are_refused_by_name() {
        let checked = |alpha, delta| SegmentOptions { alpha, delta, ..Default::default() }.checked();
        assert!(checked(0.1, None).is_ok() && checked(0.1, Some(0.1)).is_ok());
        for delta in [0.0, 1.0, -0.1, f64::NAN, f64::INFINITY] {
            let error = checked(0.1, Some(delta)).unwrap_err();
            assert_eq!(error.code(), "invalid-option");
            assert!(error.to_string().contains(&format!("delta is {delta};")), "{error}");
        }
        assert!(checked(1.0, Some(0.1)).unwrap_err().to_string().contains("alpha is 1;"));
        let options: SegmentOptions = serde_json::from_str(r#"{ "delta": 0.1 }"#).unwrap();
        assert_eq!(options.delta, Some(0.1));
        assert!(!serde_json::to_string(&SegmentOptions::default()).unwrap().contains("delta"));
    }
}
