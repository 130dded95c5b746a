//! Tiles that are not there, and tiles that nobody may read.

use anyhow::{Context, Result, ensure};

use super::page::{ENCODE_LIMIT, Viewer};
use super::places::{count, heart};
use super::slide::SIZE;

pub async fn failures(viewer: &Viewer) -> Result<()> {
    let [from, to] = heart();
    // A tile that is gone is named.
    std::fs::remove_dir_all(viewer.folder.join(format!("slide_files/{}", viewer.slide.finest())))?;
    viewer.drag(from, to).await?;
    viewer.page.wait_for("an error", "return events.errors.length === 1 && 'error' !== ''", 20).await?;
    let error = viewer.script("return events.errors[0]").await?;
    let text = error.as_str().unwrap_or_default();
    ensure!(
        text.starts_with("fetch-failed") && text.contains("slide_files/11/") && text.contains("could not be loaded"),
        "{text}"
    );
    ensure!(viewer.page.text("error").await?.contains("could not be loaded"), "the page does not say it");
    ensure!(count(viewer).await? == 0, "a box without an answer is left");

    // The same page elsewhere, under a policy that lets it load from everywhere: servers that do not let others read say so, others are read.
    let page = std::fs::read_to_string(viewer.folder.join("../viewers/openseadragon/index.html"))?;
    let begin = page.find("<meta http-equiv=\"Content-Security-Policy\"").context("a policy")?;
    let end = begin + page[begin..].find('>').context("its end")? + 1;
    std::fs::write(
        viewer.folder.join("../viewers/openseadragon/open.html"),
        format!("{}{}", &page[..begin], &page[end..]),
    )?;
    let site = viewer.folder.parent().context("a site")?;
    let (closed, open) = (xtask::server::Server::start(site, 0)?, xtask::server::Server::start_open(site, 0)?);
    let here = xtask::server::Server::start_open(site, 0)?;
    let name = viewer.folder.file_name().context("a name")?.to_string_lossy().into_owned();
    viewer
        .page
        .driver
        .goto(format!(
            "http://{}/viewers/openseadragon/open.html?device=cpu&source=http://{}/{name}/other.dzi",
            here.address(),
            open.address()
        ))
        .await?;
    let ready = "return window.connection !== undefined && viewer.world.getItemCount() === 1";
    viewer.page.wait_for("the page elsewhere", ready, ENCODE_LIMIT).await?;
    viewer.script(include_str!("checks.js")).await?;
    viewer.settle().await?;
    viewer.draw(from, to).await?;
    viewer.script("window.readable = last().segmentation.mask.join('')").await?;
    // Shown without a policy, as an application does that only looks.
    let source = |server: &xtask::server::Server| {
        let (width, height) = SIZE;
        format!(
            "window.other = new Promise((done) => viewer.addOnceHandler('open', done));
             viewer.open({{ tileSource: {{ Image: {{ xmlns: 'http://schemas.microsoft.com/deepzoom/2008', Url: 'http://{}/{name}/other_files/',
               Format: 'png', Overlap: '2', TileSize: '512', Size: {{ Width: '{width}', Height: '{height}' }} }} }}, crossOriginPolicy: false }})",
            server.address()
        )
    };
    viewer.script(&source(&open)).await?;
    viewer.promise("await other; return {}").await?;
    viewer.settle().await?;
    viewer.draw(from, to).await?;
    ensure!(
        viewer.script("return last().segmentation.mask.join('') === readable").await? == true,
        "another mask without a policy"
    );
    viewer.script(&source(&closed)).await?;
    viewer.promise("await other; return {}").await?;
    viewer.settle().await?;
    viewer.drag(from, to).await?;
    viewer.page.wait_for("an error", "return events.errors.length === 1 && 'error' !== ''", 20).await?;
    let error = viewer.script("return events.errors[0]").await?;
    let text = error.as_str().unwrap_or_default();
    ensure!(
        text.contains("CORS")
            && text.contains(&closed.address().to_string())
            && text.contains("Access-Control-Allow-Origin"),
        "{text}"
    );
    std::fs::remove_file(viewer.folder.join("../viewers/openseadragon/open.html")).ok();
    Ok(())
}
