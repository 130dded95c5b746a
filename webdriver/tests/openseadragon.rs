//! Segmentation in OpenSeadragon, by its own gestures, on the page that shows how: tiles of all kinds, places, several objects, and what goes wrong.

#[path = "openseadragon/page.rs"]
mod page;
#[path = "openseadragon/slide.rs"]
mod slide;

use anyhow::{Context, Result, ensure};
use page::{ENCODE_LIMIT, Viewer};
use serde_json::{Value, json};
use slide::{CHEST, SIZE};
use thirtyfour::prelude::*;

/// A place of the sample picture, in the slide.
fn chest(x: f64, y: f64) -> (f64, f64) {
    (f64::from(CHEST.0) + f64::from(CHEST.2) * x, f64::from(CHEST.1) + f64::from(CHEST.2) * y)
}

/// Around the heart, as `samples.json` has it.
const HEART: [(f64, f64); 2] = [(206.0, 158.0), (318.0, 270.0)];

fn heart() -> [(f64, f64); 2] {
    HEART.map(|(x, y)| chest(x, y))
}

/// Shows a part of the image at once.
async fn show(viewer: &Viewer, [x, y, width, height]: [f64; 4]) -> Result<()> {
    let script =
        format!("viewer.viewport.fitBounds(image().imageToViewportRectangle({x}, {y}, {width}, {height}), true)");
    viewer.script(&script).await?;
    viewer.settle().await
}

fn is_near(value: &Value, expected: f64, tolerance: f64) -> bool {
    value.as_f64().is_some_and(|value| (value - expected).abs() <= tolerance)
}

async fn tiles(viewer: &Viewer) -> Result<()> {
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
    viewer.script("const encode = model.encode; window.encodes = 0; model.encode = function (...given) { window.encodes++; return encode.apply(this, given) }").await?;
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

#[tokio::test]
async fn tiles_with_overlap_give_the_pixels_of_the_fitting_level() -> Result<()> {
    let viewer = Viewer::open("overlap-1", 1280, |slide, folder, address| {
        slide.write_dzi(folder, "slide", 254, 1)?;
        Ok(format!("{address}/slide.dzi"))
    })
    .await?;
    let result = tiles(&viewer).await;
    viewer.close(result).await
}

async fn iiif(viewer: &Viewer) -> Result<()> {
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

    // A level that is half as fine, with a part that the server has.
    viewer.script("connection.dispose(); window.connection = connect({ OpenSeadragon, viewer, model }, { preEncode: false, regionSize: 256, overlay: 'epistemic' }); window.shown = 'epistemic'; listen(connection)").await?;
    let before = requests(viewer).len();
    viewer.draw((from.0 - 20.0, from.1), to).await?;
    let coarse = viewer.check("tiles of a coarser level of IIIF").await?;
    ensure!(coarse["pixelSize"] == 2.0, "{coarse}");
    let asked = requests(viewer).split_off(before);
    viewer.slide.answer(
        &viewer.folder.join("iiif"),
        asked.iter().find(|url| url.contains(",/0/")).context("a request for a part")?,
    )?;
    viewer.script("connection.dispose(); window.connection = connect({ OpenSeadragon, viewer, model }, { preEncode: false, regionSize: 256, overlay: 'epistemic' }); window.shown = 'epistemic'; listen(connection)").await?;
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
    let result = iiif(&viewer).await;
    viewer.close(result).await
}

async fn features(viewer: &Viewer) -> Result<Vec<Value>> {
    let script =
        "return connection.features().map(({ properties, geometry }) => ({ ...properties, geometry: geometry.type }))";
    Ok(viewer.script(script).await?.as_array().cloned().unwrap_or_default())
}

async fn count(viewer: &Viewer) -> Result<u64> {
    viewer.script("return document.querySelectorAll('.umedsam-object').length").await?.as_u64().context("a number")
}

async fn press(viewer: &Viewer, keys: impl Into<TypingData>) -> Result<()> {
    Ok(viewer.page.driver.find(By::Tag("body")).await?.send_keys(keys).await?)
}

const MASK: &str = "return last().segmentation.mask.join('')";

async fn objects(viewer: &Viewer) -> Result<()> {
    let [from, to] = heart();
    // Three boxes, the next before the one before it is answered: each has its own mask, the last one is not accepted yet.
    let boxes = [(from, to), (chest(90.0, 150.0), chest(190.0, 300.0)), (chest(330.0, 150.0), chest(430.0, 300.0))];
    for (from, to) in boxes {
        viewer.drag(from, to).await?;
    }
    let finals = "return events.results.filter(({ isFinal }) => isFinal).length === 3 && events.busy.at(-1) === false";
    viewer.page.wait_for("three masks", finals, ENCODE_LIMIT).await?;
    let found = features(viewer).await?;
    ensure!(found.len() == 3 && count(viewer).await? == 3, "{found:?}");
    let accepted: Vec<&Value> = found.iter().map(|feature| &feature["isAccepted"]).collect();
    ensure!(accepted == [true, true, false], "{found:?}");
    let order = viewer.script("return events.results.map(({ isFinal }) => Number(isFinal)).join('')").await?;
    ensure!(order == "010101", "each box has a quick answer, then the ensemble's: {order}");
    let saved = std::fs::read(viewer.page.download("save", "objects.geojson").await?)?;
    let saved: Value = serde_json::from_slice(&saved)?;
    ensure!(saved["type"] == "FeatureCollection" && saved["features"].as_array().is_some_and(|all| all.len() == 3));
    ensure!(found.iter().all(|feature| feature["expectedDsc"].as_f64() > Some(0.2)), "{found:?}");
    viewer.check("the third of three boxes").await?;
    viewer.page.screenshot("openseadragon-objects").await?;

    // Points correct the last one, by a click inside and by one with Alt outside; steps go back and forth.
    let boxed = viewer.script(MASK).await?;
    let before = viewer.results().await?;
    viewer.point(chest(380.0, 240.0), false).await?;
    viewer.answered(before).await?;
    let before = viewer.results().await?;
    viewer.point(chest(345.0, 170.0), true).await?;
    viewer.answered(before).await?;
    let pointed = viewer.script(MASK).await?;
    ensure!(pointed != boxed, "points change nothing");
    ensure!(viewer.script("return polygonsDiffer()").await? == 0);
    viewer.page.click("undo").await?;
    viewer.page.click("undo").await?;
    ensure!(viewer.script(MASK).await? == boxed, "undo gives another mask");
    viewer.check("after undo").await?;
    viewer.page.click("undo").await?;
    ensure!(features(viewer).await?.len() == 2, "nothing was said, and there is a mask");
    press(viewer, Key::Control + "y").await?;
    ensure!(viewer.script(MASK).await? == boxed && features(viewer).await?.len() == 3, "redo gives another mask");

    // Drawn once more over itself, a box takes the other's place; Escape rejects, Enter accepts.
    viewer.draw(chest(326.0, 146.0), chest(434.0, 304.0)).await?;
    ensure!(features(viewer).await?.len() == 3, "a box that was drawn again is another object");
    press(viewer, Key::Escape + "").await?;
    ensure!(features(viewer).await?.len() == 2 && count(viewer).await? == 2);
    ensure!(viewer.script("return events.settled.join()").await? == "true,true,false");
    viewer.draw(chest(330.0, 150.0), chest(430.0, 300.0)).await?;
    press(viewer, Key::Enter + "").await?;
    ensure!(features(viewer).await?.iter().all(|feature| feature["isAccepted"] == true));
    ensure!(viewer.script("return document.querySelectorAll('.umedsam-box, .umedsam-suggestion').length").await? == 0);
    viewer.page.driver.find(By::Css("#objects li:nth-child(1) button")).await?.click().await?;
    ensure!(features(viewer).await?.len() == 2 && count(viewer).await? == 2, "an object that was removed is there");

    // An object by a click alone, whose answer is the suggested one.
    let before = viewer.results().await?;
    viewer.point(chest(256.0, 210.0), false).await?;
    viewer.answered(before).await?;
    ensure!(viewer.script("return last().segmentation.box === null && last().segmentation.area > 0").await? == true);
    if viewer.script("return last().segmentation.suggestions.length > 0").await? == true {
        let before = viewer.results().await?;
        viewer.page.click("inside").await?;
        viewer.answered(before).await?;
    }
    viewer.script("connection.reject()").await?;

    // Nothing, in words: a drag beside the image, a point outside of nothing. A drag of no length is a point.
    let before = viewer.results().await?;
    viewer.drag((-300.0, 100.0), (-100.0, 300.0)).await?;
    viewer.point(chest(100.0, 20.0), true).await?;
    let errors = viewer.script("return events.errors").await?;
    ensure!(
        errors[0].as_str().is_some_and(|text| text.starts_with("invalid-box") && text.contains("outside of the image")),
        "{errors}"
    );
    ensure!(
        errors[1].as_str().is_some_and(|text| text.starts_with("invalid-prompt") && text.contains("draw a box")),
        "{errors}"
    );
    ensure!(viewer.page.text("error").await?.contains("draw a box"));
    ensure!(viewer.results().await? == before && count(viewer).await? == 2);
    let refused =
        viewer.promise("return connection.propagate().catch(({ code, message }) => `${code}: ${message}`)").await?;
    ensure!(
        refused.as_str().is_some_and(|text| text.starts_with("invalid-option") && text.contains("no slices")),
        "{refused}"
    );

    // Off, a drag pans and nothing is prompted; with Shift it does so while prompts are on.
    let center = "const { x, y } = viewer.viewport.getCenter(); return [x, y]";
    viewer.script("document.getElementById('error').hidden = true").await?;
    viewer.page.click("active").await?;
    show(viewer, [400.0, 300.0, 500.0, 300.0]).await?;
    let home = viewer.script(center).await?;
    viewer.drag((600.0, 400.0), (660.0, 440.0)).await?;
    viewer.settle().await?;
    let panned = viewer.script(center).await?;
    ensure!(panned != home && viewer.results().await? == before, "the viewer has not got its mouse back");
    viewer.page.click("active").await?;
    viewer.script("viewer.raiseEvent = ((raise) => function (name, event) { if (name === 'pan') window.pans = (window.pans ?? 0) + 1; return raise.call(this, name, event) })(viewer.raiseEvent)").await?;
    viewer.draw(from, (from.0 + 200.0, from.1 + 60.0)).await?;
    ensure!(
        viewer.script(center).await? == panned && viewer.script("return window.pans ?? 0").await? == 0,
        "a box pans"
    );
    let actions = viewer.page.driver.action_chain().key_down(Key::Shift);
    let (x, y) = (640, 500);
    actions
        .move_to(x, y)
        .click_and_hold()
        .move_to(x + 30, y + 20)
        .move_to(x + 60, y + 30)
        .release()
        .key_up(Key::Shift)
        .perform()
        .await?;
    viewer.settle().await?;
    ensure!(viewer.script(center).await? != panned, "Shift does not pan");
    let overlay = viewer.script("return overlay()").await?;
    ensure!(overlay["away"].as_f64() < Some(0.6), "the overlay does not follow: {overlay}");
    viewer.script("connection.accept(); viewer.viewport.goHome(true)").await?;
    viewer.settle().await
}

async fn changes(viewer: &Viewer) -> Result<()> {
    let [from, to] = heart();
    // The image changes while a box of it is encoded: nothing of it comes, and the next image is answered.
    viewer.script("window.before = events.results.length; viewer.world.getItemAt(0)").await?;
    let before = viewer.results().await?;
    viewer.drag((from.0 - 40.0, from.1 - 40.0), (to.0 + 40.0, to.1 + 40.0)).await?;
    viewer
        .script(&format!(
            "window.other = new Promise((done) => viewer.addOnceHandler('open', done)); viewer.open('{}/other.dzi')",
            viewer.address
        ))
        .await?;
    viewer.promise("await other; return {}").await?;
    ensure!(count(viewer).await? == 0 && features(viewer).await?.is_empty(), "objects of an image that was closed");
    viewer.settle().await?;
    viewer.draw(from, to).await?;
    let place = viewer.check("a box in the next image").await?;
    let answers = format!("return events.results.slice({before}).every(({{ place }}) => place.tiledImage === image())");
    ensure!(viewer.script(&answers).await? == true, "an answer of the image before: {place}");

    // A person's own picture, in memory, through the file button; accepted masks are Annotorious's too.
    let script = "connection.dispose();
        window.annotations = [];
        const annotorious = { addAnnotation: (annotation) => annotations.push(annotation) };
        window.connection = connect({ OpenSeadragon, viewer, model }, { annotorious, overlay: 'none', preEncode: false });
        listen(connection);
        window.other = new Promise((done) => viewer.addOnceHandler('open', done))";
    viewer.script(script).await?;
    viewer.page.open_file(&viewer.folder.join("own.png")).await?;
    viewer.promise("await other; return {}").await?;
    viewer.settle().await?;
    viewer.draw((130.0, 120.0), (300.0, 290.0)).await?;
    let place = viewer.script("return placed()").await?;
    ensure!(place["width"] == 600 && place["height"] == 500 && place["pixelSize"] == 1.0, "{place}");
    let found = viewer.promise(&format!("return compare('{}/own.png')", viewer.address)).await?;
    ensure!(found["differing"] == 0 && found["inside"].as_u64() > Some(200), "an own picture: {found}");
    ensure!(viewer.script("return overlay().hasHeat").await? == false, "no overlay was wanted");
    viewer.script("connection.accept()").await?;
    viewer.page.wait_for("the annotation", "return annotations.length === 1", 10).await?;
    let script = "const [{ target }] = annotations; const { selector } = target; const [feature] = connection.features();
        const polygons = selector.type === 'POLYGON' ? [[selector.geometry.points]] : selector.geometry.polygons.map(({ rings }) => rings.map(({ points }) => points));
        const coordinates = feature.geometry.type === 'Polygon' ? [feature.geometry.coordinates] : feature.geometry.coordinates;
        const { minX, minY, maxX, maxY } = selector.geometry.bounds;
        const xs = polygons.flat(2).map(([x]) => x); const ys = polygons.flat(2).map(([, y]) => y);
        return [JSON.stringify(coordinates.map((rings) => rings.map((ring) => ring.slice(0, -1)))) === JSON.stringify(polygons),
          target.annotation === feature.id, minX === Math.min(...xs) && maxX === Math.max(...xs) && minY === Math.min(...ys) && maxY === Math.max(...ys)]";
    ensure!(viewer.script(script).await? == json!([true, true, true]), "the annotation is not the feature");

    // Disposed of during an encode: no element, no handler, no event is left, and the viewer has its mouse.
    let clean = viewer.script("connection.dispose(); return left()").await?;
    viewer.script("window.connection = connect({ OpenSeadragon, viewer, model }); listen(connection)").await?;
    ensure!(viewer.script("return left()").await? != clean, "the check sees nothing");
    viewer.drag((130.0, 120.0), (260.0, 260.0)).await?;
    viewer.page.wait_for("work", "return events.busy.at(-1) === true || events.results.length > 0", 10).await?;
    viewer.script("connection.dispose(); connection.dispose(); window.count = events.results.length").await?;
    ensure!(viewer.script("return left()").await? == clean, "something is left");
    ensure!(clean["elements"] == 0 && clean["overlays"] == 0, "{clean}");
    viewer.drag((200.0, 200.0), (240.0, 240.0)).await?;
    viewer.promise("await new Promise((done) => setTimeout(done, 1000)); return {}").await?;
    ensure!(viewer.script("return events.results.length === window.count && document.querySelectorAll('[class^=umedsam]').length === 0").await? == true);

    // A model that was disposed of is an error in words; so is an option that is none. A viewer that is destroyed takes the connection with it.
    let script = "window.connection = connect({ OpenSeadragon, viewer, model }, { preEncode: false }); listen(connection); model.dispose()";
    viewer.script(script).await?;
    viewer.drag((120.0, 120.0), (260.0, 260.0)).await?;
    viewer.page.wait_for("an error", "return events.errors.length === 1 && 'error' !== ''", 20).await?;
    let errors = viewer.script("return events.errors").await?;
    ensure!(errors[0].as_str().is_some_and(|text| text.starts_with("disposed")), "{errors}");
    ensure!(count(viewer).await? == 0, "a box without an answer is left");
    let script = "try { connect({ OpenSeadragon, viewer, model }, { regionSize: 7 }) } catch ({ code, message }) { return `${code}: ${message}` }";
    let error = viewer.script(script).await?;
    ensure!(error == "invalid-option: regionSize is 7; use a number from 64 to 4096", "{error}");
    viewer.script("viewer.destroy(); connection.dispose(); connection.setActive(true); connection.features()").await?;
    Ok(())
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
    let mut result = objects(&viewer).await;
    if result.is_ok() {
        result = changes(&viewer).await;
    }
    viewer.close(result).await
}

async fn failures(viewer: &Viewer) -> Result<()> {
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
    viewer.script(include_str!("openseadragon/checks.js")).await?;
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

#[tokio::test]
async fn tiles_that_cannot_be_read_are_errors_in_words() -> Result<()> {
    let viewer = Viewer::open("failures", 1280, |slide, folder, address| {
        slide.write_dzi(folder, "slide", 254, 1)?;
        slide.write_dzi(folder, "other", 512, 2)?;
        Ok(format!("{address}/slide.dzi"))
    })
    .await?;
    let result = failures(&viewer).await;
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
