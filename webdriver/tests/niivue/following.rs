//! An object is followed through the volume, in the plane of its prompt.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::steps::{LIMIT, Place, answered, click, drag, drawn, forget, pause, run, settled, start, with_page};

const LOW: Place = [0.3, 0.14, 0.28];
const HIGH: Place = [0.8, 0.68, 0.84];

/// Labels of the drawing as they are stored, beside those of the volume that `propagate` gave.
const COMPARED: &str = "
    const saved = (await savedLabels()).volume;
    const labels = found.labels();
    const [columns, rows] = saved.geometry.size;
    let [different, all] = [0, 0];
    for (let slice = 0; slice < saved.slices(); slice++) {
      const { image, turn } = saved.slice(slice);
      const stored = turn.turnedBack(image.data, new Uint8Array(image.data.length));
      stored.forEach((value, index) => {
        const expected = labels[slice * columns * rows + index];
        all += expected;
        different += Number(value !== expected);
      });
    }
    return [different, all, found.slices(0).length]";

#[tokio::test]
async fn an_object_is_followed_stopped_and_corrected() -> Result<()> {
    with_page(1280, "following", async |page| {
        let volume = json!({ "axes": [2, 0, 1], "flips": [1, 0, 1] });
        start(page, volume, json!({ "preEncode": false })).await?;
        let nothing = page.script("return connection.propagate().then(() => '', ({ code, message }) => `${code}: ${message}`)").await?;
        ensure!(nothing == "invalid-option: there is no object; draw a box around one", "{nothing}");

        answered(page, async || drag(page, 1, LOW, HIGH).await).await?;
        let boxed = drawn(page, 1).await?;
        let slice = page.script("return told.results.at(-1).place.slice").await?.as_i64().unwrap_or(0);

        // Both ways, but not far.
        forget(page).await?;
        let range = [slice - 2, slice + 3];
        page.script(&format!("window.running = connection.propagate({}).then((found) => (window.found = found))", json!(range))).await?;
        page.wait_for("progress", "return told.progress.length > 1", LIMIT).await?;
        // Meanwhile nothing else is begun.
        drag(page, 0, LOW, HIGH).await?;
        page.wait_for("the end", "return told.settled.length > 0", LIMIT).await?;
        let errors = page.script("return told.errors.map(({ message }) => message)").await?;
        ensure!(errors.as_array().is_none_or(|all| all.iter().all(|text| text.as_str().is_some_and(|text| text.contains("is being followed")))), "{errors}");
        run(page, "await running").await?;
        ensure!(settled(page).await? == json!([true]));
        let compared = run(page, COMPARED).await?;
        ensure!(compared[0] == 0 && compared[2] == 6, "different, in all, slices: {compared}");
        let followed = drawn(page, 1).await?;
        ensure!(followed > 3 * boxed, "{followed} voxels, {boxed} on the first slice");
        page.screenshot("niivue-7-followed").await?;

        // A point on one of its slices corrects it there; thrown away, it is as before.
        let one = "return told.results.at(-1).segmentation.promptKind";
        page.script("nv.moveCrosshairInVox(0, 1, 0)").await?;
        answered(page, async || click(page, 1, [0.55, 0.5, 0.7], true).await).await?;
        ensure!(page.script(one).await? == "corrected", "the point begins an object");
        let corrected = drawn(page, 1).await?;
        page.script("connection.reject()").await?;
        ensure!(drawn(page, 1).await? == followed, "{} voxels, {followed} before a correction", drawn(page, 1).await?);
        answered(page, async || click(page, 1, [0.55, 0.5, 0.7], true).await).await?;
        ensure!(drawn(page, 1).await? == corrected);
        page.script("connection.accept()").await?;
        let compared = run(page, COMPARED).await?;
        ensure!(compared[0] == 0 && compared[1] == corrected, "corrected: {compared}");

        // NiiVue's undo takes the correction back, then the whole object.
        page.script("nv.drawUndo()").await?;
        ensure!(drawn(page, 1).await? == followed);
        page.script("nv.drawUndo()").await?;
        ensure!(drawn(page, 1).await? == 0, "{} voxels are left", drawn(page, 1).await?);

        // Stopped: what was found stays.
        answered(page, async || drag(page, 1, LOW, HIGH).await).await?;
        forget(page).await?;
        page.script("window.ended = null; connection.propagate().then(() => (ended = 'done'), ({ code }) => (ended = code))").await?;
        page.wait_for("two slices", "return told.progress.some(({ done }) => done >= 2)", LIMIT).await?;
        page.script("connection.cancel()").await?;
        page.wait_for("the end", "return ended !== null", LIMIT).await?;
        ensure!(page.script("return ended").await? == "aborted" && settled(page).await? == json!([true]));
        ensure!(drawn(page, 1).await? > boxed, "{} voxels", drawn(page, 1).await?);
        page.script("nv.drawUndo()").await?;
        ensure!(drawn(page, 1).await? == 0);

        // Taken back by NiiVue's undo meanwhile: nothing is left, and one press is one step.
        answered(page, async || drag(page, 1, LOW, HIGH).await).await?;
        forget(page).await?;
        let step = page.script("return nv.currentDrawUndoBitmap").await?;
        page.script("window.ended = null; connection.propagate().then(() => (ended = 'done'), ({ code }) => (ended = code))").await?;
        page.wait_for("two slices", "return told.progress.some(({ done }) => done >= 2)", LIMIT).await?;
        page.script("nv.drawUndo()").await?;
        page.wait_for("the end", "return ended !== null", LIMIT).await?;
        ensure!(page.script("return [ended, drawn()]").await? == json!(["aborted", {}]));
        let back = page.script("return nv.currentDrawUndoBitmap").await?;
        ensure!(step.as_i64().zip(back.as_i64()).is_some_and(|(step, back)| step - 1 == back), "{step} {back}");
        ensure!(settled(page).await? == json!([false]));

        // Another volume meanwhile: it gets nothing.
        answered(page, async || drag(page, 1, LOW, HIGH).await).await?;
        forget(page).await?;
        page.script("window.ended = null; connection.propagate().then(() => (ended = 'done'), ({ code }) => (ended = code))").await?;
        page.wait_for("a slice", "return told.progress.some(({ done }) => done >= 1)", LIMIT).await?;
        run(page, "nv.closeDrawing(); nv.volumes = []; nv.addVolume(await NVImage.loadFromUrl({ url: makeNifti({}), name: 'other.nii' }))").await?;
        page.wait_for("the end", "return ended !== null", LIMIT).await?;
        pause(500).await;
        ensure!(page.script("return [ended, drawn()]").await? == json!(["aborted", {}]));
        ensure!(page.script("return told.errors").await? == json!([]), "a cancelled propagation is told as an error");

        // What goes wrong is told as an event, too.
        answered(page, async || drag(page, 1, LOW, HIGH).await).await?;
        page.script("model.dispose(); window.ended = null; connection.propagate().catch(({ code }) => (ended = code))").await?;
        page.wait_for("the end", "return ended !== null", LIMIT).await?;
        let codes = page.script("return [ended, ...told.errors.map(({ code }) => code)]").await?;
        ensure!(codes == json!(["disposed", "disposed"]), "{codes}");
        Ok(())
    })
    .await
}
