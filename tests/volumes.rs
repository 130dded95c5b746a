//! The command line on NIfTI and DICOM files. `cargo xtask test` makes files (`tests/volumes/nifti.py`), names their folder in `UMEDSAM_NIFTI`, and in `UMEDSAM_PYTHON` the Python
//! that reads what is written.

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
        (vec!["--slice", "0"], "expected.json", "it is no picture that is known"),
    ] {
        let said = run(&arguments, image);
        assert!(said.contains(message), "{said}");
    }
}

/// Python with the packages that read what is written; without it a test says that it is skipped.
fn python() -> Option<PathBuf> {
    std::env::var_os("UMEDSAM_PYTHON").map(PathBuf::from)
}

const ALL_FORMATS: &str = "png,nifti,seg,labelmap-seg,fractional-seg,parametric-map,seg-nrrd,coco-rle,geojson";

/// Runs a program, and returns what it said.
fn output(command: &mut std::process::Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn a_box_on_a_dicom_slice_becomes_a_volume_that_others_read() {
    let python = or_skip!(python(), "UMEDSAM_PYTHON");
    let volumes = or_skip!(support::shared("volumes"), "../shared/volumes");
    let (series, mask) = (volumes.join("dicom/STS_002/CT/image"), volumes.join("nifti/STS_002/CT_mask.nii.gz"));
    let out = TempDir::new().unwrap();
    let program = assert_cmd::cargo::cargo_bin("umedsam");
    output(
        std::process::Command::new(program)
            .args(["segment", "--slice", "24", "--box", "53,52,109,91", "--propagate", "--format", ALL_FORMATS])
            .arg("--image")
            .arg(&series)
            .arg("--out-dir")
            .arg(out.path()),
    );
    let script = support::root().join("tests/volumes/command_line.py");
    // Nothing that names the patient is written unasked.
    let few = TempDir::new().unwrap();
    output(
        std::process::Command::new(assert_cmd::cargo::cargo_bin("umedsam"))
            .args(["segment", "--slice", "24", "--box", "53,52,109,91", "--format", "png,seg", "--out-dir"])
            .arg(few.path())
            .arg("--image")
            .arg(&series),
    );
    let dicom = |name: &str| name.ends_with(".dcm");
    let names: Vec<String> = std::fs::read_dir(few.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| dicom(name))
        .collect();
    assert_eq!(names, ["segmentation.dcm"]);
    let said = output(std::process::Command::new(python).arg(script).arg(out.path()).arg(series).arg(mask));
    let dsc: f64 = said.trim().strip_prefix("DSC ").and_then(|number| number.parse().ok()).expect("a DSC");
    assert!(dsc > 0.7, "DSC {dsc}");
}

#[test]
fn volumes_across_other_axes_keep_the_grid_of_their_file() {
    let python = or_skip!(python(), "UMEDSAM_PYTHON");
    let volumes = or_skip!(support::shared("volumes"), "../shared/volumes");
    let image = volumes.join("nifti/hippocampus/004_images.nii.gz");
    let script = support::root().join("tests/volumes/command_line.py");
    for (axis, slice) in [("0", "18"), ("1", "26")] {
        let out = TempDir::new().unwrap();
        output(
            std::process::Command::new(assert_cmd::cargo::cargo_bin("umedsam"))
                .args(["segment", "--axis", axis, "--slice", slice, "--box", "10,8,24,24", "--box", "1,1,6,9"])
                .args(["--propagate", "--range", "15,28", "--format", "nifti,seg-nrrd,coco-rle,geojson,png"])
                .arg("--image")
                .arg(&image)
                .arg("--out-dir")
                .arg(out.path()),
        );
        output(std::process::Command::new(&python).arg(&script).arg(out.path()).arg(&image));
        let report: Value = serde_json::from_slice(&std::fs::read(out.path().join("result.json")).unwrap()).unwrap();
        assert_eq!(report["objects"][1]["slices"].as_array().map(Vec::len), Some(14));
        let [low, ml, high] = ["/interval_ml/0", "/ml", "/interval_ml/1"]
            .map(|key| report["objects"][0]["volume"].pointer(key).unwrap().as_f64());
        assert!(low <= ml && ml <= high);
    }
}

#[test]
fn what_cannot_be_propagated_or_written_is_refused_before_any_work() {
    let folder = or_skip!(folder(), "UMEDSAM_NIFTI");
    let volume = folder.join("turn-LPS.nii");
    let pictures = TempDir::new().unwrap();
    let picture = pictures.path().join("grey.png");
    image::GrayImage::from_fn(8, 8, |x, y| image::Luma([(x * y) as u8])).save(&picture).unwrap();
    for (image, arguments, message) in [
        (&picture, "--propagate --box 0,0,4,4", "is no volume to propagate in"),
        (&picture, "--format seg --box 0,0,4,4", "--format seg needs a DICOM series"),
        (&picture, "--format nifti --box 0,0,4,4", "--format nifti needs a volume that says where it lies"),
        (&volume, "--slice 1 --format parametric-map --box 0,0,2,2", "needs a DICOM series, to whose frames it refers"),
        (&volume, "--slice 1 --box 0,0,0,2,2,2", "use --propagate with it"),
        (&volume, "--slice 1 --propagate --range 2,3 --box 0,0,2,2", "range is 2 to 3"),
        (&volume, "--slice 9 --propagate --box 0,0,2,2", "axis 2 has slices 0 to 4"),
        (&volume, "--propagate --box 0,0,2,2", "choose one of its slices"),
        (&volume, "--propagate --slice 1", "give --box"),
        (&volume, "--propagate --box 0,0,7,2,2,9", "has none of the slices 0 to 4"),
        (&volume, "--propagate --range 0,2 --box 0,0,1,2,2,2", "leave --range and --stop out"),
        (&volume, "--propagate --slice 1 --stop area=2 --box 0,0,2,2", "stop.area is 2"),
        (&volume, "--slice 1 --range 0,1 --box 0,0,2,2", "--propagate"),
        (&volume, "--slice 1 --series 2 --box 0,0,2,2", "is a NIfTI file"),
    ] {
        let out = TempDir::new().unwrap();
        let mut command = Command::cargo_bin("umedsam").unwrap();
        command.arg("segment").args(arguments.split(' ')).arg("--image").arg(image);
        let output = command.arg("--out-dir").arg(out.path().join("out")).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(message), "{arguments}: {said}");
        assert!(!out.path().join("out").exists(), "{arguments}");
    }
}

#[test]
fn slices_without_values_are_black_and_boxes_beyond_the_end_are_cut() {
    let (width, height, depth) = (48, 40, 9);
    let value = |place: usize| {
        let (x, y, z) = (place % width, place / width % height, place / width / height);
        let is_inside = (x as f32 - 24.0).hypot(y as f32 - 20.0) < 11.0;
        if z == 6 { f32::NAN } else { 40.0 + (place % 7) as f32 + if is_inside { 100.0 } else { 0.0 } }
    };
    let values: Vec<f32> = (0..width * height * depth).map(value).collect();
    let mut affine = vec![0.0; 16];
    [0, 5, 10, 15].into_iter().for_each(|place| affine[place] = 1.0);
    let grid = umedsam_export::Grid { size: [width, height, depth], affine };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("volume.nii");
    std::fs::write(&path, umedsam_export::nifti(&grid, umedsam_export::Voxels::F32(&values), "").unwrap()).unwrap();
    let run = |arguments: &[&str]| {
        let out = folder.path().join("out");
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("umedsam"));
        output(
            command
                .arg("segment")
                .args(arguments)
                .args(["--propagate", "--image"])
                .arg(&path)
                .arg("--out-dir")
                .arg(&out),
        );
        serde_json::from_slice::<Value>(&std::fs::read(out.join("result.json")).unwrap()).unwrap()
    };
    let report = run(&["--slice", "4", "--box", "13,9,35,31", "--range", "3,8"]);
    assert_eq!(report["objects"][0]["slices"].as_array().map(Vec::len), Some(6));
    // The middle of the slices that are there.
    let report = run(&["--box", "13,9,2,35,31,99"]);
    assert_eq!(report["objects"][0]["prompted_slice"], 5);
    // The second object is the same as the first, which comes first.
    let report = run(&["--slice", "4", "--box", "13,9,35,31", "--box", "13,9,35,31", "--range", "4,5"]);
    assert_eq!(report["objects"][1]["labelmap_voxels"], 0);
    assert!(report["weights"].get("training").is_none());
    // Objects that share encoded slices have pictures on each of theirs.
    run(&["--box", "13,9,2,35,31,4", "--box", "13,9,0,35,31,8", "--format", "png,coco-rle"]);
    for (slice, object) in [(2, 0), (4, 0), (2, 1), (3, 1), (4, 1), (8, 1)] {
        let file = folder.path().join(format!("out/slice_{slice:04}/mask_{object}.png"));
        assert!(file.exists(), "{}", file.display());
    }
    // Of a volume, each slice's files are in its folder, also if there is one slice.
    run(&["--slice", "4", "--box", "13,9,35,31", "--range", "4,4", "--format", "nifti,geojson"]);
    assert!(folder.path().join("out/slice_0004/masks.geojson").exists());
    let report = run(&["--slice", "4", "--box", "13,9,35,31", "--range", "4,4", "--format", "nifti"]);
    let files = ["labelmap.nii.gz", "probability_0.nii.gz", "uncertainty_0.nii.gz"];
    assert_eq!(report["files"], serde_json::json!(files));
}
