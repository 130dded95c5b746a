//! The page with the viewer, and what a person does in it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use thirtyfour::prelude::*;
use umedsam_webdriver::Page;

use super::slide::{Slide, save};

/// Seconds an encode may take with everything else that a slow machine does.
pub const ENCODE_LIMIT: u64 = 120;

/// The page, the site's folder, and a folder of the test's own in it.
pub struct Viewer {
    pub page: Page,
    pub slide: Slide,
    pub folder: PathBuf,
    /// The folder's address.
    pub address: String,
    parts: std::cell::Cell<u32>,
}

impl Viewer {
    /// Opens the page with an image that `write` puts into the test's folder, and waits for the model.
    pub async fn open(
        name: &str,
        width: u32,
        write: impl FnOnce(&Slide, &Path, &str) -> Result<String>,
    ) -> Result<Self> {
        let site = PathBuf::from(std::env::var("UMEDSAM_SITE").context("UMEDSAM_SITE is set by cargo xtask test")?);
        let folder = site.join(format!("test-{name}"));
        std::fs::remove_dir_all(&folder).ok();
        std::fs::create_dir_all(&folder)?;
        let slide = Slide::new(&site)?;
        let server = xtask::server::Server::start(&site, 0)?;
        let address = format!("http://{}/test-{name}", server.address());
        let source = write(&slide, &folder, &address)?;
        let page =
            Page::open_at(server, &format!("viewers/openseadragon/?device=cpu&source={source}"), width, 900).await?;
        let viewer = Self { page, slide, folder, address, parts: std::cell::Cell::new(0) };
        viewer.begin().await?;
        Ok(viewer)
    }

    async fn begin(&self) -> Result<()> {
        let is_ready = "return window.connection !== undefined && viewer.world.getItemCount() === 1";
        self.page.wait_for("the model and the image", is_ready, ENCODE_LIMIT).await?;
        self.page.script(include_str!("checks.js")).await?;
        self.settle().await
    }

    /// Waits until nothing moves.
    pub async fn settle(&self) -> Result<()> {
        let script = "const { viewport } = viewer; const now = JSON.stringify(viewport.getBounds(true));
            const is = now === window.before && now === JSON.stringify(viewport.getBounds()); window.before = now; return is";
        self.page.wait_for("the end of the motion", script, 10).await
    }

    pub async fn script(&self, script: &str) -> Result<Value> {
        self.page.script(script).await
    }

    /// A script's promise.
    pub async fn promise(&self, script: &str) -> Result<Value> {
        let wrapped = format!(
            "const done = arguments[0]; (async () => {{ {script} }})().then(done, (error) => done({{ error: String(error) }}))"
        );
        let value = self.page.driver.execute_async(wrapped, Vec::new()).await?.json().clone();
        ensure!(value["error"].is_null(), "{value}");
        Ok(value)
    }

    /// Places of the image at full resolution in the window.
    async fn in_window(&self, (x, y): (f64, f64)) -> Result<(i64, i64)> {
        let found = self.script(&format!("return inWindow({x}, {y}).map(Math.round)")).await?;
        Ok((found[0].as_i64().context("a place")?, found[1].as_i64().context("a place")?))
    }

    /// Drags between two places of the image.
    pub async fn drag(&self, from: (f64, f64), to: (f64, f64)) -> Result<()> {
        let (from, to) = (self.in_window(from).await?, self.in_window(to).await?);
        self.drag_in_window(from, to).await
    }

    pub async fn drag_in_window(&self, from: (i64, i64), to: (i64, i64)) -> Result<()> {
        let middle = ((from.0 + to.0) / 2, (from.1 + to.1) / 2);
        let actions = self.page.driver.action_chain().move_to(from.0, from.1).click_and_hold();
        Ok(actions.move_to(middle.0, middle.1).move_to(to.0, to.1).release().perform().await?)
    }

    /// Clicks a place of the image, with Alt if the place is outside of the object.
    pub async fn point(&self, place: (f64, f64), is_outside: bool) -> Result<()> {
        let (x, y) = self.in_window(place).await?;
        let actions = self.page.driver.action_chain();
        let actions = if is_outside { actions.key_down(Key::Alt) } else { actions };
        let actions = actions.move_to(x, y).click();
        let actions = if is_outside { actions.key_up(Key::Alt) } else { actions };
        Ok(actions.perform().await?)
    }

    /// Waits until there are more answers than before, and the last one is the ensemble's.
    pub async fn answered(&self, before: u64) -> Result<()> {
        let script =
            format!("return events.results.length > {before} && last().isFinal && events.busy.at(-1) === false");
        self.page.wait_for("an answer", &script, ENCODE_LIMIT).await
    }

    pub async fn results(&self) -> Result<u64> {
        self.script("return events.results.length").await?.as_u64().context("a number")
    }

    /// Draws a box and waits for its mask.
    pub async fn draw(&self, from: (f64, f64), to: (f64, f64)) -> Result<()> {
        let before = self.results().await?;
        self.drag(from, to).await?;
        self.answered(before).await
    }

    /// Compares the last mask with what the package says of the same pixels, which are cut out of the picture here. Returns the place.
    pub async fn check(&self, what: &str) -> Result<Value> {
        let place = self.script("return placed()").await?;
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let (pixel, shrink) = (number(&place["pixelSize"]), number(&place["shrink"]));
        ensure!(shrink == 1.0, "{what}: {place}");
        // The finest level of IIIF has another number than that of Deep Zoom.
        let level = self.slide.finest() - pixel.log2().round() as usize;
        let [x, y] = ["x", "y"].map(|name| (number(&place["region"][name]) / pixel).round() as u32);
        let [width, height] = ["width", "height"].map(|name| number(&place[name]) as u32);
        let part = self.slide.part(level, [x, y, width, height]);
        ensure!(part.dimensions() == (width, height), "{what}: the part leaves the level: {place}");
        self.parts.set(self.parts.get() + 1);
        let name = format!("part-{}.png", self.parts.get());
        save(&part, &self.folder.join(&name))?;
        self.check_against(&format!("{}/{name}", self.address), what).await?;
        Ok(place)
    }

    /// Compares the last mask with what the package says of a picture, and with everything that is made of it.
    pub async fn check_against(&self, address: &str, what: &str) -> Result<()> {
        let found = self.promise(&format!("return compare({address:?})")).await?;
        ensure!(found["differing"] == 0 && found["pixels"] == true, "{what}: the mask is not the package's: {found}");
        ensure!(found["inside"].as_u64() > Some(200), "{what}: there is nothing to compare: {found}");
        ensure!(found["total"].as_f64() < Some(1e-6), "{what}: the uncertainty is not the package's: {found}");
        let polygons = self.script("return polygonsDiffer()").await?;
        ensure!(polygons == 0, "{what}: the polygon differs from the mask: {polygons}");
        let overlay = self.script("return overlay()").await?;
        ensure!(
            overlay["differing"] == 0 && overlay["heatDiffers"] == 0 && overlay["hasHeat"] == true,
            "{what}: {overlay}"
        );
        ensure!(overlay["away"].as_f64() < Some(0.6), "{what}: the overlay is elsewhere: {overlay}");
        ensure!(overlay["isMarked"] == true, "{what}: what needs a review is not marked: {overlay}");
        let is_asked = overlay["suggested"].as_u64() > Some(0);
        ensure!(overlay["hasSuggestion"] == is_asked, "{what}: {overlay}");
        Ok(())
    }

    /// Ends the browser, and takes a picture before if something went wrong.
    pub async fn close(self, result: Result<()>) -> Result<()> {
        if result.is_err() {
            self.page.screenshot("openseadragon-failed").await.ok();
            eprintln!("{:#?}", self.page.log("browser").await);
        }
        self.page.close().await?;
        std::fs::remove_dir_all(&self.folder).ok();
        result
    }
}
