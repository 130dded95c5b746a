//! An object followed through the slices of real volumes, corrected, cancelled, and saved.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use thirtyfour::prelude::*;
use umedsam_webdriver::Page;

use super::steps::{
    ENCODE_LIMIT, keys, open_all, painted, saved, saved_mask, truth, volumes, wait_for_credit, wait_for_slice,
    with_page, written,
};

/// Seconds that a run through 48 slices may take with everything else that a slow machine does.
const RUN_LIMIT: u64 = 300;

/// The selected object was said again on this slice.
const GO_ON: &str = "return document.getElementById('propagate').textContent.includes('Go on from here')";

/// Waits for what the page says of a run.
async fn wait_for_status(page: &Page, part: &str, seconds: u64) -> Result<String> {
    let script = format!("return document.getElementById('propagation-status').textContent.includes({part:?})");
    page.wait_for(part, &script, seconds).await?;
    page.text("propagation-status").await
}

async fn wait_until_followable(page: &Page) -> Result<()> {
    page.wait_for("the button", "return !document.getElementById('propagate').disabled", 60).await
}

/// Waits for the ensemble's answer on the slice that is seen.
async fn wait_until_suggested(page: &Page) -> Result<()> {
    page.wait_for("a suggestion", "return !document.getElementById('suggestion').hidden", 60).await
}

/// Waits until so many slices were looked at.
async fn wait_for_progress(page: &Page, slices: u32) -> Result<()> {
    let script = format!("return document.getElementById('propagation-bar').value >= {slices}");
    page.wait_for("slices", &script, RUN_LIMIT).await
}

async fn is_running(page: &Page) -> Result<bool> {
    Ok(page.script("return !document.getElementById('propagation-run').hidden").await? == true)
}

async fn go_to(page: &Page, slice: u32, count: u32) -> Result<()> {
    page.script(&format!(
        "const slider = document.getElementById('slice'); slider.value = {}; slider.dispatchEvent(new Event('input'))",
        slice - 1
    ))
    .await?;
    wait_for_slice(page, &format!("slice {slice} of {count}")).await?;
    page.wait_until_encoded(ENCODE_LIMIT).await
}

/// DSC of two NIfTI files of one grid, read by the page's own reader.
async fn agreement(page: &Page, files: [&Path; 2]) -> Result<f64> {
    let files = files.map(std::fs::read).into_iter().collect::<Result<Vec<_>, _>>()?;
    let script = "
        const [files, done] = arguments;
        const read = async (bytes) => {
          const { readNifti } = await import(new URL('umedsam/nifti.js', location.href).href);
          const { volume } = await readNifti(new File([Uint8Array.from(bytes)], 'labels.nii.gz'));
          const slices = Array.from({ length: volume.slices() }, (_, index) => volume.slice(index).image.data);
          return { slices, place: volume.geometry.affine.map((value) => Math.round(100 * value)).join() };
        };
        Promise.all(files.map(read)).then(([a, b]) => {
          if (a.place !== b.place) return done(`other places: ${a.place} and ${b.place}`);
          let [both, all] = [0, 0];
          for (const [slice, values] of a.slices.entries()) {
            for (let pixel = 0; pixel < values.length; pixel++) {
              const [one, other] = [values[pixel] > 0, b.slices[slice][pixel] > 0];
              both += one && other;
              all += one + other;
            }
          }
          done((2 * both) / all);
        }).catch((error) => done(String(error)))";
    let made = page.driver.execute_async(script, vec![json!(files)]).await?.json().clone();
    made.as_f64().with_context(|| made.to_string())
}

/// What others read in the saved files; `None` without a Python that has pydicom, highdicom and nibabel.
fn read_back(arguments: &[&Path]) -> Result<Option<Value>> {
    let Ok(python) = std::env::var("UMEDSAM_PYTHON") else {
        eprintln!("SKIPPED: UMEDSAM_PYTHON names no Python with highdicom and nibabel");
        return Ok(None);
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/volumes/read_back.py");
    let output = Command::new(python).arg(script).args(arguments).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(Some(serde_json::from_slice(&output.stdout)?))
}

/// Copies what would be overwritten by the next file of the name.
fn kept(path: &Path, name: &str) -> Result<PathBuf> {
    written(name, &std::fs::read(path)?)
}

/// Opens the tumour's series and draws the box of its contour on the middle slice.
async fn prompt_the_tumour(page: &Page, volumes: &Path) -> Result<[f64; 4]> {
    page.open_file(&volumes.join("nifti/STS_002/CT_mask.nii.gz")).await?;
    wait_for_credit(page, "161×143×48").await?;
    page.choose("window-kind", "min-max").await?;
    page.wait_until_encoded(ENCODE_LIMIT).await?;
    let (_, [x0, y0, x1, y1]) = truth(page).await?;
    open_all(page, &volumes.join("dicom/STS_002/CT/image")).await?;
    wait_for_credit(page, "CT · ").await?;
    page.wait_until_encoded(ENCODE_LIMIT).await?;
    let hint = page.text("propagation-hint").await?;
    ensure!(hint.contains("Draw a box on one slice"), "{hint}");
    page.drag((x0, y0), (x1, y1)).await?;
    page.wait_for_results(1, 60).await?;
    wait_until_followable(page).await?;
    Ok([x0, y0, x1, y1])
}

#[tokio::test]
async fn a_tumour_is_followed_corrected_and_saved() -> Result<()> {
    let Some(volumes) = volumes() else { return Ok(()) };
    with_page(1280, "propagation", async |page| {
        let [x0, y0, x1, y1] = prompt_the_tumour(page, &volumes).await?;
        let served = page.server.requests().len();
        page.screenshot("p1-prompted-1280").await?;

        let start = Instant::now();
        keys(page, "g").await?;
        wait_for_progress(page, 4).await?;
        let text = page.text("propagation-text").await?;
        ensure!(text.starts_with("slice ") && text.contains(" of at most "), "{text}");
        page.screenshot("p2-running-1280").await?;
        let status = wait_for_status(page, "Object 1 is on ", RUN_LIMIT).await?;
        eprintln!("{status} ({:.1} s by the test's clock)", start.elapsed().as_secs_f64());
        ensure!(!is_running(page).await?);
        let size = page.text("volume-size").await?;
        eprintln!("{size}");
        ensure!(size.contains(" ml (") && size.contains(" slices"), "{size}");
        ensure!(page.text("volume").await?.contains("nothing is guaranteed"));
        page.screenshot("p3-followed-1280").await?;

        // Slices show what was found on them; a slice to check is a click away.
        go_to(page, 27, 48).await?;
        let found = painted(page).await?;
        ensure!(found > 200, "{found} pixels are painted on slice 27");
        page.screenshot("p4-other-slice-1280").await?;
        let mask = saved_mask(page).await?;
        let mask_file = std::env::temp_dir().join("umedsam-slice-27.png");
        mask.save(&mask_file)?;
        let slices = page.script("return [...document.querySelectorAll('#to-review button')].map((button) => button.textContent)").await?;
        eprintln!("{slices}");
        let values: Vec<f64> = slices
            .as_array()
            .context("a list")?
            .iter()
            .filter_map(|text| text.as_str()?.rsplit(' ').next()?.parse().ok())
            .collect();
        ensure!(values.is_sorted(), "the worst is not the first: {slices}");
        if !values.is_empty() {
            page.script("document.querySelector('#to-review button').focus()").await?;
            page.driver.action_chain().send_keys(Key::Enter + "").perform().await?;
            page.wait_for(
                "the slice to check",
                "const [button] = document.querySelectorAll('#to-review button');
                 return button.ariaCurrent === 'true' && document.activeElement === button
                   && document.getElementById('slice-text').textContent.startsWith(`slice ${button.textContent.match(/\\d+/)[0]} `)",
                20,
            )
            .await?;
            page.wait_until_encoded(ENCODE_LIMIT).await?;
        }

        // Saved, and read by others.
        page.choose("format", "nifti").await?;
        let labels = kept(&saved(page, "labels.nii.gz").await?, "umedsam-propagated.nii.gz")?;
        let truth = volumes.join("nifti/STS_002/CT_mask.nii.gz");
        let dsc = agreement(page, [&labels, &truth]).await?;
        eprintln!("DSC of the volume: {dsc:.3}");
        ensure!(dsc > 0.7, "DSC of the volume is {dsc}");
        page.choose("format", "seg").await?;
        let seg = kept(&saved(page, "seg.dcm").await?, "umedsam-propagated.dcm")?;
        if let Some(read) = read_back(&[&labels, &truth, &seg, &volumes.join("dicom/STS_002/CT/image"), &mask_file, Path::new("26")])? {
            eprintln!("read back: {read}");
            ensure!(read["is_same"] == true && read["is_on_grid"] == true && read["is_slice_same"] == true, "{read}");
            ensure!((read["dsc"].as_f64().context("a DSC")? - dsc).abs() < 1e-6, "{read}, not {dsc}");
        }

        // A box on a slice corrects it, undo brings the earlier mask back, and what is beyond follows it.
        let mut before = Vec::new();
        for slice in [24, 20, 22] {
            go_to(page, slice, 48).await?;
            before.push(painted(page).await?);
        }
        page.drag((x0, y0), ((x0 + x1) / 2.0, (y0 + y1) / 2.0)).await?;
        page.wait_for("a correction", GO_ON, 60).await?;
        wait_until_followable(page).await?;
        let count = page.script("return document.querySelectorAll('#objects li').length").await?;
        ensure!(count == 1, "the correction is an object of its own");
        wait_until_suggested(page).await?;
        ensure!(painted(page).await? != before[2], "the box changed nothing");
        page.screenshot("p5-corrected-1280").await?;
        page.click("undo").await?;
        ensure!(painted(page).await? == before[2], "the earlier mask has gone");
        page.click("redo").await?;
        page.wait_for("the correction", GO_ON, 60).await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        page.click("propagate").await?;
        let status = wait_for_status(page, "Object 1 is on ", RUN_LIMIT).await?;
        eprintln!("after the correction: {status}");
        page.screenshot("p6-went-on-1280").await?;
        go_to(page, 24, 48).await?;
        ensure!(painted(page).await? == before[0], "a slice between has changed");
        go_to(page, 20, 48).await?;
        ensure!(painted(page).await? != before[1], "a slice beyond stays as it was");

        // A point corrects the mask that was found; where the object ended a box says it again; Delete takes both back.
        go_to(page, 27, 48).await?;
        let found = painted(page).await?;
        page.click("tool-add").await?;
        page.drag((x1 - 3.0, (y0 + y1) / 2.0), (x1 - 3.0, (y0 + y1) / 2.0)).await?;
        page.wait_for("a correction", GO_ON, 60).await?;
        wait_until_suggested(page).await?;
        let pointed = painted(page).await?;
        ensure!(pointed > found / 2 && pointed != found, "{pointed} pixels after a point, {found} before");
        page.screenshot("p10-point-1280").await?;
        keys(page, Key::Delete + "").await?;
        ensure!(painted(page).await? == found, "the earlier mask has gone");
        go_to(page, 28, 48).await?;
        let hint = page.text("propagation-hint").await?;
        ensure!(painted(page).await? == 0 && hint.contains("was not found on this slice any more"), "{hint}");
        page.click("tool-box").await?;
        page.drag((x0, y0), (x1, y1)).await?;
        page.wait_for("a correction", GO_ON, 60).await?;
        wait_until_followable(page).await?;
        page.click("propagate").await?;
        let status = wait_for_status(page, "Object 1 is on ", RUN_LIMIT).await?;
        eprintln!("beyond its end: {status}");
        ensure!(!status.contains("slice 28 ") && status.contains("1 to "), "{status}");
        let count = page.script("return document.querySelectorAll('#objects li').length").await?;
        ensure!(count == 1, "a correction is an object of its own");

        ensure!(page.server.requests().len() == served, "requested: {:?}", &page.server.requests()[served..]);
        ensure!(page.text("privacy").await?.contains("Nothing was sent"), "{}", page.text("privacy").await?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_run_is_cancelled_and_ended_by_changes() -> Result<()> {
    let Some(volumes) = volumes() else { return Ok(()) };
    with_page(390, "cancel", async |page| {
        prompt_the_tumour(page, &volumes).await?;
        page.click("propagate").await?;
        wait_for_progress(page, 3).await?;
        // One can look meanwhile, and what was found is there.
        page.click("slice-next").await?;
        wait_for_slice(page, "slice 26 of 48").await?;
        page.wait_for(
            "its mask",
            "const map = document.getElementById('map-layer');
            return map.getContext('2d').getImageData(0, 0, map.width, map.height).data.some((value) => value > 0)",
            20,
        )
        .await?;
        ensure!(is_running(page).await?, "looking ended the run");
        page.script("document.getElementById('propagation').scrollIntoView({ block: 'center' })").await?;
        page.screenshot("p7-running-390").await?;
        let overflow = page.script("return document.documentElement.scrollWidth - window.innerWidth").await?;
        ensure!(overflow.as_i64().unwrap_or(1) <= 0, "the page is {overflow} pixels too wide for a phone");
        keys(page, Key::Escape + "").await?;
        let status = wait_for_status(page, "Cancelled. What was found of Object 1 stays", 5).await?;
        ensure!(!is_running(page).await?);
        let size = page.text("volume-size").await?;
        let slices: usize =
            size.split(' ').rev().nth(1).and_then(|count| count.parse().ok()).with_context(|| size.clone())?;
        ensure!((3..20).contains(&slices), "{size}; {status}");
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        ensure!(painted(page).await? > 200, "the mask of slice 26 has gone");
        page.script("document.getElementById('volume').scrollIntoView({ block: 'center' })").await?;
        page.screenshot("p8-cancelled-390").await?;

        // A range of one's own; one without the slice is refused.
        page.choose("range", "some").await?;
        for (id, value) in [("range-first", 30), ("range-last", 35)] {
            page.script(&format!("document.getElementById({id:?}).value = {value}")).await?;
        }
        page.click("propagate").await?;
        page.wait_for(
            "what is wrong",
            "return document.getElementById('error').innerText.includes('do not hold slice 25')",
            5,
        )
        .await?;
        page.script(
            "document.getElementById('range-first').value = 24; document.getElementById('range-last').value = 27",
        )
        .await?;
        page.click("propagate").await?;
        let status = wait_for_status(page, "4 slices in", RUN_LIMIT).await?;
        eprintln!("{status}");

        // Drawing another object meanwhile takes turns.
        page.choose("range", "all").await?;
        page.click("propagate").await?;
        keys(page, Key::Home + "").await?;
        wait_for_slice(page, "slice 1 of 48").await?;
        page.drag((30.0, 30.0), (70.0, 70.0)).await?;
        page.wait_for_results(2, 60).await?;
        ensure!(is_running(page).await?, "drawing another object ended the run");

        // Another window ends it, and so does its removal.
        page.choose("window-kind", "bone").await?;
        wait_for_status(page, "Ended by the change of the window", 5).await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        page.script("document.querySelector('#objects .select').click()").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        wait_until_followable(page).await?;
        page.click("propagate").await?;
        wait_for_progress(page, 2).await?;
        page.script("document.querySelector('#objects button[aria-label=\"Remove Object 1\"]').click()").await?;
        wait_for_status(page, "Ended, for Object 1 was removed", 5).await?;
        for slice in [25, 26] {
            go_to(page, slice, 48).await?;
            ensure!(painted(page).await? == 0, "slice {slice} shows a removed object");
        }

        // So does another device, and another file.
        keys(page, "n").await?;
        wait_until_followable(page).await?;
        page.click("propagate").await?;
        wait_for_progress(page, 2).await?;
        page.choose("device-choice", "cpu").await?;
        wait_for_status(page, "Ended by the change of the device", 5).await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        wait_until_followable(page).await?;
        page.click("propagate").await?;
        wait_for_progress(page, 2).await?;
        page.open_file(&volumes.join("nifti/hippocampus/004_images.nii.gz")).await?;
        wait_for_credit(page, "36×52×38").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        ensure!(!is_running(page).await? && page.text("propagation-status").await?.is_empty());
        ensure!(painted(page).await? == 0, "masks of the volume before");

        // A NIfTI volume is followed across another axis, and saved on its grid.
        page.choose("plane", "1").await?;
        wait_for_slice(page, "slice 27 of 52").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        keys(page, "n").await?;
        page.wait_for_results(1, 60).await?;
        wait_until_followable(page).await?;
        page.click("propagate").await?;
        let status = wait_for_status(page, "Object 1 is on ", RUN_LIMIT).await?;
        eprintln!("{status}");
        let mask = saved_mask(page).await?;
        let mask_file = std::env::temp_dir().join("umedsam-hippocampus.png");
        mask.save(&mask_file)?;
        page.choose("format", "nifti").await?;
        let labels = kept(&saved(page, "004_images-labels.nii.gz").await?, "umedsam-hippocampus-labels.nii.gz")?;
        if let Some(read) = read_back(&[&labels, &volumes.join("nifti/hippocampus/004_images.nii.gz")])? {
            eprintln!("read back: {read}");
            ensure!(read["is_on_grid"] == true && read["slices"][1].as_u64() > Some(1), "{read}");
            let pixels = mask.as_raw().iter().filter(|&&value| value > 0).count() as u64;
            ensure!(
                read["across"].as_array().context("counts")?.contains(&json!(pixels)),
                "{read} has no slice of {pixels}"
            );
        }
        page.script("document.getElementById('propagation').scrollIntoView({ block: 'center' })").await?;
        page.screenshot("p9-nifti-390").await
    })
    .await
}
