//! The page of Cornerstone3D in a real browser: labels inside the viewer are the package's, voxel by voxel.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use thirtyfour::prelude::*;

#[path = "cornerstone/breaking.rs"]
mod breaking;
#[path = "cornerstone/files.rs"]
mod files;
#[path = "cornerstone/steps.rs"]
mod steps;

use steps::{
    ANSWER_LIMIT, click, connect, counts, drag, final_answer, is_same, open, press, segment, view, volumes, with_page,
    work,
};

/// The label of what is not accepted yet.
const PREVIEW: u8 = 255;

/// Counts from now on.
const COUNT_ENCODES: &str = "globalThis.encodes = 0;
    const encode = Object.getPrototypeOf(model).encode;
    model.encode = (...all) => { globalThis.encodes++; return encode.apply(model, all) }";

const FROM: (f64, f64) = (0.36, 0.3);
const TO: (f64, f64) = (0.47, 0.6);

#[tokio::test]
async fn an_object_is_boxed_corrected_accepted_undone_and_followed() -> Result<()> {
    with_page(1280, "stack", async |page| {
        page.screenshot("cs1-sample").await?;
        segment(page, FROM, TO).await?;
        is_same(page, FROM, TO, PREVIEW).await?;
        page.screenshot("cs2-preview").await?;
        let boxed = counts(page).await?;
        let overlay = page.script("return Object.keys(probe.counts(true)).length").await?;
        ensure!(overlay.as_u64() > Some(3), "the uncertainty has {overlay} levels");
        // The box's annotation has gone, the marker is where a click would help.
        let suggested = page.script("return probe.last('result').segmentation.suggestions.length").await?;
        let left = page.script("return tools.annotation.state.getAllAnnotations().map(({ metadata }) => metadata.toolName)").await?;
        let expected = if suggested == 0 { json!([]) } else { json!(["UmedsamSuggestion"]) };
        ensure!(left == expected, "{suggested} suggestions, annotations {left}");
        // The answer to the suggestion is a point there.
        if suggested != 0 {
            page.script("probe.events.length = 0").await?;
            page.click("no").await?;
            final_answer(page).await?;
            ensure!(counts(page).await? != boxed, "the answer to the suggestion changes nothing");
            page.click("undo").await?;
            page.wait_for("undo", &same_counts(&boxed), 10).await?;
        }

        // A point outside is taken back, and done again.
        let middle = ((FROM.0 + TO.0) / 2.0, (FROM.1 + TO.1) / 2.0);
        page.script("probe.events.length = 0").await?;
        click(page, middle, Key::Alt).await?;
        final_answer(page).await?;
        let pointed = counts(page).await?;
        ensure!(pointed != boxed, "a point outside changes nothing");
        let kind = page.script("return probe.last('result').segmentation.promptKind").await?;
        ensure!(kind == "corrected", "the point made a prompt of kind {kind}");
        press(page, Key::Control + "z").await?;
        page.wait_for("undo", &same_counts(&boxed), 10).await?;
        press(page, Key::Control + Key::Shift + "z").await?;
        page.wait_for("redo", &same_counts(&pointed), 10).await?;
        press(page, Key::Control + "z").await?;
        page.wait_for("undo", &same_counts(&boxed), 10).await?;
        is_same(page, FROM, TO, PREVIEW).await?;

        // Rejected it is gone, accepted it is the segment's, and the viewer's own history takes it back.
        press(page, Key::Escape).await?;
        ensure!(counts(page).await? == json!({}), "rejected labels stay");
        ensure!(page.script("return probe.last('settled')").await? == false);
        // Undone to nothing it is told to be gone, and can be redone until it is rejected.
        segment(page, FROM, TO).await?;
        for step in ["undo", "redo", "undo"] {
            page.script("probe.events.length = 0").await?;
            page.click(step).await?;
            let expected = if step == "undo" { json!({}) } else { boxed.clone() };
            page.wait_for(step, &same_labels(&expected), 10).await?;
            let told = page.script("return [probe.has('cleared'), probe.has('settled'), document.getElementById('result').hidden]").await?;
            ensure!(told == json!([step == "undo", false, step == "undo"]), "{step}: [cleared, settled, hidden] is {told}");
        }
        press(page, Key::Escape).await?;
        ensure!(page.script("return probe.last('settled')").await? == false, "what was undone is not rejected");
        page.script("probe.events.length = 0").await?;
        press(page, Key::Escape).await?;
        ensure!(page.script("return probe.has('settled')").await? == false, "nothing is rejected twice");
        segment(page, FROM, TO).await?;
        press(page, Key::Enter).await?;
        is_same(page, FROM, TO, 1).await?;
        ensure!(page.script("return Object.keys(probe.counts(true)).length").await? == 0, "the uncertainty stays");
        let told = "return tools.segmentation.state.getSegmentations()[0].segments[1].cachedStats.umedsam?.expectedDsc === probe.last('result').expectedDsc";
        ensure!(page.script(told).await? == true, "the segment does not tell its DSC");
        let accepted = counts(page).await?;
        for (step, expected) in [("undo", json!({})), ("redo", accepted.clone())] {
            page.script(&format!("core.utilities.HistoryMemo.DefaultHistoryMemo.{step}()")).await?;
            ensure!(counts(page).await? == expected, "{step}: {}", counts(page).await?);
            ensure!(page.script(told).await? == (step == "redo"), "{step}: the segment's DSC");
        }

        // A step that is undone below a preview neither takes the preview along nor comes back with it.
        segment(page, (FROM.0, 0.45), (TO.0 + 0.05, TO.1)).await?;
        page.script("core.utilities.HistoryMemo.DefaultHistoryMemo.undo()").await?;
        is_same(page, (FROM.0, 0.45), (TO.0 + 0.05, TO.1), PREVIEW).await?;
        ensure!(counts(page).await?["1"].is_null(), "{}", counts(page).await?);
        press(page, Key::Escape).await?;
        ensure!(counts(page).await? == json!({}), "{} came back", counts(page).await?);
        page.script("core.utilities.HistoryMemo.DefaultHistoryMemo.redo()").await?;
        segment(page, FROM, TO).await?;
        press(page, Key::Enter).await?;
        ensure!(counts(page).await? == accepted, "{} instead of {accepted}", counts(page).await?);

        // Followed between two slices: labels are those of what propagate() gives, and one step to undo.
        let own = page.script("return images.indexOf(probe.last('result').place.imageId)").await?.as_u64().unwrap_or_default();
        let range = format!("[{}, {}]", own - 2, own + 2);
        let follow = format!(
            "{{ const found = await connection.propagate({range}); const labels = probe.labels();
             return found.slices(0).map(({{ slice, area }}) => [slice, area, labels[slice].filter((label) => label === 1).length]) }}"
        );
        let found = work(page, &follow).await?;
        let slices = found.as_array().map_or(0, Vec::len);
        ensure!(slices >= 3, "followed through {found}");
        ensure!(found.as_array().into_iter().flatten().all(|slice| slice[1] == slice[2]), "[slice, found, in the viewer]: {found}");
        let independent = format!("probe.followed({range})");
        ensure!(work(page, &independent).await? == 0, "the package follows it elsewhere");
        page.screenshot("cs3-followed").await?;
        page.script("core.utilities.HistoryMemo.DefaultHistoryMemo.undo()").await?;
        ensure!(counts(page).await? == accepted, "following is not one step to undo");

        // A box without an answer yet makes room for what is followed, and no other is taken meanwhile.
        page.script(
            "probe.events.length = 0;
             const off = connection.on('busy', () => { off(); setTimeout(() => document.getElementById('propagate').click()) })",
        )
        .await?;
        drag(page, (0.5, 0.2), (0.7, 0.5)).await?;
        page.wait_for("a slice", "return probe.last('progress')?.done >= 2", ANSWER_LIMIT).await?;
        ensure!(page.script("return probe.has('error')").await? == false, "an error before there is one");
        drag(page, (0.5, 0.2), (0.7, 0.5)).await?;
        page.wait_for("the refusal", "return probe.has('error')", 30).await?;
        let refusal = page.script("return [probe.last('error').code, probe.last('error').message]").await?;
        ensure!(refusal == json!(["invalid-prompt", "an object is being followed; wait for its end, or cancel() it"]), "{refusal}");
        ensure!(page.script("return probe.last('busy')").await? == true, "it ended before the box was drawn");
        // Cancelled, it keeps what was found.
        page.wait_for("slices", "return probe.last('progress')?.done >= 3", ANSWER_LIMIT).await?;
        page.click("cancel").await?;
        page.wait_for("the end", "return probe.last('busy') === false", ANSWER_LIMIT).await?;
        let several = page.script("return probe.labels().filter((slice) => slice?.includes(1)).length").await?;
        ensure!(several.as_u64() > Some(1), "{several} slices after cancelling");
        ensure!(page.script("return probe.has('result')").await? == false, "a box is answered while an object is followed");
        press(page, Key::Escape).await?;
        ensure!(counts(page).await?["255"].is_null(), "a preview is left");
        page.script("core.utilities.HistoryMemo.DefaultHistoryMemo.undo()").await?;
        ensure!(counts(page).await? == accepted, "{} instead of {accepted} after undoing what was cancelled", counts(page).await?);
        Ok(())
    })
    .await
}

fn same_labels(expected: &Value) -> String {
    format!("return JSON.stringify(probe.counts()) === {:?}", expected.to_string())
}

fn same_counts(expected: &Value) -> String {
    format!("return JSON.stringify(probe.counts()) === {:?} && probe.last('busy') === false", expected.to_string())
}

#[tokio::test]
async fn every_plane_has_the_packages_mask() -> Result<()> {
    with_page(1280, "planes", async |page| {
        for (name, axis) in [("axial", 2), ("coronal", 1), ("sagittal", 0)] {
            view(page, name).await?;
            segment(page, FROM, TO).await?;
            let same = is_same(page, FROM, TO, PREVIEW).await?;
            ensure!(same["axis"] == axis, "{name} is axis {}", same["axis"]);
            page.screenshot(&format!("cs4-{name}")).await?;
            press(page, Key::Escape).await?;
            ensure!(counts(page).await? == json!({}), "{name}: rejected labels stay");
        }
        // Another window is another encoding, with its own mask.
        page.script("const { viewport } = core.getEnabledElementByViewportId('viewport'); viewport.setProperties({ voiRange: { lower: -1000, upper: 200 } }); viewport.render()").await?;
        segment(page, FROM, TO).await?;
        is_same(page, FROM, TO, PREVIEW).await?;
        press(page, Key::Enter).await?;
        is_same(page, FROM, TO, 1).await?;

        // A reslice is refused in words.
        page.script("const { viewport } = core.getEnabledElementByViewportId('viewport'); viewport.setCamera({ viewPlaneNormal: [0.8, 0.6, 0], viewUp: [0, 0, 1] }); viewport.render()").await?;
        drag(page, FROM, TO).await?;
        page.wait_for("the refusal", "return document.getElementById('error').textContent.includes('askew')", 20).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn grids_that_are_turned_and_not_square_have_the_packages_mask() -> Result<()> {
    with_page(1280, "grids", async |page| {
        open(page, &[files::written("turned.nii", &files::turned())?]).await?;
        for name in ["stack", "axial", "coronal"] {
            view(page, name).await?;
            if name == "axial" {
                // Turned by the person who looks at it, which the network does not see.
                page.script("const { viewport } = core.getEnabledElementByViewportId('viewport'); viewport.setViewPresentation({ rotation: 90 }); viewport.render()").await?;
            }
            segment(page, (0.4, 0.3), (0.6, 0.7)).await?;
            is_same(page, (0.4, 0.3), (0.6, 0.7), PREVIEW).await.map_err(|error| error.context(name))?;
            page.screenshot(&format!("cs5-turned-{name}")).await?;
            press(page, Key::Escape).await?;
        }
        let paths: Vec<_> = files::upside_down()
            .iter()
            .enumerate()
            .map(|(slice, bytes)| files::written(&format!("slice-{slice}.dcm"), bytes))
            .collect::<Result<_>>()?;
        view(page, "stack").await?;
        open(page, &paths).await?;
        segment(page, (0.4, 0.3), (0.6, 0.7)).await?;
        is_same(page, (0.4, 0.3), (0.6, 0.7), PREVIEW).await?;
        page.screenshot("cs6-dicom").await?;
        view(page, "coronal").await?;
        segment(page, (0.4, 0.4), (0.6, 0.6)).await?;
        is_same(page, (0.4, 0.4), (0.6, 0.6), PREVIEW).await?;
        press(page, Key::Enter).await?;
        view(page, "stack").await?;
        ensure!(counts(page).await?["1"].as_u64() > Some(10), "what was accepted in a plane is not in the stack");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn strokes_of_the_viewers_brush_are_kept_and_corrected() -> Result<()> {
    with_page(390, "brush", async |page| {
        // The slice in view and its neighbours are encoded before anything is asked.
        page.script(COUNT_ENCODES).await?;
        page.script(
            "const { viewport } = core.getEnabledElementByViewportId('viewport'); viewport.setImageIdIndex(19)",
        )
        .await?;
        page.wait_for("slices that are encoded beforehand", "return globalThis.encodes >= 3", ANSWER_LIMIT).await?;
        // Through another window they are others; a box comes between, and the neighbours after it.
        page.script(
            "const { viewport } = core.getEnabledElementByViewportId('viewport');
             const { lower, upper } = viewport.getProperties().voiRange;
             globalThis.encodes = 0;
             viewport.setProperties({ voiRange: { lower: lower - 1, upper } });
             viewport.render()",
        )
        .await?;
        segment(page, FROM, TO).await?;
        page.wait_for("slices after the answer", "return globalThis.encodes >= 5", ANSWER_LIMIT).await?;
        let boxed = counts(page).await?;
        page.screenshot("cs7-phone").await?;
        let overflow = page.script("return document.documentElement.scrollWidth - window.innerWidth").await?;
        ensure!(overflow.as_i64().unwrap_or(1) <= 0, "the page is {overflow} pixels too wide for a phone");
        page.choose("tool", "Brush").await?;
        drag(page, (0.6, 0.4), (0.65, 0.45)).await?;
        let painted = counts(page).await?;
        ensure!(painted["1"].as_u64() > Some(0) && painted["255"] == boxed["255"], "{boxed} was painted to {painted}");
        // The stroke is a step of the viewer's history, and undone by the page's undo.
        page.click("undo").await?;
        ensure!(counts(page).await? == boxed, "undo leaves the stroke");
        page.click("redo").await?;
        ensure!(counts(page).await? == painted, "redo does not bring the stroke back");
        // A point goes by what was drawn, which is the package's answer to it.
        page.choose("tool", "prompt").await?;
        page.script("probe.events.length = 0; probe.drawn = probe.labels().map((slice) => slice && slice.slice())")
            .await?;
        click(page, (0.62, 0.42), Key::Shift).await?;
        final_answer(page).await?;
        let kind = page.script("return probe.last('result').segmentation.promptKind").await?;
        ensure!(kind == "corrected", "{kind}");
        press(page, Key::Enter).await?;
        let accepted = counts(page).await?;
        ensure!(accepted["255"].is_null() && accepted["1"].as_u64() > Some(10), "{accepted}");
        // Undone to the beginning nothing is left, whatever was undone in between.
        for _ in 0..4 {
            page.script("core.utilities.HistoryMemo.DefaultHistoryMemo.undo()").await?;
        }
        ensure!(counts(page).await? == json!({}), "{} is left", counts(page).await?);

        // Followed, the prompted slice is as it was drawn, and its expected DSC the ensemble's.
        page.script("connection.dispose()").await?;
        page.script(&connect("{ overlay: 'epistemic' }")).await?;
        segment(page, FROM, TO).await?;
        let highest = "const highest = (values) => values.reduce((most, value) => Math.max(most, value), 0);
            const most = highest(probe.last('result').segmentation.uncertainty.epistemic);
            const shown = highest(probe.labels(true).map((slice) => highest(slice ?? [])));
            return shown === Math.round(250 * Math.min(1, most / 0.2)) || `${shown} for ${most} bits`";
        let highest = page.script(highest).await?;
        ensure!(highest == true, "the epistemic uncertainty is shown as {highest}");
        page.script("connection.setActive(false)").await?;
        page.choose("tool", "Brush").await?;
        drag(page, (0.6, 0.4), (0.65, 0.45)).await?;
        let follow = "{ const found = await connection.propagate([19, 20]);
            const labels = probe.labels()[19];
            const { turn } = await probe.file.slice(19, 2);
            const inside = labels.map((label) => Number(label === 1));
            const upright = turn.turned(inside, inside.slice());
            const wrong = found.mask(0, 19).filter((value, pixel) => value !== upright[pixel]).length;
            const [first] = found.slices(0);
            const { slices } = tools.segmentation.state.getSegmentations().flatMap(({ segments }) => segments[1]?.cachedStats.umedsam ?? [])[0];
            const { expectedDsc } = probe.last('result');
            const drawn = inside.reduce((sum, value) => sum + value, 0);
            return { wrong, isOf: first.slice === 19, isDrawn: first.area === drawn && drawn > probe.last('result').segmentation.area,
                isEnsembles: first.expectedDsc === expectedDsc && slices[0].expectedDsc === expectedDsc } }";
        let followed = work(page, follow).await?;
        ensure!(followed == json!({ "wrong": 0, "isOf": true, "isDrawn": true, "isEnsembles": true }), "{followed}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_real_series_is_segmented_in_stack_and_volume() -> Result<()> {
    let Some(volumes) = volumes() else { return Ok(()) };
    with_page(1280, "series", async |page| {
        open(page, &steps::files(&volumes.join("dicom/STS_002/CT/image"))?).await?;
        segment(page, (0.35, 0.4), (0.55, 0.6)).await?;
        is_same(page, (0.35, 0.4), (0.55, 0.6), PREVIEW).await?;
        page.screenshot("cs8-series").await?;
        press(page, Key::Escape).await?;
        view(page, "sagittal").await?;
        segment(page, (0.4, 0.4), (0.6, 0.6)).await?;
        is_same(page, (0.4, 0.4), (0.6, 0.6), PREVIEW).await?;
        page.screenshot("cs9-series-sagittal").await?;
        Ok(())
    })
    .await
}
