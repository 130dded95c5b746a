//! Several objects: prompted, corrected, taken back, accepted, rejected; and the viewer's own gestures.

use anyhow::{Result, ensure};
use serde_json::Value;
use thirtyfour::prelude::*;

use super::page::{ENCODE_LIMIT, Viewer};
use super::places::{chest, count, features, heart, show};

async fn press(viewer: &Viewer, keys: impl Into<TypingData>) -> Result<()> {
    Ok(viewer.page.driver.find(By::Tag("body")).await?.send_keys(keys).await?)
}

const MASK: &str = "return last().segmentation.mask.join('')";

pub async fn objects(viewer: &Viewer) -> Result<()> {
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
    ensure!(viewer.script("return events.cleared.length").await? == 1, "that there is nothing any more is not told");
    let status = viewer.page.text("status").await?;
    ensure!(status == "Drag a box around an object.", "without a mask the page says {status}");
    press(viewer, Key::Control + "y").await?;
    ensure!(viewer.script(MASK).await? == boxed && features(viewer).await?.len() == 3, "redo gives another mask");

    // Drawn once more over itself, a box takes the other's place; Escape rejects, Enter accepts.
    viewer.draw(chest(326.0, 146.0), chest(434.0, 304.0)).await?;
    ensure!(features(viewer).await?.len() == 3, "a box that was drawn again is another object");
    press(viewer, Key::Escape + "").await?;
    ensure!(features(viewer).await?.len() == 2 && count(viewer).await? == 2);
    ensure!(viewer.script("return events.settled.join()").await? == "true,true,false,false");
    viewer.draw(chest(330.0, 150.0), chest(430.0, 300.0)).await?;
    press(viewer, Key::Enter + "").await?;
    ensure!(features(viewer).await?.iter().all(|feature| feature["isAccepted"] == true));
    ensure!(
        viewer
            .script(
                "return document.querySelectorAll('.umedsam-box, .umedsam-suggestion, .umedsam-uncertainty').length"
            )
            .await?
            == 0
    );
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
    viewer.drag_in_window((600, 400), (660, 400)).await?;
    let error = viewer.script("return events.errors[2]").await?;
    ensure!(error == "invalid-box: a box needs a width and a height; drag across the object", "{error}");
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
    viewer.script("window.pans = 0; viewer.addHandler('pan', () => window.pans++)").await?;
    viewer.draw(from, (from.0 + 200.0, from.1 + 60.0)).await?;
    ensure!(viewer.script(center).await? == panned && viewer.script("return window.pans").await? == 0, "a box pans");
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
