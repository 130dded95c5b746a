//! DICOM files as pydicom reads them. `cargo xtask test` makes the files (`tests/volumes/dicom.py`) and names their folder in `UMEDSAM_DICOM`.

mod support;

use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{floats, folder};
use umedsam_volume::{Axis, DicomFiles, Error, Series, Volume, read_dicom, read_folder};

/// Files that pydicom reads as they were not meant: the palette of a big-endian file in the other order. The same pixels are in another file.
const SAME_AS: [(&str, &str); 2] =
    [("OBXXXX1A_expb.dcm", "OBXXXX1A.f32"), ("OBXXXX1A_expb_2frame.dcm", "OBXXXX1A_2frame.f32")];

/// Its values are not written as its header says.
const DAMAGED: [&str; 1] = ["SC_rgb_jpeg.dcm"];

/// What the package reads and the command line does not, since there is no decoder in Rust, and what it says.
const REFUSED: [(&str, &str); 2] =
    [("SC_rgb_jls_lossy_line.dcm", "JPEG-LS of colours"), ("SC_rgb_jls_lossy_sample.dcm", "JPEG-LS of colours")];

fn name(path: &str) -> &str {
    Path::new(path).file_name().unwrap().to_str().unwrap()
}

/// The series of one file.
fn single(path: &Path) -> Result<Series, Error> {
    let DicomFiles { mut series, .. } = read_dicom(&[path.to_owned()])?;
    assert_eq!(series.len(), 1, "{}", path.display());
    Ok(series.remove(0))
}

fn named(expected: &[Value], wanted: &str) -> PathBuf {
    let paths = expected.iter().map(|case| case["path"].as_str().unwrap());
    paths.filter(|path| name(path) == wanted).map(PathBuf::from).next().unwrap()
}

/// Compares a file; says what is wrong with it.
fn compare(folder: &Path, case: &Value) -> Result<(), String> {
    let path = case["path"].as_str().unwrap();
    let series = single(Path::new(path)).map_err(|error| error.to_string())?;
    let frames = case["frames"].as_u64().unwrap() as usize;
    if series.frames() != frames || series.modality() != case["modality"] || series.is_inverted() != case["inverted"] {
        return Err(format!("{} frames, {}, {}", series.frames(), series.modality(), series.is_inverted()));
    }
    let same = SAME_AS.iter().find(|(other, _)| *other == name(path)).map(|(_, values)| *values);
    let values = std::fs::read(folder.join("values").join(same.unwrap_or(case["values"].as_str().unwrap()))).unwrap();
    let all: Vec<f64> = values.as_chunks().0.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes))).collect();
    let each = support::numbers(&case["shape"]).iter().product::<f64>() as usize;
    let numbers = if frames > 1 { vec![0, frames - 1] } else { vec![0] };
    for (place, number) in numbers.into_iter().enumerate() {
        // Sorted by position.
        let index = (0..frames).find(|&index| series.instance(index).unwrap().1 == number).unwrap();
        let read = floats(series.read(Axis::Slices, index).map_err(|error| error.to_string())?);
        let wanted = &all[place * each..][..each];
        if read.len() != each {
            return Err(format!("{} values, not {each}", read.len()));
        }
        let is_lossy = case["lossy"] == true;
        let (mut worst, mut sum) = (0.0f64, 0.0);
        // NaN is padding.
        for (a, b) in read.iter().zip(wanted).filter(|(_, wanted)| !wanted.is_nan()) {
            let difference = (a - b).abs() / if is_lossy { 1.0 } else { b.abs().max(1.0) };
            worst = worst.max(difference);
            sum += difference / each as f64;
        }
        // Lossy decoders round and enlarge colours in their own ways.
        if if is_lossy { worst > 6.0 || sum >= 0.6 } else { worst > 1e-6 } {
            return Err(format!("values differ by {worst}, on average by {sum}"));
        }
    }
    Ok(())
}

#[test]
fn pixels_are_pydicoms_in_every_transfer_syntax() {
    let Some((folder, expected)) = folder("UMEDSAM_DICOM") else { return };
    let is_image = |case: &&Value| {
        let modality = case["modality"].as_str().unwrap_or_default();
        case["values"].is_string()
            && !modality.starts_with("RT")
            && !modality.starts_with("SEG")
            && !DAMAGED.contains(&name(case["path"].as_str().unwrap()))
    };
    let (mut read, mut faults) = (0, Vec::new());
    for case in expected.iter().filter(is_image) {
        let file = name(case["path"].as_str().unwrap());
        let reason = REFUSED.iter().find(|(name, _)| *name == file).map(|(_, reason)| *reason);
        match (compare(&folder, case), reason) {
            (Ok(()), None) => read += 1,
            (Err(message), Some(reason)) if message.contains(reason) && message.contains("gdcmconv --raw") => {}
            (outcome, _) => faults.push(format!("{file}: {outcome:?}")),
        }
    }
    eprintln!("{read} images are pydicom's");
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(read > 110);
}

#[test]
fn htj2k_is_read_as_the_pixels_that_were_coded() {
    let Some((folder, expected)) = folder("UMEDSAM_DICOM") else { return };
    // The package's test has it made by OpenJPH (`tests/volumes/dicom.test.mjs`).
    let path = folder.join("htj2k.dcm");
    if !path.is_file() {
        return eprintln!("SKIPPED: {} is not there", path.display());
    }
    let plain = single(&named(&expected, "MR_small.dcm")).unwrap();
    let coded = single(&path).unwrap();
    assert_eq!(coded.read(Axis::Slices, 0).unwrap(), plain.read(Axis::Slices, 0).unwrap());
}

#[test]
fn series_are_in_the_order_of_their_positions_with_their_geometry() {
    let Some((folder, _)) = folder("UMEDSAM_DICOM") else { return };
    let DicomFiles { series, rejected } = read_folder(&folder.join("series/plain")).unwrap();
    assert_eq!((series.len(), rejected.len()), (1, 0));
    let one = &series[0];
    assert_eq!((one.frames(), one.size(), one.modality(), one.number()), (6, [6, 4], "CT", Some(7)));
    assert!(one.problems().is_empty() && one.is_placed());
    assert_eq!(one.geometry().size, [6, 4, 6]);
    assert_eq!(one.geometry().affine, [[0.5, 0.0, 0.0, -10.0], [0.0, 2.0, 0.0, 5.0], [0.0, 0.0, 3.0, 40.0]]);
    // Instance numbers count the other way round.
    for index in 0..6 {
        let values = floats(one.read(Axis::Slices, index).unwrap());
        let low = 100.0 * index as f64 - 1000.0;
        assert!(values.iter().all(|value| (low..low + 50.0).contains(value)), "frame {index}");
    }
    // Coronal, the head above.
    let slice = one.slice(Axis::Rows, 1).unwrap();
    assert_eq!(slice.size, [6, 6]);
    let values = floats(slice.values);
    assert!(values[0] >= -500.0 && values[35] < -950.0);
    let stored: Vec<Vec<f64>> = (0..6).map(|index| floats(one.read(Axis::Slices, index).unwrap())).collect();
    let columns = floats(one.read(Axis::Columns, 2).unwrap());
    let rows = floats(one.read(Axis::Rows, 3).unwrap());
    for (slice, values) in stored.iter().enumerate() {
        (0..4).for_each(|row| assert_eq!(columns[slice * 4 + row], values[row * 6 + 2]));
        (0..6).for_each(|column| assert_eq!(rows[slice * 6 + column], values[3 * 6 + column]));
    }
}

#[test]
fn what_is_odd_about_a_series_is_said() {
    let Some((folder, _)) = folder("UMEDSAM_DICOM") else { return };
    let read = |name: &str| read_folder(&folder.join("series").join(name)).unwrap().series;
    for (name, said) in [
        ("tilted", "tilted by 11.3°"),
        ("unequal", "3 mm to 3.7 mm apart"),
        ("missing", "2 slices are missing: gaps of more than 3 mm"),
        ("repeated", "1 of 4 slices lie where others do"),
    ] {
        let series = read(name);
        let problems = series[0].problems().join("\n");
        assert!(problems.contains(said) || problems.contains(&said.replace("3 mm to", "2.3 mm to")), "{problems}");
    }
    let sizes: Vec<_> = read("mixed").iter().map(|series| (series.frames(), series.size())).collect();
    assert_eq!(sizes, [(4, [6, 4]), (2, [5, 5])]);
}

#[test]
fn frames_of_every_orientation_are_upright() {
    let Some((folder, _)) = folder("UMEDSAM_DICOM") else { return };
    let mut count = 0;
    for entry in std::fs::read_dir(folder.join("series")).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let Some(digits) = name.strip_prefix("turn-") else { continue };
        let axes: Vec<usize> = digits.bytes().map(|digit| usize::from(digit - b'0')).collect();
        let series = read_folder(&entry.path()).unwrap().series.remove(0);
        let turn = series.slice(Axis::Slices, 1).unwrap().turn;
        let affine = series.geometry().affine;
        // Where a step to the right and one down go in the patient, by the file's own directions.
        let corner = |x: f64, y: f64| turn.stored_box([x, y, x + 1.0, y + 1.0]);
        let step = |to: [f64; 4]| {
            let from = corner(0.0, 0.0);
            affine.map(|row| row[0] * (to[0] - from[0]) + row[1] * (to[1] - from[1]))
        };
        let axis = |vector: [f64; 3]| {
            let place = vector.iter().position(|&value| value != 0.0).unwrap();
            (place, vector[place] > 0.0)
        };
        let wanted = match 3 - axes[0] - axes[1] {
            2 => [(0, true), (1, true)],
            1 => [(0, true), (2, false)],
            _ => [(1, true), (2, false)],
        };
        assert_eq!([axis(step(corner(1.0, 0.0))), axis(step(corner(0.0, 1.0)))], wanted, "{name}");
        count += 1;
    }
    assert_eq!(count, 24);
}

#[test]
fn a_file_of_many_frames_is_a_series() {
    let Some((_, expected)) = folder("UMEDSAM_DICOM") else { return };
    // An enhanced CT, whose frames have places of their own.
    let enhanced = single(&named(&expected, "eCT_Supplemental.dcm")).unwrap();
    assert_eq!((enhanced.frames(), enhanced.geometry().size[2], enhanced.geometry().spacing()[2]), (2, 2, 10.0));
    assert_eq!([enhanced.instance(0).unwrap().1, enhanced.instance(1).unwrap().1], [1, 0]);
    let source = enhanced.source().unwrap();
    assert_eq!(source.frames.iter().map(|frame| frame.number).collect::<Vec<_>>(), [Some(2), Some(1)]);
    assert!(source.is_placed() && source.check().is_ok());
    // One whose frames have none.
    let flat = single(&named(&expected, "emri_small.dcm")).unwrap();
    assert_eq!((flat.frames(), flat.is_placed(), flat.instance(9).unwrap().1), (10, false, 9));
    assert!(flat.slice(Axis::Rows, 0).unwrap_err().to_string().contains("no place in space"));
    assert!(!flat.source().unwrap().is_placed());
}

#[test]
fn windows_and_texts_are_the_files() {
    let Some((_, expected)) = folder("UMEDSAM_DICOM") else { return };
    let read = |name: &str| single(&named(&expected, name)).unwrap();
    assert_eq!(read("MR_small.dcm").window(0), Some([600.0, 1600.0]));
    assert_eq!(read("CT_small.dcm").window(1), None);
    let study = read("CT_small.dcm").source().unwrap().study;
    assert_eq!((study.patient_name.as_str(), study.patient_id.as_str()), ("CompressedSamples^CT1", "1CT1"));
}
