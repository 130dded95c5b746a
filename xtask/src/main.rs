//! `cargo xtask …`: everything from a fresh machine to a running page, tests and a package.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use xtask::build::{self, Profile};
use xtask::process::{cargo, command, run, say};
use xtask::server::Server;
use xtask::{
    ablation, bench, builds, checks, interaction, own, root, sizes, soak, study, target, tools, trust, viewers,
    volumes, weights,
};

#[derive(Parser)]
#[command(about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Get the weights, build everything and serve the page
    Demo {
        /// Port on this machine
        #[arg(long, default_value_t = 8080)]
        port: u16,
    },
    /// Build the page into a folder to be put on any static host, and say where it is
    Site {
        /// Build quicker, larger and a little slower
        #[arg(long)]
        dev: bool,
    },
    /// Run all tests, native and in a browser; installs what they lack
    Test {
        /// Test the page with the wasm module that ships instead of the quicker build
        #[arg(long)]
        dist: bool,
    },
    /// Run what `test` begins with and compiles nothing: spelling; licences, sources and versions of dependencies
    Check,
    /// Get LiteMedSAM's checkpoint and convert it to f32 and f16 safetensors
    Weights {
        /// Convert this lite_medsam.pth instead
        #[arg(long)]
        checkpoint: Option<PathBuf>,
    },
    /// Fill the package template, pack it with npm, and check the result in a plain Vite page
    Package {
        /// Build quicker, larger and a little slower
        #[arg(long)]
        dev: bool,
    },
    /// Run the page at full size on WebGPU, emulated if there is no GPU (minutes), and print its timings
    Webgpu,
    /// Calibrate the official weights on ../shared/data/calib, for the default ensemble and the single pass
    Calibrate,
    /// Compare kinds of uncertainty on ../shared/data (an hour), and write the tables of docs/uncertainty.md. Finished rows are kept in
    /// target/study; delete it after a change
    Study {
        /// Leave out ensembles on mirrored images, which need three times as many encodes
        #[arg(long)]
        without_flips: bool,
    },
    /// Train three ways with several seeds on ../shared/data (an hour and a half for the decoder), and write the tables of docs/training.md.
    /// Runs are kept in target/ablation and target/ablation-student; one that was interrupted goes on
    Ablation {
        /// What is trained
        #[arg(long, value_enum, default_value = "decoder")]
        trained: ablation::Trained,
        /// Steps of four boxes
        #[arg(long, default_value_t = 200)]
        steps: usize,
        /// Number of seeds
        #[arg(long, default_value_t = 3)]
        seeds: u64,
    },
    /// Train our own weights on ../shared/data, calibrate and measure them, and fill in their model card
    OwnWeights {
        /// The image encoder
        #[arg(long, value_enum, default_value = "student")]
        encoder: own::Encoder,
        /// Only measure the weights that are there
        #[arg(long)]
        measure: bool,
    },
    /// Let a simulated person correct masks on ../shared/data (two hours), and write the tables of docs/interaction.md. Finished reports are kept in target/interaction
    Interaction,
    /// Measure how far numbers can be trusted on ../shared/data (an hour): several raters, orders of whole masks, doubt by place, distance from the calibration; and write
    /// their tables of docs/uncertainty.md. Finished reports are kept in target/trust
    Trust,
    /// Time umedsam beside onnxruntime-web in headless Chromium: the same network, weights and image, in turn
    Bench {
        /// Rounds of each measure
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Where the figures go, as JSON
        #[arg(long)]
        json: Option<PathBuf>,
        /// Time the quicker build, which is larger
        #[arg(long)]
        dev: bool,
        /// On WebGPU, which needs a real GPU
        #[arg(long)]
        gpu: bool,
        /// On WebGPU by an emulated GPU, without what needs many decodes: 20 minutes for one round
        #[arg(long, conflicts_with = "gpu")]
        emulated: bool,
        /// Instead, time the library natively, beside PyTorch on as many threads
        #[arg(long, conflicts_with_all = ["gpu", "emulated", "dev", "json"])]
        native: bool,
    },
    /// Walk at random through the package's calls in headless Chromium (half an hour): aborts, undos, disposals, lost GPUs. Every answer is compared with a fresh
    /// run's, and memory at the end with that at the start
    Soak {
        /// Answers that are compared
        #[arg(long, default_value_t = 10_000)]
        segmentations: u64,
        /// What is done in which order; a failure tells it
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Walk through the quicker build, which is larger
        #[arg(long)]
        dev: bool,
    },
    /// Time the page on the CPU and print the module's size and peak memory
    Measure,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Demo { port } => demo(port),
        Command::Site { dev } => {
            let site = build::site(if dev { Profile::Dev } else { Profile::Dist })?;
            say(format!("The page is in {}", site.display()));
            Ok(())
        }
        Command::Test { dist } => test(if dist { Profile::Dist } else { Profile::Dev }),
        Command::Check => checks::check(),
        Command::Weights { checkpoint } => weights::ensure(&["f32", "f16"], checkpoint.as_deref()),
        Command::Package { dev } => {
            let tarball = check_package(if dev { Profile::Dev } else { Profile::Dist })?;
            say(format!("The package is {}", tarball.display()));
            Ok(())
        }
        Command::Webgpu => page_test(Profile::Dist, &["--ignored", "webgpu_full_size"]),
        Command::Measure => measure(),
        Command::Soak { segmentations, seed, dev } => {
            let package = build::package(if dev { Profile::Dev } else { Profile::Dist })?;
            soak(&package, soak::Walk { segmentations, seed, subjects: 3 })
        }
        Command::Bench { rounds, native: true, .. } => bench::native(rounds),
        Command::Bench { rounds, json, dev, gpu, emulated, native: false } => {
            let device = if gpu {
                "gpu"
            } else if emulated {
                "emulated"
            } else {
                "cpu"
            };
            bench(if dev { Profile::Dev } else { Profile::Dist }, rounds, json.as_deref(), device)
        }
        Command::Calibrate => study::calibrate(),
        Command::Ablation { trained, steps, seeds } => ablation::ablation(trained, steps, seeds),
        Command::OwnWeights { encoder, measure: false } => own::own_weights(encoder),
        Command::OwnWeights { encoder, measure: true } => own::measure(encoder),
        Command::Trust => trust::trust(),
        Command::Interaction => interaction::interaction(),
        Command::Study { without_flips } => study::study(!without_flips),
    }
}

fn demo(port: u16) -> Result<()> {
    let site = build::site(Profile::Dist)?;
    let server = Server::start(&site, port)?;
    say(format!("Open http://{} in a browser; Ctrl-C ends", server.address()));
    loop {
        std::thread::park();
    }
}

/// Packs the package and uses it in a plain Vite page; returns the packed file.
fn check_package(profile: Profile) -> Result<PathBuf> {
    let package = build::package(profile)?;
    run(command("npm").args(["pack", "--pack-destination"]).arg(target()).current_dir(&package))?;
    let tarball = target().join(format!("umedsam-{}.tgz", env!("CARGO_PKG_VERSION")));

    say("Checking the packed package in a plain Vite page");
    let page = target().join("vite");
    build::copy_folder(&root().join("webdriver/vite"), &page)?;
    // npm keeps what it installed of the last package of this version.
    std::fs::remove_dir_all(page.join("node_modules/umedsam")).ok();
    std::fs::remove_file(page.join("package-lock.json")).ok();
    run(command("npm").args(["install", "--no-audit", "--no-fund"]).current_dir(&page))?;
    std::fs::create_dir_all(page.join("public"))?;
    std::fs::copy(weights::by_default(), page.join("public/weights.safetensors"))?;
    run(command("npx").args(["vite", "build", "--logLevel", "warn"]).current_dir(&page))?;
    webdriver_test(&page.join("dist"), "package", &["--ignored"])?;
    say("Checking the package's files as they are, from another origin and under Trusted Types");
    run(webdriver_command(&page, "origins", &["--ignored"])?.env("UMEDSAM_PACKAGE", &package))?;
    say("A short walk at random through the package's calls");
    soak(&package, soak::SHORT)?;
    viewers::test(&package)?;
    volumes::test(&package)?;
    let builds = builds::build(&package)?;
    run(webdriver_command(&page, "builds", &["--ignored"])?.env("UMEDSAM_BUILDS", &builds))?;
    Ok(tarball)
}

fn test(profile: Profile) -> Result<()> {
    checks::check()?;
    tools::wasm_target()?;
    let bindgen = tools::wasm_bindgen()?;
    let browser = tools::browser()?;
    weights::ensure(&["f32", "f16"], None)?;

    say("Native tests: the library, the command line, parity with PyTorch");
    // Alone, since features of other members would rebuild what the library needs.
    run(cargo().args(["test", "--package", "umedsam"]))?;

    run(cargo().args(["test", "--package", "umedsam-export"]))?;

    say("Tests of the build itself");
    run(cargo().args(["test", "--package", "xtask", "--lib"]))?;

    say("Browser tests: the wasm library in headless Chromium, on the CPU and on emulated WebGPU");
    run(cargo()
        .args(["test", "--package", "umedsam", "--no-default-features", "--test", "web"])
        .args(["--target", "wasm32-unknown-unknown"])
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", bindgen.join("wasm-bindgen-test-runner"))
        .env("CHROMEDRIVER", &browser.chromedriver)
        .env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", root().join("webdriver/webdriver.json"))
        .env("WASM_BINDGEN_TEST_TIMEOUT", "600"))?;

    page_test(profile, &[])?;
    check_package(profile)?;
    say("All tests passed");
    Ok(())
}

fn page_test(profile: Profile, arguments: &[&str]) -> Result<()> {
    let site = build::site(profile)?;
    // The official weights, beside our own, to compare the page with the official network.
    weights::ensure(&["f16"], None)?;
    let official = weights::path("f16");
    std::fs::copy(&official, site.join("weights").join(official.file_name().context("a file")?))?;
    say("Page tests: the real page with the real weights in headless Chromium");
    webdriver_test(&site, "page", arguments)?;
    webdriver_test(&site, "inputs", &[])?;
    webdriver_test(&site, "correct", &[])?;
    for viewer in ["cornerstone", "niivue", "ohif", "openseadragon"] {
        run(webdriver_command(&site, viewer, &[])?.env("UMEDSAM_WEBGL", "1"))?;
    }
    let mut test = webdriver_command(&site, "volumes", &[])?;
    if let Some(python) = volumes::python()? {
        test.env("UMEDSAM_PYTHON", python);
    }
    run(&mut test)
}

fn soak(package: &Path, walk: soak::Walk) -> Result<()> {
    let page = soak::page(package)?;
    run(webdriver_command(&page, "soak", &["--ignored"])?.envs(walk.environment()))
}

fn measure() -> Result<()> {
    page_test(Profile::Dist, &["--ignored", "measure"])?;
    let wasm = std::fs::read(build::wasm(Profile::Dist)?.join(build::RELAXED))?;
    println!("wasm bytes: {}", sizes::of(&wasm)?);
    Ok(())
}

fn bench(profile: Profile, rounds: usize, json: Option<&Path>, device: &str) -> Result<()> {
    let page = bench::page(profile)?;
    let json = json.map(std::path::absolute).transpose()?;
    let mut test = webdriver_command(&page, "bench", &["--ignored"])?;
    test.env("UMEDSAM_ISOLATED", "1").env("UMEDSAM_BENCH_ROUNDS", rounds.to_string());
    test.env("UMEDSAM_BENCH_DEVICE", device);
    if let Some(json) = &json {
        test.env("UMEDSAM_BENCH_JSON", json);
    }
    run(&mut test)?;
    bench::add_sizes(&page, json.as_deref())
}

/// Runs a test file of `webdriver/` against a folder.
fn webdriver_test(site: &Path, name: &str, arguments: &[&str]) -> Result<()> {
    run(&mut webdriver_command(site, name, arguments)?)
}

fn webdriver_command(site: &Path, name: &str, arguments: &[&str]) -> Result<std::process::Command> {
    let browser = tools::browser()?;
    let mut command = cargo();
    command
        .args(["test", "--package", "umedsam-webdriver", "--test", name, "--", "--test-threads=1", "--nocapture"])
        .args(arguments)
        .env("UMEDSAM_SITE", site)
        .env("UMEDSAM_SCREENSHOTS", target().join("screenshots"))
        // What failed is said last, not the way there.
        .env("RUST_BACKTRACE", "0")
        .env("CHROMEDRIVER", &browser.chromedriver);
    Ok(command)
}
