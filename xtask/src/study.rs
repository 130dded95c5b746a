//! Which ensemble is worth its time: calibrates each on `../shared/data/calib`, measures it on `../shared/data/val`, and writes the tables of
//! `docs/uncertainty.md`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::{cargo, command, run, say};
use crate::{root, target, weights};

/// Name, options as `umedsam eval --uncertainty` takes them, decodes and encodes per box and image.
const ENSEMBLES: [(&str, &str, usize, usize); 10] = [
    ("single pass", "none", 1, 1),
    ("multimask hypotheses", "samples=0,multimask=0.5", 1, 1),
    ("box jitter, K = 4", "samples=4,jitter=5", 5, 1),
    ("box jitter, K = 8", "samples=8,jitter=5", 9, 1),
    ("box jitter of 8 pixels, K = 8", "samples=8,jitter=8", 9, 1),
    ("box jitter, K = 8, and multimask", "samples=8,jitter=5,multimask=0.25", 9, 1),
    ("flips", "samples=0,flips=true", 3, 3),
    ("box jitter, K = 2, and flips", "samples=2,jitter=5,flips=true", 9, 3),
    ("box jitter, K = 2, flips and multimask", "samples=2,jitter=5,multimask=0.25,flips=true", 9, 3),
    ("box jitter, K = 8, and flips", "samples=8,jitter=5,flips=true", 27, 3),
];

/// Boxes of an image that the study looks at: images with dozens of nuclei would take most of its time.
const BOXES_PER_IMAGE: &str = "6";

/// Begins and ends what is generated in the document.
const MARKS: [&str; 2] = ["<!-- made by cargo xtask study -->\n", "<!-- end of what cargo xtask study makes -->\n"];

/// The command line, built for the measurements of now.
pub fn umedsam() -> Result<PathBuf> {
    run(cargo().args(["build", "--package", "umedsam", "--bin", "umedsam"]))?;
    // A copy, so that builds in the hours that follow do not change what is measured.
    let copy = target().join("measured/umedsam");
    std::fs::create_dir_all(target().join("measured"))?;
    std::fs::remove_file(&copy).ok();
    std::fs::copy(target().join("debug/umedsam"), &copy)?;
    Ok(copy)
}

/// A split of the shared images.
pub fn data(split: &str) -> Result<PathBuf> {
    let folder = root().join("../shared/data").join(split);
    ensure!(folder.exists(), "{} is not here; the study needs it", folder.display());
    Ok(folder)
}

/// Where embeddings are kept.
pub fn embeddings() -> PathBuf {
    target().join("embeddings")
}

/// Calibrates the official weights for the default ensemble and the single pass, and writes `weights/calibration-litemedsam.json`.
pub fn calibrate() -> Result<()> {
    weights::ensure(&["f32"], None)?;
    let scratch = target().join("calibrated.safetensors");
    run(command(umedsam()?)
        .args(["calibrate", "--weights"])
        .arg(weights::path("f32"))
        .arg("--data")
        .arg(data("calib")?)
        .args(["--out".as_ref(), scratch.as_os_str()])
        .args(["--json".as_ref(), weights::calibration().as_os_str()])
        .args(["--embeddings".as_ref(), embeddings().as_os_str()])
        .args(["--boxes-per-image", BOXES_PER_IMAGE])
        .args([
            "--description",
            "open 2D images of ten modalities (the project's calib split), boxes loosened by 0–5 px",
        ]))?;
    weights::ensure(&["f32", "f16"], None)
}

/// Compares the ensembles with our own weights, measures the default on all boxes, and tries a temperature for every modality. Without `flips`, ensembles
/// with more than one encode are left out.
pub fn study(flips: bool) -> Result<()> {
    let umedsam = umedsam()?;
    let folder = target().join("study");
    std::fs::create_dir_all(&folder)?;
    let mut rows = Vec::new();
    for (name, options, decodes, encodes) in ENSEMBLES.into_iter().filter(|(.., encodes)| flips || *encodes == 1) {
        let report = folder.join(format!("{options}.json"));
        if !report.exists() {
            say(format!("{name}: {options}"));
            let calibrated = folder.join(format!("{options}.safetensors"));
            run(command(&umedsam)
                .args(["calibrate", "--weights"])
                .arg(weights::own())
                .args(["--uncertainty", options, "--boxes-per-image", BOXES_PER_IMAGE])
                .args(["--data".as_ref(), data("calib")?.as_os_str(), "--out".as_ref(), calibrated.as_os_str()])
                .args(["--embeddings".as_ref(), embeddings().as_os_str()]))?;
            evaluate(&umedsam, &calibrated, options, &report, &["--boxes-per-image", BOXES_PER_IMAGE])?;
        }
        let consensus = folder.join(format!("{options}-consensus.json"));
        if !consensus.exists() {
            let calibrated = folder.join(format!("{options}.safetensors"));
            let extra = ["--boxes-per-image", BOXES_PER_IMAGE, "--mask", "consensus"];
            evaluate(&umedsam, &calibrated, options, &consensus, &extra)?;
        }
        rows.push(Row { name, decodes, encodes, report: read(&report)?, consensus: read(&consensus)? });
    }
    say("The default, on all boxes");
    let default = folder.join("default.json");
    evaluate(&umedsam, &weights::own(), "default", &default, &[])?;
    let raw = folder.join("raw.json");
    evaluate(&umedsam, &weights::own(), "none", &raw, &["--uncalibrated"])?;
    let consensus = folder.join("consensus.json");
    evaluate(&umedsam, &weights::own(), "default", &consensus, &["--mask", "consensus"])?;

    let mut text = comparison(&rows);
    text.push_str(&by_modality(&read(&default)?, &read(&raw)?, &read(&consensus)?));
    text.push_str(&temperature_per_modality(&umedsam, &folder)?);
    replace_in(&root().join("docs/uncertainty.md"), MARKS, &text)
}

/// An ensemble, measured with the network's mask and with its own consensus.
struct Row {
    name: &'static str,
    decodes: usize,
    encodes: usize,
    report: Value,
    consensus: Value,
}

/// Calibrates the default on each modality's images alone, and measures it on the same modality beside the calibration on all of them.
fn temperature_per_modality(umedsam: &Path, folder: &Path) -> Result<String> {
    let mut text = format!(
        "### A calibration for every modality, beside the one on all images, at most {BOXES_PER_IMAGE} boxes per image\n\n\
         | | images to calibrate, to measure | temperature, bias | ECE, one for all | ECE, its own | NLL, one for all | NLL, its own | FNR, FPR at α 0.1, its own |\n\
         |---|---|---|---|---|---|---|---|\n"
    );
    let general = read(&folder.join("samples=8,jitter=5.json"))?;
    for (name, group) in general["modalities"].as_object().context("a report by modality")? {
        let alone = folder.join("modality").join(name);
        // A folder that holds the modality's and no other.
        for split in ["calib", "val"] {
            std::fs::create_dir_all(alone.join(split))?;
            let link = alone.join(split).join(name);
            std::fs::remove_file(&link).ok();
            std::os::unix::fs::symlink(std::fs::canonicalize(data(split)?.join(name))?, link)?;
        }
        let [weights, json, report] =
            ["calibrated.safetensors", "calibration.json", "report.json"].map(|file| alone.join(file));
        if !report.exists() {
            say(format!("{name} calibrated alone"));
            run(command(umedsam)
                .args(["calibrate", "--uncertainty", "default", "--boxes-per-image", BOXES_PER_IMAGE, "--weights"])
                .arg(weights::own())
                .args(["--data".as_ref(), alone.join("calib").as_os_str(), "--out".as_ref(), weights.as_os_str()])
                .args(["--json".as_ref(), json.as_os_str(), "--embeddings".as_ref(), embeddings().as_os_str()]))?;
            let extra = ["--boxes-per-image", BOXES_PER_IMAGE];
            evaluate_on(umedsam, &weights, &alone.join("val"), "default", &report, &extra)?;
        }
        let (calibration, own) = (read(&json)?, read(&report)?);
        let (scaling, own) = (&calibration["settings"][0]["scaling"], &own["overall"]);
        let risk = |kind: &str| own["conformal"]["0.1"][kind].as_f64().unwrap_or(f64::NAN);
        let _ = writeln!(
            text,
            "| {name} | {}, {} | {:.2}, {:+.2} | {:.4} | {:.4} | {:.4} | {:.4} | {:.3}, {:.3} |",
            calibration["data"]["cases"],
            own["n"],
            number(scaling, "temperature"),
            number(scaling, "bias"),
            number(group, "ece"),
            number(own, "ece"),
            number(group, "nll"),
            number(own, "nll"),
            risk("fnr"),
            risk("fpr"),
        );
    }
    text.push('\n');
    Ok(text)
}

/// Evaluates weights on `val`.
pub fn evaluate(umedsam: &Path, weights: &Path, options: &str, report: &Path, extra: &[&str]) -> Result<()> {
    evaluate_on(umedsam, weights, &data("val")?, options, report, extra)
}

fn evaluate_on(
    umedsam: &Path,
    weights: &Path,
    data: &Path,
    options: &str,
    report: &Path,
    extra: &[&str],
) -> Result<()> {
    run(command(umedsam)
        .args(["eval".as_ref(), "--weights".as_ref(), weights.as_os_str()])
        .args(["--data".as_ref(), data.as_os_str(), "--report".as_ref(), report.as_os_str()])
        .args(["--html".as_ref(), report.with_extension("html").as_os_str()])
        .args(["--embeddings".as_ref(), embeddings().as_os_str()])
        .args(["--uncertainty", options])
        .args(extra))
}

/// Reads a report.
pub fn read(report: &Path) -> Result<Value> {
    serde_json::from_slice(&std::fs::read(report)?).with_context(|| report.display().to_string())
}

/// A number in a report; NaN where there is none.
pub fn number(group: &Value, path: &str) -> f64 {
    path.split('/').fold(group, |value, key| &value[key]).as_f64().unwrap_or(f64::NAN)
}

fn comparison(rows: &[Row]) -> String {
    let mut text = format!(
        "### Ensembles compared, each with its own calibration, at most {BOXES_PER_IMAGE} boxes per image\n\n\
         | ensemble | decodes | encodes | ECE | worst modality's | NLL | AUROC | AURC | against single pass | E-AURC | UEO | \\|expected − true DSC\\| | \
         FNR, FPR at α 0.05 | FNR, FPR at α 0.1 | DSC of the consensus mask | its AURC |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    );
    let single = rows.first().map_or(f64::NAN, |row| number(&row.report["overall"], "aurc"));
    for Row { name, decodes, encodes, report, consensus } in rows {
        let overall = &report["overall"];
        let (worst, worst_ece) = worst_modality(report);
        let risks = |alpha: &str| {
            let risk = |kind: &str| overall["conformal"][alpha][kind].as_f64().unwrap_or(f64::NAN);
            format!("{:.3}, {:.3}", risk("fnr"), risk("fpr"))
        };
        let _ = writeln!(
            text,
            "| {name} | {decodes} | {encodes} | {:.4} | {worst_ece:.3} {worst} | {:.4} | {:.4} | {:.5} | {:+.1} % | {:.5} | {:.3} | {:.4} | {} | {} | {:.4} | {:.5} |",
            number(overall, "ece"),
            number(overall, "nll"),
            number(overall, "auroc"),
            number(overall, "aurc"),
            (number(overall, "aurc") / single - 1.0) * 100.0,
            number(overall, "eaurc"),
            number(overall, "ueo"),
            number(overall, "expected_dsc_mae"),
            risks("0.05"),
            risks("0.1"),
            number(&consensus["overall"], "dsc"),
            number(&consensus["overall"], "aurc"),
        );
    }
    text.push('\n');
    text
}

fn worst_modality(report: &Value) -> (String, f64) {
    let groups = report["modalities"].as_object().into_iter().flatten();
    let eces = groups.map(|(name, group)| (name.clone(), number(group, "ece")));
    eces.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default()
}

fn by_modality(report: &Value, raw: &Value, consensus: &Value) -> String {
    let mut text = String::from(
        "### The default by modality, all boxes (in brackets: 95 % bootstrap interval over images)\n\n\
         | | n | DSC | DSC of the consensus mask | NSD | ECE | ECE, single pass uncalibrated | AUROC | AURC | \\|expected − true DSC\\| | flagged | FNR, FPR at α 0.05 | FNR, FPR at α 0.1 |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let modalities = report["modalities"].as_object().into_iter().flatten();
    let groups = std::iter::once(("all", &report["overall"], &raw["overall"], &consensus["overall"])).chain(
        modalities
            .map(|(name, group)| (name.as_str(), group, &raw["modalities"][name], &consensus["modalities"][name])),
    );
    for (name, group, raw, consensus) in groups {
        let with_interval = |metric: &str| {
            let end = |index: usize| group["ci"][metric][index].as_f64().unwrap_or(f64::NAN);
            format!("{:.4} ({:.3}–{:.3})", number(group, metric), end(0), end(1))
        };
        let risks = |alpha: &str| {
            let risk = |kind: &str| group["conformal"][alpha][kind].as_f64().unwrap_or(f64::NAN);
            format!("{:.3}, {:.3}", risk("fnr"), risk("fpr"))
        };
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {:.4} | {:.4} | {} | {:.4} | {} | {} | {:.4} | {:.0} % | {} | {} |",
            group["n"],
            with_interval("dsc"),
            number(consensus, "dsc"),
            number(group, "nsd"),
            with_interval("ece"),
            number(raw, "ece"),
            with_interval("auroc"),
            with_interval("aurc"),
            number(group, "expected_dsc_mae"),
            100.0 * number(group, "flagged"),
            risks("0.05"),
            risks("0.1"),
        );
    }
    text.push('\n');
    text
}

/// Puts text between two marks of a document.
pub fn replace_in(path: &Path, marks: [&str; 2], text: &str) -> Result<()> {
    let document = std::fs::read_to_string(path)?;
    let (before, rest) = document.split_once(marks[0]).context("the document has no mark for the tables")?;
    let (_, after) = rest.split_once(marks[1]).context("the document has no mark for the tables' end")?;
    std::fs::write(path, format!("{before}{}\n{text}\n{}{after}", marks[0], marks[1]))?;
    say(format!("The tables are in {}", path.display()));
    Ok(())
}
