//! `umedsam average`

use std::path::PathBuf;

use clap::Args;
use umedsam::weights::{average, sha256_hex, write_whole};
use umedsam::{Error, Result};

use super::convert::PrecisionArgument;

#[derive(Args)]
pub struct Arguments {
    /// A weight file; repeated, each with a share
    #[arg(long = "weights", required = true)]
    files: Vec<PathBuf>,
    /// The share of each file, in their order; together 1
    #[arg(long = "share", required = true)]
    shares: Vec<f64>,
    /// How to store the mean; by default as the first file is
    #[arg(long, value_enum)]
    precision: Option<PrecisionArgument>,
    /// The weight file to write
    #[arg(long)]
    out: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { files, shares, precision, out } = arguments;
    if files.len() != shares.len() {
        let message = format!("there are {} files and {} shares; give each file one", files.len(), shares.len());
        return Err(Error::InvalidOption(message));
    }
    let read = |path: &PathBuf| std::fs::read(path).map_err(|error| Error::file(path, error));
    let files = shares
        .iter()
        .zip(files)
        .map(|(&share, path)| Ok((share, read(path)?)))
        .collect::<Result<Vec<(f64, Vec<u8>)>>>()?;
    let bytes = average(&files, precision.map(Into::into))?;
    write_whole(out, &bytes).map_err(|error| Error::file(out, error))?;
    println!("{}: the mean of {} files, sha256 {}", out.display(), files.len(), sha256_hex(&bytes));
    Ok(())
}
