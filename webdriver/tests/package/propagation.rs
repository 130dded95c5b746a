//! A ball followed through a volume by `umedsam/propagation`.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::fails;

pub fn check(report: &Value) -> Result<()> {
    ensure!(report["dsc"].as_f64() > Some(0.9), "DSC of the ball: {report}");
    // Up from the prompted slice, then down; each slice is asked for once.
    let order: Vec<i64> = serde_json::from_value(report["order"].clone())?;
    let (top, bottom) = (order.iter().max().copied().unwrap_or(0), order.last().copied().unwrap_or(0));
    let expected: Vec<i64> = (12..=top).chain((bottom..12).rev()).collect();
    ensure!(order == expected && report["asked"] == report["order"], "{report}");
    let ends: Vec<(i64, String)> = serde_json::from_value(report["ends"].clone())?;
    ensure!(ends.iter().map(|(slice, _)| *slice).collect::<Vec<_>>() == [top, bottom], "{ends:?}");
    // A ball is no patient, and the weights know.
    ensure!(report["guaranteed"] == json!([]) && report["alarms"] == json!(true), "{report}");
    ensure!(report["progress"] == json!(true) && report["reviewed"] == json!(true), "{report}");
    let volume = &report["volume"];
    let [low, ml, high] = [&volume["intervalMl"][0], &volume["ml"], &volume["intervalMl"][1]].map(Value::as_f64);
    ensure!(low > Some(0.0) && low <= ml && ml <= high, "{volume}");
    ensure!(report["again"] == json!([5, 5]), "kept slices are not asked for again: {}", report["again"]);
    ensure!(report["disposed"] == "disposed" && report["late"] == "disposed", "{report}");
    ensure!(report["aborted"] == json!(["aborted", [12, 13, 14]]), "{}", report["aborted"]);
    fails(&report["thrown"], "other", "full")?;
    fails(&report["source"], "other", "unread")?;
    ensure!(report["unexpected"] == json!([]), "{}", report["unexpected"]);
    ensure!(report["after"] == json!([12, 13, 11]), "objects share slices: {}", report["after"]);
    Ok(())
}
