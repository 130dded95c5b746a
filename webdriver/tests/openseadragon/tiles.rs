//! Boxes of all sizes and places in tiles that overlap.

use anyhow::{Context, Result, ensure};

use super::page::Viewer;
use super::places::{HEART, heart, is_near, show};
use super::slide::SIZE;

pub async fn tiles(viewer: &Viewer) -> Result<()> {
    let [from, to] = heart();
    // A small part of what is in view: a square around the box, at full resolution.
    viewer.draw(from, to).await?;
    let place = viewer.check("a box in the whole image").await?;
    ensure!(place["pixelSize"] == 1.0 && is_near(&place["width"], 512.0, 1.0), "{place}");
    ensure!(place["region"]["x"].as_f64() > Some(400.0), "the region has no offset: {place}");
    // The box is where the mouse was, to a pixel of the window.
    let pixel = viewer.script("return inImage(1, 0)[0] - inImage(0, 0)[0]").await?.as_f64().context("a size")?;
    for (corner, (start, at)) in [("x", from.0), ("y", from.1), ("x", to.0), ("y", to.1)].into_iter().enumerate() {
        let origin = place["region"][start].as_f64().context("a region")?;
        ensure!(is_near(&place["box"][corner], at - origin, pixel), "{place}, pixel {pixel}, corner {corner} at {at}");
    }
    viewer.page.screenshot("openseadragon-tiles").await?;

    // Zoomed, the box is a fair share of what is in view, and other boxes need no other encoding.
    show(viewer, [540.0, 452.0, 480.0, 232.0]).await?;
    let overlay = viewer.script("return overlay()").await?;
    ensure!(overlay["away"].as_f64() < Some(0.6), "the overlay does not follow: {overlay}");
    viewer.draw((from.0 + 8.0, from.1 + 8.0), (to.0 - 4.0, to.1 - 14.0)).await?;
    let zoomed = viewer.check("a box in a zoomed image").await?;
    ensure!(zoomed["region"] != place["region"] && zoomed["pixelSize"] == 1.0, "{zoomed}");
    viewer.page.screenshot("openseadragon-zoomed").await?;
    viewer
        .script(
            "const { encode } = model; window.encodes = 0;
        model.encode = function (...given) { window.encodes++; return encode.apply(this, given) }",
        )
        .await?;
    viewer.draw((from.0 + 20.0, from.1 + 30.0), (to.0 - 60.0, to.1 - 50.0)).await?;
    ensure!(viewer.script("return window.encodes").await? == 0, "a second box of the same view was encoded");
    ensure!(viewer.check("a second box").await?["region"] == zoomed["region"]);
    viewer.script("delete model.encode; viewer.viewport.goHome(true)").await?;
    viewer.settle().await?;

    // Larger than a region of full resolution: a coarser level, whose last pixels stick out of the image.
    viewer.draw((200.0, 200.0), (1130.0, 1110.0)).await?;
    let large = viewer.check("a large box").await?;
    ensure!(large["pixelSize"] == 4.0 && large["width"] == SIZE.0.div_ceil(4), "{large}");

    // At the border, and beyond it.
    let (x, y) = (1200.0 + 2.0 * HEART[0].0, 220.0 + 2.0 * HEART[0].1);
    viewer.draw((x - 60.0, y), (f64::from(SIZE.0) + 40.0, y + 300.0)).await?;
    let border = viewer.check("a box at the border").await?;
    let right =
        border["region"]["x"].as_f64().unwrap_or_default() + border["region"]["width"].as_f64().unwrap_or_default();
    ensure!(right == f64::from(SIZE.0), "{border}");
    ensure!(is_near(&border["box"][2], border["width"].as_f64().unwrap_or_default(), 0.01), "{border}");
    // The whole image and more.
    viewer.draw((-30.0, 3.0), (f64::from(SIZE.0) + 30.0, f64::from(SIZE.1) + 20.0)).await?;
    let whole = viewer.check("the whole image").await?;
    ensure!(whole["region"]["x"] == 0.0 && whole["box"][0] == 0.0 && is_near(&whole["box"][1], 0.5, 0.5), "{whole}");
    ensure!(viewer.script("return events.errors.length").await? == 0);

    // Turned and mirrored: the box over the image is the rectangle that was drawn.
    viewer.script("connection.reject(); viewer.viewport.setRotation(90, true); viewer.viewport.setFlip(true)").await?;
    viewer.settle().await?;
    viewer.script("window.turned = viewer.container.getBoundingClientRect()").await?;
    let middle = viewer
        .script("return [turned.left + turned.width / 2, turned.top + turned.height / 2].map(Math.round)")
        .await?;
    let (x, y) = (middle[0].as_i64().context("x")?, middle[1].as_i64().context("y")?);
    let before = viewer.results().await?;
    viewer.drag_in_window((x - 20, y - 90), (x + 50, y + 20)).await?;
    viewer.answered(before).await?;
    let script = "const { left, top, right, bottom } = [...document.querySelectorAll('.umedsam-box')].at(-1).getBoundingClientRect();
        return [left, top, right, bottom]";
    let shown = viewer.script(script).await?;
    for (index, expected) in [x - 20, y - 90, x + 50, y + 20].into_iter().enumerate() {
        ensure!(is_near(&shown[index], expected as f64, 1.5), "turned and mirrored: {shown}, drawn at {x}, {y}");
    }
    ensure!(viewer.script("return polygonsDiffer()").await? == 0);
    viewer.page.screenshot("openseadragon-turned").await
}
