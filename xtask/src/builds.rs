//! The packed package through bundlers, as `docs/bundlers.md` says.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::build::copy_folder;
use crate::process::{command, run, say};
use crate::{root, target};

/// A page of one script.
fn page(script: &str) -> String {
    format!(
        "<!doctype html><script type=\"module\" src=\"{script}\"></script>\n<pre id=\"report\">running</pre><p id=\"error\" hidden></p>\n"
    )
}

/// Installs the packed package beside bundlers, builds a small page with each, and returns the folder of the pages.
pub fn build(package: &Path) -> Result<PathBuf> {
    let folder = target().join("builds");
    copy_folder(&root().join("webdriver/builds"), &folder)?;
    // npm keeps what it installed of the last package of this version.
    std::fs::remove_dir_all(folder.join("node_modules/umedsam")).ok();
    std::fs::remove_file(folder.join("package-lock.json")).ok();
    let out = folder.join("out");
    std::fs::remove_dir_all(&out).ok();
    run(command("npm").args(["install", "--no-audit", "--no-fund"]).current_dir(&folder))?;
    let bundle = |name: &str, arguments: &[&str]| {
        say(format!("Building with {name}"));
        run(command("npx").args(arguments).current_dir(&folder))
    };
    // Name, arguments, script of the page, and whether the package's files are copied beside it.
    let esbuild = ["esbuild", "--bundle", "--log-level=error"];
    let builds: [(&str, Vec<&str>, Option<&str>, bool); 6] = [
        (
            "esbuild",
            [&esbuild[..], &["based.js", "--format=esm", "--outfile=out/esbuild/bundle.js"]].concat(),
            Some("bundle.js"),
            true,
        ),
        (
            "esbuild-iife",
            [&esbuild[..], &["based.js", "--format=iife", "--outfile=out/esbuild-iife/bundle.js"]].concat(),
            Some("bundle.js"),
            true,
        ),
        (
            "esbuild-worker",
            [&esbuild[..], &["handed.js", "own-worker.js", "--format=esm", "--outdir=out/esbuild-worker"]].concat(),
            Some("handed.js"),
            false,
        ),
        ("rollup", vec!["rollup", "--config", "--silent"], Some("bundle.js"), true),
        ("webpack", vec!["webpack", "--stats", "errors-only"], Some("umedsam.js"), false),
        (
            "parcel",
            vec!["parcel", "build", "parcel.html", "--dist-dir", "out/parcel", "--no-cache", "--log-level", "error"],
            None,
            false,
        ),
    ];
    for (name, arguments, script, is_copied) in builds {
        bundle(name, &arguments)?;
        let out = out.join(name);
        match script {
            Some(script) => std::fs::write(out.join("index.html"), page(script))?,
            None => std::fs::rename(out.join("parcel.html"), out.join("index.html"))?,
        }
        if is_copied {
            copy_folder(package, &out.join("umedsam"))?;
        }
        if name == "esbuild-worker" {
            // Where worker and page look for them.
            copy_folder(&package.join("dist/wasm"), &out.join("wasm"))?;
            copy_folder(&package.join("weights"), &out.join("weights"))?;
        }
    }
    Ok(out)
}
