//! The right slice or nothing.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::steps::{
    LIMIT, Place, answered, click, drag, drag_in_window, drawn, forget, on_canvas, pause, run, same_as_the_package,
    scroll, settled, start, with_page,
};

const LOW: Place = [0.32, 0.18, 0.3];
const HIGH: Place = [0.8, 0.64, 0.82];

#[tokio::test]
async fn nothing_lands_on_another_slice_or_volume() -> Result<()> {
    with_page(1280, "places", async |page| {
        // Scrolled while the slice is encoded: the mask is on its own.
        start(page, json!({}), json!({ "preEncode": false })).await?;
        answered(page, async || {
            drag(page, 0, LOW, HIGH).await?;
            scroll(page, 0, 3).await
        })
        .await?;
        let found = same_as_the_package(page, "scrolled on", "").await?;
        let in_view = page.script("return Math.floor(nv.scene.crosshairPos[2] * 32)").await?;
        let slice = &found["place"]["slice"];
        ensure!((in_view.as_i64().unwrap_or(0) - slice.as_i64().unwrap_or(0)).abs() == 3, "{in_view} in view, {slice} prompted");
        let hidden = page.script("return document.querySelector('.umedsam-suggestion')?.hidden ?? true").await?;
        ensure!(hidden == true, "the suggestion of another slice is marked");
        page.script("connection.reject()").await?;

        // Two boxes at once: the second one's mask alone.
        forget(page).await?;
        drag(page, 0, LOW, HIGH).await?;
        drag(page, 1, [0.3, 0.5, 0.2], [0.9, 0.5, 0.8]).await?;
        page.wait_for("the second", "return finished()", LIMIT).await?;
        let found = same_as_the_package(page, "the second of two boxes", "").await?;
        ensure!(found["place"]["plane"] == "coronal", "{found}");
        page.script("connection.reject()").await?;

        // Beside the image, and of no size.
        forget(page).await?;
        let (x, y) = on_canvas(page, 0, [0.0, 0.5, 0.5]).await?;
        let (right, _) = on_canvas(page, 0, [1.0, 0.5, 0.5]).await?;
        let out = if x < right { right + 30 } else { x + 30 };
        drag_in_window(page, (out, y), (out + 20, y + 20)).await?;
        pause(300).await;
        let told = page.script("return [told.results.length, told.errors.length, drawn()]").await?;
        ensure!(told == json!([0, 0, {}]), "a drag beside the image: {told}");
        let (x, y) = on_canvas(page, 0, [0.5, 0.5, 0.5]).await?;
        drag_in_window(page, (x, y), (x + 60, y)).await?;
        page.wait_for("an error", "return told.errors.length + told.results.length > 0 // 'error'", LIMIT).await?;
        let message = page.script("return told.errors.map(({ code, message }) => `${code}: ${message}`)").await?;
        ensure!(message[0].as_str().is_some_and(|text| text.starts_with("invalid-box")), "{message}");
        page.script("connection.reject()").await?;

        // Another volume in its place, of the same size, during the encode and after the answer.
        for seconds_first in [false, true] {
            forget(page).await?;
            drag(page, 0, LOW, HIGH).await?;
            if seconds_first {
                page.wait_for("an answer", "return finished()", LIMIT).await?;
            }
            run(page, "nv.volumes = []; nv.addVolume(await NVImage.loadFromUrl({ url: makeNifti({ flips: [1, 0, 0] }), name: 'other.nii' }))").await?;
            pause(2500).await;
            let left = page
                .script("return [drawn(), nv.volumes.length, document.querySelectorAll('.umedsam-suggestion').length]")
                .await?;
            ensure!(left == json!([{}, 1, 0]), "after another volume: {left}");
        }
        run(page, "window.file = makeNifti({ flips: [1, 0, 0] })").await?;
        answered(page, async || drag(page, 0, LOW, HIGH).await).await?;
        same_as_the_package(page, "the volume that took the place", "").await?;

        // Off: the mouse is NiiVue's.
        page.script("connection.reject(); connection.setActive(false)").await?;
        forget(page).await?;
        let before = page.script("return [...nv.scene.crosshairPos]").await?;
        click(page, 0, [0.2, 0.3, 0.5], false).await?;
        pause(200).await;
        ensure!(page.script("return [...nv.scene.crosshairPos]").await? != before, "the crosshair stays");
        ensure!(page.script("return told.results.length").await? == 0);
        page.script("connection.setActive(true)").await?;

        // Disposed of during an encode: nothing is left, and nothing listens.
        drag(page, 0, LOW, HIGH).await?;
        page.script("connection.dispose(); connection.dispose(); connection.setActive(true)").await?;
        pause(2000).await;
        drag(page, 0, LOW, HIGH).await?;
        pause(500).await;
        let left = page
            .script(
                "return [drawn(), nv.volumes.length, document.querySelectorAll('.umedsam-suggestion').length,
                         nv.getMouseEventConfig() ?? null, nv.canvas.style.cursor, told.results.length]",
            )
            .await?;
        ensure!(left == json!([{}, 1, 0, null, "", 0]), "after dispose: {left}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_model_that_is_gone_is_told() -> Result<()> {
    with_page(1280, "disposed", async |page| {
        let counting = "const { encode } = model;
             window.encodes = 0;
             model.encode = (...asked) => {
               encodes++;
               return encode.apply(model, asked);
             }";
        page.script(counting).await?;
        // Nothing is encoded that nobody wants; then the slices in view, and a box needs no encode any more.
        start(page, json!({}), json!({ "preEncode": false })).await?;
        pause(1000).await;
        ensure!(page.script("return encodes").await? == 0, "encoded without being asked to");
        page.script("connection.dispose(); connectAgain({ keep: 6 })").await?;
        page.wait_for("the slices in view", "return encodes === 5", LIMIT).await?;
        pause(1500).await;
        answered(page, async || drag(page, 0, LOW, HIGH).await).await?;
        ensure!(page.script("return encodes").await? == 5, "{} encodes", page.script("return encodes").await?);
        page.script("connection.accept()").await?;
        let kept = drawn(page, 1).await?;
        page.script("model.dispose()").await?;
        forget(page).await?;
        drag(page, 2, LOW, HIGH).await?;
        page.wait_for("an error", "return told.errors.length > 0 // 'error'", LIMIT).await?;
        let codes = page.script("return told.errors.map(({ code }) => code)").await?;
        ensure!(codes == json!(["disposed"]), "{codes}");
        ensure!(drawn(page, 1).await? == kept && settled(page).await? == json!([]));

        // Options that cannot be.
        let words = page
            .script(
                "return [{ label: 0 }, { target: 'mesh' }, { volumes: 1 }].map((options) => {
                   try { connect({ nv, NVImage, model }, options) } catch ({ code, message }) { return `${code}: ${message}` }
                 })",
            )
            .await?;
        let expected = json!([
            "invalid-option: label is 0; use a whole number from 1 to 254",
            "invalid-option: target is \"mesh\"; use \"drawing\", \"overlay\"",
        ]);
        ensure!(words[0] == expected[0] && words[1] == expected[1], "{words}");
        ensure!(words[2].as_str().is_some_and(|text| text.contains("volumes is not known")), "{words}");
        Ok(())
    })
    .await
}
