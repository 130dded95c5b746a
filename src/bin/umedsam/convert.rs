//! `umedsam convert`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use umedsam::Result;
use umedsam::weights::{self, Precision};

#[derive(Args)]
pub struct Arguments {
    /// The checkpoint, such as lite_medsam.pth
    #[arg(long)]
    checkpoint: PathBuf,
    /// The weight file to write
    #[arg(long)]
    out: PathBuf,
    /// How to store the weights
    #[arg(long, value_enum, default_value = "f16")]
    precision: PrecisionArgument,
    /// Where the checkpoint comes from, for the metadata
    #[arg(long, default_value = "a local LiteMedSAM checkpoint")]
    source: String,
    /// SPDX identifier of the checkpoint's licence, for the metadata
    #[arg(long, default_value = "Apache-2.0")]
    licence: String,
    /// A calibration of this checkpoint, written by `umedsam calibrate --json`, to put into the weight file
    #[arg(long)]
    calibration: Option<PathBuf>,
    /// Refuse a checkpoint with another SHA-256
    #[arg(long)]
    sha256: Option<String>,
}

/// How weights are stored.
#[derive(Clone, Copy, ValueEnum)]
pub enum PrecisionArgument {
    F32,
    F16,
}

impl From<PrecisionArgument> for Precision {
    fn from(precision: PrecisionArgument) -> Self {
        match precision {
            PrecisionArgument::F32 => Self::F32,
            PrecisionArgument::F16 => Self::F16,
        }
    }
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let precision = Precision::from(arguments.precision);
    let converted = weights::convert(
        &arguments.checkpoint,
        &arguments.out,
        precision,
        &arguments.source,
        &arguments.licence,
        arguments.sha256.as_deref(),
        arguments.calibration.as_deref(),
    )?;
    println!(
        "{}: {} parameters in {}, {} bytes, sha256 {}",
        arguments.out.display(),
        converted.parameters,
        precision.name(),
        converted.bytes,
        converted.sha256
    );
    Ok(())
}
