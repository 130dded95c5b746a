//! Files, as those of a folder, and the series that their frames make.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::DicomFile;
use super::series::{Frame, Series};
use crate::error::{Error, Result, invalid};

/// What was found in files.
#[derive(Debug)]
pub struct DicomFiles {
    /// By series number, those with more frames first.
    pub series: Vec<Series>,
    /// Files without images that could be read: their paths, and what they are instead or what is wrong with them.
    pub rejected: Vec<(String, String)>,
}

/// Reads the headers of files and puts their frames into series: by study, series, size, values of a pixel and orientation, in the order of their positions.
///
/// # Errors
/// [`Error::Invalid`] if there is no image in any of the files, saying why of the first.
pub fn read_dicom(paths: &[PathBuf]) -> Result<DicomFiles> {
    let mut groups: BTreeMap<Group, Vec<Frame>> = BTreeMap::new();
    let mut rejected = Vec::new();
    for path in paths {
        match DicomFile::open(path) {
            Ok(file) => {
                let file = Arc::new(file);
                for number in 0..file.frames.len() {
                    groups.entry(group(&file, number)).or_default().push(Frame { file: file.clone(), number });
                }
            }
            Err(Error::Invalid(reason) | Error::Option(reason) | Error::File { message: reason, .. }) => {
                rejected.push((path.display().to_string(), reason));
            }
        }
    }
    if groups.is_empty() {
        let more = match rejected.len() {
            0 | 1 => String::new(),
            count => format!("; nor in {} other files", count - 1),
        };
        return match rejected.first() {
            Some((path, reason)) => invalid(format!("{path}: {reason}{more}")),
            None => invalid("there are no files"),
        };
    }
    let mut series: Vec<Series> = groups.into_values().map(Series::new).collect();
    series.sort_by_key(|series| (series.number().unwrap_or(0), std::cmp::Reverse(series.frames())));
    Ok(DicomFiles { series, rejected })
}

/// As [`read_dicom`], of all files of a folder and of the folders in it.
///
/// # Errors
/// [`Error::File`] if a folder cannot be read; as [`read_dicom`].
pub fn read_folder(path: &Path) -> Result<DicomFiles> {
    let mut paths = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| Error::file(&folder, error))? {
            let entry = entry.map_err(|error| Error::file(&folder, error))?;
            // Links to folders may lead in circles.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                _ if entry.path().is_file() => paths.push(entry.path()),
                _ => {}
            }
        }
    }
    paths.sort();
    match paths.is_empty() {
        true => invalid(format!("{} has no files in it", path.display())),
        false => read_dicom(&paths),
    }
}

/// Frames with the same are of one series here: study, series, columns, rows, values of a pixel, and cosines in thousandths.
type Group = (String, String, [usize; 3], Option<[i64; 6]>);

fn group(file: &DicomFile, number: usize) -> Group {
    let info = &file.info;
    let rounded =
        |[[a, b, c], [d, e, f]]: [[f64; 3]; 2]| [a, b, c, d, e, f].map(|value| (value * 1000.0).round() as i64);
    let orientation = file.frames[number].orientation.map(rounded);
    (info.study.clone(), info.series.clone(), [info.columns, info.rows, info.samples], orientation)
}
