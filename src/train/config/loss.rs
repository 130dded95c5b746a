//! How masks are judged.

use serde::{Deserialize, Serialize};

use crate::train::loss::{Denominator, Focal};

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
    /// Weight of the boundary loss, which is not part of U-MedSAM.
    pub boundary: f64,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            kind: LossKind::UncertaintyAware,
            region: Denominator::Plain,
            focal: Focal::default(),
            iou: 1.0,
            boundary: 0.0,
        }
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
