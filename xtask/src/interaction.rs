//! What corrections bring: a simulated person clicks on the images of `../shared/data/val`, and the tables of `docs/interaction.md` are written.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::Value;

use crate::build::is_newer;
use crate::process::{command, run, say};
use crate::study::{data, embeddings, number, read, replace_in, umedsam};
use crate::{root, target, weights};

/// Begins and ends what is generated in the document.
const MARKS: [&str; 2] =
    ["<!-- made by cargo xtask interaction -->\n", "<!-- end of what cargo xtask interaction makes -->\n"];

/// First prompts, as `umedsam eval --first` takes them, with their names.
const FIRST: [(&str, &str); 8] = [
    ("box", "the file's box"),
    ("click", "a click in the middle"),
    ("stroke", "a stroke as points"),
    ("painted", "a stroke as a mask prompt, with a click"),
    ("loose=0.1", "a box 10 % loose"),
    ("loose=0.2", "a box 20 % loose"),
    ("loose=0.3", "a box 30 % loose"),
    ("jitter=0.1", "a box jittered by ±10 %"),
];

/// Where clicks are, as `umedsam eval --policy` takes them, with their names.
const POLICIES: [(&str, &str); 4] = [
    ("suggested", "where the result suggests"),
    ("largest-unsure", "in the middle of the largest unsure region"),
    ("random-unsure", "at an unsure place by chance"),
    ("error", "in the middle of the largest error (the oracle)"),
];

/// Structures of an image at most: images with dozens of nuclei would take most of the time.
const BOXES_PER_IMAGE: &str = "2";
/// The same where every answer is an ensemble's.
const BOXES_PER_IMAGE_ENSEMBLE: &str = "1";
/// Clicks of the rounds' tables.
const CLICKS: usize = 5;
/// Clicks at most where they are counted.
const MOST_CLICKS: usize = 20;

struct Measuring {
    umedsam: PathBuf,
    folder: PathBuf,
}

impl Measuring {
    /// A report, unless one that is newer than the weights is there.
    fn report(&self, of: &(&str, PathBuf), clicks: usize, uncertainty: &str, extra: &[&str]) -> Result<Value> {
        let (name, weights) = of;
        let boxes_per_image = if uncertainty == "none" { BOXES_PER_IMAGE } else { BOXES_PER_IMAGE_ENSEMBLE };
        let options = extra.concat().replace("--", "-");
        let path = self.folder.join(format!("{name}-{clicks}-{uncertainty}{options}.json"));
        if !is_newer(&path, weights) {
            say(format!("{name}: {clicks} clicks, uncertainty {uncertainty}, {}", extra.join(" ")));
            run(command(&self.umedsam)
                .args(["eval".as_ref(), "--weights".as_ref(), weights.as_os_str()])
                .args(["--data".as_ref(), data("val")?.as_os_str(), "--report".as_ref(), path.as_os_str()])
                .args(["--embeddings".as_ref(), embeddings().as_os_str()])
                .args(["--boxes-per-image", boxes_per_image, "--uncertainty", uncertainty])
                .args(["--clicks", &clicks.to_string()])
                .args(extra))?;
        }
        read(&path)
    }
}

/// Measures LiteMedSAM's weights and ours, and writes the tables.
pub fn interaction() -> Result<()> {
    weights::ensure(&["f32"], None)?;
    let measuring = Measuring { umedsam: umedsam()?, folder: target().join("interaction") };
    std::fs::create_dir_all(&measuring.folder)?;
    let compared = [("LiteMedSAM", weights::path("f32")), ("umedsam-student", weights::student())];
    let mut text = format!(
        "`val`, at most {BOXES_PER_IMAGE} structures of each of its 358 images, means over images; a single pass. In brackets the 95 % bootstrap interval over images.\n\n"
    );
    for (metric, title) in [("dsc", "DSC in %"), ("nsd", "NSD in %"), ("ece", "ECE")] {
        let _ = writeln!(text, "**{title}**\n");
        text.push_str(&rounds_head());
        for of in &compared {
            for (first, name) in FIRST {
                let report = measuring.report(of, CLICKS, "none", &["--first", first])?;
                let _ = writeln!(text, "| {}, {name} | {} |", of.0, rounds_row(&report, metric));
            }
        }
        text.push('\n');
    }
    text.push_str("**Clicks to a DSC** (NoC, at most 20 after the first prompt; a first click counts, a first box does not), and the area under the curve of the DSC of 5 clicks (at most 4)\n\n");
    text.push_str(
        "| | NoC@80 mean, median, never | NoC@85 | NoC@90 | DSC_AUC | NSD_AUC |\n|---|---|---|---|---|---|\n",
    );
    for of in &compared {
        for (first, name) in &FIRST[..2] {
            let report = measuring.report(of, MOST_CLICKS, "none", &["--first", first])?;
            let five = measuring.report(of, CLICKS, "none", &["--first", first])?;
            let noc: Vec<String> = ["80", "85", "90"].iter().map(|goal| needed(&report, goal)).collect();
            let [dsc, nsd] = ["dsc_auc", "nsd_auc"].map(|name| number(&five["overall"], name));
            let _ = writeln!(text, "| {}, {name} | {} | {dsc:.2} | {nsd:.2} |", of.0, noc.join(" | "));
        }
    }
    text.push_str(&by_modality(&measuring.report(&compared[1], CLICKS, "none", &["--first", "box"])?));
    let document = root().join("docs/interaction.md");
    for first in ["loose=0.2", "click"] {
        // What took an hour is written before the next hour begins.
        replace_in(&document, MARKS, &text)?;
        text.push_str(&suggestions(&measuring, &compared[1], first)?);
    }
    replace_in(&document, MARKS, &text)
}

fn rounds_head() -> String {
    let clicks: Vec<String> = (1..=CLICKS).map(|click| format!("{click} more")).collect();
    format!("| | first prompt | {} |\n|---|---{}|\n", clicks.join(" | "), "|---".repeat(CLICKS))
}

fn rounds_row(report: &Value, metric: &str) -> String {
    let overall = &report["overall"];
    let cell = |round: usize| {
        let value = overall["rounds"][round][metric].as_f64().unwrap_or(f64::NAN);
        let [low, high] =
            [0, 1].map(|end| overall["ci"][format!("rounds.{round}.{metric}")][end].as_f64().unwrap_or(f64::NAN));
        match metric {
            "ece" => format!("{value:.3}"),
            _ => format!("{:.1} ({:.1}–{:.1})", 100.0 * value, 100.0 * low, 100.0 * high),
        }
    };
    (0..=CLICKS).map(cell).collect::<Vec<_>>().join(" | ")
}

fn needed(report: &Value, goal: &str) -> String {
    let noc = &report["overall"]["noc"][goal];
    let [mean, median, never] = ["mean", "median", "never"].map(|name| noc[name].as_f64().unwrap_or(f64::NAN));
    format!("{mean:.2}, {median:.0}, {:.0} %", 100.0 * never)
}

fn by_modality(report: &Value) -> String {
    let mut text = "\n**By modality**, umedsam-student from the file's box: DSC in %, and how many structures never reach 90 % within 5 clicks\n\n".to_string();
    text.push_str(&rounds_head().replacen("|\n", "| never 90 % |\n", 1).replacen("|\n|---", "|\n|---|---", 1));
    for (name, group) in report["modalities"].as_object().into_iter().flatten() {
        let dsc = |round: usize| format!("{:.1}", 100.0 * group["rounds"][round]["dsc"].as_f64().unwrap_or(f64::NAN));
        let row = (0..=CLICKS).map(dsc).collect::<Vec<_>>().join(" | ");
        let never = 100.0 * group["noc"]["90"]["never"].as_f64().unwrap_or(f64::NAN);
        let _ = writeln!(text, "| {name} | {row} | {never:.0} % |");
    }
    text
}

/// What answering questions after a first prompt brings, with the default ensemble.
fn suggestions(measuring: &Measuring, of: &(&str, PathBuf), first: &str) -> Result<String> {
    let mut text = format!(
        "\n**Suggested clicks** after {first}: a person who answers truthfully, with the default ensemble; {}, one structure an image, at most 10 clicks\n\n",
        of.0
    );
    text.push_str(
        "| clicks | DSC at first | after 1 | 2 | 3 | 5 | NoC@90 mean, median, never |\n|---|---|---|---|---|---|---|\n",
    );
    for (policy, name) in POLICIES {
        let report = measuring.report(of, 10, "default", &["--first", first, "--policy", policy])?;
        let dsc = |round: usize| {
            format!("{:.1}", 100.0 * report["overall"]["rounds"][round]["dsc"].as_f64().unwrap_or(f64::NAN))
        };
        let cells = [0, 1, 2, 3, 5].map(dsc).join(" | ");
        let _ = writeln!(text, "| {name} | {cells} | {} |", needed(&report, "90"));
    }
    Ok(text)
}
