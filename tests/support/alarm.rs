//! A made-up alarm, for networks that know nothing.

use base64::Engine;
use half::f16;
use serde_json::{Value, json};
use umedsam::uncertainty::ShiftAlarm;

/// Numbers as a calibration's JSON has them.
fn numbers(values: impl IntoIterator<Item = f32>) -> Value {
    let bytes: Vec<u8> = values.into_iter().flat_map(|value| f16::from_f32(value).to_le_bytes()).collect();
    base64::prelude::BASE64_STANDARD.encode(bytes).into()
}

/// An alarm of `features` features that places images by the sum of all and knows one typical one, at `typical`; of 99 calibration images every one is
/// a tenth farther than the one before.
pub fn alarm(features: usize, typical: f32) -> ShiftAlarm {
    let alarm = json!({
        "familiar": 8, "unlike": 1,
        "mean": numbers(vec![0.0; features]), "deviation": numbers(vec![1.0; features]),
        "axes": numbers(vec![1.0; features]), "typical": numbers([typical]),
        "classifier": numbers(vec![0.0; 2 * features + 1]),
        "distances": numbers((0..99).map(|at| at as f32 / 10.0)), "margins": numbers(vec![0.0; 99]),
    });
    serde_json::from_value(alarm).expect("an alarm")
}
