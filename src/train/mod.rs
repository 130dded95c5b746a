//! Training (native only): losses, Sharpness-Aware Minimization.
//!
//! What is the paper's (U-MedSAM, arXiv 2408.08881): an uncertainty-aware combination of a region, a distribution and a pixel loss with
//! learned weights, and SharpMin. What is the companion work's (UU-Mamba, by the same group): the combination's formula and SharpMin's ρ. What
//! is our reading is said where it is used.

pub mod config;
pub mod loss;
pub mod objective;
pub mod sample;
pub mod sharp_min;
