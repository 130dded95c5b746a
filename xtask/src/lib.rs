//! Set-up, build, test and packaging of umedsam; `webdriver/` uses the server.

pub mod ablation;
pub mod bench;
pub mod build;
pub mod builds;
pub mod checks;
#[cfg(test)]
mod documents;
pub mod fixed_width;
pub mod interaction;
pub mod manifest;
pub mod own;
pub mod process;
pub mod samples;
pub mod server;
pub mod sizes;
pub mod snip;
pub mod soak;
pub mod study;
pub mod tools;
pub mod trust;
pub mod vendor;
pub mod viewers;
pub mod volumes;
pub mod weights;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The repository.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        // Where cargo runs it from: a target folder that several checkouts share keeps a program that was compiled for another.
        let xtask = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        Path::new(&xtask).parent().expect("xtask is a folder of the repository").to_path_buf()
    })
}

/// Where everything that is made goes.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
