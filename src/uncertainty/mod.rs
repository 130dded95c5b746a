//! Where the model is unsure, how sure a whole mask is, and what can be guaranteed of it.
//!
//! Every prompt is decoded several times with perturbed boxes ([`UncertaintyOptions`]); the members' probabilities are averaged and their
//! entropy is split into what every member shares and what they disagree on ([`Ensemble`]). [`Calibration`], learned on images
//! with masks, turns logits into probabilities that hold, thresholds into guarantees, and agreement into an expected DSC.

mod agreement;
mod calibration;
mod doubt_split;
mod ensemble;
mod entropy;
#[cfg(feature = "cli")]
pub mod fit;
#[cfg(feature = "cli")]
pub mod fit_objects;
mod guarantee;
mod options;
mod prompt_kind;
pub mod shift;
mod suggestion;

pub use agreement::Agreement;
pub use calibration::{
    Calibration, CalibrationData, CalibrationUse, ConformalThresholds, ExpectedDsc, ReviewRule, Scaling, Setting,
};
pub use doubt_split::{DoubtSplit, OutlineBand};
pub use ensemble::{Ensemble, UncertaintyMaps};
pub use entropy::{binary_entropy, entropy_of_logit, logit, sigmoid};
pub use guarantee::{AREA_COVERAGE, AreaThresholds, Guarantee, PerObjectThresholds};
pub use options::{MAX_JITTER, MAX_SAMPLES, UncertaintyOptions};
pub use prompt_kind::PromptKind;
pub use shift::{SHIFT_LEVEL, Shift, ShiftAlarm};
pub use suggestion::{Doubt, MOST_SUGGESTIONS, Suggestion};
