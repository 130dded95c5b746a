//! A long random walk through the package's calls in headless Chromium.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::build::copy_folder;
use crate::process::{cargo, run, say};
use crate::{root, target};

/// How far the tests walk.
pub const SHORT: Walk = Walk { segmentations: 100, seed: 1, subjects: 1 };

/// A walk.
#[derive(Debug, Clone, Copy)]
pub struct Walk {
    /// Answers that are compared.
    pub segmentations: u64,
    /// What is done in which order.
    pub seed: u64,
    /// Number of different images, 1–3.
    pub subjects: u64,
}

impl Walk {
    /// As the test in `webdriver/` reads it.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("UMEDSAM_SOAK_SEGMENTATIONS", self.segmentations.to_string()),
            ("UMEDSAM_SOAK_SEED", self.seed.to_string()),
            ("UMEDSAM_SOAK_SUBJECTS", self.subjects.to_string()),
        ]
    }
}

/// Makes the page: the package's files as they are, the walk, and a small network for emulated WebGPU, where the real one takes a quarter of a minute for a mask.
pub fn page(package: &Path) -> Result<PathBuf> {
    let page = target().join("soak");
    std::fs::remove_dir_all(&page).ok();
    copy_folder(&root().join("webdriver/soak"), &page)?;
    copy_folder(package, &page.join("umedsam"))?;
    say("Writing a small network's weights");
    run(cargo()
        .args(["run", "--quiet", "--package", "umedsam", "--example", "tiny_weights", "--"])
        .arg(page.join("tiny.safetensors")))?;
    Ok(page)
}
