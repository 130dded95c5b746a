//! The paper's ablation on open data: three losses, several seeds, the same number of steps, beside what training begins with.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::{command, run, say};
use crate::study::{data, embeddings, evaluate, number, read, replace_in, umedsam};
use crate::{root, target, weights};

/// What is trained.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Trained {
    /// LiteMedSAM's mask decoder.
    Decoder,
    /// The light encoder after its distillation, and the mask decoder.
    Student,
}

impl Trained {
    fn name(self) -> &'static str {
        match self {
            Self::Decoder => "ablation",
            Self::Student => "ablation-student",
        }
    }

    /// What it begins with, for people.
    fn untouched(self) -> &'static str {
        match self {
            Self::Decoder => "LiteMedSAM untouched",
            Self::Student => "distillation alone",
        }
    }

    /// Begins and ends what is generated in the document.
    fn marks(self) -> [String; 2] {
        let command = match self {
            Self::Decoder => "cargo xtask ablation",
            Self::Student => "cargo xtask ablation --trained student",
        };
        [format!("<!-- made by {command} -->\n"), format!("<!-- end of what {command} makes -->\n")]
    }

    /// The weights it begins with; a student's are those of `cargo xtask own-weights`' first stage.
    fn base(self) -> Result<PathBuf> {
        match self {
            Self::Decoder => Ok(weights::path("f32")),
            Self::Student => {
                let distilled = target().join("own/distil/best.safetensors");
                ensure!(distilled.exists(), "{} is made by cargo xtask own-weights", distilled.display());
                Ok(distilled)
            }
        }
    }

    fn splits(self) -> Result<Vec<PathBuf>> {
        match self {
            Self::Decoder => Ok(vec![data("train")?]),
            Self::Student => Ok(vec![data("train")?, data("train_more")?]),
        }
    }
}

/// Folder name, what it is, and what differs in the configuration.
const ARMS: [(&str, &str, &str); 3] = [
    ("dice", "squared Dice", "[loss]\nkind = \"region\"\nregion = \"squared\"\n"),
    ("ua", "uncertainty-aware loss", "[loss]\nkind = \"uncertainty-aware\"\n"),
    (
        "ua-sharpmin",
        "uncertainty-aware loss, SharpMin",
        "[loss]\nkind = \"uncertainty-aware\"\n\n[sharp_min]\nrho = 0.05\n",
    ),
];

/// Without mirrored images: each orientation of an image is another encode of LiteMedSAM, which takes as long as six steps' boxes.
fn config(trained: Trained, arm: &str, seed: u64, steps: usize) -> String {
    let own = match trained {
        Trained::Decoder => "\n[optimizer]\nkind = \"adamw\"\nlearning_rate = 1e-4\nsigma_learning_rate = 1e-2\n",
        Trained::Student => {
            "part = \"all\"\nclip_norm = 1.0\n\n[distillation]\nweight = 50.0\nmasks = true\n\n\
             [optimizer]\nkind = \"adamw\"\nlearning_rate = 2e-4\ntrunk_rate = 0.5\ndecoder_rate = 0.5\nsigma_learning_rate = 1e-2\n"
        }
    };
    format!(
        "seed = {seed}\nsteps = {steps}\nbatch = 4\nschedule = \"cosine\"\nwarmup_steps = 10\ncheckpoint_every = 50\n{own}\n\
         [augmentation]\nflips = false\n\n[validation]\nevery = 50\nimages = 80\nboxes_per_image = 1\n\n{arm}"
    )
}

/// Trains every arm with every seed, evaluates all, and writes the tables of `docs/training.md`. Runs that are there go on or are kept.
pub fn ablation(trained: Trained, steps: usize, seeds: u64) -> Result<()> {
    weights::ensure(&["f32"], None)?;
    let umedsam = umedsam()?;
    let folder = target().join(trained.name());
    let (train, base, teacher) = (trained.splits()?, trained.base()?, weights::path("f32"));
    std::fs::create_dir_all(&folder)?;
    let mut reports: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for seed in 0..seeds {
        for (name, title, options) in ARMS {
            let out = folder.join(format!("{name}-{seed}"));
            let report = out.join("report.json");
            if !report.exists() {
                say(format!("{title}, seed {seed}"));
                let path = folder.join(format!("{name}-{seed}.toml"));
                std::fs::write(&path, config(trained, options, seed, steps))?;
                run(command(&umedsam)
                    .args(["train", "--precision", "f32"])
                    .args(["--config".as_ref(), path.as_os_str(), "--weights".as_ref(), base.as_os_str()])
                    .args(["--teacher".as_ref(), teacher.as_os_str(), "--out".as_ref(), out.as_os_str()])
                    .args(["--embeddings".as_ref(), embeddings().as_os_str()])
                    .arg("--data")
                    .args(&train))?;
                evaluate(&umedsam, &out.join("best.safetensors"), "none", &report, &["--uncalibrated"])?;
            }
            reports.entry(name).or_default().push(read(&report)?);
        }
    }
    let untouched = folder.join("untouched.json");
    if !untouched.exists() {
        evaluate(&umedsam, &base, "none", &untouched, &["--uncalibrated"])?;
    }
    let untouched = read(&untouched)?;
    let mut text = format!(
        "{seeds} seeds, {steps} steps of 4 boxes each, DSC and NSD in %, all boxes of `val` ({} images). Means over seeds (standard deviation \
         over seeds); in brackets the 95 % bootstrap interval over images of the seeds' mean, and of its difference from {}.\n\n",
        untouched["overall"]["n"],
        trained.untouched()
    );
    text.push_str(&overall(trained, &reports, &untouched));
    text.push_str(&by_modality(trained, &reports, &untouched));
    text.push_str(&sigmas(&folder, seeds)?);
    let [begin, end] = trained.marks();
    replace_in(&root().join("docs/training.md"), [&begin, &end], &text)?;
    match trained {
        Trained::Decoder => copy_curves(&folder),
        Trained::Student => Ok(()),
    }
}

/// A metric of every case, the mean over seeds, in the order of the cases' names.
fn by_case(reports: &[Value], metric: &str) -> Vec<f64> {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for case in reports.iter().flat_map(|report| report["cases"].as_array().into_iter().flatten()) {
        *sums.entry(case["case"].as_str().unwrap_or_default()).or_default() += number(case, metric);
    }
    sums.into_values().map(|sum| sum / reports.len() as f64).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len().max(2) - 1) as f64).sqrt()
}

/// The 95 % percentile interval of the mean over 2000 bootstrap draws, the same ones every time.
fn interval(values: &[f64]) -> [f64; 2] {
    const DRAWS: usize = 2000;
    // Knuth's multiplier: enough for resampling.
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let mut means: Vec<f64> =
        (0..DRAWS).map(|_| mean(&values.iter().map(|_| values[next() % values.len()]).collect::<Vec<_>>())).collect();
    means.sort_by(f64::total_cmp);
    [means[DRAWS / 40], means[DRAWS - 1 - DRAWS / 40]]
}

fn overall(trained: Trained, reports: &BTreeMap<&str, Vec<Value>>, untouched: &Value) -> String {
    let mut text = String::from(
        "| | DSC | interval | difference | NSD | difference | ECE (uncalibrated) |\n|---|---|---|---|---|---|---|\n",
    );
    let base = std::slice::from_ref(untouched);
    let percent = |values: [f64; 2]| format!("{:.2}–{:.2}", 100.0 * values[0], 100.0 * values[1]);
    let value = |metric: &str| 100.0 * number(&untouched["overall"], metric);
    let _ = writeln!(
        text,
        "| {} | {:.2} | {} | | {:.2} | | {:.4} |",
        trained.untouched(),
        value("dsc"),
        percent(interval(&by_case(base, "dsc"))),
        value("nsd"),
        number(&untouched["overall"], "ece")
    );
    for (name, title, _) in ARMS {
        let arm = &reports[name];
        let seeds = |metric: &str| arm.iter().map(|report| number(&report["overall"], metric)).collect::<Vec<_>>();
        let cell =
            |metric: &str| format!("{:.2} (±{:.2})", 100.0 * mean(&seeds(metric)), 100.0 * deviation(&seeds(metric)));
        let difference = |metric: &str| {
            let pairs = by_case(arm, metric).into_iter().zip(by_case(base, metric));
            let differences: Vec<f64> = pairs.map(|(a, b)| a - b).collect();
            format!("{:+.2} ({})", 100.0 * mean(&differences), percent(interval(&differences)))
        };
        let _ = writeln!(
            text,
            "| {title} | {} | {} | {} | {} | {} | {:.4} |",
            cell("dsc"),
            percent(interval(&by_case(arm, "dsc"))),
            difference("dsc"),
            cell("nsd"),
            difference("nsd"),
            mean(&seeds("ece"))
        );
    }
    text.push('\n');
    text
}

fn by_modality(trained: Trained, reports: &BTreeMap<&str, Vec<Value>>, untouched: &Value) -> String {
    let mut text = format!("| DSC / NSD / ECE | n | {} |", trained.untouched());
    ARMS.iter().for_each(|(_, title, _)| text.push_str(&format!(" {title} |")));
    text.push_str("\n|---|---|---|---|---|---|\n");
    let cell = |reports: &[Value], name: &str| {
        let value = |metric: &str| {
            mean(&reports.iter().map(|report| number(&report["modalities"][name], metric)).collect::<Vec<_>>())
        };
        format!("{:.2} / {:.2} / {:.3}", 100.0 * value("dsc"), 100.0 * value("nsd"), value("ece"))
    };
    for (name, group) in untouched["modalities"].as_object().into_iter().flatten() {
        let _ = write!(text, "| {name} | {} | {} |", group["n"], cell(std::slice::from_ref(untouched), name));
        for (arm, ..) in ARMS {
            let _ = write!(text, " {} |", cell(&reports[arm], name));
        }
        text.push('\n');
    }
    text.push('\n');
    text
}

/// The σ at the end of each run, and how long it took.
fn sigmas(folder: &Path, seeds: u64) -> Result<String> {
    let mut text =
        String::from("| run | σ Dice | σ cross-entropy | σ focal | seconds of training |\n|---|---|---|---|---|\n");
    for (name, title, _) in ARMS {
        for seed in 0..seeds {
            let log = std::fs::read_to_string(folder.join(format!("{name}-{seed}/log.jsonl")))?;
            let last = log.lines().rfind(|line| line.contains("\"kind\":\"step\"")).context("the log has no step")?;
            let last: Value = serde_json::from_str(last)?;
            let sigma = |term: usize| last["sigma"][term].as_f64().unwrap_or(f64::NAN);
            let _ = writeln!(
                text,
                "| {title}, seed {seed} | {:.3} | {:.3} | {:.3} | {:.0} |",
                sigma(0),
                sigma(1),
                sigma(2),
                number(&last, "seconds")
            );
        }
    }
    text.push('\n');
    Ok(text)
}

/// The curves of the full recipe's first seed.
fn copy_curves(folder: &Path) -> Result<()> {
    let docs: PathBuf = root().join("docs/training");
    std::fs::create_dir_all(&docs)?;
    for name in ["loss.svg", "sigma.svg", "validation.svg"] {
        std::fs::copy(folder.join("ua-sharpmin-0").join(name), docs.join(name))?;
    }
    Ok(())
}
