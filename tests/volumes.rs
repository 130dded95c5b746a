//! The command line on NIfTI files. `cargo xtask test` makes the files (`tests/volumes/nifti.py`) and names their folder in `UMEDSAM_NIFTI`.

mod support;

use std::path::PathBuf;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// The folder of files; without it a test says that it is skipped.
fn folder() -> Option<PathBuf> {
    std::env::var_os("UMEDSAM_NIFTI").map(PathBuf::from)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
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
