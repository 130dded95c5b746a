//! How far an object is followed.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::segment::Segmentation;

/// How far an object is followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PropagationOptions {
    /// The first and the last slice that are looked at; by default all. A range that begins or ends at the prompted slice goes one way.
    pub range: Option<[usize; 2]>,
    /// When it ends before that; by default [`Stop::default`] without a range, and [`Stop::NEVER`] with one, which says where the object ends.
    pub stop: Option<Stop>,
}

/// When a direction ends: at the first slice that one of these is true of, which is not part of the object.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Stop {
    /// So many slices in a row have no mask; 0 never.
    pub empty_slices: usize,
    /// The DSC that is to be expected is below this, 0–1; 0 never.
    pub expected_dsc: f64,
    /// The mask is smaller than this share of the prompted slice's, 0–1; 0 never.
    pub area: f64,
    /// The predicted IoU of a second opinion, a click in the middle of the mask before and that mask, is below this share of the best so far, 0–1; 0 never. A box is
    /// always filled with something; a click alone tells whether the object is still there. Only with weights that learned corrections.
    pub presence: f64,
}

/// What ended a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// There was no mask.
    Empty,
    /// Too low a DSC was to be expected.
    ExpectedDsc,
    /// The mask was too small beside the prompted slice's.
    Area,
    /// A second opinion did not find the object.
    Presence,
}

impl Default for Stop {
    fn default() -> Self {
        Self { empty_slices: 1, expected_dsc: 0.0, area: 0.02, presence: 0.85 }
    }
}

impl Stop {
    /// Whatever is found.
    pub const NEVER: Self = Self { empty_slices: 0, expected_dsc: 0.0, area: 0.0, presence: 0.0 };

    /// Whether a result ends its direction, after `empty` slices without a mask in a row, it included. `presence` is a second opinion beside the best one.
    pub(super) fn end(
        &self,
        found: &Segmentation,
        empty: usize,
        prompted_area: usize,
        presence: Option<f64>,
    ) -> Option<End> {
        if self.empty_slices > 0 && empty >= self.empty_slices {
            return Some(End::Empty);
        }
        // Where empty slices are allowed, they are neither small nor unlikely.
        if found.area == 0 {
            return None;
        }
        if (found.area as f64) < self.area * prompted_area as f64 {
            return Some(End::Area);
        }
        if presence.is_some_and(|presence| presence < self.presence) {
            return Some(End::Presence);
        }
        (found.expected_dsc < self.expected_dsc).then_some(End::ExpectedDsc)
    }
}

impl PropagationOptions {
    /// The slices to look at.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] that names the value.
    pub(super) fn checked(&self, slice: usize, depth: usize) -> Result<RangeInclusive<usize>> {
        let fail = |message: String| Err(Error::InvalidOption(message));
        if slice >= depth {
            let last = depth.saturating_sub(1);
            return fail(format!("slice is {slice}; the volume has slices 0 to {last}"));
        }
        let [first, last] = self.range.unwrap_or([0, depth - 1]);
        if first > slice || last < slice || last >= depth {
            let end = depth - 1;
            return fail(format!(
                "range is {first} to {last}; use slices of 0 to {end} with the prompted slice {slice} among them"
            ));
        }
        let Stop { expected_dsc, area, presence, .. } = self.rules();
        for (name, value) in [("expectedDsc", expected_dsc), ("area", area), ("presence", presence)] {
            if !(0.0..=1.0).contains(&value) {
                return fail(format!("stop.{name} is {value}; use a number from 0 to 1"));
            }
        }
        Ok(first..=last)
    }

    pub(super) fn rules(&self) -> Stop {
        self.stop.unwrap_or(if self.range.is_some() { Stop::NEVER } else { Stop::default() })
    }
}
