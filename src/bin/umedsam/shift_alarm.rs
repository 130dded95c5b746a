//! `umedsam shift-alarm`

use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;
use umedsam::eval::{EmbeddingCache, find_cases, learn_shift_alarm};
use umedsam::segment::Segmenter;
use umedsam::weights::{sha256_hex, with_metadata, write_whole};
use umedsam::{Error, Result};

use super::eval::progress_bar;

#[derive(Args)]
pub struct Arguments {
    /// The weight file, calibrated
    #[arg(long)]
    weights: PathBuf,
    /// A folder of challenge .npz files (imgs) of the same kinds as the calibration's, but of other patients: what is familiar
    #[arg(long)]
    familiar: PathBuf,
    /// The folder that the weights were calibrated on: how often familiar images are taken for unlike ones
    #[arg(long)]
    data: PathBuf,
    /// Where the weight file with the alarm goes; by default it replaces the old one
    #[arg(long)]
    out: Option<PathBuf>,
    /// Images worked on at the same time; by default one per core
    #[arg(long, default_value_t = 0)]
    jobs: usize,
    /// A folder that keeps embeddings (4 MB an image) for further runs
    #[arg(long)]
    embeddings: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let (familiar, data) = (find_cases(&arguments.familiar)?, find_cases(&arguments.data)?);
    let bytes = std::fs::read(&arguments.weights).map_err(|error| Error::file(&arguments.weights, error))?;
    let embeddings = EmbeddingCache::new(arguments.embeddings.clone(), &bytes);
    let segmenter = Segmenter::from_weights(bytes.clone(), &Device::flex())?;
    let mut metadata = segmenter.metadata().clone();
    let Some(calibration) = &mut metadata.calibration else {
        return Err(Error::InvalidOption(
            "the weights have no calibration whose guarantees an alarm could withdraw; calibrate them first with `umedsam calibrate`".into(),
        ));
    };
    let bar = progress_bar("looking at images", familiar.len() + data.len());
    let alarm = learn_shift_alarm(&segmenter, &familiar, &data, &embeddings, arguments.jobs, &|failed| {
        bar.inc(1);
        if let Some((case, error)) = failed {
            bar.println(format!("left out: {}: {error}", case.relative));
        }
    })?;
    bar.finish_and_clear();
    println!("learned from {} familiar images and {} made-up ones", alarm.familiar, alarm.unlike);
    calibration.shift = Some(alarm);
    let with_alarm = with_metadata(&bytes, &metadata)?;
    let out = arguments.out.as_ref().unwrap_or(&arguments.weights);
    write_whole(out, &with_alarm).map_err(|error| Error::file(out, error))?;
    println!("{}: {} bytes, sha256 {}", out.display(), with_alarm.len(), sha256_hex(&with_alarm));
    Ok(())
}
