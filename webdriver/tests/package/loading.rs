//! What is downloaded when, and what is kept.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::fails;

pub fn check(loading: &Value) -> Result<()> {
    check_kept(&loading["kept"])?;
    let [broken, changing, forever] = ["broken", "changing", "forever"].map(|name| &loading[name]);
    // What is missing is asked for, and the pieces fit: the package knows the file's hash.
    ensure!(broken["asked"] == json!([false, true, true]) && broken["disc"].as_f64() > Some(1000.0), "{broken}");
    // The rest of another version is thrown away.
    let asked = changing["asked"].as_array().map_or(0, Vec::len);
    ensure!(asked >= 3 && changing["disc"].as_f64() > Some(1000.0), "{changing}");
    fails(&forever["failed"], "fetch-failed", "broke off")?;
    ensure!(forever["asked"].as_array().map_or(0, Vec::len) == 4, "{forever}");
    let ahead = &loading["ahead"];
    ensure!(ahead["first"] == json!(1), "{ahead}");
    expect_downloads(&ahead["taken"], 0, 1, false)?;
    ensure!(ahead["taken"]["stages"] == json!(["model"]), "{ahead}");
    expect_downloads(&ahead["next"], 1, 1, false)?;
    fails(&ahead["wrong"], "fetch-failed", "HTTP 404")?;
    expect_downloads(&loading["fresh"], 1, 1, false)
}

/// How many times weights and module came from the network.
fn expect_downloads(load: &Value, weights: u64, modules: u64, from_cache: bool) -> Result<()> {
    ensure!(
        load["weights"] == json!(weights)
            && load["modules"] == json!(modules)
            && load["fromCache"] == json!(from_cache),
        "{load} are not {weights} downloads of weights and {modules} of the module"
    );
    Ok(())
}

fn check_kept(kept: &Value) -> Result<()> {
    expect_downloads(&kept["first"], 1, 1, false)?;
    ensure!(kept["evicted"] == json!(true), "an earlier version's weights stay");
    expect_downloads(&kept["second"], 0, 0, true)?;
    expect_downloads(&kept["damaged"], 1, 1, false)?;
    fails(&kept["page"], "invalid-weights", "HTML")?;
    fails(&kept["unusable"], "invalid-weights", "")?;
    // Weights and module of the package alone.
    ensure!(kept["rest"] == json!(2), "{kept}");
    ensure!(kept["cleared"] == json!(true) && kept["again"] == json!(false), "{kept}");
    expect_downloads(&kept["forbidden"], 1, 1, false)?;
    expect_downloads(&kept["full"], 1, 1, false)
}
