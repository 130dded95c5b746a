//! The extension and the mode in OHIF's own built viewer: labels inside the viewer are the package's, voxel by voxel.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use thirtyfour::prelude::*;
use umedsam_webdriver::Page;

#[path = "ohif/series.rs"]
mod series;
#[path = "ohif/steps.rs"]
mod steps;

use steps::{
    drag, drag_between, enter, is_on, key, open, place, press, said, says, site, toolbar, volumes, wait, with_ohif,
    work,
};

/// Cornerstone's label of what is not accepted yet.
const PREVIEW: u8 = 255;

/// A box around the heart on the sample's fifth slice, in stored pixels, which lie upside down.
const SLICE: usize = 4;
const FROM: (f64, f64) = (51.0, 60.0);
const TO: (f64, f64) = (80.0, 88.0);

const FINAL: &str = "Escape throws it away.\n";

#[tokio::test]
async fn an_object_is_boxed_accepted_undone_followed_and_saved() -> Result<()> {
    let sample = site()?.join("samples/chest.nii.gz");
    if !sample.exists() {
        eprintln!("SKIPPED: without pip the site has no sample volume");
        return Ok(());
    }
    let folder = std::env::temp_dir().join(format!("umedsam-ohif-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let files = series::write(&sample, &folder)?;
    let result = with_ohif(&files, "sample", async |page| {
        let names = files.iter().filter_map(|path| path.file_name()?.to_str()).collect::<Vec<_>>();
        page.script(&format!("probe.viewport().setImageIdIndex({SLICE})")).await?;
        // Another tool's drag is no prompt; the button gives the mouse to the box.
        ensure!(!is_on(page).await?);
        toolbar(page, "UmedsamBox").await?;
        says(page, "Drag a box around an object.").await?;
        wait(page, "the pressed button", "return document.querySelector(\"[data-cy='UmedsamBox']\").dataset.active === 'true'", 10).await?;
        page.screenshot("ohif1-on").await?;

        // A box; the labels and the figures are the package's.
        let expected = boxed(page, &names).await?;
        page.screenshot("ohif2-preview").await?;
        key(page, Key::Escape).await?;
        wait(page, "nothing", "return probe.counts().length === 0", 10).await?;
        says(page, "no mask yet").await?;
        ensure!(boxed(page, &names).await? == expected, "the same box gives another answer");
        corrected(page).await?;
        key(page, Key::Enter).await?;
        wait(page, "the accepted mask", "return probe.counts().length === 1 && probe.slices(1) === 1", 10).await?;
        let row = format!("Object 1 | {}, 1 slice", expected["expectedDsc"].as_str().context("a DSC")?);
        says(page, &row).await?;
        // OHIF's own list says it too.
        let stats = "return Object.values(probe.segmentations('umedsam')[0].segments)[0].cachedStats.namedStats.expectedDsc.value.toFixed(2)";
        ensure!(page.script(stats).await? == expected["expectedDsc"]);

        // OHIF's own undo and redo.
        page.script("commandsManager.run('undo')").await?;
        wait(page, "undo", "return probe.slices(1) === 0", 10).await?;
        says(page, "Object 1 | no mask yet").await?;
        page.script("commandsManager.run('redo')").await?;
        wait(page, "redo", "return probe.slices(1) === 1", 10).await?;
        says(page, &row).await?;

        following(page, &expected).await?;
        second_object(page).await?;
        listed_object(page).await?;
        let texts = ["M\u{fc}ller^Anna", "Object 2", "2.25.73"];
        saving(page, &files, "1.2.840.10008.5.1.4.1.1.66.4", &texts).await
    })
    .await;
    std::fs::remove_dir_all(folder).ok();
    result
}

/// Draws the box and compares what is there with what the package says.
async fn boxed(page: &Page, names: &[&str]) -> Result<Value> {
    let (from, to) = drag(page, FROM, TO).await?;
    says(page, "not accepted").await?;
    says(page, FINAL).await?;
    let stored = page.script(&format!("return probe.box([{}, {}], [{}, {}])", from.0, from.1, to.0, to.1)).await?;
    let compared = work(page, &format!("probe.compare({stored}, {PREVIEW}, {})", json!(names))).await?;
    ensure!(compared["different"] == 0 && compared["area"].as_u64() > Some(100), "{compared}");
    let text = said(page).await?;
    let figure = format!("Expected DSC {}", compared["expectedDsc"].as_str().unwrap_or_default());
    ensure!(text.contains(&figure), "the panel does not say {figure}: {text}");
    let overlay = page.script("return probe.counts('Uncertainty').length").await?;
    ensure!(overlay.as_u64() > Some(3), "the uncertainty has {overlay} levels");
    Ok(compared)
}

/// The suggested click is answered in the panel, and the answer taken back; then the box too, and said again.
async fn corrected(page: &Page) -> Result<()> {
    let before = page.script("return probe.counts()").await?;
    press(page, "inside").await?;
    wait(
        page,
        "another mask",
        &format!("return JSON.stringify(probe.counts()) !== JSON.stringify({before})"),
        steps::ANSWER_LIMIT,
    )
    .await?;
    says(page, FINAL).await?;
    press(page, "undo").await?;
    let as_before = format!("return JSON.stringify(probe.counts()) === JSON.stringify({before})");
    wait(page, "the mask before", &as_before, 30).await?;
    press(page, "undo").await?;
    says(page, "Object 1 | no mask yet").await?;
    ensure!(page.script("return probe.counts().length").await? == 0, "an undone mask is in the viewer");
    ensure!(page.script("return probe.panel().getElementById('accept').disabled").await? == true, "nothing waits");
    press(page, "redo").await?;
    says(page, "not accepted").await?;
    wait(page, "the mask before", &as_before, 30).await
}

/// Through the slices: cancelled, what was found stays; then all of them, of which the panel's list shows the worst.
async fn following(page: &Page, expected: &Value) -> Result<()> {
    press(page, "propagate").await?;
    wait(page, "two slices", "return probe.slices(1) >= 2", steps::ANSWER_LIMIT).await?;
    press(page, "cancel").await?;
    wait(page, "the end", "return probe.panel().getElementById('cancel').hidden", 30).await?;
    let found = page.script("return probe.slices(1)").await?;
    ensure!(
        page.script("return probe.panel().querySelector('[role=alert]').textContent").await? == "",
        "to cancel is no error"
    );
    press(page, "propagate").await?;
    wait(page, "the end", "return probe.panel().getElementById('cancel').hidden", steps::ANSWER_LIMIT).await?;
    let all = page.script("return probe.slices(1)").await?;
    ensure!(all.as_u64() > found.as_u64().max(Some(2)), "{all} slices after {found}");
    says(page, &format!(", {all} slices")).await?;
    page.screenshot("ohif3-followed").await?;
    let worst = "return [...probe.panel().querySelectorAll('#review li')].map((row) => Number(/(\\d\\.\\d+)/.exec(row.innerText)[0]))";
    let listed = page.script(worst).await?;
    let listed = listed.as_array().context("a list")?.iter().filter_map(Value::as_f64).collect::<Vec<_>>();
    ensure!(listed.len() as u64 == all.as_u64().unwrap_or_default() && listed.is_sorted(), "{listed:?}");
    let prompted = expected["expectedDsc"].as_str().and_then(|text| text.parse::<f64>().ok()).context("a DSC")?;
    ensure!(listed.contains(&prompted), "the prompted slice's {prompted} is not among {listed:?}");
    // The first of the list, and there.
    let row = "probe.panel().querySelector('#review li button')";
    let number = page.script(&format!("return Number(/\\d+/.exec({row}.innerText)[0])")).await?;
    page.script(&format!("{row}.click()")).await?;
    let there = format!("return probe.viewport().getCurrentImageIdIndex() === {number} - 1");
    wait(page, "the worst slice", &there, 10).await
}

/// Another object is another segment; another tool takes the mouse, and drags that say nothing do nothing.
async fn second_object(page: &Page) -> Result<()> {
    press(page, "fresh").await?;
    says(page, "Object 2 | no mask yet").await?;
    let before = page.script("return probe.counts()").await?;
    toolbar(page, "WindowLevel").await?;
    wait(
        page,
        "the released button",
        "return document.querySelector(\"[data-cy='UmedsamBox']\").dataset.active === 'false'",
        10,
    )
    .await?;
    drag(page, (20.0, 30.0), (22.0, 31.0)).await?;
    toolbar(page, "UmedsamBox").await?;
    wait(
        page,
        "the pressed button",
        "return document.querySelector(\"[data-cy='UmedsamBox']\").dataset.active === 'true'",
        10,
    )
    .await?;
    // A click, and a drag beyond the viewport.
    let at = place(page, (30.0, 30.0)).await?;
    drag_between(page, at, at).await?;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    key(page, Key::Escape).await?;
    wait(page, "nothing new", &format!("return JSON.stringify(probe.counts()) === JSON.stringify({before})"), 10)
        .await?;
    let from = place(page, (14.0, 40.0)).await?;
    drag_between(page, from, (from.0 + 120, 5)).await?;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    key(page, Key::Escape).await?;
    wait(page, "nothing new", &format!("return JSON.stringify(probe.counts()) === JSON.stringify({before})"), 20)
        .await?;
    drag(page, (14.0, 40.0), (48.0, 100.0)).await?;
    says(page, FINAL).await?;
    // A file would have neither this mask nor what it lies over.
    press(page, "save").await?;
    says(page, "a mask waits; accept it (Enter)").await?;
    press(page, "accept").await?;
    wait(page, "the second object", "return probe.slices(2) === 1", 10).await?;
    ensure!(!said(page).await?.contains("a mask waits"), "a mask that was accepted waits");
    says(page, "Object 2 | ").await?;
    page.screenshot("ohif4-second").await
}

/// A segment that a person adds in OHIF's own list is an object too.
async fn listed_object(page: &Page) -> Result<()> {
    let before = page.script("return probe.counts()").await?;
    page.script(
        "commandsManager.run('addSegment', { segmentationId: probe.segmentations('umedsam')[0].segmentationId })",
    )
    .await?;
    drag(page, (84.0, 40.0), (116.0, 100.0)).await?;
    says(page, "Segment 3 | ").await?;
    says(page, FINAL).await?;
    key(page, Key::Escape).await?;
    says(page, "Segment 3 | no mask yet").await?;
    ensure!(page.script("return probe.counts()").await? == before, "a rejected mask left something");
    drag(page, (84.0, 40.0), (116.0, 100.0)).await?;
    says(page, FINAL).await?;
    key(page, Key::Enter).await?;
    wait(page, "the third object", "return probe.slices(3) === 1", 10).await
}

/// The file is DICOM, and OHIF shows the same labels of it.
async fn saving(page: &Page, files: &[PathBuf], class: &str, texts: &[&str]) -> Result<()> {
    press(page, "save").await?;
    let path = page.downloaded("umedsam-seg.dcm").await?;
    let bytes = std::fs::read(&path)?;
    ensure!(bytes.get(128..132) == Some(b"DICM".as_slice()), "the file is not DICOM");
    for text in [class, "umedsam-student"].iter().chain(texts) {
        ensure!(bytes.windows(text.len()).any(|window| window == text.as_bytes()), "the file does not say {text}");
    }
    let saved = page.script("return probe.counts()").await?;

    page.driver.goto(format!("http://{}/local", page.server.address())).await?;
    open(page, &[files, &[path]].concat()).await?;
    let thumbnail = page.driver.find(By::Css("[data-cy='study-browser-thumbnail-no-image']")).await?;
    page.driver.action_chain().move_to_element_center(&thumbnail).double_click().perform().await?;
    let shown = format!(
        "const load = [...document.querySelectorAll('button')].find(({{ textContent }}) => textContent === 'LOAD');
         if (load !== undefined && !globalThis.isLoading) load.click(), (globalThis.isLoading = true);
         const [segmentation] = services.segmentationService.getSegmentations();
         return JSON.stringify(probe.counts(segmentation?.label ?? '')) === JSON.stringify({saved})"
    );
    wait(page, "the same labels", &shown, 60).await?;
    page.screenshot(&format!("ohif5-reopened-{}", files.len())).await
}

#[tokio::test]
async fn planes_layouts_and_lists_of_ohif_are_followed() -> Result<()> {
    let Some(volumes) = volumes() else { return Ok(()) };
    let folder = volumes.join("dicom/STS_002/MR_T1/image");
    let mut files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let files = &files[6..22];
    with_ohif(files, "planes", async |page| {
        toolbar(page, "UmedsamBox").await?;
        says(page, "Drag a box around an object.").await?;
        drag(page, (22.0, 22.0), (82.0, 62.0)).await?;
        says(page, FINAL).await?;
        key(page, Key::Enter).await?;
        wait(page, "the accepted mask", "return probe.slices(1) === 1", 10).await?;

        let names = files.iter().filter_map(|path| path.file_name()?.to_str()).collect::<Vec<_>>();
        across(page, &names).await?;
        gone_and_back(page).await?;
        // 115 by 90 pixels are no whole bytes of bits.
        saving(page, files, "1.2.840.10008.5.1.4.1.1.66.7", &["STS_002"]).await
    })
    .await
}

/// Three planes at once: the button stays pressed, a box in another plane is found there; a layout that changes meanwhile ends it.
async fn across(page: &Page, names: &[&str]) -> Result<()> {
    let layout = |id: &str| format!("commandsManager.run('setHangingProtocol', {{ protocolId: {id:?} }})");
    page.script(&layout("mpr")).await?;
    let shown = "const viewport = services.cornerstoneViewportService.getCornerstoneViewport('mpr-sagittal');
        return viewport?.getImageData() !== undefined && services.viewportGridService.getActiveViewportId().startsWith('mpr')
            && document.querySelector(\"[data-cy='UmedsamBox']\").dataset.active === 'true'
            && services.segmentationService.getSegmentationRepresentations('mpr-sagittal').length > 0";
    wait(page, "three planes with the button pressed", shown, 60).await?;
    // OHIF's first click on another viewport selects it.
    let (from, to) =
        (place_in(page, "mpr-sagittal", 0.25, 0.43).await?, place_in(page, "mpr-sagittal", 0.7, 0.56).await?);
    drag_between(page, from, from).await?;
    wait(
        page,
        "the selected viewport",
        "return services.viewportGridService.getActiveViewportId() === 'mpr-sagittal'",
        10,
    )
    .await?;
    let before = page.script("return probe.counts()").await?;
    drag_between(page, from, to).await?;
    says(page, FINAL).await?;
    let places = format!("[[{}, {}], [{}, {}]]", from.0, from.1, to.0, to.1);
    let compared = work(page, &format!("probe.compareAcross(0, {places}, {PREVIEW}, {})", json!(names))).await?;
    ensure!(compared["different"] == 0 && compared["area"].as_u64() > Some(50), "{compared}");
    page.screenshot("ohif6-planes").await?;
    key(page, Key::Enter).await?;
    says(page, "Sagittal ").await?;
    // Uncertainty is shown where it was found alone.
    let shared = "return ['mpr-axial', 'mpr-coronal'].some((viewport) => services.segmentationService.getSegmentationRepresentations(viewport)
        .some(({ segmentationId }) => segmentationId.startsWith('umedsam-uncertainty')))";
    ensure!(page.script(shared).await? == false, "other planes show the uncertainty of this one");
    page.script("commandsManager.run('undo')").await?;
    let as_before = format!("return JSON.stringify(probe.counts()) === JSON.stringify({before})");
    wait(page, "undo", &as_before, 10).await?;

    // The same object in a third plane: Enter is for what was found last.
    let (left, right) =
        (place_in(page, "mpr-coronal", 0.3, 0.43).await?, place_in(page, "mpr-coronal", 0.7, 0.56).await?);
    drag_between(page, left, left).await?;
    wait(
        page,
        "the selected viewport",
        "return services.viewportGridService.getActiveViewportId() === 'mpr-coronal'",
        10,
    )
    .await?;
    drag_between(page, left, right).await?;
    says(page, FINAL).await?;
    key(page, Key::Enter).await?;
    says(page, "Coronal ").await?;
    page.script("commandsManager.run('undo')").await?;
    wait(page, "undo", &as_before, 10).await?;
    drag_between(page, from, from).await?;
    wait(
        page,
        "the selected viewport",
        "return services.viewportGridService.getActiveViewportId() === 'mpr-sagittal'",
        10,
    )
    .await?;

    drag_between(page, from, to).await?;
    page.script(&layout("default")).await?;
    let shown = "return services.viewportGridService.getActiveViewportId() === 'default' && probe.viewport()?.getImageData() !== undefined
        && document.querySelector(\"[data-cy='UmedsamBox']\").dataset.active === 'true'";
    wait(page, "one plane", shown, 60).await?;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    ensure!(page.script("return probe.counts()").await? == before, "a box of another layout left something");
    Ok(())
}

/// Where a share of a viewport is in the window.
async fn place_in(page: &Page, viewport: &str, x: f64, y: f64) -> Result<steps::Place> {
    let place = page.script(&format!("return probe.share({viewport:?}, {x}, {y})")).await?;
    let coordinate = |index: usize| place[index].as_f64().context("a place").map(|value| value.round() as i64);
    Ok((coordinate(0)?, coordinate(1)?))
}

/// What is removed in OHIF's own list is not in the panel; back in the study list nothing is left; the mode begins anew with the same network.
async fn gone_and_back(page: &Page) -> Result<()> {
    page.script("services.segmentationService.remove(probe.segmentations('umedsam')[0].segmentationId)").await?;
    wait(page, "an empty list", "return probe.panel().querySelectorAll('#objects li').length === 0", 10).await?;
    page.script("history.back()").await?;
    let list = "return document.querySelector('umedsam-panel') === null
        && cornerstoneTools.ToolGroupManager.getAllToolGroups().length === 0";
    wait(page, "the study list", list, 30).await?;
    let left = "return JSON.stringify([
        cornerstoneTools.annotation.state.getAllAnnotations().map(({ metadata }) => metadata.toolName).filter((name) => name.startsWith('Umedsam')),
        services.segmentationService.getSegmentations().map(({ label }) => label),
    ])";
    let left = page.script(left).await?;
    ensure!(left == "[[],[]]", "the mode left annotations or segmentations: {left}");
    let weights = || page.server.requests().iter().filter(|path| path.ends_with(".safetensors")).count();
    let before = weights();
    enter(page).await?;
    toolbar(page, "UmedsamBox").await?;
    says(page, "Drag a box around an object.").await?;
    drag(page, (22.0, 22.0), (82.0, 62.0)).await?;
    says(page, FINAL).await?;
    ensure!(weights() == before, "the network was loaded again");
    press(page, "accept").await?;
    wait(page, "the accepted mask", "return probe.slices(1) === 1", 10).await
}
