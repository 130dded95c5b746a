//! Our weights with the light image encoder.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use super::MARKS;
use crate::build::is_newer;
use crate::process::{command, run, say};
use crate::study::{data, embeddings, number, read, replace_in, umedsam};
use crate::{root, target, weights};

/// Licences of the weights: LiteMedSAM's and the trunk's, and what share-alike datasets may ask for.
const LICENCE: &str = "Apache-2.0 AND CC-BY-SA-4.0";

/// A training run.
struct Stage {
    /// The folder of the run.
    name: &'static str,
    config: &'static str,
    /// The file that is taken of it. Where a decoder that learned masks meets an encoder that goes on with embeddings, DSC falls until both learn masks again, so that
    /// of the third run the last weights are taken, not the best; of the fourth too, since its measure, half of which are loose boxes, hardly moves at its end.
    takes: &'static str,
}

/// Embeddings, then masks.
const FIRST: [Stage; 2] = [
    Stage { name: "distil", config: "umedsam-student-distil.toml", takes: "best.safetensors" },
    Stage { name: "masks", config: "umedsam-student-masks.toml", takes: "best.safetensors" },
];
/// Embeddings of parts of images, then masks of boxes as people draw them.
const SECOND: [Stage; 2] = [
    Stage { name: "views", config: "umedsam-student-views.toml", takes: "last.safetensors" },
    Stage { name: "boxes", config: "umedsam-student-boxes.toml", takes: "last.safetensors" },
];
/// More of such boxes.
const THIRD: Stage = Stage { name: "more-boxes", config: "umedsam-student-more-boxes.toml", takes: "best.safetensors" };
/// Points, scribbles and corrections, which have a prompt encoder and a mask decoder of their own: with the image encoder of more loose boxes, then with the one that ships,
/// which loses less elsewhere.
const LAST: [Stage; 2] = [
    Stage { name: "corrections", config: "umedsam-student-corrections.toml", takes: "best.safetensors" },
    Stage { name: "corrections-more", config: "umedsam-student-corrections-more.toml", takes: "best.safetensors" },
];

/// Makes `weights/umedsam-student-i8.safetensors` from LiteMedSAM's official checkpoint, EfficientNet-Lite0's and the shared images: begins a light encoder, distils
/// LiteMedSAM's into it and trains it together with the mask decoder, in five runs with means of weights between them, then a prompt encoder and a mask decoder of their own on
/// simulated corrections; calibrates, measures beside LiteMedSAM and beside our weights with LiteMedSAM's image encoder, and fills in the model card. What is done is kept in
/// `target/own`; a run that was interrupted goes on. Hours on two cores.
pub fn own_weights() -> Result<()> {
    weights::ensure(&["f32"], None)?;
    let umedsam = umedsam()?;
    let folder = target().join("own");
    std::fs::create_dir_all(&folder)?;
    let all = [data("train")?, data("train_more")?, data("unlabelled")?];

    let begin = folder.join("begin.safetensors");
    if !begin.exists() {
        say("Beginning a light encoder");
        run(command(&umedsam)
            .args(["student", "--sha256", weights::TRUNK_SHA256, "--weights"])
            .arg(weights::own())
            .args(["--trunk".as_ref(), weights::trunk()?.as_os_str(), "--out".as_ref(), begin.as_os_str()])
            .arg("--data")
            .args(&all))?;
    }
    let train = |stage: &Stage, before: &Path, corrections: Option<&Path>, precision: &str| -> Result<PathBuf> {
        say(format!("Training with weights/{}", stage.config));
        let out = folder.join(stage.name);
        let config = root().join("weights").join(stage.config);
        // Without a teacher pictures without masks have nothing to say.
        let is_last = LAST.iter().any(|last| last.name == stage.name);
        let data = if is_last { &all[..2] } else { &all[..] };
        let mut train = command(&umedsam);
        train.args(["train", "--precision", precision, "--licence", LICENCE]);
        if let Some(corrections) = corrections {
            train.arg("--corrections").arg(corrections);
        }
        run(train
            .args(["--config".as_ref(), config.as_os_str(), "--weights".as_ref(), before.as_os_str()])
            .args(["--teacher".as_ref(), weights::path("f32").as_os_str(), "--out".as_ref(), out.as_os_str()])
            .args(["--mask-teacher".as_ref(), weights::own().as_os_str()])
            .args(["--embeddings".as_ref(), embeddings().as_os_str()])
            .arg("--data")
            .args(data))?;
        Ok(out.join(stage.takes))
    };
    let mean = |name: &str, of: &Path, and: &Path| -> Result<PathBuf> {
        say(format!("Averaging weights: {name}"));
        let out = folder.join(name);
        run(command(&umedsam)
            .arg("average")
            .args(["--weights".as_ref(), of.as_os_str(), "--share".as_ref(), "0.65".as_ref()])
            .args(["--weights".as_ref(), and.as_os_str(), "--share".as_ref(), "0.35".as_ref()])
            .args(["--out".as_ref(), out.as_os_str()]))?;
        Ok(out)
    };
    let mut before = begin;
    for stage in &FIRST {
        before = train(stage, &before, None, "f32")?;
    }
    let masks = before.clone();
    for stage in &SECOND {
        before = train(stage, &before, None, "f32")?;
    }
    let boxes = mean("mean.safetensors", &before, &masks)?;
    let more = train(&THIRD, &boxes, None, "f32")?;
    let encoder = mean("second-mean.safetensors", &more, &boxes)?;
    let corrections = train(&LAST[0], &encoder, None, "f16")?;
    let corrected = train(&LAST[1], &boxes, Some(&corrections), "i8")?;
    say("Calibrating");
    run(command(&umedsam)
        .args(["calibrate".as_ref(), "--weights".as_ref(), corrected.as_os_str()])
        .args(["--data".as_ref(), data("calib")?.as_os_str(), "--out".as_ref(), weights::student().as_os_str()])
        .args(["--uncertainty", "default", "--uncertainty", "none", "--uncertainty", "samples=8,jitter=5,flips=true"])
        .args(["--zoom", "--corrections", "--only-file-boxes", "--boxes-per-image", "6", "--description"])
        .arg(
            "open 2D images of ten modalities (the project's calib split): boxes as packed, clicks, corrected masks",
        ))?;
    say("Learning what images are familiar");
    run(command(&umedsam)
        .args(["shift-alarm".as_ref(), "--weights".as_ref(), weights::student().as_os_str()])
        .args(["--familiar".as_ref(), data("train")?.as_os_str(), "--data".as_ref(), data("calib")?.as_os_str()]))?;
    measure()
}

/// What is compared.
struct Compared {
    name: &'static str,
    weights: PathBuf,
}

/// Measures our own weights beside LiteMedSAM and beside our weights with LiteMedSAM's image encoder, and fills in the model card. Reports that are newer than the weights are kept.
pub fn measure() -> Result<()> {
    weights::ensure(&["f32"], None)?;
    let measuring = Measuring { umedsam: umedsam()?, folder: target().join("own/measured") };
    std::fs::create_dir_all(&measuring.folder)?;
    let compared = [
        Compared { name: "LiteMedSAM", weights: weights::path("f32") },
        Compared { name: "umedsam-litemedsam", weights: weights::own() },
        Compared { name: "umedsam-student", weights: weights::student() },
    ];
    let mut text = String::new();
    for (split, extra) in [("val", ""), ("val_more", ""), ("eval_only", "--boxes-per-image 6")] {
        let reports: Vec<Value> =
            compared.iter().map(|one| measuring.single_pass(one, split, extra)).collect::<Result<_>>()?;
        let _ = writeln!(text, "### `{split}`, a single pass without calibration{}\n", note(extra));
        text.push_str(&by_modality(&compared, &reports));
    }
    text.push_str("### `val`, boxes as people draw them\n\nEvery side of the tight box moved outwards by a share of the box's own side; jitter moves each side by its own chance.\n\n");
    text.push_str(&loose_boxes(&measuring, &compared)?);
    text.push_str("### Zoom: DSC of boxes by their share of the image, seen whole and closer\n\nThe longer side of the box as a share of the image's; the mean over boxes; a single pass without calibration.\n\n");
    text.push_str(&by_share(&measuring, &compared[2])?);
    text.push_str("### `val`, as used: the default ensemble, calibrated, all boxes\n\n");
    text.push_str(&as_used(&measuring.report(&compared[2], "val", "default", "")?));
    replace_in(&root().join("weights/MODEL_CARD-student.md"), MARKS, &text)
}

fn note(extra: &str) -> String {
    if extra.is_empty() { String::new() } else { format!(" (`{extra}`)") }
}

/// Where reports are made and kept.
struct Measuring {
    umedsam: PathBuf,
    folder: PathBuf,
}

impl Measuring {
    fn single_pass(&self, of: &Compared, split: &str, extra: &str) -> Result<Value> {
        self.report(of, split, "none", &format!("--uncalibrated --zoom off {extra}"))
    }

    fn report(&self, of: &Compared, split: &str, uncertainty: &str, extra: &str) -> Result<Value> {
        let options: String = extra.chars().filter(|letter| !letter.is_whitespace()).collect();
        let path = self.folder.join(format!("{}-{split}-{uncertainty}{options}.json", of.name));
        if !is_newer(&path, &of.weights) {
            say(format!("{} on {split}: {uncertainty} {extra}", of.name));
            self.evaluate(&of.weights, &data(split)?, uncertainty, extra, &path)?;
        }
        read(&path)
    }

    fn evaluate(&self, weights: &Path, data: &Path, uncertainty: &str, extra: &str, report: &Path) -> Result<()> {
        run(command(&self.umedsam)
            .args(["eval".as_ref(), "--weights".as_ref(), weights.as_os_str()])
            .args(["--data".as_ref(), data.as_os_str(), "--report".as_ref(), report.as_os_str()])
            .args(["--embeddings".as_ref(), embeddings().as_os_str()])
            .args(["--uncertainty", uncertainty])
            .args(extra.split_whitespace()))
    }
}

/// The whole report and each modality's part, by name.
fn groups<'a>(report: &'a Value, name: Option<&str>) -> &'a Value {
    name.map_or(&report["overall"], |name| &report["modalities"][name])
}

fn names(report: &Value) -> Vec<Option<String>> {
    let modalities = report["modalities"].as_object().into_iter().flatten();
    std::iter::once(None).chain(modalities.map(|(name, _)| Some(name.clone()))).collect()
}

fn by_modality(compared: &[Compared], reports: &[Value]) -> String {
    let columns: String =
        compared.iter().map(|one| format!("| {}: DSC | NSD | ECE ", one.name)).collect::<Vec<_>>().concat();
    let rule = "|---".repeat(2 + 3 * compared.len() + 2);
    let mut text =
        format!("| | images {columns}| DSC: umedsam-student − umedsam-litemedsam | NSD: the same |\n{rule}|\n");
    let percent = |report: &Value, name: Option<&str>, metric: &str| 100.0 * number(groups(report, name), metric);
    for name in names(&reports[0]) {
        let name = name.as_deref();
        let _ = write!(text, "| {} | {} ", name.unwrap_or("all"), groups(&reports[0], name)["n"]);
        for report in reports {
            let [dsc, nsd] = ["dsc", "nsd"].map(|metric| percent(report, name, metric));
            let _ = write!(text, "| {dsc:.2} | {nsd:.2} | {:.3} ", number(groups(report, name), "ece"));
        }
        let difference = |metric| percent(&reports[2], name, metric) - percent(&reports[1], name, metric);
        let _ = writeln!(text, "| {:+.2} | {:+.2} |", difference("dsc"), difference("nsd"));
    }
    text.push('\n');
    text
}

fn loose_boxes(measuring: &Measuring, compared: &[Compared]) -> Result<String> {
    let columns: String = compared.iter().map(|one| format!("| {}: DSC | ECE ", one.name)).collect::<Vec<_>>().concat();
    let mut text = format!("| boxes {columns}|\n{}|\n", "|---".repeat(1 + 2 * compared.len()));
    for (label, extra) in [
        ("tight", "--loosen 0"),
        ("10 % loose", "--loosen 0.1"),
        ("20 % loose", "--loosen 0.2"),
        ("30 % loose", "--loosen 0.3"),
        ("jittered by ±10 %", "--jitter 0.1"),
    ] {
        let _ = write!(text, "| {label} ");
        for one in compared {
            let report = measuring.single_pass(one, "val", extra)?;
            let overall = &report["overall"];
            let _ = write!(text, "| {:.2} | {:.3} ", 100.0 * number(overall, "dsc"), number(overall, "ece"));
        }
        text.push_str("|\n");
    }
    text.push('\n');
    Ok(text)
}

/// Upper ends of the groups of boxes, as shares of the image's longer side.
const SHARES: [f64; 4] = [0.05, 0.1, 0.15, 0.25];

fn by_share(measuring: &Measuring, of: &Compared) -> Result<String> {
    let splits = [("val", ""), ("val_more", ""), ("eval_only", "--boxes-per-image 6")];
    let columns: String = splits.iter().map(|(split, _)| format!("| {split}: boxes | whole | closer ")).collect();
    let mut text = format!("| share {columns}|\n{}|\n", "|---".repeat(1 + 3 * splits.len()));
    let mut reports = Vec::new();
    for (split, extra) in splits {
        let closer = measuring.report(of, split, "none", &format!("--uncalibrated --zoom on {extra}"))?;
        reports.push([measuring.single_pass(of, split, extra)?, closer]);
    }
    let mut low = 0.0;
    for high in SHARES {
        let _ = write!(text, "| {:.0}–{:.0} % ", 100.0 * low, 100.0 * high);
        for [whole, closer] in &reports {
            let scores = [whole, closer].map(|report| boxes_within(report, low, high));
            let mean = |scores: &[f64]| 100.0 * scores.iter().sum::<f64>() / scores.len() as f64;
            let _ = write!(text, "| {} | {:.2} | {:.2} ", scores[0].len(), mean(&scores[0]), mean(&scores[1]));
        }
        text.push_str("|\n");
        low = high;
    }
    text.push('\n');
    Ok(text)
}

/// DSC of the boxes whose share of the image is above `low` and at most `high`.
fn boxes_within(report: &Value, low: f64, high: f64) -> Vec<f64> {
    let cases = report["cases"].as_array().into_iter().flatten();
    let boxes = cases.flat_map(|case| case["boxes"].as_array().into_iter().flatten());
    let share = |found: &&Value| found["share"].as_f64().is_some_and(|share| low < share && share <= high);
    boxes.filter(share).map(|found| number(found, "dsc")).collect()
}

fn as_used(report: &Value) -> String {
    let mut text = String::from(
        "| | images | DSC | NSD | ECE | AUROC | AURC | \\|expected − true DSC\\| | FNR, FPR at α 0.05 | at α 0.1 |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for name in names(report) {
        let group = groups(report, name.as_deref());
        let risks = |alpha: &str| {
            let risk = |kind: &str| group["conformal"][alpha][kind].as_f64().unwrap_or(f64::NAN);
            format!("{:.3}, {:.3}", risk("fnr"), risk("fpr"))
        };
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {:.2} | {:.3} | {:.3} | {:.4} | {:.3} | {} | {} |",
            name.as_deref().unwrap_or("all"),
            group["n"],
            100.0 * number(group, "dsc"),
            100.0 * number(group, "nsd"),
            number(group, "ece"),
            number(group, "auroc"),
            number(group, "aurc"),
            number(group, "expected_dsc_mae"),
            risks("0.05"),
            risks("0.1"),
        );
    }
    text.push('\n');
    text
}
