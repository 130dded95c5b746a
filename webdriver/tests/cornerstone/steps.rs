//! What a person does in Cornerstone's viewport, step by step.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use thirtyfour::prelude::*;
use umedsam_webdriver::Page;
use xtask::root;

/// Seconds that an answer may take on a slow machine.
pub const ANSWER_LIMIT: u64 = 120;

/// A place in the viewport, as shares of its width and height.
pub type Share = (f64, f64);

/// Real volumes, or `None` where `../shared` is not here.
pub fn volumes() -> Option<PathBuf> {
    let shared = std::env::var("UMEDSAM_SHARED").map_or_else(|_| root().join("../shared"), PathBuf::from);
    let folder = shared.join("volumes").canonicalize().ok();
    if folder.is_none() {
        eprintln!("SKIPPED: {} is not here", shared.display());
    }
    folder
}

/// Opens the page with the sample, or ends where the site carries none.
pub async fn with_page(width: u32, name: &str, test: impl AsyncFnOnce(&Page) -> Result<()>) -> Result<()> {
    let site = PathBuf::from(std::env::var("UMEDSAM_SITE").context("UMEDSAM_SITE is set by cargo xtask test")?);
    if !site.join("samples/chest.nii.gz").exists() {
        eprintln!("SKIPPED: without pip the site has no sample volume");
        return Ok(());
    }
    let page = Page::open("viewers/cornerstone/", width, 900).await?;
    let result = async {
        page.wait_for("the viewer", "return globalThis.connection !== undefined", ANSWER_LIMIT).await?;
        page.script(include_str!("helpers.js")).await?;
        work(&page, "probe.sample()").await?;
        view(&page, "stack").await?;
        test(&page).await
    }
    .await;
    if result.is_err() {
        page.screenshot(&format!("failed-cornerstone-{name}")).await.ok();
        eprintln!("events: {}", page.script("return JSON.stringify(globalThis.probe?.events ?? [], (key, value) => key === 'segmentation' ? undefined : value)").await?);
        eprintln!("browser log: {:#?}", page.log("browser").await);
    }
    page.close().await?;
    result
}

/// Runs an expression, or a block, that takes its time in the page; what came of it.
pub async fn work(page: &Page, script: &str) -> Result<Value> {
    page.script(&format!("probe.start(async () => {script})")).await?;
    page.wait_for(script, "return probe.value !== null || probe.failure !== ''", ANSWER_LIMIT).await?;
    let failure = page.script("return probe.failure").await?;
    ensure!(failure == "", "{script}: {failure}");
    page.script("return probe.value").await
}

/// Where a share of the viewport is in the window.
pub async fn place(page: &Page, (x, y): Share) -> Result<(i64, i64)> {
    let place = page.script(&format!("return probe.place({x}, {y})")).await?;
    let coordinate = |index: usize| place[index].as_f64().context("a place").map(|value| value.round() as i64);
    Ok((coordinate(0)?, coordinate(1)?))
}

/// Drags the mouse's first button.
pub async fn drag(page: &Page, from: Share, to: Share) -> Result<()> {
    let (from, to) = (place(page, from).await?, place(page, to).await?);
    let chain = page.driver.action_chain().move_to(from.0, from.1).click_and_hold();
    chain.move_to((from.0 + to.0) / 2, (from.1 + to.1) / 2).move_to(to.0, to.1).release().perform().await?;
    Ok(())
}

/// Clicks while a key is held.
pub async fn click(page: &Page, at: Share, key: Key) -> Result<()> {
    let at = place(page, at).await?;
    let chain = page.driver.action_chain().move_to(at.0, at.1).key_down(key.clone());
    chain.click_and_hold().release().key_up(key).perform().await?;
    Ok(())
}

/// Presses a key where the page listens.
pub async fn press(page: &Page, keys: impl Into<TypingData>) -> Result<()> {
    page.driver.find(By::Tag("body")).await?.send_keys(keys).await?;
    Ok(())
}

/// Drags a box and waits for the ensemble's answer.
pub async fn segment(page: &Page, from: Share, to: Share) -> Result<()> {
    page.script("probe.events.length = 0").await?;
    drag(page, from, to).await?;
    final_answer(page).await
}

/// Waits for the ensemble's answer, and for what is shown of it.
pub async fn final_answer(page: &Page) -> Result<()> {
    page.wait_for("the last answer", "return probe.isFinal && probe.last('busy') === false", ANSWER_LIMIT).await?;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    Ok(())
}

/// The labels in the viewer are the package's for the same drag.
pub async fn is_same(page: &Page, from: Share, to: Share, label: u8) -> Result<Value> {
    let (from, to) = (place(page, from).await?, place(page, to).await?);
    let compared =
        work(page, &format!("probe.compare([{}, {}], [{}, {}], {label})", from.0, from.1, to.0, to.1)).await?;
    ensure!(compared.is_object(), "{compared}");
    Ok(compared)
}

/// Shows the images as a stack or in a plane of their volume.
pub async fn view(page: &Page, name: &str) -> Result<()> {
    page.script("globalThis.before = connection").await?;
    page.choose("view", name).await?;
    page.wait_for(name, "return connection !== globalThis.before", 30).await?;
    page.script("probe.watch()").await?;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    Ok(())
}

/// Opens files through the page's button, and again for the test itself.
pub async fn open(page: &Page, paths: &[PathBuf]) -> Result<()> {
    let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
    // The driver adds to the files that are there.
    page.script("globalThis.before = connection; document.getElementById('file').value = ''").await?;
    page.driver.find(By::Id("file")).await?.send_keys(paths.join("\n")).await?;
    page.wait_for("the files", "return connection !== globalThis.before", 60).await?;
    page.script("probe.watch()").await?;
    work(page, "probe.open([...document.getElementById('file').files])").await?;
    Ok(())
}

/// How many voxels have labels, by label.
pub async fn counts(page: &Page) -> Result<Value> {
    page.script("return probe.counts()").await
}

/// Files of a folder, in the order of their names.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    Ok(paths)
}

/// Connects the viewport again.
pub fn connect(options: &str) -> String {
    format!("globalThis.connection = connect({{ core, tools, model }}, 'viewport', {options}); probe.watch()")
}
