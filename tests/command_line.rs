//! The command line, as a person runs it.

mod support;

use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use image::{GrayImage, ImageReader, Luma};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use support::{Reference, root};
use tempfile::TempDir;
use umedsam::metrics::dsc;

fn umedsam(arguments: &[&str]) -> Output {
    Command::cargo_bin("umedsam").unwrap().args(arguments).output().unwrap()
}

#[track_caller]
fn assert_fails(output: &Output, code: &str, part: &str) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it should fail with {code}");
    assert!(message.contains(&format!("[{code}]")) && message.contains(part), "{code} and {part:?} not in {message}");
    assert!(!message.contains("panicked"), "{message}");
}

fn weights() -> Option<PathBuf> {
    let path = root().join("weights/litemedsam-f16.safetensors");
    path.exists().then_some(path)
}

fn checkpoint() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let path = target.join("downloads/lite_medsam.pth");
    path.exists().then_some(path)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn segment_writes_pictures_and_a_report() {
    let weights = or_skip!(weights(), "weights/ (run cargo xtask weights)");
    let reference = or_skip!(Reference::litemedsam("ct_abdomen"), "../shared/reference");
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("ct.png");
    image::RgbImage::from_raw(512, 512, reference.bytes("image")).unwrap().save(&image).unwrap();
    let boxes =
        reference.boxes().iter().map(|corners| corners.map(|value| value.to_string()).join(",")).collect::<Vec<_>>();
    let segment = |out: &Path, extra: &[&str]| {
        let mut arguments =
            vec!["segment", "--weights", text(&weights), "--image", text(&image), "--out-dir", text(out)];
        for corners in &boxes {
            arguments.extend(["--box", corners]);
        }
        arguments.extend(extra);
        let output = umedsam(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    // The network's mask is the official one whatever the uncertainty; a single uncalibrated pass has its probability, and the consensus mask
    // the ensemble's.
    for (name, extra, is_official, fits_probability) in [
        ("default", [].as_slice(), true, false),
        ("single", &["--uncertainty", "none", "--uncalibrated"], true, true),
        ("consensus", &["--mask", "consensus"], false, true),
    ] {
        let out = folder.path().join(name);
        segment(&out, extra);
        for (index, expected) in reference.bytes("mask").chunks_exact(512 * 512).enumerate() {
            let open =
                |kind: &str| ImageReader::open(out.join(format!("{kind}_{index}.png"))).unwrap().decode().unwrap();
            let mask = open("mask").into_luma8();
            assert!(mask.as_raw().iter().all(|value| [0, 255].contains(value)));
            let agreement = dsc(mask.as_raw(), expected);
            assert!(agreement > 0.999 || !is_official && agreement > 0.9, "{name}: {agreement}");
            let probability = open("probability");
            assert_eq!(probability.color(), image::ColorType::L16);
            let inside: Vec<u8> =
                probability.into_luma16().into_raw().iter().map(|&value| u8::from(value > 32767)).collect();
            assert!(dsc(&inside, mask.as_raw()) > 0.999 || !fits_probability, "{name}: mask and probability disagree");
            assert_eq!(open("uncertainty").into_rgb8().dimensions(), (512, 512));
        }
    }
    let report = std::fs::read(folder.path().join("default/result.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["results"].as_array().unwrap().len(), boxes.len());
    let iou = report["results"][0]["predicted_iou"].as_f64().unwrap();
    assert!((iou - f64::from(reference.floats("iou")[0])).abs() < 0.01);
    assert!(report["timings_ms"]["encode"].as_f64().unwrap() > 0.0);
}

#[test]
fn segment_takes_the_boxes_of_challenge_files() {
    let weights = or_skip!(weights(), "weights/ (run cargo xtask weights)");
    let data = or_skip!(support::shared("data/val/MR"), "../shared/data");
    let dataset = std::fs::read_dir(data).unwrap().next().unwrap().unwrap().path();
    let case = std::fs::read_dir(dataset).unwrap().next().unwrap().unwrap().path();
    let folder = TempDir::new().unwrap();
    let out = text(folder.path());
    let output = umedsam(&["segment", "--weights", text(&weights), "--image", text(&case), "--out-dir", out]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(folder.path().join("mask_0.png").exists());

    let volume = or_skip!(support::shared("reference/litemedsam/3DBox_MR_brain1.npz"), "../shared/reference");
    let output = umedsam(&["segment", "--weights", text(&weights), "--image", text(&volume), "--out-dir", out]);
    assert_fails(&output, "file", "3D");
}

#[test]
fn bad_input_is_named() {
    let weights = or_skip!(weights(), "weights/ (run cargo xtask weights)");
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let image = folder.path().join("one.png");
    GrayImage::from_pixel(1, 1, Luma([3])).save(&image).unwrap();
    let notes = folder.path().join("notes.png");
    std::fs::write(&notes, "no image").unwrap();
    let archive = folder.path().join("case.npz");
    std::fs::write(&archive, b"PK\x03\x04 cut off").unwrap();
    let segment = |weights: &Path, image: &Path, corners: &str| {
        let (weights, image, out) = (text(weights), text(image), text(&out));
        umedsam(&["segment", "--weights", weights, "--image", image, "--box", corners, "--out-dir", out])
    };
    assert_fails(&segment(&weights, &image, "2,2,5,5"), "invalid-box", "1×1");
    assert_fails(&segment(&weights, &image, "0,0,0,1"), "invalid-box", "no area");
    assert_fails(&segment(&weights, &image, "NaN,0,1,1"), "invalid-box", "finite");
    assert_fails(&segment(&weights, &notes, "0,0,1,1"), "file", "notes.png");
    assert_fails(&segment(&weights, &archive, "0,0,1,1"), "file", "case.npz");
    assert_fails(&segment(&weights, &folder.path().join("none.png"), "0,0,1,1"), "file", "none.png");
    assert_fails(&segment(&notes, &image, "0,0,1,1"), "invalid-weights", "safetensors");
    let none = folder.path().join("none.safetensors");
    assert_fails(&segment(&none, &image, "0,0,1,1"), "file", "none.safetensors");
    let output = segment(&weights, &image, "0,0,1");
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("4 numbers"));
    assert!(!out.exists(), "nothing is written when something is wrong");

    assert!(segment(&weights, &image, "-3,-3,9,9").status.success(), "one pixel is an image, and boxes are clipped");
}

#[test]
fn convert_checks_the_checkpoint() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("converted/weights.safetensors");
    let convert = |checkpoint: &Path, more: &[&str]| {
        let arguments = ["convert", "--checkpoint", text(checkpoint), "--out", text(&out)];
        umedsam(&[arguments.as_slice(), more].concat())
    };
    let page = folder.path().join("page.pth");
    std::fs::write(&page, "<html>not found</html>").unwrap();
    assert_fails(&convert(&page, &[]), "invalid-weights", "HTML");
    assert_fails(&convert(&folder.path().join("none.pth"), &[]), "file", "none.pth");
    std::fs::write(&page, [0u8; 64]).unwrap();
    assert_fails(&convert(&page, &[]), "invalid-weights", "");
    assert!(!out.exists());

    let checkpoint = or_skip!(checkpoint(), "target/downloads/lite_medsam.pth (run cargo xtask weights)");
    assert_fails(&convert(&checkpoint, &["--sha256", &"0".repeat(64)]), "invalid-weights", "sha256");
    let truncated = folder.path().join("truncated.pth");
    let bytes = std::fs::read(&checkpoint).unwrap();
    std::fs::write(&truncated, &bytes[..bytes.len() / 2]).unwrap();
    assert_fails(&convert(&truncated, &[]), "invalid-weights", "");

    let output = convert(&checkpoint, &["--precision", "f16", "--source", "a test"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let info = umedsam(&["info", text(&out), "--json"]);
    let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!(info["metadata"]["architecture"], "litemedsam");
    assert_eq!(info["metadata"]["source"], "a test");
    assert_eq!(info["metadata"]["source_sha256"], "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76");
    // Names and shapes are the checkpoint's.
    let keys = or_skip!(support::shared("reference/litemedsam/state_dict.json"), "../shared/reference");
    let keys: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&std::fs::read(keys).unwrap()).unwrap();
    let expected: Vec<&String> = keys.keys().filter(|key| !key.ends_with("num_batches_tracked")).collect();
    let tensors = info["tensors"].as_object().unwrap();
    assert_eq!(tensors.len(), expected.len());
    for key in expected {
        let mut shape = keys[key].as_array().unwrap().clone();
        shape.pop();
        assert_eq!(tensors[key]["shape"], serde_json::Value::Array(shape), "{key}");
    }
}

/// A copy of the weights with one tensor changed.
fn altered(bytes: &[u8], change: impl Fn(&str, TensorView<'_>) -> Option<(String, Vec<usize>, Vec<u8>)>) -> Vec<u8> {
    let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
    let tensors = SafeTensors::deserialize(bytes).unwrap();
    let changed: Vec<_> = tensors
        .iter()
        .filter_map(|(name, view)| {
            let dtype = view.dtype();
            change(name, view).map(|(name, shape, data)| (name, dtype, shape, data))
        })
        .collect();
    let views = changed
        .iter()
        .map(|(name, dtype, shape, data)| (name.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
    let metadata = header.metadata().clone().map(|metadata| metadata.into_iter().collect());
    safetensors::serialize(views, metadata).unwrap()
}

#[test]
fn weights_that_do_not_fit_name_the_tensor() {
    let bytes = or_skip!(support::weights("f16"), "weights/ (run cargo xtask weights)");
    const NAME: &str = "mask_decoder.iou_token.weight";
    let keep = |name: &str, view: TensorView<'_>| (name.to_string(), view.shape().to_vec(), view.data().to_vec());
    let load = |bytes: Vec<u8>| umedsam::weights::load(bytes, &burn::tensor::Device::flex()).unwrap_err().to_string();

    let missing = load(altered(&bytes, |name, view| (name != NAME).then(|| keep(name, view))));
    assert!(missing.contains(&format!("missing {NAME}")), "{missing}");
    let misshapen = load(altered(&bytes, |name, view| {
        let (name, shape, data) = keep(name, view);
        Some((name.clone(), if name == NAME { vec![256, 1] } else { shape }, data))
    }));
    assert!(misshapen.contains(NAME) && misshapen.contains("[256, 1], expected [1, 256]"), "{misshapen}");
    let renamed = load(altered(&bytes, |name, view| {
        let (name, shape, data) = keep(name, view);
        Some((name.replace("iou_token", "iou_tokem"), shape, data))
    }));
    assert!(renamed.contains("missing mask_decoder.iou_token.weight") && renamed.contains("unexpected"), "{renamed}");

    let foreign = safetensors::serialize(std::iter::empty::<(String, TensorView<'_>)>(), None).unwrap();
    assert!(load(foreign).contains("not for umedsam"));
    assert!(load(bytes[..bytes.len() - 1].to_vec()).contains("truncated"));
    assert!(load(bytes[..5].to_vec()).contains("safetensors"));
}

#[test]
fn segment_takes_points_scribbles_and_a_mask() {
    let folder = TempDir::new().unwrap();
    let [image, mask, small, out] = ["disc.png", "mask.png", "small.png", "out"].map(|name| folder.path().join(name));
    let is_inside = |x: u32, y: u32| (x as f64 - 50.0).hypot(y as f64 - 40.0) < 25.0;
    let disc = |x, y| Luma([if is_inside(x, y) { 190 } else { 40 + ((x * 7 + y * 3) % 20) as u8 }]);
    GrayImage::from_fn(100, 80, disc).save(&image).unwrap();
    GrayImage::from_fn(100, 80, |x, y| Luma([u8::from(is_inside(x, y))])).save(&mask).unwrap();
    GrayImage::new(7, 5).save(&small).unwrap();
    let segment = |prompts: &[&str]| {
        let mut arguments = vec!["segment", "--image", text(&image), "--uncertainty", "none", "--out-dir", text(&out)];
        prompts.iter().for_each(|prompt| arguments.extend(["--prompt", prompt]));
        umedsam(&arguments)
    };
    let corrected = format!("point=+50,40 point=-5,5 mask={}", text(&mask));
    let done = segment(&["box=24,14,76,66", "point=+50,40 scribble=+40,40;60,42", &corrected]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("result.json")).unwrap()).unwrap();
    let kinds: Vec<&str> =
        report["results"].as_array().unwrap().iter().map(|result| result["prompt"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["box", "points", "corrected"]);
    assert!(report["results"][1]["box"].is_null() && out.join("mask_2.png").exists());

    assert_fails(&segment(&["point=+50,81"]), "invalid-prompt", "81");
    assert_fails(&segment(&[&format!("mask={}", text(&mask))]), "invalid-prompt", "no box");
    assert_fails(&segment(&[&format!("point=+5,5 mask={}", text(&small))]), "invalid-prompt", "7×5");
    let usage = segment(&["point=50,40"]);
    assert!(!usage.status.success() && String::from_utf8_lossy(&usage.stderr).contains("neither +"), "{usage:?}");
}
