//! Set-up, build, test and packaging of umedsam; `webdriver/` uses the server.

pub mod ablation;
pub mod bench;
pub mod build;
pub mod fixed_width;
pub mod own;
pub mod process;
pub mod samples;
pub mod server;
pub mod sizes;
pub mod snip;
pub mod study;
pub mod tools;
pub mod weights;

use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the repository")
}

/// Where everything that is made goes.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
