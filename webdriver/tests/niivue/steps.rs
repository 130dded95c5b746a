//! What a person does in NiiVue, step by step.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use thirtyfour::prelude::*;
use umedsam_webdriver::Page;

/// Seconds an answer may take with everything else that a slow machine does.
pub const LIMIT: u64 = 120;

/// `NiiVue`'s number of each plane, and its name.
pub const PLANES: [(usize, &str); 3] = [(0, "axial"), (1, "coronal"), (2, "sagittal")];

/// Shares of the RAS axes.
pub type Place = [f64; 3];

/// The page with the sample, and what the tests say to it.
pub async fn with_page(width: u32, name: &str, test: impl AsyncFnOnce(&Page) -> Result<()>) -> Result<()> {
    let page = Page::open("viewers/niivue/?device=cpu", width, 900).await?;
    let result = async {
        page.wait_for("the model", "return typeof connection === 'object'", LIMIT).await?;
        page.script(include_str!("helpers.js")).await?;
        test(&page).await
    }
    .await;
    if result.is_err() {
        page.screenshot(&format!("failed-niivue-{name}")).await.ok();
        eprintln!("browser log: {:#?}", page.log("browser").await);
    }
    page.close().await?;
    result
}

/// Runs JavaScript that may wait, and gives what it returns; what it throws is an error.
pub async fn run(page: &Page, script: &str) -> Result<Value> {
    let script = format!(
        "const done = arguments[arguments.length - 1];
         (async () => {{ {script} }})().then((value) => done([value ?? null]), (error) => done(String(error?.stack ?? error)))"
    );
    let value = page.driver.execute_async(script, Vec::new()).await?.json().clone();
    value.get(0).cloned().with_context(|| format!("{value}"))
}

/// Gives the canvas another height, which `NiiVue` hears of a little later.
pub async fn resized(page: &Page, height: u32) -> Result<()> {
    let script = format!(
        "document.querySelector('.stage').style.height = '{height}px';
         window.drawnAt = [];
         const {{ drawScene }} = nv;
         nv.drawScene = function () {{ drawnAt.push(nv.canvas.height); return drawScene.call(nv) }}"
    );
    page.script(&script).await?;
    let is_drawn = format!("return Math.abs(drawnAt.at(-1) / devicePixelRatio - {height}) < 3");
    page.wait_for("the resized canvas", &is_drawn, 20).await?;
    page.script("delete nv.drawScene").await.map(drop)
}

/// Opens a made volume, connected with these options.
pub async fn start(page: &Page, volume: Value, options: Value) -> Result<()> {
    run(page, &format!("await start({volume}, {options})")).await.map(drop)
}

/// Where a place is in the window; across the plane it is where the crosshair is.
pub async fn on_canvas(page: &Page, plane: usize, place: Place) -> Result<(i64, i64)> {
    let found = page.script(&format!("return onCanvas({plane}, {})", json!(place))).await?;
    let coordinate = |index: usize| found[index].as_f64().context("a place in view").map(|value| value.round() as i64);
    Ok((coordinate(0)?, coordinate(1)?))
}

/// Presses the left button at one place of a plane and lets go at another.
pub async fn drag(page: &Page, plane: usize, from: Place, to: Place) -> Result<()> {
    let (from, to) = (on_canvas(page, plane, from).await?, on_canvas(page, plane, to).await?);
    drag_in_window(page, from, to).await
}

pub async fn drag_in_window(page: &Page, from: (i64, i64), to: (i64, i64)) -> Result<()> {
    let chain = page
        .driver
        .action_chain_with_delay(Some(Duration::ZERO), Some(Duration::ZERO))
        .move_to(from.0, from.1)
        .click_and_hold();
    Ok(chain.move_to((from.0 + to.0) / 2, (from.1 + to.1) / 2).move_to(to.0, to.1).release().perform().await?)
}

pub async fn click(page: &Page, plane: usize, place: Place, with_alt: bool) -> Result<()> {
    let (x, y) = on_canvas(page, plane, place).await?;
    let chain = page.driver.action_chain_with_delay(Some(Duration::ZERO), Some(Duration::ZERO)).move_to(x, y);
    let chain = if with_alt { chain.key_down(Key::Alt).click().key_up(Key::Alt) } else { chain.click() };
    Ok(chain.perform().await?)
}

/// Turns the wheel over a plane, by so many slices.
pub async fn scroll(page: &Page, plane: usize, slices: i64) -> Result<()> {
    let (x, y) = on_canvas(page, plane, [0.5, 0.5, 0.5]).await?;
    for _ in 0..slices.abs() {
        let script = format!(
            "nv.canvas.dispatchEvent(new WheelEvent('wheel', {{ deltaY: {}, clientX: {x}, clientY: {y}, bubbles: true, cancelable: true }}))",
            100 * slices.signum()
        );
        page.script(&script).await?;
    }
    Ok(())
}

/// Forgets what was told, does something, and waits for the last answer to it.
pub async fn answered(page: &Page, say: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    forget(page).await?;
    say().await?;
    page.wait_for("the last answer", "return finished()", LIMIT).await
}

pub async fn forget(page: &Page) -> Result<()> {
    page.script("for (const list of Object.values(told)) list.length = 0").await.map(drop)
}

/// What `umedsam/nifti` and the model give for the box of the last answer, beside the labels that `NiiVue` saves; they must be the same, and no other voxel has
/// the label.
pub async fn same_as_the_package(page: &Page, what: &str, arguments: &str) -> Result<Value> {
    let found = run(page, &format!("return compared({arguments})")).await?;
    let is_same = found["different"] == 0 && found["elsewhere"] == 0 && found["sameGrid"] == true;
    ensure!(is_same && found["area"].as_u64().unwrap_or(0) > 0, "{what}: {found}");
    ensure!(found["affineOff"].as_f64().is_some_and(|off| off < 1e-3), "{what}: the labels are elsewhere: {found}");
    Ok(found)
}

/// How many voxels of the drawing have a value.
pub async fn drawn(page: &Page, value: u8) -> Result<u64> {
    Ok(page.script(&format!("return drawn()[{value}] ?? 0")).await?.as_u64().unwrap_or(0))
}

pub async fn settled(page: &Page) -> Result<Value> {
    page.script("return told.settled").await
}

pub async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
