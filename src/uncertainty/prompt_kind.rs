//! What calibration tells apart in prompts.

use serde::{Deserialize, Serialize};

/// What a prompt is made of, as far as calibration tells it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromptKind {
    /// A box alone.
    #[default]
    Box,
    /// Points or scribbles alone.
    Points,
    /// A mask that is corrected, or a box with points or scribbles.
    Corrected,
}
