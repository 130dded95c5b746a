//! How often the shift alarm goes off, on images like those of the calibration and on others.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Measuring;
use crate::build::is_newer;
use crate::process::{command, run, say};
use crate::study::{data, read};
use crate::{root, target, tools};

/// Splits of the data, with what they are to the alarm.
const SPLITS: [(&str, &str); 4] = [
    ("val", "`val`: other images of the calibration's datasets (false alarms)"),
    ("val_more", "`val_more`: datasets that the calibration has not"),
    ("eval_only", "`eval_only`: further ones"),
    ("multirater", "`multirater`: cells in phase contrast"),
];

/// Measures, and writes the table.
pub fn table(measuring: &Measuring, weights: &Path) -> Result<String> {
    let mut text = String::from(
        "umedsam-student. Alarms with the 95 % interval by Clopper and Pearson; changed images are 90 of `val`, photographs parts of 15 that scikit-image and scikit-learn bring.\n\n\
         | | images | alarms | median p-value |\n|---|---|---|---|\n",
    );
    let mut modalities = String::new();
    for (split, name) in SPLITS {
        let report = alarms(measuring, weights, split, &data(split)?)?;
        row(&mut text, name, &report["overall"]["shift"]);
        let of = |(name, group): (&String, &Value)| format!("{name} {}", share(&group["shift"]["alarms"]));
        let all: Vec<String> = report["modalities"].as_object().into_iter().flatten().map(of).collect();
        let _ = writeln!(modalities, "\nAlarms by modality, `{split}`: {}.", all.join(", "));
    }
    let images = images()?;
    let mut kinds: Vec<PathBuf> = std::fs::read_dir(&images)?.flatten().map(|entry| entry.path()).collect();
    kinds.sort();
    for kind in kinds.iter().filter(|path| path.is_dir()) {
        let name = kind.file_name().context("a kind")?.to_string_lossy();
        let report = alarms(measuring, weights, &format!("unlike-{}", name.replace(' ', "-")), kind)?;
        row(&mut text, &name, &report["overall"]["shift"]);
    }
    Ok(text + &modalities)
}

fn row(text: &mut String, name: &str, shift: &Value) {
    let (alarms, p_value) = (&shift["alarms"], shift["median_p_value"].as_f64().unwrap_or(f64::NAN));
    let [low, high] = [0, 1].map(|end| 100.0 * alarms["ci"][end].as_f64().unwrap_or(f64::NAN));
    let _ = writeln!(text, "| {name} | {} | {} ({low:.1}–{high:.1}) | {p_value:.3} |", alarms["of"], share(alarms));
}

fn share(alarms: &Value) -> String {
    format!("{:.1} %", 100.0 * alarms["share"].as_f64().unwrap_or(f64::NAN))
}

/// A report of single passes, which are as good as any to look at a whole image.
fn alarms(measuring: &Measuring, weights: &Path, name: &str, folder: &Path) -> Result<Value> {
    let path = measuring.folder.join(format!("alarms-{name}.json"));
    if !is_newer(&path, weights) {
        say(format!("alarms: {name}"));
        run(command(&measuring.umedsam)
            .args(["eval".as_ref(), "--weights".as_ref(), weights.as_os_str()])
            .args(["--data".as_ref(), folder.as_os_str(), "--report".as_ref(), path.as_os_str()])
            .args(["--uncertainty", "none", "--boxes-per-image", "1"]))?;
    }
    read(&path)
}

/// Images of other kinds, a folder each, made by `bench/unlike.py`.
fn images() -> Result<PathBuf> {
    let images = target().join("unlike");
    let script = root().join("bench/unlike.py");
    let done = images.join("done");
    if !is_newer(&done, &script) {
        say("Making images unlike the calibration's");
        let python = target().join("unlike-python");
        run(command(tools::python()).args(["-m", "venv", "--clear"]).arg(&python))?;
        let python = python.join("bin/python");
        run(command(&python)
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(root().join("bench/unlike-requirements.txt")))?;
        std::fs::remove_dir_all(&images).ok();
        run(command(&python).arg(&script).arg(data("val")?).arg(&images))?;
        std::fs::write(done, "")?;
    }
    Ok(images)
}
