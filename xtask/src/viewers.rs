//! The pages of `www/viewers`: the package in viewers that others wrote, bundled by Vite.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::build::copy_folder;
use crate::process::{command, run, say};
use crate::{root, target};

/// Installs the viewers and a package beside the pages, checks the pages' types, and returns their folder.
fn prepare(package: &Path) -> Result<PathBuf> {
    let folder = target().join("viewers/pages");
    // What npm installed stays between builds.
    copy_folder(&root().join("www/viewers"), &folder)?;
    // npm would link the package's folder, whose files Vite then finds outside of the page's.
    let copy = target().join("viewers/package");
    std::fs::remove_dir_all(&copy).ok();
    copy_folder(package, &copy)?;
    say("Installing the viewers from npm");
    run(command("npm")
        .args(["install", "--no-audit", "--no-fund", "--install-links", "--no-package-lock"])
        .current_dir(&folder))?;
    let installed = folder.join("node_modules/umedsam");
    std::fs::remove_dir_all(&installed).ok();
    copy_folder(&copy, &installed)?;
    run(command("npx").arg("tsc").current_dir(&folder))?;
    Ok(folder)
}

/// Builds the pages with a package into a folder.
///
/// # Errors
/// If npm cannot install the viewers, or a page does not compile.
pub fn build(package: &Path, into: &Path) -> Result<()> {
    let folder = prepare(package)?;
    say("Bundling the viewers' pages");
    run(command("npx")
        .args(["vite", "build", "--logLevel", "warn", "--emptyOutDir", "--outDir", "dist"])
        .current_dir(&folder))?;
    std::fs::remove_dir_all(into).ok();
    copy_folder(&folder.join("dist"), into)
}

/// Builds the pages with webpack too, which is installed in another folder.
///
/// # Errors
/// If a page does not compile.
pub fn build_with_webpack(package: &Path, webpack: &Path) -> Result<()> {
    let folder = prepare(package)?;
    say("Building the viewers' pages with webpack");
    run(command("npx").args(["tsc", "--noEmit", "false", "--outDir", "."]).current_dir(&folder))?;
    run(command("npx")
        .args(["webpack", "--stats", "errors-only", "--config"])
        .arg(folder.join("webpack.config.js"))
        .current_dir(webpack))
}

/// Tests the part of the adapters that no viewer is in.
///
/// # Errors
/// If a test fails.
pub fn test(package: &Path) -> Result<()> {
    say("Testing the session of viewer adapters in Node.js");
    run(command("node")
        .args(["--test", "--test-reporter=spec", "tests/viewers/session.test.mjs"])
        .env("UMEDSAM_DIST", package.join("dist"))
        .current_dir(root()))
}
