//! Segmentation in OpenSeadragon, by its own gestures, on the page that shows how: tiles of all kinds, places, several objects, and what goes wrong.

#[path = "openseadragon/changes.rs"]
mod changes;
#[path = "openseadragon/failures.rs"]
mod failures;
#[path = "openseadragon/iiif.rs"]
mod iiif;
#[path = "openseadragon/objects.rs"]
mod objects;
#[path = "openseadragon/page.rs"]
mod page;
#[path = "openseadragon/places.rs"]
mod places;
#[path = "openseadragon/slide.rs"]
mod slide;
#[path = "openseadragon/tiles.rs"]
mod tiles;

use anyhow::{Result, ensure};
use page::Viewer;
use places::HEART;

#[tokio::test]
async fn tiles_with_overlap_give_the_pixels_of_the_fitting_level() -> Result<()> {
    let viewer = Viewer::open("overlap-1", 1280, |slide, folder, address| {
        slide.write_dzi(folder, "slide", 254, 1)?;
        Ok(format!("{address}/slide.dzi"))
    })
    .await?;
    let result = tiles::tiles(&viewer).await;
    viewer.close(result).await
}

#[tokio::test]
async fn parts_and_tiles_of_iiif_are_the_same() -> Result<()> {
    let viewer = Viewer::open("iiif", 1280, |slide, folder, address| {
        for (name, profile) in [("iiif", "level2"), ("level0", "level0")] {
            std::fs::create_dir_all(folder.join(name))?;
            slide.write_iiif(
                &folder.join(name),
                &format!("{address}/{name}"),
                &format!("http://iiif.io/api/image/2/{profile}.json"),
            )?;
        }
        slide.write_dzi(folder, "even", 200, 0)?;
        Ok(format!("{address}/iiif/info.json"))
    })
    .await?;
    let result = iiif::iiif(&viewer).await;
    viewer.close(result).await
}

#[tokio::test]
async fn several_objects_are_prompted_and_nothing_is_left_of_what_is_gone() -> Result<()> {
    let viewer = Viewer::open("objects", 1280, |slide, folder, address| {
        slide.write_dzi(folder, "slide", 254, 1)?;
        slide.write_dzi(folder, "other", 512, 2)?;
        let finest = slide.finest();
        slide::save(&slide.part(finest, [380, 340, 600, 500]), &folder.join("own.png"))?;
        Ok(format!("{address}/slide.dzi"))
    })
    .await?;
    let mut result = objects::objects(&viewer).await;
    if result.is_ok() {
        result = changes::changes(&viewer).await;
    }
    viewer.close(result).await
}

#[tokio::test]
async fn tiles_that_cannot_be_read_are_errors_in_words() -> Result<()> {
    let viewer = Viewer::open("failures", 1280, |slide, folder, address| {
        slide.write_dzi(folder, "slide", 254, 1)?;
        slide.write_dzi(folder, "other", 512, 2)?;
        Ok(format!("{address}/slide.dzi"))
    })
    .await?;
    let result = failures::failures(&viewer).await;
    viewer.close(result).await
}

async fn small(viewer: &Viewer) -> Result<()> {
    viewer.script("viewer.addOnceHandler('open', () => { window.opened = true }); viewer.open({ type: 'image', url: '../../samples/chest-ct.png' })").await?;
    viewer.page.wait_for("the sample", "return window.opened === true", 20).await?;
    viewer.settle().await?;
    // What is in view is encoded before it is asked for.
    viewer.promise("await new Promise((done) => setTimeout(done, 500)); return {}").await?;
    viewer.draw(HEART[0], HEART[1]).await?;
    let address = viewer.address.replace("test-small", "samples/chest-ct.png");
    viewer.check_against(&address, "the sample, at 390 pixels").await?;
    let width = viewer.script("return document.documentElement.scrollWidth <= innerWidth").await?;
    ensure!(width == true, "the page is wider than its window");
    viewer.page.screenshot("openseadragon-small").await
}

#[tokio::test]
async fn a_simple_image_in_a_narrow_window() -> Result<()> {
    let viewer = Viewer::open("small", 500, |slide, folder, address| {
        slide.write_dzi(folder, "slide", 254, 1)?;
        Ok(format!("{address}/slide.dzi"))
    })
    .await?;
    let result = small(&viewer).await;
    viewer.close(result).await
}
