//! Many cases, in parallel, resumed where an earlier run ended.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::boxes::DrawnBoxes;
use super::case::{MapKind, evaluate_case};
use super::clicks::{Clicks, play_case};
use super::dataset::CasePath;
use super::embeddings::EmbeddingCache;
use super::report::{CaseReport, Failure, Report};
use crate::data::read_npz;
use crate::error::{Error, Result};
use crate::segment::{SegmentOptions, Segmenter};
use crate::uncertainty::PromptKind;

/// What to evaluate with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalSettings {
    /// SHA-256 of the weight file.
    pub weights_sha256: String,
    /// Ensemble and calibration.
    pub options: SegmentOptions,
    /// The map that the error detection is measured with.
    pub map: MapKind,
    /// Bounds that the conformal masks are measured for.
    pub alphas: Vec<f64>,
    /// At most this many boxes of an image, evenly spread, each with its label; `None` for all.
    pub boxes_per_image: Option<usize>,
    /// Boxes drawn around the structures of images instead of those that the files bring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawn_boxes: Option<DrawnBoxes>,
    /// Clicks that correct every structure of images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clicks: Option<Clicks>,
}

/// Gets each case as it is done: how many are done, of how many, and what became of it.
pub type Progress<'a> = dyn Fn(usize, usize, &CasePath, std::result::Result<&CaseReport, &Error>) + Sync + 'a;

/// Evaluates cases on `jobs` threads and sums up. Scores are kept in `partial` until the end, so that a run that was ended early goes on
/// where it was. Files that cannot be evaluated are reported and left out.
///
/// # Errors
/// [`Error::File`] if `partial` cannot be written; the first failure if every case failed.
pub fn evaluate(
    segmenter: &Segmenter,
    cases: &[CasePath],
    embeddings: &EmbeddingCache,
    settings: &EvalSettings,
    partial: &Path,
    jobs: usize,
    progress: &Progress,
) -> Result<Report> {
    let journal = Journal::open(partial, settings)?;
    let done = Mutex::new(0);
    let evaluate = |case: &CasePath| {
        let report = match journal.earlier.get(&case.relative) {
            Some(report) => Ok(report.clone()),
            None => evaluate_file(segmenter, case, embeddings, settings).and_then(|report| {
                journal.append(&report)?;
                Ok(report)
            }),
        };
        let mut done = done.lock().expect("no panics while counting");
        *done += 1;
        progress(*done, cases.len(), case, report.as_ref());
        report
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(jobs)
        .build()
        .map_err(|error| Error::InvalidOption(format!("jobs is {jobs}: {error}")))?;
    let reports: Vec<_> = pool.install(|| cases.par_iter().map(evaluate).collect());

    let (mut done, mut failures, mut first_error) = (Vec::new(), Vec::new(), None);
    for (case, report) in cases.iter().zip(reports) {
        match report {
            Ok(report) => done.push(report),
            Err(error) => {
                failures.push(Failure { case: case.relative.clone(), message: error.to_string() });
                first_error.get_or_insert(error);
            }
        }
    }
    if let (true, Some(error)) = (done.is_empty(), first_error) {
        return Err(error);
    }
    let metadata = segmenter.metadata();
    let calibration = metadata.calibration.as_ref().and_then(|calibration| {
        calibration.setting(&settings.options.uncertainty, false, PromptKind::Box).map(|(setting, state)| {
            json!({ "state": state, "data": calibration.data, "scaling": setting.scaling, "review": setting.review })
        })
    });
    let about = json!({
        "umedsam": env!("CARGO_PKG_VERSION"),
        "weights": {
            "architecture": metadata.architecture, "precision": metadata.precision, "source": metadata.source,
            "source_sha256": metadata.source_sha256, "sha256": settings.weights_sha256,
        },
        "options": settings.options,
        "drawn_boxes": settings.drawn_boxes,
        "clicks": settings.clicks,
        "calibration": calibration,
        "map": settings.map,
        "definitions": {
            "dsc": "mean over labels, then over cases",
            "nsd": "surface Dice at tolerance 2 (pixels, or mm in volumes), 0 where the case's DSC is at most 0.2; as in the challenge, \
                    an image is a volume of one slice whose faces are surface",
            "contour_nsd": "the same of the contours alone, images only",
            "region": "pixels in the box enlarged by 12.5 % of its size on each side; a case counts as at most 4000 pixels",
            "guarantees": "one object of an image, chosen by a hash of the image's name; 95 % intervals by Clopper and Pearson; the area's width as a share of the true area",
            "ece": "15 equal bins of the foreground probability",
            "rounds": "0 is the first prompt, each further one a click where the policy says (error: in the middle of the largest connected part of the error), with \
                       the logits of the round before as mask prompt; every structure's mask by itself, NSD also where the DSC is low; pixels in the truth's \
                       box enlarged by 12.5 %; conformal risks of the structures that have thresholds",
            "noc": "clicks until the DSC is reached, a first click included, a first box not; what is never reached counts as all clicks",
            "dsc_auc": "area under the DSC of the rounds after the first, by trapezoids; likewise nsd_auc",
            "selective": "AURC over whole masks, risk 1 − DSC, the surest first; pairwise_dice: mean Dice of all pairs of members; mean_entropy and mean_epistemic: of the \
                          region's pixels; boundary_doubt and scattered_doubt: bits a pixel of the mask; images: means over their masks",
            "doubt": "total uncertainty of the whole image within a tenth of the radius of a disc of the mask's area, at least 2 pixels of 256, of its outline, and elsewhere",
            "raters": "outlines that are the same pixel by pixel count once; ECE in 50 equal bins of the foreground probability, over the region and over the whole image; \
                       qubiq: mean Dice at the thresholds 0.1–0.9; areas in shares of the raters' mean area, ours by all levels of the probability, 5–95 % of them as the \
                       interval; total and epistemic: Pearson's and Spearman's correlation with the entropy of the mean rater over the region; human: the mean of the other \
                       raters beside each",
            "ci": "95 % percentile bootstrap over cases, 1000 draws",
        },
    });
    let report = Report::new(about, &done, failures);
    drop(journal);
    std::fs::remove_file(partial).map_err(|error| Error::file(partial, error))?;
    Ok(report)
}

fn evaluate_file(
    segmenter: &Segmenter,
    case: &CasePath,
    embeddings: &EmbeddingCache,
    settings: &EvalSettings,
) -> Result<CaseReport> {
    let mut data = read_npz(&case.path)?;
    if let Some(limit) = settings.boxes_per_image {
        data.keep_boxes(limit);
    }
    if let Some(drawn) = &settings.drawn_boxes {
        drawn.apply(&mut data, &case.relative);
    }
    let EvalSettings { options, map, alphas, .. } = settings;
    let scores = match &settings.clicks {
        Some(clicks) => play_case(segmenter, &data, embeddings, options, clicks, *map, alphas)?,
        None => evaluate_case(segmenter, &data, embeddings, options, *map, alphas)?,
    };
    Ok(CaseReport {
        case: case.relative.clone(),
        modality: case.modality.clone(),
        dataset: case.dataset.clone(),
        scores,
    })
}

/// Scores on disk, one line a case, under a line that says what they were made with.
struct Journal {
    earlier: HashMap<String, CaseReport>,
    path: PathBuf,
    file: Mutex<File>,
}

impl Journal {
    fn open(path: &Path, settings: &EvalSettings) -> Result<Self> {
        let fail = |error: std::io::Error| Error::file(path, error);
        let header = serde_json::to_string(settings).expect("settings are plain data");
        let earlier = Self::read(path, &header);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(fail)?;
        }
        let mut file = File::create(path).map_err(fail)?;
        writeln!(file, "{header}").map_err(fail)?;
        for report in earlier.values() {
            writeln!(file, "{}", serde_json::to_string(report).expect("scores are plain data")).map_err(fail)?;
        }
        Ok(Self { earlier, path: path.to_path_buf(), file: Mutex::new(file) })
    }

    /// What an earlier run with the same settings wrote, but for a line that was cut off.
    fn read(path: &Path, header: &str) -> HashMap<String, CaseReport> {
        let Ok(file) = File::open(path) else { return HashMap::new() };
        let mut lines = BufReader::new(file).lines().map_while(std::result::Result::ok);
        if lines.next().as_deref() != Some(header) {
            return HashMap::new();
        }
        let reports = lines.filter_map(|line| serde_json::from_str::<CaseReport>(&line).ok());
        reports.map(|report| (report.case.clone(), report)).collect()
    }

    fn append(&self, report: &CaseReport) -> Result<()> {
        let line = serde_json::to_string(report).expect("scores are plain data");
        let mut file = self.file.lock().expect("no panics while writing");
        writeln!(file, "{line}").map_err(|error| Error::file(&self.path, error))
    }
}
