//! What a person does with volumes, step by step.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use image::GrayImage;
use serde_json::Value;
use thirtyfour::prelude::*;
use umedsam_webdriver::Page;
use xtask::root;

/// Seconds an encode may take with everything else that a slow machine does.
pub const ENCODE_LIMIT: u64 = 180;

/// Real volumes, or `None` where `../shared` is not here.
pub fn volumes() -> Option<PathBuf> {
    let folder = root().join("../shared/volumes").canonicalize().ok();
    if folder.is_none() {
        eprintln!("SKIPPED: ../shared/volumes is not here");
    }
    folder
}

pub async fn with_page<T>(width: u32, name: &str, test: impl AsyncFnOnce(&Page) -> Result<T>) -> Result<T> {
    let page = Page::open("?device=cpu", width, 1000).await?;
    let result = async {
        page.wait_for_results(1, ENCODE_LIMIT).await?;
        test(&page).await
    }
    .await;
    if result.is_err() {
        page.screenshot(&format!("failed-{name}")).await.ok();
        eprintln!("browser log: {:#?}", page.log("browser").await);
    }
    page.close().await?;
    result
}

/// Gives several files to the page at once, as somebody does who marks them in a folder.
pub async fn open_all(page: &Page, folder: &Path) -> Result<()> {
    let mut paths: Vec<String> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    paths.sort();
    page.driver.find(By::Id("file")).await?.send_keys(paths.join("\n")).await?;
    Ok(())
}

pub async fn wait_for_credit(page: &Page, part: &str) -> Result<()> {
    let script = format!("return document.getElementById('credit').textContent.includes({part:?})");
    page.wait_for(part, &script, 60).await
}

pub async fn wait_for_slice(page: &Page, text: &str) -> Result<()> {
    let script = format!("return document.getElementById('slice-text').textContent === {text:?}");
    page.wait_for(text, &script, 20).await
}

/// What the page shows, as a number that changes with it.
pub async fn picture(page: &Page) -> Result<Value> {
    page.script(
        "const image = document.getElementById('image-layer');
         const { data } = image.getContext('2d').getImageData(0, 0, image.width, image.height);
         let sum = 0;
         for (let index = 0; index < data.length; index += 4) sum = (31 * sum + data[index]) % 2147483647;
         return sum",
    )
    .await
}

pub async fn wait_for_other_picture(page: &Page, before: &Value) -> Result<Value> {
    for _ in 0..100 {
        let now = picture(page).await?;
        if now != *before {
            return Ok(now);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    anyhow::bail!("the picture stays the same")
}

/// Pixels that the map layer paints on.
pub async fn painted(page: &Page) -> Result<u64> {
    let count = page
        .script(
            "const map = document.getElementById('map-layer');
             const { data } = map.getContext('2d').getImageData(0, 0, map.width, map.height);
             let count = 0;
             for (let index = 3; index < data.length; index += 4) count += data[index] > 0;
             return count",
        )
        .await?;
    count.as_u64().context("a count")
}

pub async fn wheel(page: &Page, turn: &str) -> Result<()> {
    page.script(&format!(
        "document.getElementById('viewer').dispatchEvent(new WheelEvent('wheel', {{ {turn}, cancelable: true, bubbles: true }}))"
    ))
    .await
    .map(drop)
}

pub async fn keys(page: &Page, keys: impl Into<TypingData>) -> Result<()> {
    Ok(page.driver.find(By::Id("viewer")).await?.send_keys(keys).await?)
}

/// The white pixels of what the page shows, and the box around them.
pub async fn truth(page: &Page) -> Result<(Vec<bool>, [f64; 4])> {
    let text = page
        .script(
            "const image = document.getElementById('image-layer');
             const { data } = image.getContext('2d').getImageData(0, 0, image.width, image.height);
             let text = '';
             for (let index = 0; index < data.length; index += 4) text += data[index] > 127 ? '1' : '0';
             return [text, image.width]",
        )
        .await?;
    let mask: Vec<bool> = text[0].as_str().context("a mask")?.bytes().map(|byte| byte == b'1').collect();
    let width = text[1].as_u64().context("a width")? as usize;
    let inside =
        || mask.iter().enumerate().filter(|&(_, &inside)| inside).map(|(pixel, _)| (pixel % width, pixel / width));
    let x = || inside().map(|(x, _)| x);
    let y = || inside().map(|(_, y)| y);
    let corner = |value: Option<usize>| value.context("the mask is empty");
    let corners = [corner(x().min())?, corner(y().min())?, corner(x().max())? + 1, corner(y().max())? + 1];
    Ok((mask, corners.map(|value| value as f64)))
}

pub fn dsc(mask: &GrayImage, truth: &[bool]) -> f64 {
    let both = mask.as_raw().iter().zip(truth).filter(|&(&a, &b)| a != 0 && b).count();
    let count =
        mask.as_raw().iter().filter(|&&value| value != 0).count() + truth.iter().filter(|&&inside| inside).count();
    2.0 * both as f64 / count as f64
}

/// What a save button would call its file, which is not written.
async fn name_of(page: &Page, button: &str) -> Result<String> {
    page.script(
        "globalThis.name_ = '';
         globalThis.ownClick = HTMLAnchorElement.prototype.click;
         HTMLAnchorElement.prototype.click = function () { globalThis.name_ = this.download }",
    )
    .await?;
    page.click(button).await?;
    page.wait_for("a name", "return globalThis.name_ !== ''", 20).await?;
    let name = page.script("HTMLAnchorElement.prototype.click = globalThis.ownClick; return globalThis.name_").await?;
    Ok(name.as_str().context("a name")?.to_string())
}

/// Saves the masks of the slice as a picture.
pub async fn saved_mask(page: &Page) -> Result<GrayImage> {
    let name = name_of(page, "save-mask").await?;
    Ok(image::open(page.download("save-mask", &name).await?)?.into_luma8())
}

/// Saves the objects, and returns the file, whose name ends so.
pub async fn saved(page: &Page, ending: &str) -> Result<PathBuf> {
    let name = name_of(page, "save-file").await?;
    ensure!(name.ends_with(ending), "{name} does not end with {ending}");
    page.download("save-file", &name).await
}

/// Nothing of the files' own words is on the page, and nothing is stored.
pub async fn names_nobody(page: &Page, words: &[&str]) -> Result<()> {
    let stored = page.script("return localStorage.length + sessionStorage.length + document.cookie.length").await?;
    ensure!(stored == 0, "{stored} things are stored");
    let shown = page.script("return document.documentElement.outerHTML + location.href + document.title").await?;
    let shown = shown.as_str().context("the page")?;
    for word in words {
        ensure!(!shown.contains(word), "the page says {word}");
    }
    Ok(())
}

pub fn written(name: &str, content: &[u8]) -> Result<PathBuf> {
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, content)?;
    Ok(path)
}

/// Begins to write down whether an object of the list waits for an ensemble, at every change of the list.
pub async fn watch_the_list(page: &Page) -> Result<()> {
    page.script(
        "window.asked = [];
         const look = () => window.asked.push(document.getElementById('objects').textContent.includes('finding where'));
         new MutationObserver(look).observe(document.getElementById('objects'), { childList: true, subtree: true, characterData: true })",
    )
    .await
    .map(drop)
}

/// An ensemble that is asked anew would show its single pass first.
pub async fn nothing_was_asked_again(page: &Page) -> Result<()> {
    tokio::time::sleep(Duration::from_millis(300)).await;
    let asked = page.script("return window.asked").await?;
    let asked = asked.as_array().context("a list")?;
    ensure!(!asked.is_empty(), "the list was not drawn");
    ensure!(!asked.contains(&Value::Bool(true)), "the object was asked for again");
    Ok(())
}
