//! What people bring: files with their right values (`../shared/cases`), and files that nobody meant.

mod support;

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use support::shared;
use tempfile::TempDir;
use umedsam::data::{read_image, read_npz};
use umedsam::image::{Image8, ImageView, Pixels, Window};
use umedsam::metrics::dsc;
use umedsam_picture::{OwnedPixels, read_picture};

const SIZE: [usize; 2] = [240, 160];

/// What the network is given of a file.
fn seen(path: &Path) -> Image8 {
    Window::Auto.apply(&read_image(path, false).unwrap().view().unwrap()).unwrap()
}

fn cases() -> Option<(PathBuf, Value)> {
    let folder = shared("cases")?;
    let text = std::fs::read_to_string(folder.join("cases.json")).unwrap();
    Some((folder, serde_json::from_str(&text).unwrap()))
}

fn mean(image: &Image8) -> f64 {
    image.data.iter().map(|&value| f64::from(value)).sum::<f64>() / image.data.len() as f64
}

#[test]
fn files_give_the_samples_that_people_mean() {
    let (folder, cases) = or_skip!(cases(), "../shared/cases");
    let plain = seen(&folder.join("plain.png"));
    assert_eq!([plain.width, plain.height], SIZE);
    assert!((mean(&plain) - cases["plain.png"]["mean"].as_f64().unwrap()).abs() < 1e-6);
    for same in ["gama-1.png", "fortran.npz", "hw1.npz", "bool-gts.npz", "no-boxes.npz"] {
        let image = seen(&folder.join(same));
        assert_eq!([image.width, image.height], SIZE, "{same}");
        let grey = |image: &Image8| image.data.iter().step_by(image.channels).copied().collect::<Vec<u8>>();
        assert!(grey(&image) == grey(&plain), "{same} is not plain.png");
    }
    let upright = seen(&folder.join("exif-6.jpg"));
    assert_eq!([upright.width, upright.height], SIZE);
    assert!((mean(&upright) - mean(&plain)).abs() < 2.0);
    let [hidden, flattened] = ["hidden-white.png", "hidden-white-flattened.png"].map(|name| seen(&folder.join(name)));
    assert!(hidden.data.iter().step_by(hidden.channels).eq(flattened.data.iter().step_by(flattened.channels)));
    let deep = read_image(&folder.join("grey-16.png"), false).unwrap();
    let OwnedPixels::U16(stored) = &deep.picture.pixels else { panic!("its 16 bits are lost") };
    let levels: std::collections::BTreeSet<u16> = stored.iter().copied().collect();
    assert_eq!(levels.len() as u64, cases["grey-16.png"]["levels"].as_u64().unwrap());
    // numpy.percentile of the non-zero values, 0.5 and 99.5: 3 and 1184.
    let expected = stored.iter().map(|&value| ((f64::from(value).clamp(3.0, 1184.0) - 3.0) / 1181.0 * 255.0) as u8);
    assert!(seen(&folder.join("grey-16.png")).data.into_iter().eq(expected));
    assert!(read_npz(&folder.join("bool-gts.npz")).unwrap().gts.unwrap().contains(&1));
}

#[test]
fn windows_are_of_the_body_and_of_any_unit() {
    let (folder, _) = or_skip!(cases(), "../shared/cases");
    let bytes = std::fs::read(folder.join("ct-padded.i16")).unwrap();
    let values: Vec<i16> = bytes.as_chunks().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect();
    let padding = *values.iter().min().unwrap();
    let mut body: Vec<f64> =
        values.iter().filter(|&&value| value != padding && value != 0).map(|&value| f64::from(value)).collect();
    body.sort_by(f64::total_cmp);
    let at = |percent: f64| body[(percent / 100.0 * (body.len() - 1) as f64) as usize];
    let (low, high) = (at(0.5), at(99.5));
    let view = ImageView::new(Pixels::I16(&values), SIZE[0], SIZE[1], 1).unwrap();
    let seen = Window::Auto.apply(&view).unwrap().data;
    for (&value, &byte) in values.iter().zip(&seen) {
        let expected = ((f64::from(value).clamp(low, high) - low) / (high - low) * 255.0) as u8;
        assert!(byte.abs_diff(expected) <= 3, "{value} became {byte}, not {expected}");
        assert!(value != padding || byte == 0);
    }

    let bytes = std::fs::read(folder.join("tiny-scale.f32")).unwrap();
    let tiny: Vec<f32> = bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
    let large: Vec<f32> = tiny.iter().map(|value| value * 1e12).collect();
    let window = |values: &[f32]| {
        let view = ImageView::new(Pixels::F32(values), SIZE[0], SIZE[1], 1).unwrap();
        Window::Auto.apply(&view).unwrap().data
    };
    let (tiny, large) = (window(&tiny), window(&large));
    assert!(tiny.iter().zip(&large).all(|(a, b)| a.abs_diff(*b) <= 1));
    assert!(tiny.iter().collect::<std::collections::BTreeSet<_>>().len() > 50);
}

fn umedsam(arguments: &[&std::ffi::OsStr]) -> std::process::Output {
    Command::cargo_bin("umedsam").unwrap().args(arguments).output().unwrap()
}

fn segment(image: &Path, corners: Option<&str>, out: &Path) -> std::process::Output {
    let mut arguments: Vec<&std::ffi::OsStr> =
        vec!["segment".as_ref(), "--uncertainty".as_ref(), "none".as_ref(), "--image".as_ref(), image.as_ref()];
    if let Some(corners) = corners {
        arguments.extend::<[&std::ffi::OsStr; 2]>(["--box".as_ref(), corners.as_ref()]);
    }
    arguments.extend::<[&std::ffi::OsStr; 2]>(["--out-dir".as_ref(), out.as_ref()]);
    umedsam(&arguments)
}

/// With the real network: the same structure, the same mask.
#[test]
fn the_command_line_segments_what_people_mean() {
    let (folder, cases) = or_skip!(cases(), "../shared/cases");
    let out = TempDir::new().unwrap();
    let mask = |name: &str| {
        let corners = cases[name].get("box").unwrap_or(&cases["plain.png"]["box"]).as_array().unwrap();
        let corners: Vec<String> = corners.iter().map(ToString::to_string).collect();
        let out = out.path().join(name);
        let output = segment(&folder.join(name), Some(&corners.join(",")), &out);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let mask = image::open(out.join("mask_0.png")).unwrap().into_luma8();
        assert_eq!(mask.dimensions(), (SIZE[0] as u32, SIZE[1] as u32), "{name}");
        mask.into_raw()
    };
    let plain = mask("plain.png");
    for name in ["exif-6.jpg", "gama-1.png", "fortran.npz", "no-boxes.npz"] {
        let agreement = dsc(&mask(name), &plain);
        assert!(agreement >= 0.98, "{name}: DSC {agreement}");
    }
    assert!(mask("hidden-white.png") == mask("hidden-white-flattened.png"));

    for (name, corners, part) in [
        ("half.jpg", Some("40,36,140,104"), "cut off"),
        ("no-boxes.npz", None, "--box"),
        ("cases.json", None, "no picture"),
    ] {
        let nothing = out.path().join("nothing");
        let output = segment(&folder.join(name), corners, &nothing);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && message.contains(part), "{name}: {message}");
        assert!(!nothing.exists(), "{name}: something was written");
    }
}

#[cfg(unix)]
#[test]
fn names_that_are_no_text_and_closed_pipes_are_fine() {
    use std::io::Read;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Stdio;

    let folder = TempDir::new().unwrap();
    let name = folder.path().join(std::ffi::OsStr::from_bytes(b"scan-\xe9\xff.png"));
    let out = folder.path().join(std::ffi::OsStr::from_bytes(b"out-\xe9"));
    let picture = image::GrayImage::from_fn(40, 30, |x, y| image::Luma([(x * y % 251) as u8]));
    std::fs::write(&name, {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    })
    .unwrap();
    let output = segment(&name, Some("3,3,30,20"), &out);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(out.join("result.json")).unwrap()).unwrap();
    assert!(report["image"]["path"].as_str().unwrap().ends_with("scan-%E9%FF.png"), "{}", report["image"]["path"]);

    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("umedsam"))
        .args(["train", "--print-config"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    assert!(!said.contains("panicked"), "{said}");
}

/// Valid files to begin from.
fn valid_files() -> Vec<(&'static str, Vec<u8>)> {
    let picture = image::RgbImage::from_fn(24, 18, |x, y| image::Rgb([(x * 10) as u8, (y * 14) as u8, (x ^ y) as u8]));
    let encoded = |format| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("case.npz");
    let mut npz = npyz::npz::NpzWriter::create(&path).unwrap();
    for (name, shape, values) in [("imgs", &[12u64, 16][..], vec![7u8; 192]), ("boxes", &[1, 4], vec![1, 2, 9, 8])] {
        use npyz::WriterBuilder;
        let mut writer = npz.array(name, Default::default()).unwrap().default_dtype().shape(shape).begin_nd().unwrap();
        writer.extend(values).unwrap();
        writer.finish().unwrap();
    }
    drop(npz);
    let weights = umedsam::model::Config::tiny();
    let network = weights.init_seeded(1, &burn::tensor::Device::flex());
    let metadata = umedsam::weights::Metadata {
        architecture: "tiny".into(),
        config: weights,
        precision: umedsam::weights::Precision::F16,
        licence: "MIT".into(),
        source: "random".into(),
        source_sha256: String::new(),
        umedsam_version: String::new(),
        calibration: None,
        training: None,
    };
    vec![
        ("png", encoded(image::ImageFormat::Png)),
        ("jpg", encoded(image::ImageFormat::Jpeg)),
        ("webp", encoded(image::ImageFormat::WebP)),
        ("tiff", encoded(image::ImageFormat::Tiff)),
        ("bmp", encoded(image::ImageFormat::Bmp)),
        ("gif", encoded(image::ImageFormat::Gif)),
        ("npz", std::fs::read(path).unwrap()),
        ("safetensors", umedsam::weights::to_bytes(&network, &metadata).unwrap()),
    ]
}

/// Reads bytes as every kind of file; what comes back does not matter, that something does is what is tested.
fn read_all(bytes: &[u8], folder: &Path) {
    let _ = read_picture(bytes);
    let path = folder.join("case.npz");
    std::fs::write(&path, bytes).unwrap();
    let _ = read_npz(&path);
    let _ = read_image(&path, true);
    let _ = umedsam::weights::load(bytes.to_vec(), &burn::tensor::Device::flex());
}

#[test]
fn no_bytes_panic_a_reader() {
    let folder = TempDir::new().unwrap();
    let files = valid_files();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner =
        TestRunner::new_with_rng(Config { cases: 400, failure_persistence: None, ..Config::default() }, rng);
    let mutations = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12);
    let strategy = (0..files.len() + 1, mutations, any::<prop::sample::Index>(), prop::bool::weighted(0.3));
    runner
        .run(&strategy, |(which, mutations, end, is_cut)| {
            let mut bytes = match files.get(which) {
                Some((_, bytes)) => bytes.clone(),
                None => mutations.iter().map(|(_, byte)| *byte).collect(),
            };
            for (place, byte) in &mutations {
                // Headers more often than what follows, which is mostly pixels.
                let length = if byte % 2 == 0 { bytes.len() } else { bytes.len().min(200) };
                let place = place.index(length);
                bytes[place] = *byte;
            }
            if is_cut {
                bytes.truncate(end.index(bytes.len()));
            }
            read_all(&bytes, folder.path());
            Ok(())
        })
        .unwrap();
}

/// Middles of four flat blocks, as Pillow 13's `Image.open(…).convert("RGB")` has them. Pillow made both files; the second one's Adobe marker says YCCK.
#[test]
fn four_colours_become_what_pillow_makes_of_them() {
    for (name, expected) in [
        ("cmyk.jpg", [[255, 255, 255], [0, 255, 255], [215, 46, 215], [137, 119, 33]]),
        ("ycck.jpg", [[0, 0, 0], [255, 0, 1], [2, 169, 1], [19, 36, 123]]),
    ] {
        let image = seen(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name));
        assert_eq!((image.width, image.height, image.channels), (32, 32, 3));
        for (block, expected) in expected.into_iter().enumerate() {
            let pixel = (8 + 16 * (block / 2)) * 32 + 8 + 16 * (block % 2);
            let actual = &image.data[3 * pixel..][..3];
            let distance = actual.iter().zip(expected).map(|(&a, b): (&u8, u8)| a.abs_diff(b)).max();
            assert!(distance <= Some(4), "{name}, block {block}: {actual:?} instead of {expected:?}");
        }
    }
}

/// A case of 3×4 pixels with an array `raters`.
fn with_raters(shape: &[u64], values: Vec<u8>) -> umedsam::Result<umedsam::data::ChallengeCase> {
    use npyz::WriterBuilder;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("case.npz");
    let mut npz = npyz::npz::NpzWriter::create(&path).unwrap();
    for (name, shape, values) in [("imgs", &[3u64, 4][..], vec![7u8; 12]), ("raters", shape, values)] {
        let mut writer = npz.array(name, Default::default()).unwrap().default_dtype().shape(shape).begin_nd().unwrap();
        writer.extend(values).unwrap();
        writer.finish().unwrap();
    }
    drop(npz);
    read_npz(&path)
}

#[test]
fn raters_are_read_and_those_of_another_shape_refused() {
    let case = with_raters(&[2, 3, 4], (0..24).map(|value| value / 12).collect()).unwrap();
    assert_eq!(case.raters, [vec![0; 12], vec![1; 12]]);
    assert!(with_raters(&[0, 3, 4], vec![]).unwrap().raters.is_empty());
    for (shape, count) in [(&[12u64][..], 12), (&[3, 4], 12), (&[2, 4, 3], 24), (&[1, 2, 3, 4], 24)] {
        let error = with_raters(shape, vec![0; count]).unwrap_err();
        assert_eq!(error.code(), "file");
        assert!(error.to_string().contains("raters has shape") && error.to_string().contains("R×3×4"), "{error}");
    }
}
