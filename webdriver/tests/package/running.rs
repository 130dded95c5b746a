//! What happens while the network runs, what images may come from, and who frees them.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::fails;

pub fn check(running: &Value) -> Result<()> {
    for thread in ["worker", "inline"] {
        let abort = &running["abort"][thread];
        ensure!(abort["error"] == json!(["AbortError", "aborted", true]), "{thread}: {abort}");
        // LiteMedSAM's encoder has steps of up to a seventh of it.
        ensure!(abort["share"].as_f64() < Some(0.4), "{thread}: after an abort the next call waits: {abort}");
        ensure!(abort["segment"] == "aborted" && abort["works"] == json!(true), "{thread}: {abort}");
    }
    let progress = &running["progress"];
    ensure!(progress["told"].as_u64() >= Some(6) && progress["rising"] == json!(true), "{progress}");
    ensure!(progress["last"] == json!(1) && progress["stages"] == json!(["segment"]), "{progress}");
    check_sources(&running["sources"])?;
    let flat = &running["flat"];
    // The last one may still be in the queue.
    ensure!(flat["before"] == flat["after"] && flat["kept"].as_u64() <= Some(1), "segmentations leave memory: {flat}");
    let sizes = &running["sizes"];
    fails(&sizes["refused"], "invalid-option", "segmentEach()")?;
    fails(&sizes["large"], "invalid-image", "at most 134217728")?;
    ensure!(sizes["each"] == json!([36_000_000, 36_000_000]) && sizes["works"] == json!(true), "{sizes}");
    let disposal = &running["disposal"];
    ensure!(disposal["using"] == json!(["disposed", "disposed"]) && disposal["terminated"] == json!(1), "{disposal}");
    let [before, after] = ["before", "after"].map(|when| disposal[when].as_f64().unwrap_or(f64::NAN));
    ensure!(after <= 1.1 * before, "images that nobody holds stay: {before} bytes, then {after}");
    Ok(())
}

fn check_sources(sources: &Value) -> Result<()> {
    let areas = sources["areas"].as_object().context("areas")?;
    ensure!(areas.len() == 9, "{areas:?}");
    let expected = areas["picture"].as_f64().context("an area")?;
    for (name, area) in areas {
        let is_disc = area.as_f64().is_some_and(|area| (area / expected - 1.0).abs() < 0.02);
        ensure!(is_disc, "{name}: the disc has {area} pixels, not {expected}");
    }
    fails(&sources["closed"], "invalid-image", "ImageBitmap is 0×0")?;
    fails(&sources["empty"], "invalid-image", "HTMLCanvasElement is 0×")?;
    fails(&sources["broken"], "invalid-image", "image element")?;
    fails(&sources["option"], "invalid-image", "invert")?;
    fails(&sources["text"], "invalid-image", "canvas")
}
