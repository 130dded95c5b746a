//! The package's files as they are, without a bundler: from another origin, and under a policy that demands Trusted Types.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use umedsam_webdriver::Page;
use xtask::build::copy_folder;
use xtask::server::Server;

/// Segments a disc with the package at an address, and says what came of it.
const MAIN: &str = r#"
const [WIDTH, HEIGHT] = [96, 64];
const data = Uint8Array.from({ length: WIDTH * HEIGHT }, (_, i) => (Math.hypot((i % WIDTH) - 48, Math.floor(i / WIDTH) - 32) < 20 ? 220 : 30));

async function run(options) {
  const { load } = await import("PACKAGE/dist/index.js");
  try {
    const model = await load({ device: "cpu", ...options });
    const image = await model.encode({ data, width: WIDTH, height: HEIGHT });
    const [{ area }] = await image.segment([{ box: [26, 10, 70, 54] }], { uncertainty: { samples: 0 } });
    model.dispose();
    return area;
  } catch (error) {
    return `${error.code ?? error.name}: ${error.message}`;
  }
}

const report = { plain: await run({}) };
if (globalThis.trustedTypes) {
  const policy = trustedTypes.createPolicy("umedsam", { createScriptURL: (url) => url });
  report.policy = await run({
    worker: () => new Worker(policy.createScriptURL("PACKAGE/dist/worker.js"), { type: "module" }),
  });
}
report.requests = performance.getEntriesByType("resource").map(({ name }) => name).filter((name) => name.includes("safetensors")).length;
const text = JSON.stringify(report);
if (parent === globalThis) document.getElementById("report").textContent = text;
else parent.postMessage(text, "*");
"#;

/// A page that shows what another, in a sandboxed frame, finds.
const FRAMING: &str = r#"<!doctype html><pre id="report">running</pre><p id="error" hidden></p>
<script>
  addEventListener("message", ({ data }) => (document.getElementById("report").textContent = data));
</script>
<iframe sandbox="allow-scripts" src="frame.html"></iframe>
"#;

fn host(name: &str, package: &str) -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("umedsam-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("main.js"), MAIN.replace("PACKAGE", package))?;
    let page = "<!doctype html><script type=\"module\" src=\"main.js\"></script><pre id=\"report\">running</pre><p id=\"error\" hidden></p>";
    std::fs::write(folder.join("index.html"), page)?;
    Ok(folder)
}

fn package() -> Result<PathBuf> {
    Ok(PathBuf::from(std::env::var("UMEDSAM_PACKAGE").context("UMEDSAM_PACKAGE is set by cargo xtask package")?))
}

async fn report(server: Server) -> Result<Value> {
    let page = Page::open_at(server, "", 600, 400).await?;
    let result = async {
        page.wait_for("the report", "return document.getElementById('report').textContent !== 'running'", 120).await?;
        let text = page.script("return document.getElementById('report').textContent").await?;
        Ok(serde_json::from_str(text.as_str().context("a text")?)?)
    }
    .await;
    if result.is_err() {
        eprintln!("browser log: {:#?}", page.log("browser").await);
    }
    page.close().await?;
    result
}

fn is_disc(area: &Value) -> bool {
    area.as_f64().is_some_and(|area| (area / (std::f64::consts::PI * 400.0) - 1.0).abs() < 0.1)
}

#[tokio::test]
#[ignore = "needs the folder that cargo xtask package builds"]
async fn the_package_works_from_another_origin() -> Result<()> {
    let network = Server::start_open(&package()?, 0)?;
    let folder = host("host", &format!("http://{}", network.address()))?;
    let report = report(Server::start_open(&folder, 0)?).await?;
    println!("another origin: {report}");
    ensure!(is_disc(&report["plain"]), "{report}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the folder that cargo xtask package builds"]
async fn trusted_types_are_explained_and_a_policy_works() -> Result<()> {
    let folder = host("trusted", "/package")?;
    copy_folder(&package()?, Path::new(&folder.join("package")))?;
    let report = report(Server::start_with_trusted_types(&folder, 0)?).await?;
    println!("Trusted Types: {report}");
    let plain = report["plain"].as_str().unwrap_or_default();
    ensure!(plain.starts_with("worker-failed") && plain.contains("worker: () =>"), "{report}");
    ensure!(is_disc(&report["policy"]), "{report}");
    ensure!(report["requests"] == 1, "weights were downloaded where no worker could run: {report}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the folder that cargo xtask package builds"]
async fn a_sandboxed_frame_segments() -> Result<()> {
    let folder = host("sandbox", "./package")?;
    copy_folder(&package()?, &folder.join("package"))?;
    std::fs::rename(folder.join("index.html"), folder.join("frame.html"))?;
    std::fs::write(folder.join("index.html"), FRAMING)?;
    let report = report(Server::start_open(&folder, 0)?).await?;
    println!("sandbox: {report}");
    ensure!(is_disc(&report["plain"]), "{report}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the folder that cargo xtask package builds"]
async fn a_page_that_alone_embeds_under_a_policy_segments() -> Result<()> {
    let folder = host("embedding", "./package")?;
    copy_folder(&package()?, &folder.join("package"))?;
    let report = report(Server::start_embedding(&folder, 0)?).await?;
    println!("Cross-Origin-Embedder-Policy: {report}");
    ensure!(is_disc(&report["plain"]), "{report}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the folder that cargo xtask package builds"]
async fn a_policy_that_forbids_compiling_is_named() -> Result<()> {
    let folder = host("forbidding", "./package")?;
    copy_folder(&package()?, &folder.join("package"))?;
    let report = report(Server::start_without_wasm(&folder, 0)?).await?;
    println!("no WebAssembly by policy: {report}");
    let plain = report["plain"].as_str().unwrap_or_default();
    ensure!(plain.starts_with("device-unavailable") && plain.contains("wasm-unsafe-eval"), "{report}");
    Ok(())
}
