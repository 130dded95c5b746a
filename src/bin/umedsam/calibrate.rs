//! `umedsam calibrate`

use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;
use umedsam::eval::{CalibrateSettings, EmbeddingCache, calibrate, find_cases};
use umedsam::segment::Segmenter;
use umedsam::uncertainty::{AREA_COVERAGE, UncertaintyOptions};
use umedsam::weights::{sha256_hex, with_metadata, write_whole};
use umedsam::{Error, Result};

use super::eval::progress_bar;

#[derive(Args)]
pub struct Arguments {
    /// The weight file
    #[arg(long)]
    weights: PathBuf,
    /// The folder of challenge .npz files (imgs, gts, boxes) that guarantees are to hold for
    #[arg(long)]
    data: PathBuf,
    /// Where the calibrated weight file goes; by default it replaces the old one
    #[arg(long)]
    out: Option<PathBuf>,
    /// Also write the calibration as JSON, for `umedsam convert --calibration`
    #[arg(long)]
    json: Option<PathBuf>,
    /// What the data is, for the metadata
    #[arg(long, default_value = "a folder of challenge cases")]
    description: String,
    /// Kinds of ensembles to calibrate, as for eval; the first is the default
    #[arg(long, default_values = ["default", "none"])]
    uncertainty: Vec<UncertaintyOptions>,
    /// Also calibrate small boxes in crops of their own, for --zoom auto
    #[arg(long)]
    zoom: bool,
    /// Also calibrate clicks and corrected masks
    #[arg(long)]
    corrections: bool,
    /// Calibrate boxes as the files bring them alone, without as many that are drawn too large
    #[arg(long)]
    only_file_boxes: bool,
    /// At most this many boxes of an image, so that images with many objects do not take most of the time
    #[arg(long, default_value_t = 8)]
    boxes_per_image: usize,
    /// Masks with a DSC below this are poor, and to be flagged
    #[arg(long, default_value_t = 0.7)]
    poor_dsc: f64,
    /// Images worked on at the same time; by default one per core
    #[arg(long, default_value_t = 0)]
    jobs: usize,
    /// A folder that keeps embeddings (4 MB an image) for further runs
    #[arg(long)]
    embeddings: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let cases = find_cases(&arguments.data)?;
    let bytes = std::fs::read(&arguments.weights).map_err(|error| Error::file(&arguments.weights, error))?;
    let embeddings = EmbeddingCache::new(arguments.embeddings.clone(), &bytes);
    let segmenter = Segmenter::from_weights(bytes.clone(), &Device::flex())?;
    let settings = CalibrateSettings {
        description: arguments.description.clone(),
        options: arguments.uncertainty.clone(),
        zoom: arguments.zoom,
        corrections: arguments.corrections,
        drawn_boxes: !arguments.only_file_boxes,
        boxes_per_image: arguments.boxes_per_image,
        poor_dsc: arguments.poor_dsc,
        sensitivity: 0.9,
    };
    let bar = progress_bar("calibrating", settings.steps(cases.len()));
    let calibration = calibrate(&segmenter, &cases, &embeddings, &settings, arguments.jobs, &|done, case, failure| {
        bar.set_position(done as u64);
        if let Some(error) = failure {
            bar.println(format!("left out: {}: {error}", case.relative));
        }
    })?;
    bar.finish_and_clear();
    for setting in &calibration.settings {
        let seen = if setting.zoom { ", in crops" } else { "" };
        println!("{:?}{seen}: {:?}", setting.prompt, setting.options);
        println!("  temperature {:.3}, bias {:+.3}", setting.scaling.temperature, setting.scaling.bias);
        for alpha in [0.05, 0.1, 0.2] {
            let row = setting.thresholds(alpha);
            println!("  α {alpha}: outer mask at {:?}, inner mask at {:?}", row.outer, row.inner);
        }
        for (alpha, delta) in [(0.1, 0.1), (0.2, 0.1), (0.3, 0.1), (0.2, 0.2)] {
            if let Some((row, _)) = setting.guaranteed(alpha, Some(delta)) {
                println!(
                    "  α {alpha} for single objects, δ {delta}: outer mask at {:?}, inner mask at {:?}",
                    row.outer, row.inner
                );
            }
        }
        if let Some(row) = setting.area_thresholds(AREA_COVERAGE) {
            println!("  area at {} %: between those at {:?} and {:?}", 100.0 * row.coverage, row.smallest, row.largest);
        }
        println!("  expected DSC is off by {:.4} (cross-validated)", setting.expected_dsc.mean_absolute_error);
        println!("  flagged below {:.3}: {:.1} %", setting.review.threshold, setting.review.flagged * 100.0);
    }
    if let Some(path) = &arguments.json {
        let json = serde_json::to_string_pretty(&calibration).expect("a calibration is plain data");
        std::fs::write(path, json + "\n").map_err(|error| Error::file(path, error))?;
    }
    let mut metadata = segmenter.metadata().clone();
    metadata.calibration = Some(calibration);
    let calibrated = with_metadata(&bytes, &metadata)?;
    let out = arguments.out.as_ref().unwrap_or(&arguments.weights);
    write_whole(out, &calibrated).map_err(|error| Error::file(out, error))?;
    println!("{}: {} bytes, sha256 {}", out.display(), calibrated.len(), sha256_hex(&calibrated));
    Ok(())
}
