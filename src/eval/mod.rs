//! Evaluation on folders of challenge cases (native only): DSC, NSD, calibration, error detection and guarantees.
//!
//! Source of the protocol: CVPR 2024 "Segment Anything in Medical Images on Laptop"; the metrics' own sources are in [`crate::metrics`].

mod boxes;
mod calibrate;
mod case;
mod chart;
mod clicks;
mod dataset;
mod embeddings;
mod guarantees;
mod html;
mod person;
mod report;
mod rounds;
mod run;
mod volume;

pub use boxes::DrawnBoxes;
pub use calibrate::{CalibrateSettings, CalibrationProgress, calibrate};
pub use case::{BoxScores, CaseScores, MapKind, Risk, evaluate_case, region_of_interest};
pub use chart::{Chart, Series};
pub use clicks::{Clicks, FirstPrompt, Interaction, Policy, Round, play_case};
pub use dataset::{CasePath, find_cases, find_files};
pub use embeddings::EmbeddingCache;
pub use guarantees::{Area, AreaCoverage, GuaranteeReport, Held, MaskCoverage, ObjectGuarantees};
pub use html::to_html;
pub use report::{CaseReport, Failure, GroupReport, Metrics, Report};
pub use rounds::{ClicksNeeded, RoundMetrics, Rounds};
pub use run::{EvalSettings, Progress, evaluate};
