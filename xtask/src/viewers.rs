//! The pages of `www/viewers`: the package in viewers that others wrote, bundled by Vite.

use std::path::Path;

use anyhow::Result;

use crate::build::copy_folder;
use crate::process::{command, run, say};
use crate::{root, target};

/// Builds the pages with a package into a folder.
///
/// # Errors
/// If npm cannot install the viewers, or a page does not compile.
pub fn build(package: &Path, into: &Path) -> Result<()> {
    let folder = target().join("viewers/pages");
    // What npm installed stays between builds.
    copy_folder(&root().join("www/viewers"), &folder)?;
    // npm would link the package's folder, whose files Vite then finds outside of the page's.
    let copy = target().join("viewers/package");
    std::fs::remove_dir_all(&copy).ok();
    copy_folder(package, &copy)?;
    say("Installing the viewers from npm, and bundling their pages");
    run(command("npm")
        .args(["install", "--no-audit", "--no-fund", "--install-links", "--no-package-lock"])
        .current_dir(&folder))?;
    let installed = folder.join("node_modules/umedsam");
    std::fs::remove_dir_all(&installed).ok();
    copy_folder(&copy, &installed)?;
    run(command("npx").arg("tsc").current_dir(&folder))?;
    run(command("npx")
        .args(["vite", "build", "--logLevel", "warn", "--emptyOutDir", "--outDir", "dist"])
        .current_dir(&folder))?;
    std::fs::remove_dir_all(into).ok();
    copy_folder(&folder.join("dist"), into)
}
