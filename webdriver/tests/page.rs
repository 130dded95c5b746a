//! The real page with the real weights, as a person uses it.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use image::{GrayImage, RgbImage};
use safetensors::SafeTensors;
use serde_json::Value;
use umedsam_webdriver::Page;
use xtask::root;

/// Seconds an encode may take with everything else that a slow machine does.
const ENCODE_LIMIT: u64 = 180;

/// MedSAM's demo CT with the reference's boxes and masks, or `None` where `../shared` is not here.
struct Reference {
    image: RgbImage,
    boxes: Vec<[f64; 4]>,
    masks: Vec<Vec<u8>>,
}

impl Reference {
    fn ct_abdomen() -> Option<Self> {
        let path = root().join("../shared/reference/litemedsam/ct_abdomen.safetensors");
        let Ok(bytes) = std::fs::read(path) else {
            eprintln!("SKIPPED: ../shared/reference is not here");
            return None;
        };
        let tensors = SafeTensors::deserialize(&bytes).expect("a valid reference");
        let tensor = |name: &str| tensors.tensor(name).expect("a complete reference");
        let shape = tensor("image").shape().to_vec();
        let image = RgbImage::from_raw(shape[1] as u32, shape[0] as u32, tensor("image").data().to_vec());
        let boxes: Vec<f64> = tensor("boxes")
            .data()
            .chunks_exact(4)
            .map(|bytes| f64::from(f32::from_le_bytes(bytes.try_into().expect("four bytes"))))
            .collect();
        let masks = tensor("mask").data().chunks_exact(shape[0] * shape[1]).map(<[u8]>::to_vec).collect();
        Some(Self { image: image.expect("an RGB image"), boxes: boxes.as_chunks::<4>().0.to_vec(), masks })
    }

    fn save(&self) -> Result<PathBuf> {
        let path = std::env::temp_dir().join("ct_abdomen.png");
        self.image.save(&path)?;
        Ok(path)
    }
}

fn dsc(a: &[u8], b: &[u8]) -> f64 {
    let count = |mask: &[u8]| mask.iter().filter(|&&value| value != 0).count();
    let both = a.iter().zip(b).filter(|&(&a, &b)| a != 0 && b != 0).count();
    2.0 * both as f64 / (count(a) + count(b)) as f64
}

/// The alpha of the map layer, which in the heatmap is the uncertainty: 0–255 per pixel.
async fn map_alpha(page: &Page) -> Result<Vec<u8>> {
    let text = page
        .script(
            "const map = document.getElementById('map-layer');
             const { data } = map.getContext('2d').getImageData(0, 0, map.width, map.height);
             let text = '';
             for (let index = 3; index < data.length; index += 4) text += String.fromCharCode(0x100 + data[index]);
             return text",
        )
        .await?;
    Ok(text.as_str().context("a text")?.chars().map(|character| (character as u32 - 0x100) as u8).collect())
}

/// Whether each pixel is within `reach` pixels of the mask's edge.
fn near_edge(mask: &[u8], width: usize, reach: isize) -> Vec<bool> {
    let height = (mask.len() / width) as isize;
    let at = |x: isize, y: isize| {
        let inside = (0..width as isize).contains(&x) && (0..height).contains(&y);
        inside && mask[y as usize * width + x as usize] != 0
    };
    (0..mask.len() as isize)
        .map(|pixel| {
            let (x, y) = (pixel % width as isize, pixel / width as isize);
            let here = at(x, y);
            (-reach..=reach).any(|dy| (-reach..=reach).any(|dx| at(x + dx, y + dy) != here))
        })
        .collect()
}

/// Addresses that the browser asked for, from its performance log.
fn requested(log: &[Value]) -> Vec<String> {
    log.iter()
        .filter_map(|entry| serde_json::from_str::<Value>(entry["message"].as_str()?).ok())
        .filter(|event| event["message"]["method"] == "Network.requestWillBeSent")
        .filter_map(|event| event["message"]["params"]["request"]["url"].as_str().map(str::to_string))
        .filter(|url| !url.starts_with("blob:") && !url.starts_with("data:"))
        .collect()
}

fn bad_file(name: &str, content: &[u8]) -> Result<PathBuf> {
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, content)?;
    Ok(path)
}

/// With the official weights, whose masks the reference has.
#[tokio::test]
async fn a_reviewer_segments_an_image() -> Result<()> {
    let page = Page::open("?device=cpu&weights=weights/litemedsam-f16.safetensors", 1280, 1000).await?;
    let result = review(&page).await;
    if result.is_err() {
        page.screenshot("failed").await.ok();
        eprintln!("browser log: {:#?}", page.log("browser").await);
    }
    page.close().await?;
    result
}

async fn review(page: &Page) -> Result<()> {
    // The page opens with a sample and a box already segmented.
    page.wait_for_results(1, ENCODE_LIMIT).await?;
    page.screenshot("1-opened-1280").await?;
    ensure!(page.text("device").await?.contains("CPU"), "the device is {:?}", page.text("device").await?);
    ensure!(page.text("privacy").await?.contains("Nothing was sent"), "{}", page.text("privacy").await?);

    // From here on nothing may be requested.
    let served = page.server.requests().len();
    page.log("performance").await?;

    let reference = Reference::ct_abdomen();
    if let Some(reference) = &reference {
        segment_reference(page, reference).await?;
    }
    edit_with_keys(page).await?;
    survive_bad_files(page).await?;

    ensure!(page.server.requests().len() == served, "requested: {:?}", &page.server.requests()[served..]);
    let requests = requested(&page.log("performance").await?);
    ensure!(requests.is_empty(), "requested: {requests:?}");
    ensure!(page.text("requests").await?.starts_with("nothing"), "{}", page.text("requests").await?);
    let complaints: Vec<Value> =
        page.log("browser").await?.into_iter().filter(|entry| entry["level"] == "SEVERE").collect();
    ensure!(complaints.is_empty(), "the browser complains: {complaints:#?}");

    // The same page on a phone, with a sample again.
    page.open_sample("Phantom").await?;
    page.wait_for_results(1, ENCODE_LIMIT).await?;
    page.driver.set_window_rect(0, 0, 390, 844).await?;
    let overflow = page.script("return document.documentElement.scrollWidth - window.innerWidth").await?;
    ensure!(overflow.as_i64().unwrap_or(1) <= 0, "the page is {overflow} pixels too wide for a phone");
    page.script("window.scrollTo(0, 0)").await?;
    page.screenshot("5-phone-390").await
}

/// With the weights that the page comes with.
#[tokio::test]
async fn the_page_opens_with_our_own_weights() -> Result<()> {
    let page = Page::open("?device=cpu", 1280, 1000).await?;
    let result = async {
        page.wait_for_results(1, ENCODE_LIMIT).await?;
        page.screenshot("6-own-weights").await?;
        ensure!(page.text("model").await?.contains("umedsam"), "the model is {:?}", page.text("model").await?);
        ensure!(page.text("calibration").await?.contains("images"), "{}", page.text("calibration").await?);
        let Some(reference) = Reference::ct_abdomen() else { return Ok(()) };
        open_reference(&page, &reference).await?;
        let [x0, y0, x1, y1] = reference.boxes[0];
        page.drag((x0, y0), (x1, y1)).await?;
        page.wait_for_results(1, 60).await?;
        let mask = image::open(page.download("save-mask", "ct_abdomen-mask.png").await?)?.into_luma8();
        let agreement = dsc(mask.as_raw(), &reference.masks[0]);
        eprintln!("DSC with the official network's mask: {agreement:.4}");
        ensure!(agreement > 0.8, "DSC with the official network's mask is {agreement}");
        Ok(())
    }
    .await;
    page.close().await?;
    result
}

/// Opens the reference's image and waits until it is encoded. The sample before it is as wide, so that only the credit tells them apart.
async fn open_reference(page: &Page, reference: &Reference) -> Result<()> {
    page.open_file(&reference.save()?).await?;
    let is_shown = "return document.getElementById('credit').textContent.includes('opened from this machine')";
    page.wait_for("the new image", is_shown, 20).await?;
    page.wait_until_encoded(ENCODE_LIMIT).await
}

async fn segment_reference(page: &Page, reference: &Reference) -> Result<()> {
    open_reference(page, reference).await?;
    page.wait_for_results(0, 5).await?;

    let [x0, y0, x1, y1] = reference.boxes[0];
    page.drag((x0, y0), (x1, y1)).await?;
    page.wait_for_results(1, 60).await?;
    page.screenshot("2-ct-box").await?;
    let mask = image::open(page.download("save-mask", "ct_abdomen-mask.png").await?)?.into_luma8();
    let agreement = dsc(mask.as_raw(), &reference.masks[0]);
    eprintln!("DSC with the reference: {agreement:.4}");
    ensure!(agreement >= 0.99, "DSC with the reference is {agreement}");

    heatmap_follows_the_edge(page, &mask).await?;
    maps_and_contours_are_shown(page).await?;
    let heat = image::open(page.download("save-heat", "ct_abdomen-total-uncertainty.png").await?)?.into_rgb8();
    ensure!(heat.dimensions() == (512, 512) && heat != reference.image, "the saved heatmap shows no heat");
    let saved = image::open(page.download("save-image", "ct_abdomen.png").await?)?.into_rgb8();
    ensure!(saved == reference.image, "the saved image is another one");

    // Move the box away and back; the result follows.
    let centre = ((x0 + x1) / 2.0, (y0 + y1) / 2.0);
    let before = page.text("objects").await?;
    page.drag(centre, (centre.0 - 60.0, centre.1)).await?;
    page.wait_for("the moved box", &format!("return document.getElementById('objects').innerText !== {before:?}"), 30)
        .await?;
    // Resize by the second corner.
    let before = page.text("objects").await?;
    page.drag((x1 - 60.0, y1), (x1 - 20.0, y1 + 20.0)).await?;
    page.wait_for(
        "the resized box",
        &format!("return document.getElementById('objects').innerText !== {before:?}"),
        30,
    )
    .await?;

    // A finger draws a further box, and moves it.
    page.touch_drag((60.0, 60.0), (130.0, 120.0)).await?;
    page.wait_for_results(2, 30).await?;
    let before = page.text("objects").await?;
    page.touch_drag((95.0, 90.0), (105.0, 130.0)).await?;
    page.wait_for(
        "the box moved by touch",
        &format!("return document.getElementById('objects').innerText !== {before:?}"),
        30,
    )
    .await
}

/// The maps differ, each is explained, and both contours can be seen.
async fn maps_and_contours_are_shown(page: &Page) -> Result<()> {
    ensure!(page.text("calibration").await?.contains("images"), "{}", page.text("calibration").await?);
    ensure!(page.text("guarantee").await?.contains("10 %"), "{}", page.text("guarantee").await?);
    ensure!(page.text("objects").await?.contains("expected DSC"), "{}", page.text("objects").await?);
    let mut pictures = Vec::new();
    let mut meanings = Vec::new();
    for map in ["aleatoric", "epistemic", "total"] {
        page.choose("map", map).await?;
        ensure!(page.text("legend-title").await?.to_lowercase().starts_with(map), "the legend does not say {map}");
        meanings.push(page.text("meaning").await?);
        pictures.push(map_alpha(page).await?);
        page.screenshot(&format!("3-{map}")).await?;
    }
    ensure!(pictures[0] != pictures[1] && pictures[1] != pictures[2], "two maps look the same");
    ensure!(meanings[0] != meanings[1] && meanings.iter().all(|text| text.len() > 20), "{meanings:?}");

    // Without heat and mask only the contours are left; a stricter bound moves them apart.
    for id in ["mask-on", "heat-on"] {
        page.click(id).await?;
    }
    let contours = |alpha: Vec<u8>| alpha.iter().filter(|&&value| value == 255).count();
    let mut lengths = Vec::new();
    for alpha in ["0.2", "0.05"] {
        let before = map_alpha(page).await?;
        page.choose("alpha", alpha).await?;
        let start = std::time::Instant::now();
        while map_alpha(page).await? == before {
            ensure!(start.elapsed().as_secs() < 60, "α = {alpha} changes nothing");
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
        lengths.push(contours(map_alpha(page).await?));
    }
    page.screenshot("3-contours").await?;
    ensure!(lengths.iter().all(|&length| length > 100), "contours of {lengths:?} pixels");
    page.click("outer-on").await?;
    let inner = contours(map_alpha(page).await?);
    page.click("outer-on").await?;
    ensure!(inner > 50 && inner < lengths[1], "the inner contour has {inner} of {} pixels", lengths[1]);
    page.choose("alpha", "0.1").await?;
    page.wait_for("the guarantee", "return document.getElementById('guarantee').innerText.includes('10 %')", 60)
        .await?;
    // Of weights that know nothing of single objects the page says so.
    for (delta, said) in [("0.1", "for 9 of 10 objects|single objects"), ("", "on average at most")] {
        page.choose("delta", delta).await?;
        let is_said = format!("return /{said}/.test(document.getElementById('guarantee').innerText)");
        page.wait_for("the guarantee's kind", &is_said, 60).await?;
    }
    for id in ["mask-on", "heat-on"] {
        page.click(id).await?;
    }
    Ok(())
}

async fn heatmap_follows_the_edge(page: &Page, mask: &GrayImage) -> Result<()> {
    let others = ["mask-on", "outer-on", "inner-on"];
    for id in others {
        page.click(id).await?;
    }
    page.screenshot("3-heatmap-alone").await?;
    let alpha = map_alpha(page).await?;
    for id in others {
        page.click(id).await?;
    }
    let width = mask.width() as usize;
    ensure!(alpha.len() == mask.as_raw().len(), "the heatmap has {} pixels", alpha.len());

    let edge = near_edge(mask.as_raw(), width, 3);
    let mean = |wanted: bool| {
        let values: Vec<f64> =
            alpha.iter().zip(&edge).filter(|&(_, &edge)| edge == wanted).map(|(&alpha, _)| f64::from(alpha)).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let (on_edge, elsewhere) = (mean(true), mean(false));
    let brightest = alpha.iter().copied().max().context("pixels")?;
    let bright = alpha.iter().zip(&edge).filter(|&(&alpha, _)| alpha >= brightest - 2);
    let (near, all) = bright.fold((0usize, 0usize), |(near, all), (_, &edge)| (near + usize::from(edge), all + 1));
    eprintln!(
        "uncertainty: {on_edge:.1} on the edge, {elsewhere:.1} elsewhere; {near} of {all} brightest pixels on the edge"
    );
    ensure!(brightest > 200, "the heatmap's brightest pixel is {brightest} of 255");
    ensure!(on_edge > 5.0 * elsewhere, "uncertainty is {on_edge} on the edge and {elsewhere} elsewhere");
    ensure!(near as f64 >= 0.9 * all as f64, "only {near} of the {all} brightest pixels are on the edge");
    Ok(())
}

async fn edit_with_keys(page: &Page) -> Result<()> {
    let boxes =
        page.script("return document.querySelectorAll('#objects li').length").await?.as_u64().unwrap_or(0) as usize;
    let viewer = page.driver.find(thirtyfour::By::Id("viewer")).await?;
    viewer.send_keys("n").await?;
    page.wait_for_results(boxes + 1, 60).await?;
    let before = page.text("objects").await?;
    viewer.send_keys(thirtyfour::Key::Left + "").await?;
    page.wait_for(
        "the shifted box",
        &format!("return document.getElementById('objects').innerText !== {before:?}"),
        30,
    )
    .await?;
    page.screenshot("4-keyboard").await?;
    viewer.send_keys(thirtyfour::Key::Delete + "").await?;
    page.wait_for_results(boxes, 30).await
}

async fn survive_bad_files(page: &Page) -> Result<()> {
    let boxes = page.script("return document.querySelectorAll('#objects li').length").await?;
    for (name, content) in [
        ("notes.png", b"this is no image".as_slice()),
        ("empty.jpg", b"".as_slice()),
        ("truncated.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice()),
    ] {
        page.open_file(&bad_file(name, content)?).await?;
        let script = format!("return document.getElementById('error').innerText.includes({name:?})");
        page.wait_for(&format!("an error about {name}"), &script, 20).await?;
        let after = page.script("return document.querySelectorAll('#objects li').length").await?;
        ensure!(after == boxes, "{name} changed the boxes");
    }
    // The next good action works and clears the error.
    page.open_file(&one_pixel()?).await?;
    page.wait_for(
        "the tiny image",
        "return document.getElementById('error').hidden && document.getElementById('image-layer').width === 1",
        30,
    )
    .await?;
    page.wait_until_encoded(ENCODE_LIMIT).await?;
    page.click("add-box").await?;
    page.wait_for_results(1, 60).await
}

fn one_pixel() -> Result<PathBuf> {
    let path = std::env::temp_dir().join("one-pixel.png");
    GrayImage::from_pixel(1, 1, image::Luma([9])).save(&path)?;
    Ok(path)
}

/// `cargo xtask webgpu`
#[tokio::test]
#[ignore = "minutes on an emulated adapter: cargo xtask webgpu"]
async fn webgpu_full_size() -> Result<()> {
    let mut maps = Vec::new();
    for device in ["webgpu", "cpu"] {
        let page = Page::open(&format!("?device={device}"), 1280, 1000).await?;
        let result = async {
            page.wait_for_results(1, 1500).await?;
            page.screenshot(&format!("full-size-{device}")).await?;
            print_run(&page).await?;
            map_alpha(&page).await
        }
        .await;
        page.close().await?;
        maps.push(result?);
    }
    let [webgpu, cpu] = [&maps[0], &maps[1]];
    ensure!(webgpu.len() == cpu.len(), "maps of {} and {} pixels", webgpu.len(), cpu.len());
    // Contours and the mask are drawn too, and may move by a pixel where a probability is just at their threshold.
    let differences: Vec<u8> = webgpu.iter().zip(cpu).map(|(a, b)| a.abs_diff(*b)).collect();
    let others = differences.iter().filter(|&&difference| difference > 2).count();
    let largest = differences.iter().max();
    println!("maps as drawn: {others} of {} pixels differ by more than 2 of 255, at most by {largest:?}", cpu.len());
    ensure!(others * 10_000 <= cpu.len(), "WebGPU's uncertainty map is another one");
    Ok(())
}

/// `cargo xtask measure`
#[tokio::test]
#[ignore = "prints figures: cargo xtask measure"]
async fn measure() -> Result<()> {
    let page = Page::open("?device=cpu", 1280, 1000).await?;
    let result = async {
        page.wait_for_results(1, ENCODE_LIMIT).await?;
        page.wait_for("the memory", "return document.getElementById('memory').textContent.includes('MiB')", 20).await?;
        print_run(&page).await?;
        Ok(())
    }
    .await;
    page.close().await?;
    result
}

async fn print_run(page: &Page) -> Result<()> {
    for id in
        ["device", "device-reason", "model", "load-time", "encode-time", "segment-time", "uncertainty-time", "memory"]
    {
        println!("{id}: {}", page.text(id).await?);
    }
    Ok(())
}
