//! Volumes on the real page, as a person opens, looks through, prompts and saves them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use image::GrayImage;
use serde_json::Value;
use thirtyfour::prelude::*;
use umedsam_webdriver::Page;
use xtask::root;

#[path = "volumes/files.rs"]
mod files;

use files::{cine, gaps};

/// Seconds an encode may take with everything else that a slow machine does.
const ENCODE_LIMIT: u64 = 180;

/// Real volumes, or `None` where `../shared` is not here.
fn volumes() -> Option<PathBuf> {
    let folder = root().join("../shared/volumes").canonicalize().ok();
    if folder.is_none() {
        eprintln!("SKIPPED: ../shared/volumes is not here");
    }
    folder
}

async fn with_page<T>(width: u32, name: &str, test: impl AsyncFnOnce(&Page) -> Result<T>) -> Result<T> {
    let page = Page::open("?device=cpu", width, 1000).await?;
    let result = async {
        page.wait_for_results(1, ENCODE_LIMIT).await?;
        test(&page).await
    }
    .await;
    if result.is_err() {
        page.screenshot(&format!("failed-{name}")).await.ok();
        eprintln!("browser log: {:#?}", page.log("browser").await);
    }
    page.close().await?;
    result
}

/// Gives several files to the page at once, as somebody does who marks them in a folder.
async fn open_all(page: &Page, folder: &Path) -> Result<()> {
    let mut paths: Vec<String> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    paths.sort();
    page.driver.find(By::Id("file")).await?.send_keys(paths.join("\n")).await?;
    Ok(())
}

async fn wait_for_credit(page: &Page, part: &str) -> Result<()> {
    let script = format!("return document.getElementById('credit').textContent.includes({part:?})");
    page.wait_for(part, &script, 60).await
}

async fn wait_for_slice(page: &Page, text: &str) -> Result<()> {
    let script = format!("return document.getElementById('slice-text').textContent === {text:?}");
    page.wait_for(text, &script, 20).await
}

/// What the page shows, as a number that changes with it.
async fn picture(page: &Page) -> Result<Value> {
    page.script(
        "const image = document.getElementById('image-layer');
         const { data } = image.getContext('2d').getImageData(0, 0, image.width, image.height);
         let sum = 0;
         for (let index = 0; index < data.length; index += 4) sum = (31 * sum + data[index]) % 2147483647;
         return sum",
    )
    .await
}

async fn wait_for_other_picture(page: &Page, before: &Value) -> Result<Value> {
    for _ in 0..100 {
        let now = picture(page).await?;
        if now != *before {
            return Ok(now);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    anyhow::bail!("the picture stays the same")
}

/// Pixels that the map layer paints on.
async fn painted(page: &Page) -> Result<u64> {
    let count = page
        .script(
            "const map = document.getElementById('map-layer');
             const { data } = map.getContext('2d').getImageData(0, 0, map.width, map.height);
             let count = 0;
             for (let index = 3; index < data.length; index += 4) count += data[index] > 0;
             return count",
        )
        .await?;
    count.as_u64().context("a count")
}

async fn wheel(page: &Page, turn: &str) -> Result<()> {
    page.script(&format!(
        "document.getElementById('viewer').dispatchEvent(new WheelEvent('wheel', {{ {turn}, cancelable: true, bubbles: true }}))"
    ))
    .await
    .map(drop)
}

async fn keys(page: &Page, keys: impl Into<TypingData>) -> Result<()> {
    Ok(page.driver.find(By::Id("viewer")).await?.send_keys(keys).await?)
}

/// The white pixels of what the page shows, and the box around them.
async fn truth(page: &Page) -> Result<(Vec<bool>, [f64; 4])> {
    let text = page
        .script(
            "const image = document.getElementById('image-layer');
             const { data } = image.getContext('2d').getImageData(0, 0, image.width, image.height);
             let text = '';
             for (let index = 0; index < data.length; index += 4) text += data[index] > 127 ? '1' : '0';
             return [text, image.width]",
        )
        .await?;
    let mask: Vec<bool> = text[0].as_str().context("a mask")?.bytes().map(|byte| byte == b'1').collect();
    let width = text[1].as_u64().context("a width")? as usize;
    let inside =
        || mask.iter().enumerate().filter(|&(_, &inside)| inside).map(|(pixel, _)| (pixel % width, pixel / width));
    let x = || inside().map(|(x, _)| x);
    let y = || inside().map(|(_, y)| y);
    let corner = |value: Option<usize>| value.context("the mask is empty");
    let corners = [corner(x().min())?, corner(y().min())?, corner(x().max())? + 1, corner(y().max())? + 1];
    Ok((mask, corners.map(|value| value as f64)))
}

fn dsc(mask: &GrayImage, truth: &[bool]) -> f64 {
    let both = mask.as_raw().iter().zip(truth).filter(|&(&a, &b)| a != 0 && b).count();
    let count =
        mask.as_raw().iter().filter(|&&value| value != 0).count() + truth.iter().filter(|&&inside| inside).count();
    2.0 * both as f64 / count as f64
}

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
        let mask = image::open(page.download("save-mask", &mask_name(page).await?).await?)?.into_luma8();
        let agreement = dsc(&mask, &truth);
        eprintln!("DSC with the tumour's contour: {agreement:.3}");
        ensure!(agreement > 0.6, "DSC with the tumour's contour is {agreement}");
        let on_slice = painted(page).await?;
        ensure!(on_slice > 500, "{on_slice} pixels are painted");
        keys(page, Key::PageDown + "").await?;
        wait_for_slice(page, "slice 26 of 48").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        ensure!(painted(page).await? == 0, "the mask of slice 25 lies on slice 26");
        keys(page, Key::PageUp + "").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        ensure!(painted(page).await? == on_slice, "the mask has gone");

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
        names_nobody(page, &NAMES).await
    })
    .await
}

/// From now on the names of saved files are in `globalThis.names`.
async fn watch_names(page: &Page) -> Result<()> {
    page.script(
        "globalThis.names = [];
         const click = HTMLAnchorElement.prototype.click;
         HTMLAnchorElement.prototype.click = function () { globalThis.names.push(this.download); click.call(this) }",
    )
    .await
    .map(drop)
}

/// What the mask's file is called.
async fn mask_name(page: &Page) -> Result<String> {
    watch_names(page).await?;
    page.click("save-mask").await?;
    page.wait_for("a name", "return globalThis.names.length > 0", 20).await?;
    Ok(page.script("return globalThis.names.at(-1)").await?.as_str().context("a name")?.to_string())
}

/// Saves the objects, and returns the file, whose name ends so.
async fn saved(page: &Page, ending: &str) -> Result<PathBuf> {
    page.script("globalThis.names = []").await?;
    page.click("save-file").await?;
    page.wait_for("a name", "return globalThis.names.length > 0", 20).await?;
    let name = page.script("return globalThis.names.at(-1)").await?.as_str().context("a name")?.to_string();
    ensure!(name.ends_with(ending), "{name} does not end with {ending}");
    page.download("save-file", &name).await
}

/// Words of the real files.
const NAMES: [&str; 3] = ["STS_002", "STS-002", "000000.dcm"];

/// Nothing of the files' own words is on the page, and nothing is stored.
async fn names_nobody(page: &Page, words: &[&str]) -> Result<()> {
    let stored = page.script("return localStorage.length + sessionStorage.length + document.cookie.length").await?;
    ensure!(stored == 0, "{stored} things are stored");
    let shown = page.script("return document.documentElement.outerHTML + location.href + document.title").await?;
    let shown = shown.as_str().context("the page")?;
    for word in words {
        ensure!(!shown.contains(word), "the page says {word}");
    }
    Ok(())
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
        watch_names(page).await?;
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
        page.script("document.querySelector('#samples button').click()").await?;
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
        watch_names(page).await?;
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
        let sample = "const sample = [...document.querySelectorAll('#samples button')].find((button) => button.textContent === 'Chest volume');
            sample?.click();
            return sample !== undefined";
        if page.script(sample).await? != true {
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
        page.screenshot("v12-sample-coronal").await
    })
    .await
}

fn written(name: &str, content: &[u8]) -> Result<PathBuf> {
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, content)?;
    Ok(path)
}
