//! How far numbers can be trusted, and where no more: several raters, whole masks kept back, doubt along outlines and elsewhere, and images ever further from the
//! calibration's. Measures on `../shared/data`, and writes tables of `docs/uncertainty.md`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use crate::build::is_newer;
use crate::process::{command, run, say};
use crate::study::{data, embeddings, read, replace_in, umedsam};
use crate::{root, target, weights};

mod tables;
mod unlike;

/// Begins and ends what is generated in the document.
const MARKS: [&str; 2] = ["<!-- made by cargo xtask trust -->\n", "<!-- end of what cargo xtask trust makes -->\n"];

/// Structures of an image at most: images with dozens of nuclei would take most of the time.
const BOXES_PER_IMAGE: &str = "4";
/// The same where every click is an ensemble's.
const BOXES_PER_IMAGE_CLICKS: &str = "1";
/// Clicks after which corrections are measured.
const CLICKS: &str = "3";

struct Measuring {
    umedsam: PathBuf,
    folder: PathBuf,
}

impl Measuring {
    /// A report with the default ensemble, unless one that is newer than the weights is there.
    fn report(&self, name: &str, weights: &Path, split: &str, extra: &[&str]) -> Result<Value> {
        let path = self.folder.join(format!("{name}.json"));
        if !is_newer(&path, weights) {
            say(format!("{name}: {split} {}", extra.join(" ")));
            run(command(&self.umedsam)
                .args(["eval".as_ref(), "--weights".as_ref(), weights.as_os_str()])
                .args(["--data".as_ref(), data(split)?.as_os_str(), "--report".as_ref(), path.as_os_str()])
                .args(["--embeddings".as_ref(), embeddings().as_os_str(), "--uncertainty".as_ref(), "default".as_ref()])
                .args(extra))?;
        }
        read(&path)
    }
}

/// Measures, and writes the tables. Finished reports are kept.
pub fn trust() -> Result<()> {
    weights::ensure(&["f32"], None)?;
    let measuring = Measuring { umedsam: umedsam()?, folder: target().join("trust") };
    std::fs::create_dir_all(&measuring.folder)?;
    let (own, official) = (weights::student(), weights::path("f32"));
    let boxes = ["--boxes-per-image", BOXES_PER_IMAGE];
    let val = measuring.report("val", &own, "val", &boxes)?;
    let more = measuring.report("val_more", &own, "val_more", &boxes)?;
    let only = measuring.report("eval_only", &own, "eval_only", &boxes)?;
    let loose = measuring.report("loose", &own, "val", &[&boxes[..], &["--loosen", "0.2"]].concat())?;
    let clicks = ["--boxes-per-image", BOXES_PER_IMAGE_CLICKS, "--clicks", CLICKS];
    let corrected = measuring.report("corrected", &own, "val", &clicks)?;
    let ours = measuring.report("multirater-student", &own, "multirater", &boxes)?;
    let ours_corrected = measuring.report("multirater-corrected", &own, "multirater", &clicks)?;
    let lite = measuring.report("multirater-lite", &official, "multirater", &boxes)?;

    let mut text = String::from("### How far from the calibration\n\n");
    text.push_str(&tables::by_distance(&val, &more, &only, &loose, &corrected));
    text.push_str("\n### Keeping whole masks back\n\n");
    text.push_str(&tables::orders(&[
        ("val", &val),
        ("val_more", &more),
        ("eval_only", &only),
        ("loose boxes", &loose),
    ]));
    text.push_str("\n### Doubt along outlines and elsewhere\n\n");
    text.push_str(&tables::doubt(&[("val", &val), ("val_more", &more), ("eval_only", &only), ("loose boxes", &loose)]));
    text.push_str("\n### Beside several raters\n\n");
    text.push_str(&tables::raters(&ours, &ours_corrected, &lite));
    text.push_str("\n### Images unlike the calibration's\n\n");
    text.push_str(&unlike::table(&measuring, &own)?);
    replace_in(&root().join("docs/uncertainty.md"), MARKS, &text)
}
