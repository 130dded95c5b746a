//! Frames that belong together, as a volume.

use std::sync::Arc;

use umedsam_export::{Frame as SourceFrame, Source};

use super::file::DicomFile;
use super::header::FrameInfo;
use super::order::{Ordered, in_order};
use super::pixels::frame_values;
use crate::error::{Error, Result, invalid};
use crate::geometry::{Axis, SpaceGeometry};
use crate::volume::{SliceValues, Volume};

/// A frame of a file.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub file: Arc<DicomFile>,
    /// From 0.
    pub number: usize,
}

impl Frame {
    pub(super) fn info(&self) -> &FrameInfo {
        &self.file.frames[self.number]
    }

    /// Its values. Errors name the file.
    fn values(&self) -> Result<SliceValues> {
        frame_values(&self.file, self.number).map_err(|error| match error {
            Error::Invalid(message) => Error::file(self.file.path(), message),
            other => other,
        })
    }
}

/// Frames of one series, with one size and one orientation, in the order of their positions. Only headers are held: a frame is read from its file when it is asked for.
#[derive(Debug, Clone)]
pub struct Series {
    frames: Vec<Frame>,
    geometry: SpaceGeometry,
    is_placed: bool,
    problems: Vec<String>,
}

impl Series {
    /// The same, with a problem that says which files of the folder were left out.
    pub(crate) fn without(mut self, rejected: &[(String, String)]) -> Self {
        if let [(name, reason), others @ ..] = rejected {
            let more = if others.is_empty() { String::new() } else { format!(", and {} more", others.len()) };
            self.problems.push(format!("left out: {name} ({reason}){more}"));
        }
        self
    }

    pub(super) fn new(frames: Vec<Frame>) -> Self {
        let Ordered { frames, geometry, is_placed, problems } = in_order(frames);
        Self { frames, geometry, is_placed, problems }
    }

    fn first(&self) -> &DicomFile {
        &self.frames[0].file
    }

    /// Series instance UID.
    pub fn uid(&self) -> &str {
        &self.first().info.series
    }

    /// Such as `CT`.
    pub fn modality(&self) -> &str {
        &self.first().info.modality
    }

    /// What the scanner says of it; may say more of a person than it should.
    pub fn description(&self) -> &str {
        &self.first().info.description
    }

    /// Series number.
    pub fn number(&self) -> Option<i64> {
        self.first().info.series_number
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.frames.len()
    }

    /// Columns and rows of the stored frames.
    pub fn size(&self) -> [usize; 2] {
        [self.first().info.columns, self.first().info.rows]
    }

    /// SOP instance UID of a frame's file, and the frame's number in that file, from 0.
    ///
    /// # Errors
    /// [`Error::Option`] if there is no such frame.
    pub fn instance(&self, index: usize) -> Result<(&str, usize)> {
        self.check_slice(Axis::Slices, index)?;
        let frame = &self.frames[index];
        Ok((&frame.file.info.sop_instance, frame.number))
    }

    /// What files that are written of the series refer to: patient, study and every frame, in the order of the slices. It names the patient.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Invalid`] if the first file cannot be read any more.
    pub fn source(&self) -> Result<Source> {
        let file = self.first();
        let first = self.frames[0].info();
        let frame = |frame: &Frame| SourceFrame {
            sop_class: frame.file.info.sop_class.clone(),
            sop_instance: frame.file.info.sop_instance.clone(),
            number: (frame.file.frames.len() > 1).then(|| u32::try_from(frame.number + 1).ok()).flatten(),
            position: frame.info().position.filter(|_| self.is_placed),
        };
        Ok(Source {
            study: file.study()?,
            study_uid: file.info.study.clone(),
            series_uid: file.info.series.clone(),
            frame_of_reference: file.info.frame_of_reference.clone().filter(|_| self.is_placed),
            size: self.size(),
            orientation: first.orientation.map(|[[a, b, c], [d, e, f]]| [a, b, c, d, e, f]),
            spacing: first.spacing,
            thickness: first.thickness,
            frames: self.frames.iter().map(frame).collect(),
        })
    }
}

impl Volume for Series {
    fn geometry(&self) -> &SpaceGeometry {
        &self.geometry
    }

    fn channels(&self) -> usize {
        self.first().info.channels()
    }

    fn read(&self, axis: Axis, index: usize) -> Result<SliceValues> {
        self.check_slice(axis, index)?;
        if axis == Axis::Slices {
            let frame = &self.frames[index];
            let (channels, found) = (self.channels(), frame.file.info.channels());
            return match channels == found {
                true => frame.values(),
                false => invalid(format!("frame {index} has {found} values for a pixel, the first {channels}")),
            };
        }
        let [columns, rows] = self.size();
        let channels = self.channels();
        let places: Vec<usize> = match axis {
            Axis::Columns => (0..rows).map(|row| row * columns + index).collect(),
            _ => (0..columns).map(|column| index * columns + column).collect(),
        };
        let mut lines = SliceValues::U8(Vec::new());
        for slice in 0..self.frames() {
            lines.append(match self.read(Axis::Slices, slice)? {
                SliceValues::U8(values) => SliceValues::U8(line(&values, &places, channels)),
                SliceValues::F32(values) => SliceValues::F32(line(&values, &places, channels)),
            });
        }
        Ok(lines)
    }

    fn window(&self, index: usize) -> Option<[f64; 2]> {
        let frame = self.frames.get(index)?;
        frame.info().window.filter(|_| frame.file.info.channels() == 1)
    }

    fn is_inverted(&self) -> bool {
        self.first().info.photometric == "MONOCHROME1"
    }

    fn is_placed(&self) -> bool {
        self.is_placed
    }

    fn problems(&self) -> &[String] {
        &self.problems
    }
}

/// Pixels of a frame.
fn line<T: Copy>(values: &[T], places: &[usize], channels: usize) -> Vec<T> {
    places.iter().flat_map(|place| &values[place * channels..][..channels]).copied().collect()
}
