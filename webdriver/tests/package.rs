//! The packed npm package in a plain Vite page: `cargo xtask package` builds it, this opens it.

#[path = "package/loading.rs"]
mod loading;
#[path = "package/propagation.rs"]
mod propagation;
#[path = "package/running.rs"]
mod running;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use umedsam_webdriver::Page;

#[tokio::test]
#[ignore = "needs the page that cargo xtask package builds"]
async fn the_package_works_in_a_vite_page() -> Result<()> {
    let page = Page::open("", 800, 600).await?;
    let result = async {
        let script = "return document.getElementById('report').textContent !== 'running'";
        page.wait_for("the report", script, 300).await?;
        let report = page.script("return document.getElementById('report').textContent").await?;
        let report = report.as_str().context("a text")?;
        check(&serde_json::from_str(report).with_context(|| report.to_string())?)
    }
    .await;
    page.close().await?;
    result
}

/// Whether the wasm module in use has a name, but for what a bundler adds to it.
fn is_module(report: &Value, name: &str) -> bool {
    let file = report["wasmUrl"].as_str().and_then(|url| url.rsplit('/').next());
    file.is_some_and(|file| file.starts_with(name) && file.ends_with(".wasm"))
}

fn check(report: &Value) -> Result<()> {
    println!("{report:#}");
    let expect = |actual: &Value, expected: Value| -> Result<()> {
        ensure!(*actual == expected, "{actual} is not {expected}");
        Ok(())
    };
    for thread in ["worker", "inline"] {
        let run = &report[thread];
        expect(&run["outside"], json!("invalid-box"))?;
        let area = run["area"].as_f64().context("an area")?;
        let disc = std::f64::consts::PI * 40.0 * 40.0;
        ensure!((area / disc - 1.0).abs() < 0.05, "{thread}: the disc has {area} of {disc} pixels");
        expect(&run["sizes"], json!([30000, 30000, 30000]))?;
        expect(&run["types"], json!(["Uint8Array", "Float32Array", "Float32Array"]))?;
        expect(&run["progress"], json!(["encode", "model", "module", "weights"]))?;
        expect(&run["maps"], json!([["total", null], ["aleatoric", null], ["epistemic", 30000]]))?;
        expect(&run["few"], json!(["nearest", null, null]))?;
        // Drawn, and so unlike any patient.
        expect(&run["default"], json!(["fitted", null, true, true, true]))?;
        expect(&run["same_mask"], json!(true))?;
        expect(&run["info"]["device"]["kind"], json!("cpu"))?;
        ensure!(is_module(&run["info"], "umedsam_relaxed_bg"), "Chromium knows relaxed SIMD: {}", run["info"]);
        expect(
            &run["errors"],
            json!({
                "box": "invalid-box", "shape": "invalid-box", "alpha": "invalid-option", "samples": "invalid-option",
                "encode_aborted": "aborted", "image": "invalid-image", "window": "invalid-window",
                "image_disposed": "disposed", "model_disposed": "disposed",
            }),
        )?;
    }
    check_corrections(&report["corrections"])?;
    check_habits(&report["habits"])?;
    running::check(&report["running"])?;
    let files = &report["files"];
    ensure!(files["padded"] == json!(["4×3×2", "4×3×2", "4×3×2", "4×3×2"]), "padded files: {files}");
    ensure!(
        files["cut"] == json!(["invalid-image", "invalid-image", "invalid-image"])
            && files["damaged"] == "invalid-image",
        "{files}"
    );
    propagation::check(&report["propagation"])?;
    loading::check(&report["loading"])?;
    expect(&report["webgpu"], json!("webgpu"))?;
    let fixed_width = &report["fixed_width"];
    ensure!(is_module(fixed_width, "umedsam_bg"), "{fixed_width}");
    let areas = [&report["worker"], fixed_width].map(|run| run["area"].as_f64().unwrap_or(f64::NAN));
    ensure!((areas[0] / areas[1] - 1.0).abs() < 1e-3, "the modules' masks have {areas:?} pixels");
    expect(
        &report["loads"],
        json!({
            "missing": "fetch-failed", "page": "invalid-weights", "truncated": "invalid-weights", "hash": "invalid-weights",
            "device": "invalid-option", "aborted": "aborted", "number": "invalid-option", "wasm": "fetch-failed",
        }),
    )
}

/// Whether a call failed with a code and a message that has a part.
fn fails(found: &Value, code: &str, part: &str) -> Result<()> {
    ensure!(
        found[0] == code && found[1].as_str().is_some_and(|text| text.contains(part)),
        "{found} is not {code}: {part}"
    );
    Ok(())
}

/// Whatever is given as an image has the same mask, and what cannot be used is said in words.
fn check_corrections(report: &Value) -> Result<()> {
    let yes = |report: &Value, names: &[&str]| -> Result<()> {
        for name in names {
            ensure!(report[name] == json!(true), "{name}: {report}");
        }
        Ok(())
    };
    ensure!(
        report["prompts"] == json!(["box", "points", "corrected"]),
        "the shipped weights are calibrated for {}",
        report["prompts"]
    );
    let stateless = &report["stateless"];
    ensure!(stateless["unexpected"] == json!([]), "wrong prompts are taken or not named: {}", stateless["unexpected"]);
    ensure!(stateless["kinds"] == json!(["box", "points", "corrected", "corrected"]), "{stateless}");
    ensure!(stateless["boxes"] == json!([true, true]) && stateless["low"] == json!([65536, null]), "{stateless}");
    yes(stateless, &["changed", "together", "copied"])?;
    let annotated = &report["annotated"];
    ensure!(annotated["empty"] == json!([true, false, false, true]), "{annotated}");
    ensure!(annotated["kinds"] == json!(["box", "corrected"]), "{annotated}");
    ensure!(annotated["prompt"] == json!([4, 1, true]), "{annotated}");
    ensure!(annotated["undo"] == json!([true, true, true, false]), "{annotated}");
    fails(&annotated["failed"], "invalid-prompt", "-5")?;
    fails(&annotated["waiting"], "aborted", "changed meanwhile")?;
    fails(&annotated["unknown"], "invalid-prompt", "previous")?;
    fails(&annotated["nothing"], "invalid-prompt", "nothing to go by")?;
    yes(annotated, &["same", "undone", "painted", "copied"])?;
    ensure!(annotated["both"] == json!([true, true, false]), "{annotated}");
    ensure!(annotated["refined"] == json!([true, true, true]), "{annotated}");
    ensure!(annotated["cleared"] == json!([true, false, false]), "{annotated}");
    Ok(())
}

fn check_habits(habits: &Value) -> Result<()> {
    let buffers = &habits["buffers"];
    let expected = buffers["expected"].as_f64().context("an area")?;
    for given in
        ["changed", "slice", "realm", "realm_picture", "shared", "float64", "int32", "uint32", "inverted", "typed_box"]
    {
        let area = buffers[given].as_f64().with_context(|| format!("{given}: {}", buffers[given]))?;
        ensure!((area / expected - 1.0).abs() < 0.02, "{given}: the disc has {area} pixels, not {expected}");
    }
    ensure!(buffers["volume_is_whole"] == json!(true), "the caller's buffer was taken away");
    ensure!(buffers["zoom"] == json!([true, 30000]), "{}", buffers["zoom"]);
    fails(&buffers["detached"], "invalid-image", "detached")?;
    fails(&buffers["nothing"], "invalid-image", "null")?;
    fails(&buffers["bigint"], "invalid-image", "BigInt64Array")?;
    fails(&buffers["no_array"], "invalid-prompt", "array")?;
    fails(&buffers["no_box"], "invalid-prompt", "box")?;
    fails(&buffers["bad_zoom"], "invalid-option", "maybe")?;
    ensure!(
        habits["callbacks"] == json!({ "load": true, "encode": true, "afterwards": true }),
        "{}",
        habits["callbacks"]
    );
    ensure!(habits["files"]["same"] == json!(true), "a picture changes on its way through a file");
    fails(&habits["files"]["cut"], "invalid-image", "cut off")?;
    fails(&habits["files"]["pdf"], "invalid-image", "a PDF")?;
    fails(&habits["files"]["number"], "invalid-image", "number")?;
    ensure!(habits["requests"] == json!(true), "the worker's requests are not told");
    ensure!(habits["options"] == json!([]), "wrong options are taken or not named: {}", habits["options"]);
    let support = &habits["support"];
    ensure!(support["supported"] == json!(true) && support["reason"].is_string(), "{support}");
    let incapable = &habits["incapable"];
    fails(&incapable["none"], "device-unavailable", "no WebAssembly")?;
    ensure!(incapable["none_supported"] == json!(false), "{incapable}");
    fails(&incapable["old"], "device-unavailable", "SIMD")?;
    let default = &habits["default_weights"];
    ensure!(default["bytes"].as_u64() > Some(1_000_000) && default["url"] == json!(true), "{default}");
    let workers = &habits["workers"];
    fails(&workers["blocked"], "worker-failed", "worker: () =>")?;
    fails(&workers["silent"], "worker-failed", "worker.js")?;
    fails(&workers["broken"], "worker-failed", "worker")?;
    fails(&workers["second"], "worker-failed", "worker of its own")?;
    ensure!(workers["works"] == json!(true) && workers["downloads"] == json!(0), "{workers}");
    for thread in ["worker", "inline"] {
        let crash = &habits["crashes"][thread];
        for call in ["crash", "waiting", "later"] {
            fails(&crash[call], "crashed", "load the model again").with_context(|| format!("{thread}, {call}"))?;
        }
        ensure!(crash["again"] == json!(true), "{thread}: {crash}");
    }
    let [alone, after] = ["alone", "after"].map(|when| habits["aborted"][when].as_f64().unwrap_or(f64::NAN));
    ensure!(after <= 1.1 * alone, "after aborted loads there are {after} bytes, after one load {alone}");
    Ok(())
}
