//! `umedsam/niivue` in `NiiVue` itself, by its mouse.

use anyhow::{Context, Result, ensure};
use serde_json::json;

#[path = "niivue/following.rs"]
mod following;
#[path = "niivue/orientations.rs"]
mod orientations;
#[path = "niivue/places.rs"]
mod places;
#[path = "niivue/steps.rs"]
mod steps;

use steps::{
    LIMIT, PLANES, Place, answered, click, drag, drawn, on_canvas, pause, run, same_as_the_package, settled, start,
    with_page,
};
use thirtyfour::prelude::*;
use umedsam_webdriver::Page;
use xtask::root;

const LOW: Place = [0.32, 0.18, 0.3];
const HIGH: Place = [0.8, 0.64, 0.82];

async fn key(page: &Page, key: impl Into<TypingData>) -> Result<()> {
    Ok(page.driver.find(By::Id("viewer")).await?.send_keys(key).await?)
}

#[tokio::test]
async fn a_person_segments_corrects_and_saves_on_the_page() -> Result<()> {
    with_page(1280, "page", async |page| {
        let script = "window.told = { results: [], errors: [], settled: [], progress: [], busy: [] };
             connection.on('result', (result) => told.results.push(result));
             connection.on('error', (error) => told.errors.push(error));
             connection.on('settled', (event) => told.settled.push(event));
             window.file = new Uint8Array(await (await fetch('../../samples/chest.nii.gz')).arrayBuffer())";
        run(page, script).await?;
        let served = page.server.requests().len();
        page.screenshot("niivue-1-opened").await?;

        // A lung in the axial plane: the quick answer, then the ensemble's.
        let (low, high): (Place, Place) = ([0.06, 0.2, 0.5], [0.48, 0.8, 0.5]);
        answered(page, async || drag(page, 0, low, high).await).await?;
        pause(300).await;
        page.screenshot("niivue-2-box").await?;
        ensure!(page.script("return colored()").await?.as_f64().is_some_and(|share| share > 0.01), "nothing is seen");
        let answers = page.script("return told.results.map(({ isFinal }) => isFinal)").await?;
        ensure!(answers == json!([false, true]), "answers {answers}");
        same_as_the_package(page, "the sample", "").await?;
        let status = page.text("status").await?;
        ensure!(status.contains("axial slice") && status.contains("expected DSC"), "{status}");
        let boxed = drawn(page, 1).await?;

        // The uncertainty lies on its slice, in bits, in the place of the map.
        let off = run(
            page,
            "const overlay = nv.volumes.find(({ name }) => name.includes('uncertainty'));
             const { place, segmentation } = told.results.at(-1);
             const { turn } = (await readNifti(file)).volume.slice(place.slice, place.axis);
             const stored = turn.turnedBack(segmentation.uncertainty.total, new Float32Array(overlay.img.length));
             const [column, row] = turn.stored;
             const [x, y, z] = overlay.hdr.dims.slice(1);
             return [x * y * z === column * row, overlay.img.every((value, index) => value === stored[index]), Math.max(...overlay.img)]",
        )
        .await?;
        ensure!(off[0] == true && off[1] == true && off[2].as_f64().unwrap_or(0.0) > 0.3, "uncertainty: {off}");

        // The suggested click is marked where it is, and answered by a key.
        let marked = page
            .script(
                "const mark = document.querySelector('.umedsam-suggestion');
                 if (mark === null || mark.hidden) return null;
                 const { left, top, width, height } = mark.getBoundingClientRect();
                 const { x, y } = told.results.at(-1).segmentation.suggestions[0];
                 const { width: columns, height: rows } = told.results.at(-1).segmentation;
                 const there = onCanvas(0, [1 - x / columns, 1 - y / rows, 0]);
                 return Math.hypot(left + width / 2 - there[0], top + height / 2 - there[1])",
            )
            .await?;
        ensure!(marked.as_f64().is_some_and(|off| off < 1.5), "the mark is {marked} pixels off");
        ensure!(!page.text("question").await?.is_empty(), "the page does not ask");
        answered(page, async || key(page, "o").await).await?;
        let answered_box = drawn(page, 1).await?;
        page.click("undo").await?;
        ensure!(drawn(page, 1).await? == boxed, "undo gives {} voxels, the box {boxed}", drawn(page, 1).await?);
        page.click("redo").await?;
        ensure!(drawn(page, 1).await? == answered_box);
        page.click("undo").await?;

        // Taken back to nothing, of which the page says nothing more.
        page.click("undo").await?;
        ensure!(drawn(page, 1).await? == 0, "{} voxels of nothing", drawn(page, 1).await?);
        let status = page.text("status").await?;
        ensure!(status == "Drag a box around something.", "without a mask the page says {status}");
        ensure!(page.text("question").await?.is_empty(), "the page asks about nothing");
        page.click("redo").await?;
        ensure!(drawn(page, 1).await? == boxed);

        // A click outside with Alt, then rejected; nothing is left.
        answered(page, async || click(page, 0, [0.25, 0.5, 0.5], true).await).await?;
        let corrected = drawn(page, 1).await?;
        ensure!(corrected != boxed && corrected > 0, "a click corrects {boxed} voxels to {corrected}");
        page.screenshot("niivue-3-corrected").await?;
        key(page, Key::Escape + "").await?;
        ensure!(drawn(page, 1).await? == 0 && settled(page).await? == json!([false]), "{}", settled(page).await?);
        let left = page.script("return [nv.volumes.length, document.querySelectorAll('.umedsam-suggestion').length]").await?;
        ensure!(left == json!([1, 0]), "left over: {left}");

        // Accepted by a key, taken back by NiiVue's undo, and drawn again.
        answered(page, async || drag(page, 0, low, high).await).await?;
        key(page, Key::Enter + "").await?;
        ensure!(drawn(page, 1).await? == boxed && settled(page).await? == json!([true]));
        page.click("draw-undo").await?;
        ensure!(drawn(page, 1).await? == 0, "NiiVue's undo leaves {} voxels", drawn(page, 1).await?);
        answered(page, async || drag(page, 0, low, high).await).await?;
        key(page, Key::Enter + "").await?;

        // Another label beside it in another plane, which leaves the first as it is.
        page.script("const field = document.getElementById('label'); field.value = 3; field.dispatchEvent(new Event('change'))").await?;
        answered(page, async || drag(page, 1, [0.52, 0.5, 0.2], [0.95, 0.5, 0.9]).await).await?;
        key(page, Key::Enter + "").await?;
        let [first, third] = [drawn(page, 1).await?, drawn(page, 3).await?];
        ensure!(first == boxed && third > 0, "{first} voxels of label 1 were {boxed}; {third} of label 3");
        page.screenshot("niivue-4-two-labels").await?;
        let file = page.download("save", "labels.nii.gz").await?;
        ensure!(std::fs::read(&file)?.starts_with(b"\x1f\x8b"), "{} is no gzip file", file.display());
        page.click("draw-undo").await?;
        ensure!(drawn(page, 1).await? == boxed && drawn(page, 3).await? == 0);

        // Who cancels is not told of an error.
        answered(page, async || drag(page, 1, [0.52, 0.5, 0.2], [0.95, 0.5, 0.9]).await).await?;
        page.click("propagate").await?;
        let status = |text: &str| format!("return document.getElementById('status').textContent.startsWith('{text}')");
        page.wait_for("a slice", &status("slice "), LIMIT).await?;
        page.click("cancel").await?;
        page.wait_for("the end", &status("Accepted"), LIMIT).await?;
        pause(300).await;
        let error = page.text("error").await?;
        ensure!(error.is_empty(), "the page says {error}");

        let requested = &page.server.requests()[served..];
        ensure!(requested.iter().all(|path| path.contains(".js") || path.contains("chest.nii.gz")), "requested {requested:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_pen_goes_on_where_the_model_stopped() -> Result<()> {
    with_page(1280, "pen", async |page| {
        start(page, json!({}), json!({ "preEncode": false, "uncertainty": { "samples": 0 } })).await?;
        let pen = async |value: u8, from: Place, to: Place| {
            page.script(&format!("connection.setActive(false); nv.setDrawingEnabled(true); nv.setPenValue({value})"))
                .await?;
            drag(page, 0, from, to).await?;
            page.script("nv.setDrawingEnabled(false); connection.setActive(true)").await
        };
        let seen = "const { encode } = model;
             model.encode = async (...asked) => {
               const image = await encode.apply(model, asked);
               const { segment } = image;
               image.segment = (prompts, options) => {
                 window.previous = prompts[0].previous;
                 return segment.call(image, prompts, options);
               };
               return image;
             }";
        page.script(seen).await?;
        // What was drawn with another label stays.
        pen(2, [0.5, 0.4, 0.5], [0.6, 0.4, 0.5]).await?;
        let other = drawn(page, 2).await?;
        answered(page, async || drag(page, 0, LOW, HIGH).await).await?;
        ensure!(
            other > 0 && drawn(page, 2).await? == other,
            "{other} voxels of label 2 became {}",
            drawn(page, 2).await?
        );
        let boxed = drawn(page, 1).await?;

        // The pen's strokes stay, and are the mask that the next click corrects.
        pen(1, [0.1, 0.9, 0.5], [0.16, 0.9, 0.5]).await?;
        let penned = drawn(page, 1).await?;
        ensure!(penned > boxed, "the pen drew nothing");
        answered(page, async || click(page, 0, [0.52, 0.5, 0.5], false).await).await?;
        let previous = page.script("return previous?.filter?.((inside) => inside === 1).length ?? null").await?;
        // Voxels of label 2 are in the model's mask, but not in the drawing's.
        ensure!(
            previous.as_u64().is_some_and(|area| (penned..=penned + other).contains(&area)),
            "{previous} of {penned}"
        );
        page.script("connection.reject()").await?;
        ensure!(
            drawn(page, 1).await? == 0 && drawn(page, 2).await? == other,
            "{}",
            page.script("return drawn()").await?
        );

        // What the pen adds is accepted with the mask; what NiiVue's undo takes back before is thrown away.
        answered(page, async || drag(page, 0, LOW, HIGH).await).await?;
        pen(1, [0.1, 0.9, 0.5], [0.16, 0.9, 0.5]).await?;
        page.script("connection.accept()").await?;
        ensure!(drawn(page, 1).await? == penned, "{} voxels were accepted of {penned}", drawn(page, 1).await?);
        page.script("nv.drawUndo()").await?;
        ensure!(drawn(page, 1).await? == boxed, "NiiVue's undo takes back more than the stroke");
        page.script("nv.drawUndo()").await?;
        answered(page, async || drag(page, 0, LOW, HIGH).await).await?;
        page.script("nv.drawUndo()").await?;
        ensure!(drawn(page, 1).await? == 0 && drawn(page, 2).await? == other);
        ensure!(settled(page).await? == json!([false]), "{}", settled(page).await?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn masks_go_into_an_overlay() -> Result<()> {
    with_page(1280, "overlay", async |page| {
        let volume = json!({ "axes": [2, 0, 1], "flips": [1, 0, 1] });
        start(page, volume, json!({ "preEncode": false, "target": "overlay", "overlay": "epistemic", "label": 5 }))
            .await?;
        ensure!(page.script("return colored()").await? == 0.0, "the canvas has colours before there is a mask");

        // An overlay that cannot be made is told, and made for the next box.
        let failing = "const { loadFromUrl } = NVImage;
             NVImage.loadFromUrl = async () => {
               NVImage.loadFromUrl = loadFromUrl;
               throw new Error('no room');
             }";
        page.script(failing).await?;
        drag(page, 0, LOW, HIGH).await?;
        page.wait_for("an error", "return told.errors.length > 0 // 'error'", LIMIT).await?;
        let message = page.script("return told.errors[0].message").await?;
        ensure!(message.as_str().is_some_and(|text| text.contains("no room")), "{message}");
        ensure!(settled(page).await? == json!([false]), "{}", settled(page).await?);
        for (plane, name) in PLANES {
            answered(page, async || drag(page, plane, LOW, HIGH).await).await?;
            let found = same_as_the_package(page, name, "1, 5").await?;
            ensure!(found["place"]["plane"] == name, "{found}");
            if plane == 2 {
                let scaled = "const shown = nv.volumes.find(({ name }) => name.includes('uncertainty'));
                     return Math.abs(shown?.cal_max - 0.2) < 1e-6 && Math.abs(shown?.cal_min - 0.14) < 1e-6";
                page.wait_for("the epistemic uncertainty, to 0.2 bits", scaled, 10).await?;
                page.screenshot("niivue-5-overlay").await?;
                break;
            }
            page.script("connection.reject()").await?;
        }
        page.script("connection.accept()").await?;
        same_as_the_package(page, "accepted", "1, 5").await?;
        let colored = page.script("return colored()").await?;
        let is_mask = colored.as_f64().is_some_and(|share| (0.005..0.1).contains(&share));
        ensure!(is_mask, "{colored} of the canvas has colours");
        let label = page
            .script("const { colormapLabel, img } = nv.volumes[1]; return [colormapLabel.labels[5], Math.max(...img)]")
            .await?;
        ensure!(label == json!(["5", 5]), "{label}");
        page.script("connection.dispose()").await?;
        ensure!(page.script("return [nv.volumes.length, nv.drawBitmap]").await? == json!([2, null]));

        // Disposed of while an overlay is made: it does not come.
        let waiting = "connectAgain({ preEncode: false, target: 'overlay' });
             const { loadFromUrl } = NVImage;
             NVImage.loadFromUrl = async (options) => {
               await new Promise((go) => (window.loadOn = go));
               return loadFromUrl.call(NVImage, options);
             }";
        page.script(waiting).await?;
        drag(page, 0, LOW, HIGH).await?;
        page.wait_for("the overlay", "return window.loadOn !== undefined", LIMIT).await?;
        page.script("connection.dispose(); loadOn()").await?;
        pause(500).await;
        ensure!(page.script("return nv.volumes.length").await? == 2, "an overlay of a connection that is gone");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_real_file_is_opened_and_its_organ_found() -> Result<()> {
    let Ok(folder) = root().join("../shared/volumes/nifti/hippocampus").canonicalize() else {
        eprintln!("SKIPPED: ../shared/volumes is not here");
        return Ok(());
    };
    with_page(1280, "real", async |page| {
        let path = folder.join("004_images.nii.gz");
        page.driver.find(By::Id("file")).await?.send_keys(path.to_string_lossy()).await?;
        page.wait_for("the file", "return nv.volumes[0]?.name === '004_images.nii.gz'", 20).await?;
        page.choose("view", "2").await?;
        let (image, truth) = (std::fs::read(&path)?, std::fs::read(folder.join("004_labels.nii.gz"))?);
        // The sagittal slice that has most of the hippocampus, and its box, a voxel larger.
        let found = run(
            page,
            &format!(
                "connection.dispose();
                 connectAgain({{ overlay: 'total' }});
                 window.file = new Uint8Array({});
                 window.truth = (await readNifti(new Uint8Array({}))).volume;
                 const areas = Array.from({{ length: truth.slices(0) }}, (_, slice) => truth.slice(slice, 0).image.data.filter((label) => label > 0).length);
                 const slice = areas.indexOf(Math.max(...areas));
                 const {{ image: {{ data, width, height }} }} = truth.slice(slice, 0);
                 const inside = [...data.keys()].filter((pixel) => data[pixel] > 0).map((pixel) => [pixel % width, Math.floor(pixel / width)]);
                 const [columns, rows] = [0, 1].map((side) => inside.map((place) => place[side]));
                 nv.scene.crosshairPos[0] = (slice + 0.5) / truth.slices(0);
                 nv.drawScene();
                 const share = (least, most, length) => [1 - (least - 1) / length, 1 - (most + 2) / length];
                 return [share(Math.min(...columns), Math.max(...columns), width), share(Math.min(...rows), Math.max(...rows), height)]",
                json!(image),
                json!(truth)
            ),
        )
        .await?;
        let side = |axis: usize, end: usize| found[axis][end].as_f64().unwrap_or(0.5);
        let (from, to) = ([0.5, side(0, 0), side(1, 0)], [0.5, side(0, 1), side(1, 1)]);
        answered(page, async || drag(page, 2, from, to).await).await?;
        pause(300).await;
        page.screenshot("niivue-8-real").await?;
        same_as_the_package(page, "a real file", "").await?;
        let agreement = page
            .script(
                "const { place, segmentation: { mask } } = told.results.at(-1);
                 const { data } = truth.slice(place.slice, place.axis).image;
                 let [both, all] = [0, 0];
                 mask.forEach((inside, pixel) => {
                   both += 2 * inside * Number(data[pixel] > 0);
                   all += inside + Number(data[pixel] > 0);
                 });
                 return both / all",
            )
            .await?;
        eprintln!("DSC with the hippocampus: {agreement}");
        ensure!(agreement.as_f64().is_some_and(|dsc| dsc > 0.6), "DSC with the hippocampus is {agreement}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_finger_draws_on_a_phone() -> Result<()> {
    with_page(390, "phone", async |page| {
        page.script("document.getElementById('viewer').scrollIntoView()").await?;
        page.script(
            "window.told = { results: [], errors: [] }; connection.on('result', (result) => told.results.push(result))",
        )
        .await?;
        let overflow =
            page.script("return document.documentElement.scrollWidth - document.documentElement.clientWidth").await?;
        ensure!(overflow.as_i64().unwrap_or(1) <= 0, "the page is {overflow} pixels too wide for a phone");
        let from = on_canvas(page, 0, [0.06, 0.8, 0.5]).await?;
        let to = on_canvas(page, 0, [0.48, 0.2, 0.5]).await?;
        for (kind, places) in [("touchStart", vec![from]), ("touchMove", vec![to]), ("touchEnd", vec![])] {
            page.touch(kind, &places).await?;
        }
        page.wait_for("an answer", "return finished()", LIMIT).await?;
        pause(200).await;
        page.screenshot("niivue-6-phone").await?;
        let side = page.script("return told.results.at(-1).segmentation.box").await?;
        let width = side[2].as_f64().context("a box")? - side[0].as_f64().context("a box")?;
        ensure!((width - 0.42 * 128.0).abs() < 2.0, "the finger drew {side}");
        Ok(())
    })
    .await
}
