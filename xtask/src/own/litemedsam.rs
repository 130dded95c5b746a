//! Our weights with LiteMedSAM's image encoder.

use std::fmt::Write;

use anyhow::Result;
use serde_json::Value;

use super::MARKS;
use crate::build::is_newer;
use crate::process::{command, run, say};
use crate::study::{data, embeddings, evaluate, number, read, replace_in, umedsam};
use crate::{root, target, weights};

/// Trains with `weights/umedsam-litemedsam.toml` from LiteMedSAM, calibrates, writes `weights/umedsam-litemedsam-f16.safetensors`, measures it
/// beside LiteMedSAM, and fills in the model card. A run that was interrupted goes on.
pub fn own_weights() -> Result<()> {
    weights::ensure(&["f32"], None)?;
    let umedsam = umedsam()?;
    let folder = target().join("own");
    let config = root().join("weights/umedsam-litemedsam.toml");
    say("Training");
    run(command(&umedsam)
        .args(["train", "--precision", "f16", "--licence", "Apache-2.0 AND CC-BY-SA-4.0"])
        .args(["--config".as_ref(), config.as_os_str(), "--weights".as_ref(), weights::path("f32").as_os_str()])
        .args(["--data".as_ref(), data("train")?.as_os_str(), "--out".as_ref(), folder.as_os_str()])
        .args(["--embeddings".as_ref(), embeddings().as_os_str()]))?;
    say("Calibrating");
    run(command(&umedsam)
        .args(["calibrate".as_ref(), "--weights".as_ref(), folder.join("best.safetensors").as_os_str()])
        .args(["--data".as_ref(), data("calib")?.as_os_str(), "--out".as_ref(), weights::own().as_os_str()])
        .args(["--embeddings".as_ref(), embeddings().as_os_str()])
        .args(["--uncertainty", "default", "--uncertainty", "none", "--uncertainty", "samples=8,jitter=5,flips=true"])
        .args(["--boxes-per-image", "6", "--description"])
        .arg("open 2D images of ten modalities (the project's calib split), boxes loosened by 0–5 px"))?;
    measure()
}

/// Measures our own weights beside LiteMedSAM, both alone (a single uncalibrated pass) and as they are used, and fills in the model card. Reports
/// that are newer than the weights are kept.
pub fn measure() -> Result<()> {
    let umedsam = umedsam()?;
    let folder = target().join("own");
    std::fs::create_dir_all(&folder)?;
    let mut reports = Vec::new();
    for (name, weights, options, extra) in [
        ("litemedsam", weights::path("f32"), "none", ["--uncalibrated"].as_slice()),
        ("plain", weights::own(), "none", &["--uncalibrated"]),
        ("default", weights::own(), "default", &[]),
    ] {
        let report = folder.join(format!("{name}.json"));
        if !is_newer(&report, &weights) {
            evaluate(&umedsam, &weights, options, &report, extra)?;
        }
        reports.push(read(&report)?);
    }
    replace_in(&root().join("weights/MODEL_CARD.md"), MARKS, &table(&reports[0], &reports[1], &reports[2]))
}

fn table(official: &Value, plain: &Value, default: &Value) -> String {
    let mut text = String::from(
        "| | images | DSC, LiteMedSAM | DSC | difference | NSD, LiteMedSAM | NSD | ECE, LiteMedSAM | ECE | ECE, calibrated ensemble | AUROC | \
         AURC | \\|expected − true DSC\\| | FNR, FPR at α 0.1 |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let names = official["modalities"].as_object().into_iter().flatten().map(|(name, _)| Some(name.as_str()));
    for name in std::iter::once(None).chain(names) {
        let group = |report: &'static str| match report {
            "official" => name.map_or(&official["overall"], |name| &official["modalities"][name]),
            "plain" => name.map_or(&plain["overall"], |name| &plain["modalities"][name]),
            _ => name.map_or(&default["overall"], |name| &default["modalities"][name]),
        };
        let percent = |report: &'static str, metric: &str| 100.0 * number(group(report), metric);
        let value = |report: &'static str, metric: &str| number(group(report), metric);
        let risk = |kind: &str| group("default")["conformal"]["0.1"][kind].as_f64().unwrap_or(f64::NAN);
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {:.2} | {:+.2} | {:.2} | {:.2} | {:.3} | {:.3} | {:.3} | {:.3} | {:.4} | {:.3} | {:.3}, {:.3} |",
            name.unwrap_or("all"),
            group("plain")["n"],
            percent("official", "dsc"),
            percent("plain", "dsc"),
            percent("plain", "dsc") - percent("official", "dsc"),
            percent("official", "nsd"),
            percent("plain", "nsd"),
            value("official", "ece"),
            value("plain", "ece"),
            value("default", "ece"),
            value("default", "auroc"),
            value("default", "aurc"),
            value("default", "expected_dsc_mae"),
            risk("fnr"),
            risk("fpr"),
        );
    }
    text
}
