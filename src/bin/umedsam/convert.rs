//! `umedsam convert`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use umedsam::model::efficient_vit_sam::EfficientVitSamConfig;
use umedsam::weights::{self, Architecture, Precision};
use umedsam::{Error, Result};

#[derive(Args)]
pub struct Arguments {
    /// The checkpoint, such as lite_medsam.pth
    #[arg(long)]
    checkpoint: PathBuf,
    /// The network that it holds
    #[arg(long, value_enum, default_value = "litemedsam")]
    architecture: ArchitectureArgument,
    /// Side of MedficientSAM's input, in pixels
    #[arg(long, default_value_t = 512)]
    input_size: usize,
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

/// Networks whose checkpoints can be read.
#[derive(Clone, Copy, ValueEnum)]
pub enum ArchitectureArgument {
    Litemedsam,
    MedficientsamL0,
    MedficientsamL1,
    MedficientsamL2,
}

impl ArchitectureArgument {
    fn architecture(self, input_size: usize) -> Architecture {
        let medficientsam = |size, encoder: fn(usize) -> _| Architecture::medficientsam(size, encoder(input_size));
        match self {
            Self::Litemedsam => Architecture::litemedsam(),
            Self::MedficientsamL0 => medficientsam("l0", EfficientVitSamConfig::l0),
            Self::MedficientsamL1 => medficientsam("l1", EfficientVitSamConfig::l1),
            Self::MedficientsamL2 => medficientsam("l2", EfficientVitSamConfig::l2),
        }
    }
}

/// How weights are stored.
#[derive(Clone, Copy, ValueEnum)]
pub enum PrecisionArgument {
    F32,
    F16,
    /// 8 bits for large matrices, 16 for the others
    I8,
}

impl From<PrecisionArgument> for Precision {
    fn from(precision: PrecisionArgument) -> Self {
        match precision {
            PrecisionArgument::F32 => Self::F32,
            PrecisionArgument::F16 => Self::F16,
            PrecisionArgument::I8 => Self::I8,
        }
    }
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let precision = Precision::from(arguments.precision);
    let architecture = arguments.architecture.architecture(arguments.input_size);
    architecture.config.check().map_err(Error::InvalidOption)?;
    let converted = weights::convert(
        &arguments.checkpoint,
        &architecture,
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
