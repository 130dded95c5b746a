//! Parts of an image from a server of the IIIF Image API, its tiles where it refuses, and tiles without overlap.

use anyhow::{Context, Result, ensure};

use super::page::Viewer;
use super::places::heart;

pub async fn iiif(viewer: &Viewer) -> Result<()> {
    let requests = |viewer: &Viewer| -> Vec<String> {
        let asked = viewer.page.server.requests();
        asked.into_iter().filter(|url| url.contains("/iiif/") && !url.contains("info.json")).collect()
    };
    // No answer to a request for a part: its tiles are put together.
    let [from, to] = heart();
    viewer.draw(from, to).await?;
    let place = viewer.check("tiles of IIIF").await?;
    let region = place["region"].clone();
    let number = |name: &str| region[name].as_f64().unwrap_or_default() as u32;
    let part = format!(
        "/{},{},{},{}/{},/0/default.png",
        number("x"),
        number("y"),
        number("width"),
        number("height"),
        place["width"]
    );
    let asked = requests(viewer);
    let request = asked
        .iter()
        .find(|url| url.ends_with(&part))
        .with_context(|| format!("{part} was not asked for: {asked:?}"))?;

    // From here on there is one. Another connection has no encoding of it yet.
    viewer.slide.answer(&viewer.folder.join("iiif"), request)?;
    viewer.script("connection.dispose(); window.connection = connect({ OpenSeadragon, viewer, model }, { preEncode: false }); listen(connection)").await?;
    let before = requests(viewer).len();
    viewer.draw(from, to).await?;
    viewer.check("a part of IIIF").await?;
    let asked = requests(viewer).split_off(before);
    ensure!(asked.len() == 1 && asked[0].ends_with(&part), "one request is enough: {asked:?}");

    let coarser = "connection.dispose(); window.shown = 'epistemic'; const options = { preEncode: false, regionSize: 256, overlay: shown };
        window.connection = connect({ OpenSeadragon, viewer, model }, options); listen(connection)";
    // A level that is half as fine, with a part that the server has.
    viewer.script(coarser).await?;
    let before = requests(viewer).len();
    viewer.draw((from.0 - 20.0, from.1), to).await?;
    let coarse = viewer.check("tiles of a coarser level of IIIF").await?;
    ensure!(coarse["pixelSize"] == 2.0, "{coarse}");
    let asked = requests(viewer).split_off(before);
    viewer.slide.answer(
        &viewer.folder.join("iiif"),
        asked.iter().find(|url| url.contains(",/0/")).context("a request for a part")?,
    )?;
    viewer.script(coarser).await?;
    viewer.draw((from.0 - 20.0, from.1), to).await?;
    ensure!(viewer.check("a part of a coarser level of IIIF").await?["region"] == coarse["region"]);

    // A server of level 0 is not asked for what it cannot do.
    viewer.script(&format!("viewer.open('{}/level0/info.json')", viewer.address)).await?;
    viewer.page.wait_for("the other image", "return image()?.source['@id']?.endsWith('level0') === true", 20).await?;
    viewer.settle().await?;
    viewer.draw(from, to).await?;
    viewer.check("tiles of level 0").await?;
    let asked = viewer.page.server.requests();
    ensure!(!asked.iter().any(|url| url.contains("/level0/") && url.contains(&part)), "{asked:?}");
    ensure!(viewer.script("return events.errors.length").await? == 0);

    // Tiles without overlap, and of an uneven size.
    viewer.script(&format!("viewer.open('{}/even.dzi')", viewer.address)).await?;
    viewer
        .page
        .wait_for(
            "the other image",
            "return image()?.source.tileOverlap === 0 && image().source._tileWidth === 200",
            20,
        )
        .await?;
    viewer.settle().await?;
    viewer.draw(from, to).await?;
    viewer.check("tiles without overlap").await.map(drop)
}
