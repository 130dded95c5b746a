//! DICOM files that are no images, or damaged. `UMEDSAM_DICOM` is as in `dicom.rs`.

mod support;

use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{damage, floats, folder};
use umedsam_volume::{Axis, Choice, Error, Opened, Series, Volume, open, read_dicom, read_folder};

fn named(expected: &[Value], name: &str) -> PathBuf {
    let paths = expected.iter().map(|case| PathBuf::from(case["path"].as_str().unwrap()));
    paths.into_iter().find(|path| path.file_name().unwrap() == name).unwrap()
}

#[test]
fn what_cannot_be_read_is_named() {
    let Some((_, expected)) = folder("UMEDSAM_DICOM") else { return };
    let made = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = made.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let image = named(&expected, "CT_small.dcm");
    let whole = std::fs::read(&image).unwrap();
    let syntax = |uid: &str| {
        let mut copy = whole.clone();
        let at = copy.windows(20).position(|bytes| bytes == b"1.2.840.10008.1.2.1\0").unwrap();
        copy[at..at + 20].fill(0);
        copy[at..at + uid.len()].copy_from_slice(uid.as_bytes());
        copy
    };
    let cases = [
        (named(&expected, "rtplan.dcm"), "a plan (RTPLAN)"),
        (named(&expected, "test-SR.dcm"), "structured report"),
        (named(&expected, "waveform_ecg.dcm"), "waveform"),
        (named(&expected, "liver.dcm"), "a segmentation (SEG)"),
        (named(&expected, "MR_truncated.dcm"), "cut off: 8130 of 8192 bytes"),
        (named(&expected, "no_meta.dcm"), "no DICM after 128 bytes"),
        (named(&expected, "meta_missing_tsyntax.dcm"), "transfer syntax"),
        (file("half.dcm", &whole[..1000]), "cut off"),
        (file("unknown.dcm", &syntax("1.2.840.10008.1.2.9")), "transfer syntax 1.2.840.10008.1.2.9 is not read"),
        (file("empty.dcm", &[]), "the file is empty"),
        (file("page.dcm", b"<!doctype html>"), "web page"),
    ];
    for (path, message) in cases {
        let error = read_dicom(std::slice::from_ref(&path)).unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, Error::Invalid(_)) && said.contains(message), "{said}");
        assert!(said.starts_with(&path.display().to_string()), "{said}");
        // Beside an image it is left out, and named.
        let found = read_dicom(&[path.clone(), image.clone()]).unwrap();
        assert_eq!(found.series.len(), 1);
        assert!(found.rejected[0].1.contains(message), "{:?}", found.rejected);
    }
    assert_eq!(read_dicom(&[]).unwrap_err(), Error::Invalid("there are no files".into()));
    let missing = read_dicom(&[made.path().join("missing.dcm")]).unwrap_err().to_string();
    assert!(missing.contains("missing.dcm: "), "{missing}");
}

/// Reads what there is of a file.
fn read_all(path: &Path) {
    let Ok(found) = read_dicom(&[path.to_owned()]) else { return };
    for series in found.series {
        for index in [0, series.frames() - 1] {
            if let Ok(values) = series.read(Axis::Slices, index) {
                let [columns, rows] = series.size();
                assert_eq!(floats(values).len(), columns * rows * series.channels());
            }
        }
        let _ = series.source();
        if series.frames() < 4 {
            let _ = series.slice(Axis::Columns, 0);
        }
    }
}

#[test]
fn damaged_files_are_errors_whatever_their_coding() {
    let Some((_, expected)) = folder("UMEDSAM_DICOM") else { return };
    let made = tempfile::tempdir().unwrap();
    let path = made.path().join("damaged.dcm");
    for name in [
        "CT_small.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_RLE.dcm",
        "MR_small_jp2klossless.dcm",
        "JPEG2000.dcm",
        "JPEG-LL.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "image_dfl.dcm",
        "eCT_Supplemental.dcm",
        "emri_small_RLE.dcm",
        "emri_small_jpeg_2k_lossless.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "UN_sequence.dcm",
        "OBXXXX1A_rle_2frame.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "JPEGLSNearLossless_16.dcm",
        "SC_rgb_jls_lossy_line.dcm",
        "SC_rgb_jls_lossy_sample.dcm",
        "JPGExtended.dcm",
        "CT_jls.dcm",
    ] {
        let bytes = std::fs::read(named(&expected, name)).unwrap();
        damage(&bytes, |bytes| {
            std::fs::write(&path, bytes).unwrap();
            read_all(&path);
        });
    }
}

#[test]
fn files_that_went_away_are_errors() {
    let Some((_, expected)) = folder("UMEDSAM_DICOM") else { return };
    let made = tempfile::tempdir().unwrap();
    let path = made.path().join("image.dcm");
    std::fs::copy(named(&expected, "CT_small.dcm"), &path).unwrap();
    let series = read_dicom(std::slice::from_ref(&path)).unwrap().series.remove(0);
    std::fs::write(&path, [0; 500]).unwrap();
    let error = series.read(Axis::Slices, 0).unwrap_err();
    assert!(matches!(&error, Error::File { message, .. } if message.contains("may have changed")), "{error}");
    assert!(series.read(Axis::Slices, 1).unwrap_err().to_string().contains("slices 0 to 0"));
}

#[test]
fn whatever_a_path_leads_to_is_opened() {
    let Some((folder, expected)) = folder("UMEDSAM_DICOM") else { return };
    let series = |opened: Result<Option<Opened>, Error>| -> Series {
        match opened.unwrap() {
            Some(Opened::Dicom(series)) => series,
            other => panic!("{other:?}"),
        }
    };
    let choice = |series| Choice { series, ..Choice::default() };
    // The one with most frames; a choice of the others.
    let mixed = folder.join("series/mixed");
    assert_eq!(series(open(&mixed, Choice::default())).frames(), 4);
    assert_eq!(series(open(&mixed, choice(Some(1)))).frames(), 2);
    let error = open(&mixed, choice(Some(2))).unwrap_err().to_string();
    assert!(error.contains("series is 2") && error.contains("\n  1: CT, 2 frames of 5×5, series number 7"), "{error}");
    // Two series with as many frames.
    let made = tempfile::tempdir().unwrap();
    for name in ["plain", "tilted"] {
        let into = made.path().join(name);
        std::fs::create_dir(&into).unwrap();
        for entry in std::fs::read_dir(folder.join("series").join(name)).unwrap().map(Result::unwrap) {
            std::fs::copy(entry.path(), into.join(entry.file_name())).unwrap();
        }
    }
    std::fs::write(made.path().join("notes.txt"), "text").unwrap();
    let error = open(made.path(), Choice::default()).unwrap_err();
    assert!(
        matches!(&error, Error::Option(message) if message.contains("0: CT, 6 frames") && message.contains("1: CT, 6 frames")),
        "{error}"
    );
    assert_eq!(read_folder(made.path()).unwrap().rejected.len(), 1);
    assert_eq!(series(open(made.path(), choice(Some(1)))).frames(), 6);
    // Files.
    assert_eq!(series(open(&named(&expected, "CT_small.dcm"), Choice::default())).frames(), 1);
    assert!(open(&made.path().join("notes.txt"), Choice::default()).unwrap().is_none());
    let no_meta = open(&named(&expected, "no_meta.dcm"), Choice::default()).unwrap_err().to_string();
    assert!(no_meta.contains("no DICM"), "{no_meta}");
    let frame = open(&mixed, Choice { frame: 1, series: None }).unwrap_err().to_string();
    assert!(frame.contains("a DICOM series has one"), "{frame}");
}
