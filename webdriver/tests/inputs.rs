//! What people bring to the page: files of every kind, shapes, drops, and changes of mind.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use image::{GrayImage, Luma};
use serde_json::Value;
use umedsam_picture::{Image8, Window, read_picture};
use umedsam_webdriver::Page;
use xtask::root;

/// Seconds an encode may take with everything else that a slow machine does.
const ENCODE_LIMIT: u64 = 180;

async fn with_page<T>(test: impl AsyncFnOnce(&Page) -> Result<T>) -> Result<T> {
    let page = Page::open("?device=cpu", 1280, 1000).await?;
    let result = async {
        page.wait_for_results(1, ENCODE_LIMIT).await?;
        test(&page).await
    }
    .await;
    if result.is_err() {
        page.screenshot("failed-inputs").await.ok();
        eprintln!("browser log: {:#?}", page.log("browser").await);
    }
    page.close().await?;
    result
}

/// What the command line gives the network of a file.
fn seen(path: &Path) -> Result<Image8> {
    let picture = read_picture(&std::fs::read(path)?)?;
    Ok(Window::Auto.apply(&picture.view()?)?)
}

async fn open(page: &Page, path: &Path) -> Result<()> {
    page.open_file(path).await?;
    let name = path.file_name().context("a file")?.to_string_lossy().into_owned();
    let is_open = format!("return document.getElementById('credit').textContent.startsWith({name:?})");
    page.wait_for(&name, &is_open, 30).await?;
    page.wait_until_encoded(ENCODE_LIMIT).await
}

fn temporary(name: &str, width: u32, height: u32) -> Result<PathBuf> {
    let path = std::env::temp_dir().join(name);
    GrayImage::from_fn(width, height, |x, y| Luma([((x / 7 + y / 3) % 200) as u8])).save(&path)?;
    Ok(path)
}

/// "Bit for bit": the picture that the page shows, encodes and saves is the command line's.
#[tokio::test]
async fn the_page_sees_what_the_command_line_sees() -> Result<()> {
    let Ok(cases) = root().join("../shared/cases").canonicalize() else {
        eprintln!("SKIPPED: ../shared/cases is not here");
        return Ok(());
    };
    with_page(async |page| {
        for name in ["plain.png", "exif-6.jpg", "grey-16.png", "gama-1.png", "hidden-white.png"] {
            let path = cases.join(name);
            open(page, &path).await?;
            let stem = path.file_stem().context("a name")?.to_string_lossy().into_owned();
            let saved = image::open(page.download("save-image", &format!("{stem}.png")).await?)?.into_rgb8();
            let expected = seen(&path)?;
            ensure!(saved.dimensions() == (expected.width as u32, expected.height as u32), "{name} has another size");
            let same = saved.as_raw().iter().enumerate().all(|(index, value)| {
                *value == expected.data[index / 3 * expected.channels + index % 3 % expected.channels]
            });
            ensure!(same, "{name} is another picture on the page");
        }
        // A window of one's own changes the picture and its encoding.
        let path = cases.join("grey-16.png");
        open(page, &path).await?;
        let before = page.download("save-image", "grey-16.png").await?;
        let before = std::fs::read(before)?;
        page.choose("window-kind", "min-max").await?;
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        let after = std::fs::read(page.download("save-image", "grey-16.png").await?)?;
        ensure!(before != after, "the window changes nothing");
        page.screenshot("7-window").await?;
        page.open_file(&cases.join("half.jpg")).await?;
        page.wait_for("an error", "return document.getElementById('error').innerText.includes('cut off')", 20).await
    })
    .await
}

/// Reads the place that the page shows for a place in the image.
async fn pointed(page: &Page, x: f64, y: f64) -> Result<(f64, f64)> {
    let (left, top) = page.window_position(x, y).await?;
    page.driver.action_chain().move_to(left, top).perform().await?;
    let text = page.text("pointer").await?;
    let number = |name: &str| {
        let rest = text.split(&format!("{name} ")).nth(1)?;
        rest.split(|character: char| !character.is_ascii_digit()).next()?.parse::<f64>().ok()
    };
    number("x").zip(number("y")).with_context(|| format!("the page says {text:?}"))
}

#[tokio::test]
async fn any_shape_can_be_pointed_at_and_boxed() -> Result<()> {
    with_page(async |page| {
        for (width, height) in [(5000u32, 200u32), (20_000, 300), (4096, 20), (1, 5000), (64, 64)] {
            let path = temporary(&format!("shape-{width}x{height}.png"), width, height)?;
            open(page, &path).await?;
            page.click("add-box").await?;
            page.wait_for_results(1, 60).await?;
            let (w, h) = (f64::from(width), f64::from(height));
            let scale = page
                .script("const v = document.getElementById('viewer'), i = document.getElementById('image-layer');
                         return Math.min(v.clientWidth / i.width, v.clientHeight / i.height)")
                .await?
                .as_f64()
                .context("a scale")?;
            let (x, y) = ((0.7 * w).floor() + 0.5, (0.4 * h).floor() + 0.5);
            let found = pointed(page, x, y).await?;
            let off = |found: f64, expected: f64| (found + 0.5 - expected).abs() * scale <= 1.0 + 0.5 * scale;
            ensure!(off(found.0, x) && off(found.1, y), "{width}×{height}: pointing at {x}, {y} reads {found:?}");
            if w * scale > 20.0 && h * scale > 20.0 {
                page.drag((0.2 * w, 0.1 * h), (0.6 * w, 0.9 * h)).await?;
                page.wait_for_results(2, 60).await?;
            }
        }
        // Closer: the wheel keeps what it points at, and a place is read more finely.
        let path = temporary("wheel.png", 4000, 3000)?;
        open(page, &path).await?;
        let (left, top) = page.window_position(1000.0, 700.0).await?;
        page.script(&format!(
            "const viewer = document.getElementById('viewer');
             for (let turn = 0; turn < 8; turn++) viewer.dispatchEvent(new WheelEvent('wheel', {{ deltaY: -200, clientX: {left}, clientY: {top}, cancelable: true, bubbles: true }}))"
        ))
        .await?;
        page.click("add-box").await?;
        page.wait_for_results(1, 60).await?;
        page.driver.action_chain().move_to(left, top).perform().await?;
        // Before, a CSS pixel was four of the image; now it is less than one.
        let text = page.text("pointer").await?;
        let x = text.strip_prefix("x ").and_then(|text| text.split(',').next()).and_then(|x| x.parse::<f64>().ok());
        ensure!(x.is_some_and(|x| (x - 1000.0).abs() <= 3.0), "{text}");
        ensure!(page.text("objects").await?.contains("px"), "no box");
        page.screenshot("8-zoomed").await?;
        page.click("zoom-fit").await?;
        // Two fingers zoom, and neither draws.
        let transform = "return document.getElementById('image-layer').style.transform";
        let before = page.script(transform).await?;
        page.pinch((2000.0, 400.0)).await?;
        ensure!(page.script(transform).await? != before, "two fingers do not zoom");
        let boxes = page.script("return document.querySelectorAll('#objects li').length").await?;
        ensure!(boxes == 1, "two fingers drew: there are {boxes} boxes");
        page.click("zoom-fit").await
    })
    .await
}

#[tokio::test]
async fn drops_are_opened_or_explained_and_the_last_device_wins() -> Result<()> {
    with_page(async |page| {
        let drop = |items: &str| {
            format!(
                "const data = new DataTransfer(); {items};
                 const event = new DragEvent('drop', {{ dataTransfer: data, bubbles: true, cancelable: true }});
                 document.querySelector('footer').dispatchEvent(event);
                 return event.defaultPrevented"
            )
        };
        for (items, part) in [
            ("data.items.add(new File(['a'], 'a.png')); data.items.add(new File(['b'], 'b.png'))", "2 files"),
            ("data.items.add('https://example.org/', 'text/uri-list')", "no file"),
            ("data.items.add(new File(['%PDF-1.4'], 'report.pdf'))", "a PDF"),
        ] {
            let stays = page.script(&drop(items)).await?;
            ensure!(stays == Value::Bool(true), "the browser would leave the page: {items}");
            let script = format!("return document.getElementById('error').innerText.includes({part:?})");
            page.wait_for(part, &script, 10).await?;
        }
        let picture = std::fs::read(temporary("dropped.png", 80, 60)?)?;
        let bytes = format!("data.items.add(new File([new Uint8Array({picture:?})], 'dropped.png'))");
        page.script(&drop(&bytes)).await?;
        page.wait_for(
            "the dropped file",
            "return document.getElementById('credit').textContent.startsWith('dropped')",
            20,
        )
        .await?;

        // A script cannot make a folder, only what a browser says of one: a few entries at a time, folders within, and none at the end.
        let picture = std::fs::read(temporary("inside.png", 70, 50)?)?;
        let folder = format!(
            "globalThis.ownEntry = DataTransferItem.prototype.webkitGetAsEntry;
             const file = (name, bytes) => ({{ isDirectory: false, file: (ok) => ok(new File([new Uint8Array(bytes)], name)) }});
             const folder = (...batches) => ({{ isDirectory: true, createReader: () => ({{ readEntries: (ok) => ok(batches.shift() ?? []) }}) }});
             globalThis.dropped = folder([file('.DS_Store', [1]), file('notes.txt', [65])], [folder([file('inside.png', {picture:?})])]);
             DataTransferItem.prototype.webkitGetAsEntry = () => globalThis.dropped;
             data.items.add(new File([], 'series'))"
        );
        page.script(&drop(&folder)).await?;
        let script = "return document.getElementById('credit').textContent.startsWith('inside.png')
            && document.getElementById('notes-title').textContent.startsWith('1 note')";
        page.wait_for("the picture in the folder", script, 20).await?;
        page.script("globalThis.dropped = { isDirectory: true, createReader: () => ({ readEntries: (ok) => ok([]) }) }").await?;
        page.script(&drop("data.items.add(new File([], 'series'))")).await?;
        let script = "return document.getElementById('error').innerText.includes('folder is empty')";
        page.wait_for("what is said of an empty folder", script, 10).await?;
        page.script("DataTransferItem.prototype.webkitGetAsEntry = globalThis.ownEntry").await?;

        // Browsers whose canvases are smaller than Chromium's.
        page.script("globalThis.ownCanvas = OffscreenCanvas; OffscreenCanvas = class { getContext() { return null } }")
            .await?;
        page.open_file(&temporary("wide.png", 5000, 10)?).await?;
        let script = "return document.getElementById('error').innerText.includes('shows no image of 5000×10')";
        page.wait_for("the browser's limit", script, 20).await?;
        page.script("OffscreenCanvas = globalThis.ownCanvas").await?;

        // Twice in a second, during a load: the last choice wins, and no error stays.
        for device in ["webgpu", "cpu", "auto", "cpu"] {
            page.choose("device-choice", device).await?;
            tokio::time::sleep(std::time::Duration::from_millis(120)).await;
        }
        page.wait_until_encoded(ENCODE_LIMIT).await?;
        page.click("add-box").await?;
        page.choose("device-choice", "cpu").await?;
        page.wait_for_results(1, ENCODE_LIMIT).await?;
        ensure!(page.text("device").await?.contains("CPU"), "the device is {}", page.text("device").await?);
        let error = page.script("return document.getElementById('error').hidden").await?;
        ensure!(error == Value::Bool(true), "an error stays: {}", page.text("error").await?);
        ensure!(page.text("privacy").await?.contains("Nothing was sent"), "{}", page.text("privacy").await?);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nothing_is_promised_of_a_picture_of_no_patient() -> Result<()> {
    with_page(async |page| {
        let contours = "return [document.getElementById('outer-on').disabled, document.getElementById('inner-on').disabled].join()";
        let path = std::env::temp_dir().join("checkerboard.png");
        GrayImage::from_fn(256, 256, |x, y| Luma([if (x / 16 + y / 16) % 2 == 0 { 30 } else { 220 }])).save(&path)?;
        open(page, &path).await?;
        page.click("add-box").await?;
        page.wait_for_results(1, 60).await?;
        let (said, flag) = (page.text("guarantee").await?, page.text("objects").await?);
        ensure!(said.contains("unlike") && said.contains("nothing is promised"), "the page says {said:?}");
        ensure!(flag.contains("unlike the calibration: check"), "the list says {flag:?}");
        ensure!(page.script(contours).await? == "true,true", "contours can be asked for");
        page.click("outer-on").await.ok();
        page.screenshot("8-unlike").await?;
        if page.open_sample("Chest CT").await? {
            page.wait_for_results(1, ENCODE_LIMIT).await?;
            let said = page.text("guarantee").await?;
            ensure!(said.contains("On images like those of the calibration"), "of the sample the page says {said:?}");
            ensure!(page.script(contours).await? == "false,false", "contours cannot be asked for");
        }
        Ok(())
    })
    .await
}
