//! Whatever a path leads to.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::dicom::{DicomFiles, Series, is_dicom, read_dicom, read_folder};
use crate::error::{Error, Result, invalid};
use crate::nifti::{Nifti, is_nifti};
use crate::volume::Volume;

/// Which volume of a file or folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Choice {
    /// The volume of a NIfTI file with several, counted from 0.
    pub frame: usize,
    /// The series of a folder, by its place in [`DicomFiles::series`], counted from 0; without it the one with most frames.
    pub series: Option<usize>,
}

/// A volume that was opened.
#[derive(Debug)]
pub enum Opened {
    /// A NIfTI file, whose voxels are in memory.
    Nifti(Nifti),
    /// A DICOM series, whose pixels are on the disk.
    Dicom(Series),
}

impl Opened {
    /// As a volume of whatever format.
    pub fn volume(&self) -> &dyn Volume {
        match self {
            Self::Nifti(nifti) => nifti,
            Self::Dicom(series) => series,
        }
    }

    /// The same, to keep.
    pub fn into_volume(self) -> Box<dyn Volume> {
        match self {
            Self::Nifti(nifti) => Box::new(nifti),
            Self::Dicom(series) => Box::new(series),
        }
    }
}

/// So much of a file tells what it is, also if it is packed.
const START: u64 = 65_536;

/// Opens a folder of DICOM files, a DICOM file or a NIfTI file, told apart by what is in it; `None` if it is something else, such as a picture.
///
/// # Errors
/// [`Error::Option`] if the series or frame that was chosen is not there, or none was and several series have as many frames, with a list of the series; [`Error::Invalid`]
/// and [`Error::File`] if it cannot be read.
pub fn open(path: &Path, choice: Choice) -> Result<Option<Opened>> {
    if path.is_dir() {
        return chosen(read_folder(path)?, choice).map(Some);
    }
    let wrong = |error: std::io::Error| Error::file(path, error);
    let mut start = Vec::new();
    File::open(path).map_err(wrong)?.take(START).read_to_end(&mut start).map_err(wrong)?;
    if is_dicom(&start) {
        return chosen(read_dicom(&[path.to_owned()])?, choice).map(Some);
    }
    if is_nifti(&start) {
        if let Some(series) = choice.series.filter(|&series| series > 0) {
            return Err(Error::Option(format!(
                "series is {series}, but {} is a NIfTI file; leave it out",
                path.display()
            )));
        }
        let nifti = Nifti::new(std::fs::read(path).map_err(wrong)?).map_err(|error| match error {
            Error::Invalid(message) => Error::file(path, message),
            other => other,
        })?;
        return Ok(Some(Opened::Nifti(nifti.with_frame(choice.frame)?)));
    }
    match path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("dcm")) {
        // It is named as one; the reason is said.
        true => invalid(read_dicom(&[path.to_owned()]).map_or_else(|error| error.to_string(), |_| "it changed".into())),
        false => Ok(None),
    }
}

fn chosen(DicomFiles { mut series, rejected }: DicomFiles, choice: Choice) -> Result<Opened> {
    if choice.frame > 0 {
        return Err(Error::Option(format!(
            "frame is {}, which chooses a volume of a NIfTI file; a DICOM series has one: choose its slice",
            choice.frame
        )));
    }
    let listed = || -> String {
        let line = |(index, one): (usize, &Series)| {
            let [columns, rows] = one.size();
            let number = one.number().map_or_else(|| "none".into(), |number| number.to_string());
            let (frames, modality) = (one.frames(), one.modality());
            format!("\n  {index}: {modality}, {frames} frames of {columns}×{rows}, series number {number}")
        };
        series.iter().enumerate().map(line).collect()
    };
    let most = series.iter().map(Series::frames).max().unwrap_or(0);
    let mut largest = (0..series.len()).filter(|&index| series[index].frames() == most);
    let index = match (choice.series, largest.next(), largest.next()) {
        (Some(index), ..) if index < series.len() => index,
        (Some(index), ..) => {
            return Err(Error::Option(format!("series is {index}; choose one of{}", listed())));
        }
        (None, Some(index), None) => index,
        (None, ..) => {
            return Err(Error::Option(format!(
                "several series have as many frames; choose one by its number here:{}",
                listed()
            )));
        }
    };
    Ok(Opened::Dicom(series.swap_remove(index).without(&rejected)))
}
