//! `umedsam eval`

use std::path::PathBuf;

use burn::tensor::Device;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use umedsam::eval::{
    Clicks, ClicksNeeded, DrawnBoxes, EmbeddingCache, EvalSettings, FirstPrompt, MapKind, OrderScores, Policy, Report,
    evaluate, find_cases, to_html,
};
use umedsam::segment::{SegmentOptions, Segmenter};
use umedsam::uncertainty::UncertaintyOptions;
use umedsam::weights::sha256_hex;
use umedsam::{Error, Result};

use super::segment::{MaskArgument, ZoomArgument};

/// Most clicks of a simulated person.
const MOST_CLICKS: usize = 100;

#[derive(Args)]
pub struct Arguments {
    /// The weight file; by default umedsam's own weights, which are part of this program
    #[arg(long)]
    weights: Option<PathBuf>,
    /// The folder of challenge .npz files (imgs, gts, boxes); the folder under it names the modality, the next one the dataset
    #[arg(long)]
    data: PathBuf,
    /// Where the report goes, as JSON
    #[arg(long)]
    report: PathBuf,
    /// Where the report goes, as a page to look at
    #[arg(long)]
    html: Option<PathBuf>,
    /// How the uncertainty is found: none (a single pass), default, or samples=K,jitter=PIXELS,multimask=SHARE,flips=BOOL,seed=N
    #[arg(long, default_value = "default")]
    uncertainty: UncertaintyOptions,
    /// The map that error detection is measured with
    #[arg(long, value_enum, default_value = "total")]
    map: MapArgument,
    /// Bounds to measure the conformal masks for
    #[arg(long = "alpha", default_values_t = [0.05, 0.1])]
    alphas: Vec<f64>,
    /// At most this many boxes of an image, evenly spread
    #[arg(long)]
    boxes_per_image: Option<usize>,
    /// Draw boxes around the structures of images, each side this share of the tight box's side outside of it, instead of those in the files
    #[arg(long, allow_negative_numbers = true)]
    loosen: Option<f64>,
    /// Draw boxes whose sides lie up to this share of the tight box's side further out or in, each by chance
    #[arg(long)]
    jitter: Option<f64>,
    /// Correct every structure of images with this many clicks, each in the middle of the largest error, and measure every round
    #[arg(long)]
    clicks: Option<usize>,
    /// What comes before the clicks: box (the file's), click (in the structure's middle), stroke (across the structure, as points), painted (the same stroke as a mask prompt), loose=SHARE or jitter=SHARE (boxes as of --loosen and --jitter)
    #[arg(long, default_value = "box", requires = "clicks", value_parser = parse_first)]
    first: First,
    /// Where the clicks are: in the middle of the largest error, where the result suggests, in the middle of the largest unsure region, or at an unsure place by
    /// chance; all but the first need an ensemble
    #[arg(long, value_enum, default_value = "error", requires = "clicks")]
    policy: PolicyArgument,
    /// What the mask is: the network's for the box, or where the ensemble's calibrated probability is above one half
    #[arg(long, value_enum, default_value = "network")]
    mask: MaskArgument,
    /// Whether small boxes of images are looked at closer, in a crop around the box: auto where the weights were calibrated for it
    #[arg(long, value_enum, default_value = "off")]
    zoom: ZoomArgument,
    /// Leave probabilities as the network gives them
    #[arg(long)]
    uncalibrated: bool,
    /// Images worked on at the same time; by default one per core
    #[arg(long, default_value_t = 0)]
    jobs: usize,
    /// A folder that keeps embeddings (4 MB an image) for further runs
    #[arg(long)]
    embeddings: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum MapArgument {
    Total,
    Aleatoric,
    Epistemic,
}

/// [`Policy`] on the command line.
#[derive(Clone, Copy, ValueEnum)]
enum PolicyArgument {
    Error,
    Suggested,
    LargestUnsure,
    RandomUnsure,
}

impl From<PolicyArgument> for Policy {
    fn from(argument: PolicyArgument) -> Self {
        match argument {
            PolicyArgument::Error => Self::Error,
            PolicyArgument::Suggested => Self::Suggested,
            PolicyArgument::LargestUnsure => Self::LargestUnsure,
            PolicyArgument::RandomUnsure => Self::RandomUnsure,
        }
    }
}

/// What comes before clicks: a kind of prompt, and how boxes are drawn.
#[derive(Clone, Copy)]
struct First {
    prompt: FirstPrompt,
    drawn: Option<DrawnBoxes>,
}

fn parse_first(text: &str) -> std::result::Result<First, String> {
    let share = |text: &str| text.parse::<f64>().map_err(|_| format!("{text:?} is not a number"));
    let (prompt, drawn) = match text.split_once('=') {
        None if text == "box" => (FirstPrompt::Box, None),
        None if text == "click" => (FirstPrompt::Click, None),
        None if text == "stroke" => (FirstPrompt::Stroke, None),
        None if text == "painted" => (FirstPrompt::Painted, None),
        Some(("loose", text)) => (FirstPrompt::Box, Some(DrawnBoxes { loosen: share(text)?, jitter: 0.0 })),
        Some(("jitter", text)) => (FirstPrompt::Box, Some(DrawnBoxes { loosen: 0.0, jitter: share(text)? })),
        _ => return Err("use box, click, stroke, painted, loose=SHARE or jitter=SHARE".into()),
    };
    Ok(First { prompt, drawn })
}

pub fn run(arguments: &Arguments) -> Result<()> {
    for &alpha in &arguments.alphas {
        SegmentOptions { alpha, ..Default::default() }.checked()?;
    }
    let drawn_boxes = (arguments.loosen.is_some() || arguments.jitter.is_some())
        .then(|| DrawnBoxes { loosen: arguments.loosen.unwrap_or(0.0), jitter: arguments.jitter.unwrap_or(0.0) });
    let drawn_boxes = drawn_boxes.or(arguments.first.drawn).map(DrawnBoxes::checked).transpose()?;
    if arguments.first.drawn.is_some() && (arguments.loosen.is_some() || arguments.jitter.is_some()) {
        return Err(Error::InvalidOption("--first draws the boxes already; leave --loosen and --jitter out".into()));
    }
    let clicks =
        arguments.clicks.map(|count| Clicks { count, first: arguments.first.prompt, policy: arguments.policy.into() });
    if let Some(Clicks { count, .. }) = clicks.filter(|clicks| clicks.count > MOST_CLICKS) {
        return Err(Error::InvalidOption(format!("clicks is {count}; use 0–{MOST_CLICKS}")));
    }
    let cases = find_cases(&arguments.data)?;
    let bytes = super::weights::read(arguments.weights.as_ref())?;
    let settings = EvalSettings {
        weights_sha256: sha256_hex(&bytes),
        options: SegmentOptions {
            uncertainty: arguments.uncertainty,
            calibrated: !arguments.uncalibrated,
            mask: arguments.mask.into(),
            zoom: arguments.zoom.into(),
            ..Default::default()
        },
        map: match arguments.map {
            MapArgument::Total => MapKind::Total,
            MapArgument::Aleatoric => MapKind::Aleatoric,
            MapArgument::Epistemic => MapKind::Epistemic,
        },
        alphas: arguments.alphas.clone(),
        boxes_per_image: arguments.boxes_per_image,
        drawn_boxes,
        clicks,
    };
    let embeddings = EmbeddingCache::new(arguments.embeddings.clone(), &bytes);
    let segmenter = Segmenter::from_weights(bytes, &Device::flex())?;
    let mut partial = arguments.report.clone().into_os_string();
    partial.push(".partial");

    let bar = progress_bar("evaluating", cases.len());
    let report = evaluate(
        &segmenter,
        &cases,
        &embeddings,
        &settings,
        &PathBuf::from(partial),
        arguments.jobs,
        &|done, _, case, outcome| {
            bar.set_position(done as u64);
            match outcome {
                Ok(report) => bar.set_message(format!("{} DSC {:.3}", case.relative, report.scores.dsc)),
                Err(error) => bar.println(format!("left out: {}: {error}", case.relative)),
            }
        },
    )?;
    bar.finish_and_clear();
    let json = serde_json::to_string_pretty(&report).expect("a report is plain data");
    std::fs::write(&arguments.report, json).map_err(|error| Error::file(&arguments.report, error))?;
    if let Some(path) = &arguments.html {
        std::fs::write(path, to_html(&report)).map_err(|error| Error::file(path, error))?;
    }
    print_table(&report);
    println!("→ {}", arguments.report.display());
    Ok(())
}

/// A bar that says what is done.
pub fn progress_bar(what: &str, steps: usize) -> ProgressBar {
    let template = format!("{what} {{bar:30}} {{pos}}/{{len}} {{eta}} left {{wide_msg}}");
    let style = ProgressStyle::with_template(&template).expect("a constant template");
    ProgressBar::new(steps as u64).with_style(style)
}

fn print_table(report: &Report) {
    let columns = ["dsc", "nsd", "ece", "auroc", "aurc", "expected_dsc_mae"];
    println!("{:<14}{:>5}{}", "", "n", columns.map(|name| format!("{name:>18}")).concat());
    let groups = std::iter::once(("all", &report.overall))
        .chain(report.modalities.iter().map(|(name, group)| (name.as_str(), group)));
    for (name, group) in groups {
        let values: std::collections::BTreeMap<_, _> = group.metrics.named().into_iter().collect();
        let value = |name: &str| values.get(name).map_or_else(|| "–".into(), |value| format!("{value:.4}"));
        println!("{name:<14}{:>5}{}", group.metrics.n, columns.map(|name| format!("{:>18}", value(name))).concat());
    }
    if let Some(shift) = &report.overall.shift {
        let (alarms, p_value) = (shift.alarms, shift.median_p_value);
        println!("unlike the calibration's: {} of {} images, median p-value {p_value:.3}", alarms.held, alarms.of);
    }
    report.guarantees.get("all").iter().flat_map(|found| found.lines()).for_each(|line| println!("{line}"));
    for (alpha, risk) in &report.overall.metrics.conformal {
        println!("α = {alpha}: outer masks miss {:.4} of the truth, {:.4} of inner masks is wrong", risk.fnr, risk.fpr);
    }
    if let Some(masks) = report.overall.selective.as_ref().map(|selective| &selective.masks) {
        println!("{} masks by 1 − DSC: AURC {:.4} at best, {:.4} without order", masks.n, masks.ideal, masks.random);
        for (name, OrderScores { aurc, of_ideal, .. }) in &masks.orders {
            let multiple = of_ideal.map_or_else(|| "–".into(), |multiple| format!("{multiple:.2}"));
            println!("  by {name:<16} {aurc:.4}, {multiple} times the best");
        }
    }
    if let Some(raters) = &report.overall.raters {
        let ece = |value: Option<f64>| value.map_or_else(|| "–".into(), |value| format!("{value:.4}"));
        let human = raters.human.map_or_else(String::new, |human| {
            let ece = ece(raters.region.human);
            format!("; each beside the others: ECE {ece}, QUBIQ {:.4}, DSC {:.4}", human.qubiq, human.dsc)
        });
        let of_ours = ece(raters.region.mean_of_raters);
        println!("raters: ECE {of_ours}, QUBIQ {:.4}, DSC {:.4}{human}", raters.ours.qubiq, raters.ours.dsc);
    }
    for (number, round) in report.overall.metrics.interaction.iter().flat_map(|rounds| &rounds.rounds).enumerate() {
        let ece = round.ece.map_or_else(|| "–".into(), |ece| format!("{ece:.4}"));
        println!("round {number}: DSC {:.4}, NSD {:.4}, ECE {ece}", round.dsc, round.nsd);
    }
    for (dsc, needed) in report.overall.metrics.interaction.iter().flat_map(|rounds| &rounds.noc) {
        let ClicksNeeded { mean, median, never } = needed;
        println!("NoC@{dsc}: mean {mean:.2}, median {median}, never {:.1} %", 100.0 * never);
    }
    if !report.failures.is_empty() {
        println!("{} files were left out; the report says why", report.failures.len());
    }
}
