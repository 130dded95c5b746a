//! NIfTI files as nibabel reads them. `cargo xtask test` makes the files (`tests/volumes/nifti.py`) and names their folder in `UMEDSAM_NIFTI`.

mod support;

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;
use umedsam::volume::nifti::{Nifti, is_nifti};
use umedsam::volume::{Axis, SliceValues, Volume};

/// The folder of files; without it a test says that it is skipped.
fn folder() -> Option<PathBuf> {
    std::env::var_os("UMEDSAM_NIFTI").map(PathBuf::from)
}

fn expected(folder: &Path) -> Vec<Value> {
    serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn floats(values: SliceValues) -> Vec<f64> {
    match values {
        SliceValues::U8(values) => values.into_iter().map(f64::from).collect(),
        SliceValues::F32(values) => values.into_iter().map(f64::from).collect(),
    }
}

fn stored(volume: &impl Volume) -> Vec<f64> {
    (0..volume.geometry().size[2]).flat_map(|index| floats(volume.read(Axis::Slices, index))).collect()
}

fn assert_close(name: &str, actual: &[f64], expected: &[f64]) {
    assert_eq!(actual.len(), expected.len(), "{name}");
    let differs = |(a, b): (&f64, &f64)| (a - b).abs() > 1e-5 * b.abs().max(1.0);
    let place = actual.iter().zip(expected).position(differs);
    assert!(place.is_none(), "{name}: {actual:?}, not {expected:?}");
}

#[test]
fn values_sizes_affines_and_upright_slices_are_nibabels() {
    let folder = or_skip!(folder(), "UMEDSAM_NIFTI");
    let expected = expected(&folder);
    assert!(expected.len() > 100);
    for case in &expected {
        let name = case["name"].as_str().unwrap();
        let bytes = std::fs::read(folder.join(name)).unwrap();
        assert!(is_nifti(&bytes), "{name}");
        let file = Nifti::new(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let size: Vec<f64> = file.geometry().size.iter().map(|&length| length as f64).collect();
        assert_eq!(size, numbers(&case["size"]), "{name}");
        assert_close(name, &file.geometry().affine.concat(), &numbers(&case["affine"])[..12]);
        assert_eq!(file.frames() as u64, case["frames"], "{name}");
        assert_eq!(
            file.problems().len() as u64,
            case["problems"].as_u64().unwrap_or(0),
            "{name}: {:?}",
            file.problems()
        );
        assert_close(name, &stored(&file), &numbers(&case["values"]));
        let last = file.frames() - 1;
        let Some(slices) = case["slices"].as_array() else {
            assert_close(name, &stored(&file.with_frame(last).unwrap()), &numbers(&case["last"]));
            continue;
        };
        for (axis, slices) in Axis::ALL.into_iter().zip(slices) {
            for (index, rows) in slices.as_array().unwrap().iter().enumerate() {
                let rows: Vec<Vec<f64>> = rows.as_array().unwrap().iter().map(numbers).collect();
                let slice = file.slice(axis, index).unwrap();
                assert_eq!(slice.size, [rows[0].len(), rows.len()], "{name} across {axis:?}");
                assert_close(name, &floats(slice.values), &rows.concat());
            }
        }
    }
}

#[test]
fn the_command_line_answers_the_same_whatever_the_orientation() {
    let folder = or_skip!(folder(), "UMEDSAM_NIFTI");
    let boxes: Value = serde_json::from_slice(&std::fs::read(folder.join("bodies.json")).unwrap()).unwrap();
    let mut masks: Vec<(String, Vec<u8>)> = Vec::new();
    for body in boxes.as_array().unwrap() {
        let name = body["name"].as_str().unwrap();
        let out = TempDir::new().unwrap();
        let corners: Vec<String> = numbers(&body["box"]).iter().map(f64::to_string).collect();
        Command::cargo_bin("umedsam")
            .unwrap()
            .args([
                "segment",
                "--uncertainty",
                "none",
                "--slice",
                &body["slice"].to_string(),
                "--axis",
                &body["axis"].to_string(),
            ])
            .args(["--box", &corners.join(",")])
            .arg("--image")
            .arg(folder.join(name))
            .arg("--out-dir")
            .arg(out.path())
            .assert()
            .success();
        let mask = image::open(out.path().join("mask_0.png")).unwrap().into_luma8();
        let size: Vec<f64> = numbers(&body["size"]);
        assert_eq!([f64::from(mask.width()), f64::from(mask.height())], size[..], "{name}: of the stored slice");
        // Where nibabel says that each stored pixel lies in the picture that all have in common.
        let places = numbers(&body["places"]);
        let mut common = vec![0u8; places.len()];
        mask.pixels().zip(&places).for_each(|(pixel, &place)| common[place as usize] = pixel.0[0]);
        masks.push((name.into(), common));
    }
    assert!(masks.len() >= 8);
    let (_, first) = &masks[0];
    assert!(first.iter().filter(|&&value| value == 255).count() > 100, "nothing was found");
    for (name, mask) in &masks {
        assert!(mask == first, "{name} has another mask");
    }
}

#[test]
fn what_is_no_slice_is_refused() {
    let folder = or_skip!(folder(), "UMEDSAM_NIFTI");
    let run = |arguments: &[&str], image: &str| {
        let out = TempDir::new().unwrap();
        let mut command = Command::cargo_bin("umedsam").unwrap();
        command.args(["segment", "--box", "0,0,2,2"]).args(arguments).arg("--image").arg(folder.join(image));
        let output = command.arg("--out-dir").arg(out.path().join("out")).output().unwrap();
        assert!(!output.status.success() && !out.path().join("out").exists());
        String::from_utf8(output.stderr).unwrap()
    };
    for (arguments, image, message) in [
        (vec![], "turn-LPS.nii", "choose one of its slices 0 to 4 across axis 2 with --slice"),
        (vec!["--slice", "5"], "turn-LPS.nii", "slice is 5; axis 2 has slices 0 to 4"),
        (vec!["--slice", "3", "--axis", "0"], "turn-LPS.nii", "axis 0 has slices 0 to 2"),
        (vec!["--slice", "0", "--frame", "3"], "series.nii.gz", "the file has volumes 0 to 2"),
        (vec!["--slice", "0"], "expected.json", "is no volume"),
    ] {
        let said = run(&arguments, image);
        assert!(said.contains(message), "{said}");
    }
}
