//! How people are simulated who prompt and correct.

use serde::{Deserialize, Serialize};

/// Simulated people: a first prompt, then clicks where the mask is wrong.
///
/// The loss is taken of every answer; the logits of one are the mask prompt of the next.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Interaction {
    /// The most corrections of a structure, 0–20; every structure's number is drawn from 0 to this.
    pub corrections: usize,
    /// Share of the structures whose first prompt is a click inside instead of a box, 0–1.
    pub clicks: f64,
    /// Share of those whose first prompt is a stroke inside, 0–1.
    pub strokes: f64,
    /// Share of the corrections that come without a mask prompt, 0–1: who calls with points alone has none.
    pub without_mask: f64,
    /// Share of the mask prompts that are a plain mask instead of logits, 0–1: masks from elsewhere are.
    pub plain_masks: f64,
    /// Share of the examples with labels whose mask is what the network that training began with sees in a box at a random place, 0–1: it keeps what the labels do not
    /// show. Above 0 images without masks are learned from too, always so.
    pub taught: f64,
    /// Corrections of every prompt in the validation, 0–20.
    pub validated: usize,
}

impl Default for Interaction {
    fn default() -> Self {
        Self {
            corrections: 5,
            clicks: 0.25,
            strokes: 0.1,
            without_mask: 0.25,
            plain_masks: 0.15,
            taught: 0.0,
            validated: 3,
        }
    }
}

impl Interaction {
    /// Name, value, lowest and highest value.
    pub(super) fn ranges(&self) -> Vec<(&'static str, f64, f64, f64)> {
        vec![
            ("interaction.corrections", self.corrections as f64, 0.0, 20.0),
            ("interaction.clicks", self.clicks, 0.0, 1.0),
            ("interaction.strokes", self.strokes, 0.0, 1.0),
            ("interaction.clicks + strokes", self.clicks + self.strokes, 0.0, 1.0),
            ("interaction.without_mask", self.without_mask, 0.0, 1.0),
            ("interaction.plain_masks", self.plain_masks, 0.0, 1.0),
            ("interaction.taught", self.taught, 0.0, 1.0),
            ("interaction.validated", self.validated as f64, 0.0, 20.0),
        ]
    }
}
