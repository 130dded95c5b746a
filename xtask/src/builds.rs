//! The packed package through bundlers, as `docs/bundlers.md` says.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::build::copy_folder;
use crate::process::{command, run, say};
use crate::{root, sizes, target, tools, viewers};

/// The most bytes of the core entry, minified, with gzip; engine and decoders are loaded when they are used.
const CORE_LIMIT: u64 = 12 * 1024;

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
    std::fs::write(folder.join("index.html"), page("plain.js"))?;
    let out = folder.join("out");
    std::fs::remove_dir_all(&out).ok();
    run(command("npm").args(["install", "--no-audit", "--no-fund"]).current_dir(&folder))?;
    check(&folder)?;
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
    viewers::build_with_webpack(package, &folder)?;
    build_next(package, &folder, &out)?;
    Ok(out)
}

/// Next with its assets on another origin. It has a folder of its own, since it takes the one that it is in for an application.
fn build_next(package: &Path, folder: &Path, out: &Path) -> Result<()> {
    let next = folder.join("next");
    say("Building with Next");
    std::fs::copy(folder.join("main.js"), next.join("main.mjs"))?;
    copy_folder(package, &next.join("public/umedsam"))?;
    std::fs::remove_dir_all(next.join("node_modules/umedsam")).ok();
    std::fs::remove_file(next.join("package-lock.json")).ok();
    run(command("npm").args(["install", "--no-audit", "--no-fund"]).current_dir(&next))?;
    run(command("npx").args(["next", "build"]).env("NEXT_TELEMETRY_DISABLED", "1").current_dir(&next))?;
    std::fs::rename(next.join("out"), out.join("next"))?;
    Ok(())
}

/// What needs no browser: that the manifest and the types are what tools expect, and the package in Node.js and in Jest.
fn check(folder: &Path) -> Result<()> {
    let npx = |arguments: &[&str]| run(command("npx").args(arguments).current_dir(folder));
    say("Checking the package's manifest with publint and its types with attw");
    npx(&["publint", "node_modules/umedsam", "--strict"])?;
    let files = ["umedsam_bg.wasm", "umedsam_relaxed_bg.wasm", "umedsam-student-i8.safetensors", "package.json"];
    let tarball = format!("../umedsam-{}.tgz", env!("CARGO_PKG_VERSION"));
    npx(&[&["attw", &tarball, "--profile", "esm-only", "--exclude-entrypoints"][..], &files].concat())?;
    say("Compiling against the package's types");
    for (module, resolution) in [("ES2020", "bundler"), ("node16", "node16"), ("nodenext", "nodenext")] {
        run(command(tools::npm()?.join(".bin/tsc"))
            .args([
                "--noEmit",
                "--strict",
                "--exactOptionalPropertyTypes",
                "--skipLibCheck",
                "false",
                "--target",
                "ES2020",
            ])
            .args([
                "--lib",
                "ES2020,DOM",
                "--types",
                "",
                "--module",
                module,
                "--moduleResolution",
                resolution,
                "types.ts",
            ])
            .current_dir(folder))?;
    }
    say("Weighing the core entry");
    let core = folder.join("out/core.js");
    npx(&[
        "esbuild",
        "node_modules/umedsam/dist/index.js",
        "--bundle",
        "--minify",
        "--format=esm",
        "--log-level=error",
    ]
    .into_iter()
    .chain(["--external:*/engine.js", "--external:*/image.js", "--outfile=out/core.js"])
    .collect::<Vec<_>>())?;
    let size = sizes::of(&std::fs::read(&core)?)?;
    std::fs::remove_file(core)?;
    ensure!(size["gzip"].as_u64() <= Some(CORE_LIMIT), "the core entry takes {size}, more than {CORE_LIMIT} with gzip");
    println!("the core entry: {size}");
    viewers::weigh(folder)?;
    say("Using the package in Node.js and in Jest");
    run(command("node").args(["--test", "node.test.mjs"]).current_dir(folder))?;
    run(command("node").args(["--experimental-vm-modules", "node_modules/jest/bin/jest.js"]).current_dir(folder))
}
