//! Volumes on the real page, as a person opens, looks through, prompts and saves them.

use anyhow::{Context, Result, ensure};
use thirtyfour::prelude::*;

#[path = "volumes/exporting.rs"]
mod exporting;
#[path = "volumes/files.rs"]
mod files;
#[path = "volumes/keeping.rs"]
mod keeping;
#[path = "volumes/propagation.rs"]
mod propagation;
#[path = "volumes/steps.rs"]
mod steps;

use files::{cine, gaps};
use steps::{
    ENCODE_LIMIT, dsc, keys, names_nobody, nothing_was_asked_again, open_all, painted, picture, saved, saved_mask,
    truth, volumes, wait_for_credit, wait_for_other_picture, wait_for_slice, watch_the_list, wheel, with_page, written,
};

/// Words of the real files.
const NAMES: [&str; 3] = ["STS_002", "STS-002", "000000.dcm"];

#[tokio::test]
async fn a_series_is_opened_looked_through_segmented_and_saved() -> Result<()> {
    let Some(volumes) = volumes() else { return Ok(()) };
    with_page(1280, "series", async |page| {
        // The tumour on the middle slice, from the mask beside the images.
        page.open_file(&volumes.join("nifti/STS_002/CT_mask.nii.gz")).await?;
        wait_for_credit(page, "161×143×48").await?;
        page.choose("window-kind", "min-max").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        let (truth, corners) = truth(page).await?;

        let served = page.server.requests().len();
        open_all(page, &volumes.join("dicom/STS_002/CT/image")).await?;
        wait_for_credit(page, "CT · ").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        wait_for_slice(page, "slice 25 of 48").await?;
        page.screenshot("v1-series-1280").await?;

        // Wheel, keys, buttons and slider; each shows another picture.
        let middle = picture(page).await?;
        wheel(page, "deltaY: 100").await?;
        wait_for_slice(page, "slice 26 of 48").await?;
        let other = wait_for_other_picture(page, &middle).await?;
        keys(page, Key::PageUp + "").await?;
        wait_for_slice(page, "slice 25 of 48").await?;
        ensure!(wait_for_other_picture(page, &other).await? == middle, "slice 25 looks otherwise than before");
        keys(page, ".").await?;
        wait_for_slice(page, "slice 26 of 48").await?;
        page.click("slice-next").await?;
        wait_for_slice(page, "slice 27 of 48").await?;
        page.script("const slider = document.getElementById('slice'); slider.value = 24; slider.dispatchEvent(new Event('input'))").await?;
        wait_for_slice(page, "slice 25 of 48").await?;
        // Fast through many, and the last is the one that is seen.
        for _ in 0..30 {
            wheel(page, "deltaY: -100").await?;
        }
        wait_for_slice(page, "slice 1 of 48").await?;
        for _ in 0..24 {
            wheel(page, "deltaY: 100").await?;
        }
        wait_for_slice(page, "slice 25 of 48").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        ensure!(picture(page).await? == middle, "another slice is seen than the page says");
        let transform = "return document.getElementById('image-layer').style.transform";
        let before = page.script(transform).await?;
        wheel(page, "deltaY: -100, ctrlKey: true, clientX: 300, clientY: 400").await?;
        ensure!(page.script(transform).await? != before, "Ctrl and the wheel do not zoom");
        page.click("zoom-fit").await?;

        // A box on the tumour; its mask stays on its slice, and is there again afterwards.
        let [x0, y0, x1, y1] = corners;
        page.drag((x0 - 1.0, y0 - 1.0), (x1 + 1.0, y1 + 1.0)).await?;
        page.wait_for_results(1, 60).await?;
        let text = page.text("objects").await?;
        ensure!(text.contains("slice 25") && text.contains("mm²"), "{text}");
        page.screenshot("v2-mask").await?;
        let mask = saved_mask(page).await?;
        let agreement = dsc(&mask, &truth);
        eprintln!("DSC with the tumour's contour: {agreement:.3}");
        ensure!(agreement > 0.6, "DSC with the tumour's contour is {agreement}");
        let on_slice = painted(page).await?;
        ensure!(on_slice > 500, "{on_slice} pixels are painted");
        keys(page, Key::PageDown + "").await?;
        wait_for_slice(page, "slice 26 of 48").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        ensure!(painted(page).await? == 0, "the mask of slice 25 lies on slice 26");
        watch_the_list(page).await?;
        keys(page, Key::PageUp + "").await?;
        wait_for_slice(page, "slice 25 of 48").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        ensure!(painted(page).await? == on_slice, "the mask is another one than before");
        nothing_was_asked_again(page).await?;

        // Another window by drag, right button and keys, live; and presets.
        let before = picture(page).await?;
        page.click("tool-window").await?;
        page.drag((30.0, 30.0), (60.0, 60.0)).await?;
        let dragged = wait_for_other_picture(page, &before).await?;
        ensure!(page.script("return document.getElementById('window-kind').value").await? == "level");
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        page.wait_for_results(1, 60).await?;
        page.choose("window-kind", "lung").await?;
        let lung = wait_for_other_picture(page, &dragged).await?;
        page.screenshot("v3-lung").await?;
        keys(page, "w" + Key::Up).await?;
        wait_for_other_picture(page, &lung).await?;
        page.click("tool-box").await?;
        page.choose("window-kind", "bone").await?;
        let bone = picture(page).await?;
        page.script(
            "const viewer = document.getElementById('viewer');
             const { left, top } = viewer.getBoundingClientRect();
             for (const [kind, far] of [['down', 0], ['move', 40], ['up', 40]]) viewer.dispatchEvent(new PointerEvent(`pointer${kind}`,
               { pointerId: 1, pointerType: 'mouse', button: kind === 'move' ? -1 : 2, buttons: 2, clientX: left + 200 + far, clientY: top + 200 + far, bubbles: true }))",
        )
        .await?;
        wait_for_other_picture(page, &bone).await?;
        page.choose("window-kind", "abdomen").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        page.wait_for_results(1, 60).await?;

        let mask = saved_mask(page).await?;
        let labels = std::env::temp_dir().join("series-labels.nii.gz");

        // Every format, and nothing is fetched for them.
        for (format, name, magic, at) in [
            ("seg", "seg.dcm", b"DICM".as_slice(), 128),
            ("labelmap", "labelmap.dcm", b"DICM", 128),
            ("fractional", "fractional.dcm", b"DICM", 128),
            ("probability", "probability.dcm", b"DICM", 128),
            ("uncertainty", "uncertainty.dcm", b"DICM", 128),
            ("nifti", "labels.nii.gz", b"\x1f\x8b", 0),
            ("nrrd", ".seg.nrrd", b"NRRD", 0),
            ("coco", ".coco.json", b"[", 0),
            ("geojson", ".geojson", b"{", 0),
        ] {
            page.choose("format", format).await?;
            let path = saved(page, name).await?;
            let bytes = std::fs::read(&path)?;
            if format == "nifti" {
                std::fs::copy(&path, &labels)?;
            }
            ensure!(bytes.get(at..at + magic.len()) == Some(magic), "{format}: {} has another beginning", path.display());
            let warns = page.text("format-note").await?.contains("names the patient");
            ensure!(warns == name.ends_with(".dcm"), "{format}: what is said of the patient");
        }

        // Another plane of the same volume, in its proportions.
        page.choose("plane", "1").await?;
        wait_for_slice(page, "slice 72 of 143").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        page.screenshot("v4-coronal").await?;
        let proportions = page
            .script("const { width, height } = document.getElementById('image-layer').getBoundingClientRect(); return width / height")
            .await?;
        let proportions = proportions.as_f64().context("proportions")?;
        let expected = 161.0 * 0.976_562 / (48.0 * 3.27);
        ensure!((proportions / expected - 1.0).abs() < 0.02, "shown as {proportions}, {expected} in the body");
        let text = page.text("objects").await?;
        ensure!(text.contains("axial slice 25"), "{text}");
        page.script("document.querySelector('#objects .select').click()").await?;
        wait_for_slice(page, "slice 25 of 48").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;

        ensure!(page.server.requests().len() == served, "requested: {:?}", &page.server.requests()[served..]);
        ensure!(page.text("privacy").await?.contains("Nothing was sent"), "{}", page.text("privacy").await?);
        names_nobody(page, &NAMES).await?;

        // The labels, on a grid of their own, lie where the mask was.
        page.open_file(&labels).await?;
        wait_for_credit(page, "series-labels.nii.gz").await?;
        wait_for_slice(page, "slice 25 of 48").await?;
        page.choose("window-kind", "min-max").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        let (labelled, _) = steps::truth(page).await?;
        let agreement = dsc(&mask, &labelled);
        ensure!(agreement == 1.0, "labels and mask have a DSC of {agreement}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_nifti_file_has_three_planes_and_is_saved_on_its_grid() -> Result<()> {
    let Some(volumes) = volumes() else { return Ok(()) };
    with_page(390, "nifti", async |page| {
        page.open_file(&volumes.join("nifti/hippocampus/004_images.nii.gz")).await?;
        wait_for_credit(page, "36×52×38").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        page.script("document.getElementById('viewer').scrollIntoView()").await?;
        page.screenshot("v5-nifti-390").await?;
        let overflow = page.script("return document.documentElement.scrollWidth - window.innerWidth").await?;
        ensure!(overflow.as_i64().unwrap_or(1) <= 0, "the page is {overflow} pixels too wide for a phone");
        for (done, (axis, text)) in
            [("0", "slice 19 of 36"), ("1", "slice 27 of 52"), ("2", "slice 20 of 38")].into_iter().enumerate()
        {
            page.choose("plane", axis).await?;
            wait_for_slice(page, text).await?;
            page.wait_until_encoded(ENCODE_LIMIT).await?;
            page.click("add-box").await?;
            page.wait_for_results(done + 1, 60).await?;
        }
        page.choose("format", "nifti").await?;
        ensure!(
            std::fs::read(saved(page, "004_images-labels.nii.gz").await?)?.starts_with(b"\x1f\x8b"),
            "no gzip file"
        );
        // A finger draws on a slice, and the buttons go through them.
        page.touch_drag((8.0, 8.0), (24.0, 24.0)).await?;
        page.wait_for_results(4, 60).await?;
        page.click("slice-previous").await?;
        wait_for_slice(page, "slice 19 of 38").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        ensure!(painted(page).await? == 0, "masks of another slice");
        page.screenshot("v6-nifti-slices-390").await
    })
    .await
}

#[tokio::test]
async fn a_folder_is_a_study_and_what_is_wrong_is_said() -> Result<()> {
    let Some(volumes) = volumes() else { return Ok(()) };
    with_page(1280, "study", async |page| {
        page.driver.find(By::Id("folder")).await?.send_keys(volumes.join("dicom/STS_002").to_string_lossy()).await?;
        wait_for_credit(page, " slices").await?;
        let list = page.text("series").await?;
        ensure!(["CT · ", "MR · ", "PT · "].iter().all(|modality| list.contains(modality)), "the study holds {list:?}");
        ensure!(page.text("notes-title").await?.contains("notes on the files"), "the contours are not spoken of");
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        page.screenshot("v7-study").await?;
        names_nobody(page, &NAMES).await.context("before descriptions are asked for")?;
        page.click("describe").await?;
        page.screenshot("v8-descriptions").await?;
        for modality in ["PT", "MR"] {
            let click = format!("[...document.querySelectorAll('#series button')].find((button) => button.textContent.startsWith('{modality}')).click()");
            page.script(&click).await?;
            wait_for_credit(page, &format!("{modality} · ")).await?;
            page.wait_until_encoded(ENCODE_LIMIT).await?;
            page.screenshot(&format!("v9-{modality}")).await?;
        }

        // What cannot be opened is explained, and what is open stays.
        let nifti = std::fs::read(volumes.join("nifti/hippocampus/004_images.nii.gz"))?;
        let contours = volumes.join("dicom/STS_002/CT/mask/RS.dcm");
        for (path, part) in [
            (contours, "RTSTRUCT"),
            (written("cut.nii.gz", &nifti[..nifti.len() / 2])?, "cut off"),
            (written("notes.txt", b"the patient came at noon")?, "notes.txt"),
            (written("empty.dcm", b"")?, "empty.dcm"),
        ] {
            page.open_file(&path).await?;
            let script = format!("return document.getElementById('error').innerText.includes({part:?})");
            page.wait_for(part, &script, 20).await?;
            ensure!(page.text("credit").await?.contains("MR · "), "{part}: what was open has gone");
        }
        page.screenshot("v10-error").await?;
        keys(page, Key::PageDown + "").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        page.open_sample("Phantom").await?;
        page.wait_for_results(1, ENCODE_LIMIT).await?;
        let hidden = page.script("return ['study', 'slice-bar'].every((id) => document.getElementById(id).hidden)").await?;
        ensure!(hidden == true, "a picture has slices or series");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_cine_without_a_place_names_nobody_until_it_is_asked() -> Result<()> {
    with_page(390, "cine", async |page| {
        page.open_file(&written("Doe-Jane.dcm", &cine())?).await?;
        wait_for_credit(page, "US · 64×48 · 3 frames").await?;
        wait_for_slice(page, "slice 2 of 3").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        let words = ["Doe", "Jane", "4711"];
        names_nobody(page, &words).await?;
        let hidden = page.script("return ['window', 'tool-window', 'plane-label', 'frame-label'].every((id) => document.getElementById(id).hidden)").await?;
        ensure!(hidden == true, "8 bits need no window, and frames without a place have no planes");
        page.click("add-box").await?;
        page.wait_for_results(1, 60).await?;
        let text = page.text("objects").await?;
        ensure!(!text.contains("mm²"), "the file tells no sizes: {text}");
        page.click("slice-next").await?;
        wait_for_slice(page, "slice 3 of 3").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        page.click("add-box").await?;
        page.wait_for_results(2, 60).await?;
        let formats = page.script("return [...document.getElementById('format').options].map((option) => option.value).join()").await?;
        ensure!(formats == "seg,labelmap,fractional,probability,uncertainty,coco,geojson", "formats {formats}");
        let bytes = std::fs::read(saved(page, "us-series-seg.dcm").await?)?;
        ensure!(bytes[128..132] == *b"DICM" && bytes.windows(8).any(|part| part == b"Doe^Jane"), "no file for this patient");
        names_nobody(page, &words).await.context("after saving")?;
        page.click("describe").await?;
        ensure!(page.text("series").await?.contains("Liver of Jane Doe"), "descriptions are not shown when asked for");
        page.screenshot("v13-cine-390").await?;
        // Another study begins without descriptions again.
        page.open_file(&written("Doe-Jane.dcm", &cine())?).await?;
        page.wait_for("the other study", "return !document.getElementById('describe').checked && document.querySelectorAll('#objects li').length === 0", 20).await?;
        names_nobody(page, &words).await.context("in another study")
    })
    .await
}

#[tokio::test]
async fn slices_without_values_are_passed_and_volumes_over_time_are_chosen() -> Result<()> {
    with_page(1280, "gaps", async |page| {
        page.open_file(&written("gaps.nii", &gaps())?).await?;
        wait_for_credit(page, "30×20×6").await?;
        wait_for_slice(page, "slice 4 of 6").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        for slice in [3, 2, 1] {
            keys(page, ",").await?;
            wait_for_slice(page, &format!("slice {slice} of 6")).await?;
            page.wait_until_encoded(ENCODE_LIMIT).await?;
        }
        ensure!(picture(page).await? == 0, "a slice without values is not black");
        keys(page, Key::End + "").await?;
        wait_for_slice(page, "slice 6 of 6").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        let first = picture(page).await?;
        page.click("add-box").await?;
        page.wait_for_results(1, 60).await?;
        page.script(
            "const frame = document.getElementById('frame'); frame.value = 3; frame.dispatchEvent(new Event('change'))",
        )
        .await?;
        wait_for_other_picture(page, &first).await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        ensure!(painted(page).await? == 0, "the mask of the first volume lies on the third");
        ensure!(page.text("objects").await?.contains("volume 1, "), "{}", page.text("objects").await?);
        page.choose("format", "nifti").await?;
        page.click("save-file").await?;
        page.wait_for(
            "what is missing",
            "return document.getElementById('error').innerText.includes('no object of volume 3')",
            20,
        )
        .await
    })
    .await
}

#[tokio::test]
async fn the_sample_volume_opens_with_a_mask() -> Result<()> {
    with_page(1280, "sample", async |page| {
        if !page.open_sample("Chest volume").await? {
            eprintln!("SKIPPED: without pip the site has no sample volume");
            return Ok(());
        }
        wait_for_credit(page, "Chest CT volume").await?;
        wait_for_slice(page, "slice 21 of 34").await?;
        page.wait_for_results(1, 60).await?;
        page.screenshot("v11-sample").await?;
        ensure!(page.text("privacy").await?.contains("Nothing was sent"), "{}", page.text("privacy").await?);
        page.choose("window-kind", "lung").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        page.choose("plane", "1").await?;
        wait_for_slice(page, "slice 65 of 128").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        page.script("window.scrollTo(0, 0)").await?;
        page.screenshot("v12-sample-coronal").await?;

        // Labels lie where the masks were drawn, in every plane: the saved file is opened again.
        for (axis, slice) in [("2", "slice 15 of 34"), ("1", "slice 62 of 128"), ("0", "slice 62 of 128")] {
            page.open_sample("Chest volume").await?;
            page.wait_for_results(1, 60).await?;
            keys(page, Key::Delete + "").await?;
            page.choose("plane", axis).await?;
            // From the middle one, where the list of planes leads.
            keys(page, ",,,").await?;
            wait_for_slice(page, slice).await?;
            page.wait_until_encoded(ENCODE_LIMIT).await?;
            let size = page
                .script("const { width, height } = document.getElementById('image-layer'); return [width, height]")
                .await?;
            let [width, height] = [0, 1].map(|index| size[index].as_f64().unwrap_or_default());
            page.drag((0.1 * width, 0.15 * height), (0.45 * width, 0.6 * height)).await?;
            page.wait_for_results(1, 60).await?;
            let mask = saved_mask(page).await?;
            page.choose("format", "nifti").await?;
            page.open_file(&saved(page, "chest-labels.nii.gz").await?).await?;
            wait_for_credit(page, "chest-labels.nii.gz").await?;
            page.choose("plane", axis).await?;
            keys(page, ",,,").await?;
            wait_for_slice(page, slice).await?;
            page.choose("window-kind", "min-max").await?;
            page.wait_until_encoded(ENCODE_LIMIT).await?;
            let (labels, _) = truth(page).await?;
            let agreement = dsc(&mask, &labels);
            ensure!(agreement == 1.0, "axis {axis}: labels and mask have a DSC of {agreement}");
        }
        Ok(())
    })
    .await
}
