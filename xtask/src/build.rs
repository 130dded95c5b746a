//! The wasm module, the npm package's files and the page.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::{cargo, command, run, say};
use crate::{fixed_width, manifest, root, samples, snip, target, tools, vendor, viewers, weights};

/// How the wasm module is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Shares its dependencies with the tests; large, and nearly as fast.
    Dev,
    /// What ships: link-time optimisation and wasm-opt.
    Dist,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Dist => "dist",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Dist => "dist",
        }
    }
}

/// The module for engines that know relaxed SIMD.
pub const RELAXED: &str = "umedsam_relaxed_bg.wasm";
/// The module for all engines.
pub const FIXED_WIDTH: &str = "umedsam_bg.wasm";

/// Features of WebAssembly that the module may use; every browser with WebGPU has them, but for relaxed SIMD.
const WASM_FEATURES: [&str; 8] = [
    "--enable-simd",
    "--enable-relaxed-simd",
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-reference-types",
    "--enable-mutable-globals",
    "--enable-multivalue",
];

/// Builds the wasm modules, with relaxed SIMD and without, and wasm-bindgen's glue for both into a folder, and returns that folder.
pub fn wasm(profile: Profile) -> Result<PathBuf> {
    tools::wasm_target()?;
    let bindgen = tools::wasm_bindgen()?;
    say(format!("Building the wasm module, profile {} (15 to 25 minutes the first time)", profile.name()));
    let module = compile("umedsam", &[], profile)?;
    let folder = target().join("wasm-bindgen").join(profile.name());
    if is_newer(&folder.join(FIXED_WIDTH), &module) {
        return Ok(folder);
    }
    say("Generating the JavaScript glue");
    // Renamed when all of it is there: an interrupted build leaves nothing that looks finished.
    let partial = folder.with_extension("partial");
    std::fs::remove_dir_all(&partial).ok();
    // A crashed instance is replaced on the same thread.
    run(command(bindgen.join("wasm-bindgen"))
        .args(["--target", "web", "--experimental-reset-state-function", "--out-dir"])
        .arg(&partial)
        .arg(&module))?;
    say("Taking out of the wasm module what nothing calls");
    let (fixed_width, relaxed) = (partial.join(FIXED_WIDTH), partial.join(RELAXED));
    let mut whole = walrus::Module::from_file(&fixed_width)?;
    snip::snip(&mut whole)?;
    whole.emit_wasm_file(&relaxed)?;
    if profile == Profile::Dist {
        say("Optimising the wasm module (some minutes)");
        optimise(&relaxed, "-O3")?;
    }
    say("Deriving the module without relaxed SIMD");
    std::fs::write(&fixed_width, fixed_width::without_relaxed_simd(&std::fs::read(&relaxed)?)?)?;
    std::fs::remove_dir_all(&folder).ok();
    std::fs::rename(partial, &folder)?;
    Ok(folder)
}

/// Compiles a crate of the workspace to a wasm module, and returns its path.
fn compile(package: &str, features: &[&str], profile: Profile) -> Result<PathBuf> {
    // Of both crate types cargo would build without link-time optimisation.
    run(cargo()
        .args(["rustc", "--package", package, "--lib", "--crate-type", "cdylib", "--no-default-features"])
        .args(["--features", &features.join(",")])
        .args(["--target", "wasm32-unknown-unknown", "--profile", profile.name()]))?;
    let file = format!("{}.wasm", package.replace('-', "_"));
    Ok(target().join("wasm32-unknown-unknown").join(profile.folder()).join(file))
}

fn optimise(module: &Path, level: &str) -> Result<()> {
    let unoptimised = module.with_extension("unoptimised");
    std::fs::rename(module, &unoptimised)?;
    run(command(tools::npm()?.join(".bin/wasm-opt"))
        .args([level, "--strip-debug", "--strip-producers"])
        .args(WASM_FEATURES)
        .arg(&unoptimised)
        .arg("-o")
        .arg(module))?;
    std::fs::remove_file(unoptimised)?;
    Ok(())
}

/// A wasm module beside the network's, with its glue.
struct Side {
    package: &'static str,
    /// Its folder in the package.
    folder: &'static str,
    what: &'static str,
}

impl Side {
    fn file(&self) -> String {
        format!("{}_bg.wasm", self.package.replace('-', "_"))
    }
}

const SIDES: [Side; 2] = [
    Side { package: "umedsam-picture", folder: "picture", what: "image decoders" },
    Side { package: "umedsam-export", folder: "writers", what: "writers of medical files" },
];

/// Builds a wasm module beside the network's with its glue into a folder, and returns that folder.
fn side(of: &Side, profile: Profile) -> Result<PathBuf> {
    say(format!("Building the {}, profile {}", of.what, profile.name()));
    let module = compile(of.package, &["web"], profile)?;
    let folder = target().join("wasm-bindgen").join(format!("{}-{}", of.folder, profile.name()));
    if is_newer(&folder.join(of.file()), &module) {
        return Ok(folder);
    }
    let partial = folder.with_extension("partial");
    std::fs::remove_dir_all(&partial).ok();
    let bindgen = tools::wasm_bindgen()?.join("wasm-bindgen");
    run(command(bindgen).args(["--target", "web", "--out-dir"]).arg(&partial).arg(&module))?;
    if profile == Profile::Dist {
        optimise(&partial.join(of.file()), "-O2")?;
    }
    std::fs::remove_dir_all(&folder).ok();
    std::fs::rename(partial, &folder)?;
    Ok(folder)
}

/// Fills the package template: compiles its TypeScript beside the wasm module. Returns the package's folder.
pub fn package(profile: Profile) -> Result<PathBuf> {
    let wasm = wasm(profile)?;
    let sides = SIDES.iter().map(|of| side(of, profile)).collect::<Result<Vec<_>>>()?;
    let folder = target().join("package").join(profile.name());
    std::fs::remove_dir_all(&folder).ok();
    copy_folder(&root().join("pkg-template"), &folder)?;
    std::fs::copy(root().join("LICENSE"), folder.join("LICENSE"))?;
    manifest::fill(&folder.join("package.json"))?;
    let weights = weights::by_default();
    std::fs::create_dir_all(folder.join("weights"))?;
    std::fs::copy(&weights, folder.join("weights").join(weights.file_name().context("a file")?))?;
    // What the package's README links, with all that they link.
    for document in ["bundlers", "interaction", "uncertainty", "viewers", "volumes", "zoom"] {
        manifest::copy_with_links(&format!("docs/{document}.md"), &folder)?;
    }
    manifest::copy_with_links("weights/MODEL_CARD-student.md", &folder)?;

    say("Compiling the package's TypeScript");
    copy_folder(&wasm, &folder.join("src/wasm"))?;
    for (of, built) in SIDES.iter().zip(&sides) {
        copy_folder(built, &folder.join("src").join(of.folder))?;
    }
    manifest::write_hashes(&folder.join("src/files.ts"), &weights, &[wasm.join(RELAXED), wasm.join(FIXED_WIDTH)])?;
    run(command(tools::npm()?.join(".bin/tsc")).arg("--project").arg(&folder))?;
    std::fs::rename(folder.join("src/wasm"), folder.join("dist/wasm"))?;
    std::fs::remove_file(folder.join("dist/wasm/umedsam_bg.wasm.d.ts")).ok();
    for of in &SIDES {
        let built = folder.join("dist").join(of.folder);
        std::fs::rename(folder.join("src").join(of.folder), &built)?;
        std::fs::remove_file(built.join(format!("{}.d.ts", of.file()))).ok();
    }
    vendor::bundle(&folder.join("dist/vendor"))?;
    std::fs::remove_dir_all(folder.join("src"))?;
    std::fs::remove_file(folder.join("tsconfig.json"))?;
    Ok(folder)
}

/// Assembles the page with the package, the weights and the samples. Returns its folder.
pub fn site(profile: Profile) -> Result<PathBuf> {
    let package = package(profile)?;
    let folder = target().join("site").join(profile.name());
    std::fs::remove_dir_all(&folder).ok();
    copy_folder(&root().join("www"), &folder)?;
    std::fs::remove_dir_all(folder.join("viewers"))?;
    copy_folder(&package.join("dist"), &folder.join("umedsam"))?;
    copy_folder(&package.join("weights"), &folder.join("weights"))?;
    let other = weights::own();
    std::fs::copy(&other, folder.join("weights").join(other.file_name().context("a file")?))?;
    samples::write(&folder.join("samples"))?;

    say("Compiling the page's TypeScript");
    run(command(tools::npm()?.join(".bin/tsc")).arg("--project").arg(&folder))?;
    std::fs::remove_dir_all(folder.join("src"))?;
    std::fs::remove_file(folder.join("tsconfig.json"))?;
    viewers::build(&package, &folder.join("viewers"))?;
    Ok(folder)
}

/// Whether a file is there and newer than what it was made of.
pub fn is_newer(made: &Path, source: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    modified(made).zip(modified(source)).is_some_and(|(made, source)| made > source)
}

/// Copies a folder with everything in it.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let destination = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &destination)?;
        } else {
            std::fs::copy(entry.path(), destination)?;
        }
    }
    Ok(())
}
