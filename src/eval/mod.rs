//! Evaluation on folders of challenge cases (native only): DSC, NSD, calibration, error detection and guarantees.
//!
//! Source of the protocol: CVPR 2024 "Segment Anything in Medical Images on Laptop"; the metrics' own sources are in [`crate::metrics`].

mod area;
mod boxes;
mod calibrate;
mod case;
mod chart;
mod clicks;
mod dataset;
mod doubt;
mod embeddings;
mod familiar;
mod group;
mod guarantees;
mod html;
mod made_up;
mod mask_scores;
mod members;
mod person;
mod rater_report;
mod raters;
mod report;
mod rounds;
mod run;
mod selective;
mod shift;
mod volume;

pub use boxes::DrawnBoxes;
pub use calibrate::{CalibrateSettings, CalibrationProgress, calibrate};
pub use case::{BoxScores, CaseScores, MapKind, Risk, evaluate_case, region_of_interest};
pub use chart::{Chart, Series};
pub use clicks::{Clicks, FirstPrompt, Interaction, Policy, Round, play_case};
pub use dataset::{CasePath, find_cases, find_files};
pub use doubt::{DoubtPart, DoubtReport};
pub use embeddings::EmbeddingCache;
pub use familiar::{AlarmProgress, learn_shift_alarm};
pub use group::GroupReport;
pub use guarantees::{Area, AreaCoverage, GuaranteeReport, Held, MaskCoverage, ObjectGuarantees};
pub use html::to_html;
pub use mask_scores::MaskScores;
pub use rater_report::{RaterEce, RaterReport};
pub use raters::{AREA_INTERVAL, AreaFigures, RaterFigures, RaterReliability, RaterScores};
pub use report::{CaseReport, Failure, Metrics, Report};
pub use rounds::{ClicksNeeded, RoundMetrics, Rounds};
pub use run::{EvalSettings, Progress, evaluate};
pub use selective::{OrderScores, Ranking, Selective};
pub use shift::ShiftReport;
