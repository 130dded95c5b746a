//! NIfTI files as nibabel reads them. `cargo xtask test` makes the files (`tests/volumes/nifti.py`) and names their folder in `UMEDSAM_NIFTI`.

mod support;

use serde_json::Value;
use support::{assert_close, floats, folder, numbers, stored};
use umedsam_export::Voxels;
use umedsam_volume::nifti::is_nifti;
use umedsam_volume::{Axis, Error, Nifti, Volume};

#[test]
fn values_sizes_affines_and_upright_slices_are_nibabels() {
    let Some((folder, expected)) = folder("UMEDSAM_NIFTI") else { return };
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
        let problems = case["problems"].as_u64().unwrap_or(0);
        assert_eq!(file.problems().len() as u64, problems, "{name}: {:?}", file.problems());
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

/// Bytes of a header that are not those of the file that was read: dimensions, type, offset, scaling, range and description.
fn changes(is_first: bool) -> Vec<std::ops::Range<usize>> {
    match is_first {
        true => vec![40..56, 70..74, 108..120, 124..132, 148..228],
        false => vec![12..80, 168..208, 240..320],
    }
}

#[test]
fn what_is_written_has_the_same_grid() {
    let Some((folder, expected)) = folder("UMEDSAM_NIFTI") else { return };
    for case in &expected {
        let name = case["name"].as_str().unwrap();
        let file = Nifti::new(std::fs::read(folder.join(name)).unwrap()).unwrap();
        let count = file.geometry().size.iter().product::<usize>();
        let labels: Vec<u8> = (0..count).map(|index| (index * 2 % 251) as u8).collect();
        let values: Vec<f32> = labels.iter().map(|&label| f32::from(label) / 8.0 - 3.0).collect();
        for (voxels, wanted) in [
            (Voxels::U8(&labels), labels.iter().map(|&label| f64::from(label)).collect::<Vec<_>>()),
            (Voxels::F32(&values), values.iter().map(|&value| f64::from(value)).collect()),
        ] {
            let bytes = file.written(voxels).unwrap();
            let again = Nifti::new(bytes.clone()).unwrap();
            assert_eq!(again.geometry(), file.geometry(), "{name}");
            assert_eq!(again.frames(), 1);
            assert_eq!(stored(&again), wanted, "{name}");
            if name.ends_with(".nii") {
                let original = std::fs::read(folder.join(name)).unwrap();
                let is_first = bytes[0] == 92 || bytes[3] == 92;
                let length = if is_first { 348 } else { 540 };
                let is_kept = |at: &usize| !changes(is_first).iter().any(|range| range.contains(at));
                assert!((0..length).filter(is_kept).all(|at| bytes[at] == original[at]), "{name}");
            }
        }
        let error = file.written(Voxels::U8(&labels[1..])).unwrap_err();
        assert!(matches!(&error, Error::Option(message) if message.contains("values, the volume has")), "{error}");
    }
}

#[test]
fn what_is_not_there_is_refused() {
    let Some((folder, _)) = folder("UMEDSAM_NIFTI") else { return };
    let file = Nifti::new(std::fs::read(folder.join("series.nii.gz")).unwrap()).unwrap();
    for axis in Axis::ALL {
        let count = file.geometry().size[axis as usize];
        let error = file.read(axis, count).unwrap_err();
        assert!(error.to_string().contains(&format!("has slices 0 to {}", count - 1)), "{error}");
    }
    assert!(file.with_frame(3).unwrap_err().to_string().contains("volumes 0 to 2"));
}

#[test]
fn damaged_files_are_errors() {
    let Some((folder, expected)) = folder("UMEDSAM_NIFTI") else { return };
    let names: Vec<&Value> = expected.iter().map(|case| &case["name"]).collect();
    for name in names.iter().step_by(13).map(|name| name.as_str().unwrap()) {
        support::damage(&std::fs::read(folder.join(name)).unwrap(), |bytes| {
            if let Ok(file) = Nifti::new(bytes.to_vec()) {
                for axis in Axis::ALL {
                    let _ = file.slice(axis, 0);
                }
            }
        });
    }
}
