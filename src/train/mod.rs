//! Training (native only): data, losses, Sharpness-Aware Minimization, and the run.
//!
//! What is the paper's (U-MedSAM, arXiv 2408.08881): an uncertainty-aware combination of a region, a distribution and a pixel loss with
//! learned weights, and SharpMin. What is the companion work's (UU-Mamba, by the same group): the combination's formula and SharpMin's ρ. What
//! is our reading is said where it is used.

mod augment;
mod checkpoint;
pub mod config;
mod corrections;
pub mod data;
mod ema;
pub mod example;
mod identity;
mod local_scaling;
pub mod log;
pub mod loss;
pub mod objective;
mod optimizer;
mod order;
mod parallel;
mod rounds;
mod run;
pub mod sample;
pub mod set;
pub mod sharp_min;
mod student;
mod teacher;
mod values;

pub use checkpoint::Best;
pub use local_scaling::{LocalScalingEvent, LocalScalingSettings, train_local_scaling};
pub use run::{BEST, CHECKPOINT, Event, LAST, LOG, Outcome, TrainSettings, train};
pub use student::{BeginStudent, begin_student};
