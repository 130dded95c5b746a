//! `umedsam student`

use std::path::PathBuf;

use clap::Args;
use umedsam::Result;
use umedsam::model::student::StudentConfig;
use umedsam::train::{BeginStudent, begin_student};

#[derive(Args)]
pub struct Arguments {
    /// The weight file that prompt encoder and mask decoder come from; by default umedsam's own weights
    #[arg(long)]
    weights: Option<PathBuf>,
    /// ImageNet weights of EfficientNet-Lite0 (.pth) for the trunk, which is random without them
    #[arg(long)]
    trunk: Option<PathBuf>,
    /// Refuse a trunk with another SHA-256
    #[arg(long, requires = "trunk")]
    sha256: Option<String>,
    /// Folders of images to which the normalizations are adapted
    #[arg(long, num_args = 1.., required = true)]
    data: Vec<PathBuf>,
    /// EfficientViT modules
    #[arg(long, default_value_t = 2)]
    efficient_vit: usize,
    /// Decides the weights that are random
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The weight file to write
    #[arg(long)]
    out: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let begun = begin_student(&BeginStudent {
        weights: super::weights::read(arguments.weights.as_ref())?,
        trunk: arguments.trunk.clone(),
        expected_sha256: arguments.sha256.clone(),
        data: arguments.data.clone(),
        config: StudentConfig { efficient_vit: arguments.efficient_vit, ..StudentConfig::lite0() },
        seed: arguments.seed,
        out: arguments.out.clone(),
    })?;
    println!("{}: {} parameters in the image encoder, f32", arguments.out.display(), begun);
    Ok(())
}
