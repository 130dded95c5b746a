//! What a person does in OHIF, step by step.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use thirtyfour::prelude::*;
use umedsam_webdriver::Page;
use xtask::process::{command, output};
use xtask::server::Server;
use xtask::{root, target};

/// The version that is tested; its package contains the built viewer.
const OHIF: &str = "@ohif/app@3.13.2";

/// Seconds that an answer may take on a slow machine.
pub const ANSWER_LIMIT: u64 = 120;

/// The built viewer from npm, or `None` where there is none to be had. It is downloaded once, 50 MB.
pub fn viewer() -> Result<Option<PathBuf>> {
    let folder = target().join("ohif");
    let viewer = folder.join("package/dist");
    if folder.join("complete").exists() {
        return Ok(Some(viewer));
    }
    std::fs::create_dir_all(&folder)?;
    // Its dependencies, which are built in, are not all on npm: `npm install` would not do.
    let Some(tarball) = output(command("npm").args(["pack", "--silent", OHIF]).current_dir(&folder)) else {
        eprintln!("SKIPPED: npm cannot get {OHIF}");
        return Ok(None);
    };
    let tarball = folder.join(tarball.trim().lines().last().context("a file")?);
    ensure!(
        output(command("tar").arg("xzf").arg(&tarball).current_dir(&folder)).is_some(),
        "{} cannot be unpacked",
        tarball.display()
    );
    std::fs::remove_file(tarball)?;
    std::fs::write(folder.join("complete"), OHIF)?;
    Ok(Some(viewer))
}

/// The folder of the site that is tested.
pub fn site() -> Result<PathBuf> {
    Ok(PathBuf::from(std::env::var("UMEDSAM_SITE").context("UMEDSAM_SITE is set by cargo xtask test")?))
}

/// Real volumes, or `None` where `../shared` is not here.
pub fn volumes() -> Option<PathBuf> {
    let shared = std::env::var("UMEDSAM_SHARED").map_or_else(|_| root().join("../shared"), PathBuf::from);
    let folder = shared.join("volumes").canonicalize().ok();
    if folder.is_none() {
        eprintln!("SKIPPED: {} is not here", shared.display());
    }
    folder
}

/// OHIF as a site serves it, with the configuration of `www/viewers/ohif` and a copy of the package; opens files, and the mode on them.
pub async fn with_ohif(files: &[PathBuf], name: &str, test: impl AsyncFnOnce(&Page) -> Result<()>) -> Result<()> {
    let Some(viewer) = viewer()? else { return Ok(()) };
    let site = site()?;
    let series = files[0].parent().context("a folder")?;
    let further: [(&str, &Path); 4] = [
        ("/app-config.js", &root().join("www/viewers/ohif/app-config.js")),
        ("/umedsam/dist", &site.join("umedsam")),
        ("/umedsam/weights", &site.join("weights")),
        ("/series", series),
    ];
    let server = Server::start_application(&viewer, &further, 0)?;
    let page = Page::open_at(server, "local", 1280, 940).await?;
    let result = async {
        open(&page, files).await?;
        test(&page).await
    }
    .await;
    if result.is_err() {
        page.screenshot(&format!("failed-ohif-{name}")).await.ok();
        eprintln!("panel: {:?}", page.script("return globalThis.probe?.text()").await);
        let log = page.log("browser").await.unwrap_or_default();
        for entry in log.iter().filter(|entry| entry["level"] == "SEVERE") {
            eprintln!("{}", entry["message"]);
        }
    }
    page.close().await?;
    result
}

/// Gives files to the page of local files, and starts the mode on their study.
pub async fn open(page: &Page, files: &[PathBuf]) -> Result<()> {
    wait(page, "the file button", "return document.querySelector('input[type=file]') !== null", 60).await?;
    let names = files.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>().join("\n");
    page.driver.find(By::Css("input[type=file]")).await?.send_keys(names).await?;
    enter(page).await
}

/// Starts the mode on the study of the list.
pub async fn enter(page: &Page) -> Result<()> {
    let study =
        "[...document.querySelectorAll('tbody td')].find((cell) => /^\\d\\d-\\w{3}-\\d{4}/.test(cell.textContent))";
    wait(page, "the study list", &format!("return {study} !== undefined"), 60).await?;
    page.script(&format!("{study}.click()")).await?;
    let mode =
        "[...document.querySelectorAll('button')].find((button) => button.textContent === 'Segmentation by boxes')";
    wait(page, "the mode", &format!("return {mode} !== undefined"), 30).await?;
    page.script(&format!("{mode}.click()")).await?;
    let shown = "return document.querySelector('umedsam-panel') !== null
        && (services.cornerstoneViewportService.getCornerstoneViewport(services.viewportGridService.getActiveViewportId())?.getImageData() ?? null) !== null";
    wait(page, "the viewer", shown, 60).await?;
    page.script(include_str!("probe.js")).await?;
    Ok(())
}

/// Waits until a script returns true.
pub async fn wait(page: &Page, what: &str, script: &str, seconds: u64) -> Result<()> {
    let start = Instant::now();
    while page.script(script).await? != Value::Bool(true) {
        if start.elapsed().as_secs() > seconds {
            let said = page.script("return globalThis.probe?.text() ?? document.body.innerText.slice(0, 500)").await?;
            bail!("waited {seconds} s for {what}: {said}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Waits until the panel says something.
pub async fn says(page: &Page, text: &str) -> Result<String> {
    wait(page, text, &format!("return probe.text().includes({text:?})"), ANSWER_LIMIT).await?;
    said(page).await
}

/// What the panel says.
pub async fn said(page: &Page) -> Result<String> {
    Ok(page.script("return probe.text()").await?.as_str().unwrap_or_default().to_string())
}

/// Runs something that takes its time; what came of it.
pub async fn work(page: &Page, script: &str) -> Result<Value> {
    page.script(&format!("probe.start(async () => {script})")).await?;
    wait(page, script, "return probe.value !== null || probe.failure !== ''", ANSWER_LIMIT).await?;
    let failure = page.script("return probe.failure").await?;
    ensure!(failure == "", "{script}: {failure}");
    page.script("return probe.value").await
}

/// Presses a button of the panel.
pub async fn press(page: &Page, id: &str) -> Result<()> {
    page.script(&format!("probe.press({id:?})")).await.map(drop)
}

/// Presses a button of OHIF's toolbar.
pub async fn toolbar(page: &Page, id: &str) -> Result<()> {
    page.driver.find(By::Css(format!("[data-cy='{id}']"))).await?.click().await?;
    Ok(())
}

/// Whether OHIF shows our button as pressed.
pub async fn is_on(page: &Page) -> Result<bool> {
    let script = "return document.querySelector(\"[data-cy='UmedsamBox']\").dataset.active";
    Ok(page.script(script).await? == "true")
}

/// Gives a key to the page.
pub async fn key(page: &Page, key: Key) -> Result<()> {
    Ok(page.driver.find(By::Css("body")).await?.send_keys("" + key).await?)
}

/// A place in the window.
pub type Place = (i64, i64);

/// Where the corner of a stored pixel is.
pub async fn place(page: &Page, (column, row): (f64, f64)) -> Result<Place> {
    let place = page.script(&format!("return probe.place({column}, {row})")).await?;
    let coordinate = |index: usize| place[index].as_f64().context("a place").map(|value| value.round() as i64);
    Ok((coordinate(0)?, coordinate(1)?))
}

/// Drags the mouse's first button from a corner of a stored pixel to another; the places in the window.
pub async fn drag(page: &Page, from: (f64, f64), to: (f64, f64)) -> Result<(Place, Place)> {
    let (from, to) = (place(page, from).await?, place(page, to).await?);
    drag_between(page, from, to).await?;
    Ok((from, to))
}

/// Drags between places of the window.
pub async fn drag_between(page: &Page, from: Place, to: Place) -> Result<()> {
    let chain = page.driver.action_chain().move_to(from.0, from.1).click_and_hold();
    chain.move_to((from.0 + to.0) / 2, (from.1 + to.1) / 2).move_to(to.0, to.1).release().perform().await?;
    Ok(())
}
