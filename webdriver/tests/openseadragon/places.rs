//! Places of the slide, and what is over it.

use anyhow::{Context, Result};
use serde_json::Value;

use super::page::Viewer;
use super::slide::CHEST;

/// A place of the sample picture, in the slide.
pub fn chest(x: f64, y: f64) -> (f64, f64) {
    (f64::from(CHEST.0) + f64::from(CHEST.2) * x, f64::from(CHEST.1) + f64::from(CHEST.2) * y)
}

/// Around the heart, as `samples.json` has it.
pub const HEART: [(f64, f64); 2] = [(206.0, 158.0), (318.0, 270.0)];

pub fn heart() -> [(f64, f64); 2] {
    HEART.map(|(x, y)| chest(x, y))
}

/// Shows a part of the image at once.
pub async fn show(viewer: &Viewer, [x, y, width, height]: [f64; 4]) -> Result<()> {
    let script =
        format!("viewer.viewport.fitBounds(image().imageToViewportRectangle({x}, {y}, {width}, {height}), true)");
    viewer.script(&script).await?;
    viewer.settle().await
}

pub fn is_near(value: &Value, expected: f64, tolerance: f64) -> bool {
    value.as_f64().is_some_and(|value| (value - expected).abs() <= tolerance)
}

pub async fn features(viewer: &Viewer) -> Result<Vec<Value>> {
    let script =
        "return connection.features().map(({ properties, geometry }) => ({ ...properties, geometry: geometry.type }))";
    Ok(viewer.script(script).await?.as_array().cloned().unwrap_or_default())
}

pub async fn count(viewer: &Viewer) -> Result<u64> {
    viewer.script("return document.querySelectorAll('.umedsam-object').length").await?.as_u64().context("a number")
}
