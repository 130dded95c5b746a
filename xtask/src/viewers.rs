//! The pages of `www/viewers`: the package in viewers that others wrote, bundled by Vite.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::build::copy_folder;
use crate::process::{command, run, say};
use crate::{root, sizes, target};

/// Installs the viewers and a package beside the pages, checks the pages' types, and returns their folder.
fn prepare(package: &Path) -> Result<PathBuf> {
    let folder = target().join("viewers/pages");
    // What npm installed stays between builds, and nothing else: scripts that were compiled for webpack would be taken for the sources.
    for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true if entry.file_name() == "node_modules" => {}
            true => std::fs::remove_dir_all(path)?,
            false => std::fs::remove_file(path)?,
        }
    }
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
    run(command("npx").args(["tsc", "--noEmit", "false"]).current_dir(&folder))?;
    run(command("npx")
        .args(["webpack", "--stats", "errors-only", "--config"])
        .arg(folder.join("webpack.config.js"))
        .current_dir(webpack))
}

/// The most bytes that an adapter adds to a page with the core entry, minified, with gzip, before it is used.
const LIMIT: u64 = 8 * 1024;

/// Weighs what each adapter of the installed package loads at once beside the core entry, with the esbuild of a folder.
///
/// # Errors
/// If one takes more than 8 KB.
pub fn weigh(folder: &Path) -> Result<()> {
    say("Weighing the viewers' adapters");
    let out = folder.join("out/adapters");
    let entries = ["index", "cornerstone", "niivue", "ohif", "openseadragon"];
    let file = |name: &str| format!("node_modules/umedsam/dist/{name}.js");
    run(command("npx")
        .args(["esbuild", "--bundle", "--minify", "--splitting", "--format=esm", "--log-level=error"])
        .arg("--outdir=out/adapters")
        .args(entries.map(file))
        .current_dir(folder))?;
    let core = at_once(&out, "index.js", BTreeSet::new())?;
    for name in &entries[1..] {
        let both = at_once(&out, &format!("{name}.js"), core.clone())?;
        let [both, core] = [&both, &core].map(|files| gzipped(&out, files));
        let size = both? - core?;
        println!("umedsam/{name}: {size} bytes beside the core entry");
        ensure!(size <= LIMIT, "umedsam/{name} takes {size} bytes, more than {LIMIT}");
    }
    std::fs::remove_dir_all(out)?;
    Ok(())
}

/// A module and those that it imports before it runs, with others that are known already.
fn at_once(folder: &Path, module: &str, mut known: BTreeSet<String>) -> Result<BTreeSet<String>> {
    if !known.insert(module.to_string()) {
        return Ok(known);
    }
    let text = std::fs::read_to_string(folder.join(module))?;
    for import in ["from\"./", "import\"./"] {
        for other in text.split(import).skip(1).filter_map(|rest| rest.split('"').next()) {
            known = at_once(folder, other, known)?;
        }
    }
    Ok(known)
}

fn gzipped(folder: &Path, files: &BTreeSet<String>) -> Result<u64> {
    let mut all = Vec::new();
    for file in files {
        all.extend(std::fs::read(folder.join(file))?);
    }
    sizes::of(&all)?["gzip"].as_u64().context("a size")
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
