//! One DICOM file: its header, and where its frames are, so that their bytes are read when they are wanted. As in the package (`pkg-template/src/dicom-file.ts`).

use std::io::Read;
use std::path::Path;

use umedsam_export::StudyText;

use super::header::{FileInfo, FrameInfo, frames, study_text};
use super::parse::{DOUBLES, DataSet, Element, Encoding, FLOATS, Fragment, PIXELS, Parser};
use super::stream::Place;
use super::syntax::{BIG_ENDIAN, Coding, DEFLATED, IMPLICIT, coding_of, instead_of_image};
use crate::error::{Error, Result, invalid};

/// A file with an image.
#[derive(Debug)]
pub(super) struct DicomFile {
    pub info: FileInfo,
    pub frames: Vec<FrameInfo>,
    pub coding: Coding,
    pub is_big_endian: bool,
    /// Whether the pixels are floats, of how many bits.
    pub floats: Option<u32>,
    place: Place,
    encoding: Encoding,
    /// Where the data set begins.
    begin: u64,
    /// Bytes in words of the other order.
    is_swapped: bool,
    stored: Stored,
}

/// Where frames are.
#[derive(Debug)]
enum Stored {
    /// One after the other from a place on, each as long.
    Native { begin: u64, length: u64 },
    /// In parts.
    Coded(Vec<Vec<(u64, u64)>>),
}

impl DicomFile {
    /// Reads a file's header.
    ///
    /// # Errors
    /// [`Error::Invalid`] that says what the file is instead of an image that can be read.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (syntax, begin, media_class) = meta(path)?;
        let coding = coding_of(&syntax);
        let place = match syntax == DEFLATED {
            true => Place::Deflated(path.into(), begin),
            false => Place::File(path.into()),
        };
        let is_big_endian = syntax == BIG_ENDIAN;
        let encoding = Encoding { is_implicit: syntax == IMPLICIT, is_big_endian };
        let data = data_set(&place, begin, encoding)?;
        let class = data.string(0x0008_0016).unwrap_or_default();
        if let Some(instead) = instead_of_image(&class).or_else(|| instead_of_image(&media_class)) {
            return invalid(format!("the DICOM file is {instead}"));
        }
        let coding = coding.map_err(Error::Invalid)?;
        let Some((tag, pixels)) = [PIXELS, FLOATS, DOUBLES].iter().find_map(|&tag| Some((tag, data.element(tag)?)))
        else {
            return invalid(match data.has(0x0400_0500) {
                true => "the DICOM file's pixels are encrypted",
                false => "the DICOM file has no pixels",
            });
        };
        let info = FileInfo::new(&data);
        info.check().map_err(|what| Error::Invalid(format!("the DICOM file {what}")))?;
        let floats = match tag {
            FLOATS => Some(32),
            DOUBLES => Some(64),
            _ => None,
        };
        let count = data.integer(0x0028_0008).map_or(1, |count| count.max(1) as usize);
        let stored = match coding {
            Coding::Native => native(&info, pixels, floats, count)?,
            _ => Stored::Coded(coded(&place, pixels, count)?),
        };
        Ok(Self {
            frames: frames(&data, count),
            coding,
            is_big_endian,
            floats,
            place,
            encoding,
            begin,
            is_swapped: is_big_endian && &pixels.vr == b"OW" && info.bits_allocated <= 8,
            stored,
            info,
        })
    }

    /// The bytes of a frame that is there, as they are stored.
    ///
    /// # Errors
    /// [`Error::File`] if they cannot be read.
    pub(super) fn bytes(&self, frame: usize) -> Result<Vec<u8>> {
        match &self.stored {
            Stored::Native { begin, length } => {
                let at = frame as u64 * length;
                // Whole words.
                let odd = if self.is_swapped { at % 2 } else { 0 };
                let more = if self.is_swapped { (odd + length) % 2 } else { 0 };
                let mut bytes = self.place.read(&[(begin + at - odd, begin + at + length + more)])?;
                if self.is_swapped {
                    bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|word| word.reverse());
                    bytes = bytes[odd as usize..(odd + length) as usize].to_vec();
                }
                Ok(bytes)
            }
            Stored::Coded(frames) => self.place.read(frames.get(frame).map_or(&[], |parts| parts)),
        }
    }

    /// What the file says of patient and study, read anew.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Invalid`] if it cannot be read any more.
    pub(super) fn study(&self) -> Result<StudyText> {
        Ok(study_text(&data_set(&self.place, self.begin, self.encoding)?))
    }

    pub(super) fn path(&self) -> &Path {
        self.place.path()
    }
}

/// Whether bytes begin as a DICOM file does (PS3.10, section 7.1).
pub(crate) fn is_dicom(start: &[u8]) -> bool {
    start.get(128..132) == Some(b"DICM")
}

/// The transfer syntax, where the data set begins, and the SOP class of the medium.
fn meta(path: &Path) -> Result<(String, u64, String)> {
    let (mut bytes, length) = Place::File(path.into()).open()?;
    let mut start = Vec::new();
    (&mut bytes).take(132).read_to_end(&mut start).map_err(|error| Error::file(path, error))?;
    match start.first() {
        None => return invalid("the file is empty"),
        Some(b'<') => return invalid("the file is a web page or XML, not DICOM"),
        _ if !is_dicom(&start) => return invalid("the file is no DICOM file: it has no DICM after 128 bytes"),
        _ => {}
    }
    let parsed = Parser::new(&mut *bytes, 132, length).and_then(|mut parser| parser.meta());
    let (set, end) = parsed
        .map_err(|message| Error::Invalid(format!("the DICOM file's header is cut off or damaged ({message})")))?;
    match set.string(0x0002_0010).filter(|syntax| !syntax.is_empty()) {
        Some(syntax) => Ok((syntax, end, set.string(0x0002_0002).unwrap_or_default())),
        None => invalid("the DICOM file does not name its transfer syntax"),
    }
}

fn data_set(place: &Place, begin: u64, encoding: Encoding) -> Result<DataSet> {
    let (mut bytes, length) = place.open()?;
    let damaged = |message| Error::Invalid(format!("the DICOM file is cut off or damaged ({message})"));
    let (data, outcome) = Parser::new(&mut *bytes, begin, length).map_err(damaged)?.whole(encoding);
    match outcome {
        // What comes before the damage may be all that is needed: bytes after the pixels are in no standard, and in some files.
        Err(message) if !data.has(PIXELS) => Err(damaged(message)),
        _ => Ok(data),
    }
}

fn native(info: &FileInfo, pixels: &Element, floats: Option<u32>, count: usize) -> Result<Stored> {
    // Two luminances share their colours.
    let per_pixel = if info.is_halved() { 2 } else { info.samples };
    let bits = info.pixels() as u64 * per_pixel as u64 * u64::from(floats.unwrap_or(info.bits_allocated));
    let length = bits.div_ceil(8);
    let there = pixels.end - pixels.begin;
    match length.checked_mul(count as u64) {
        Some(expected) if there >= expected => Ok(Stored::Native { begin: pixels.begin, length }),
        expected => invalid(format!(
            "the DICOM file's pixels are cut off: {there} of {} bytes",
            expected.map_or("more than can be".into(), |expected| expected.to_string())
        )),
    }
}

fn coded(place: &Place, pixels: &Element, count: usize) -> Result<Vec<Vec<(u64, u64)>>> {
    let fragments = &pixels.fragments;
    let range = |fragment: &Fragment| (fragment.begin, fragment.end);
    if fragments.len() < count {
        return invalid(format!(
            "the DICOM file's pixels are cut off: {} fragments for {count} frames",
            fragments.len()
        ));
    }
    if count == 1 {
        return Ok(vec![fragments.iter().map(range).collect()]);
    }
    if fragments.len() == count {
        return Ok(fragments.iter().map(|fragment| vec![range(fragment)]).collect());
    }
    let table: Vec<u64> = match pixels.offsets.len() == count {
        true => pixels.offsets.iter().map(|&offset| offset.into()).collect(),
        false => begins_of_frames(place, fragments)?,
    };
    if table.len() != count || !table.is_sorted() {
        return invalid(format!("the DICOM file has {} frames of {count} where its fragments begin", table.len()));
    }
    let at = |offset: u64| fragments.partition_point(|fragment| fragment.offset < offset);
    let ends = table[1..].iter().map(|&offset| at(offset)).chain([fragments.len()]);
    Ok(table.iter().zip(ends).map(|(&begin, end)| fragments[at(begin)..end].iter().map(range).collect()).collect())
}

/// Frames begin where the fragment before ends with an end of image, which may be followed by a byte that makes it even.
fn begins_of_frames(place: &Place, fragments: &[Fragment]) -> Result<Vec<u64>> {
    let mut begins = Vec::new();
    let mut is_begin = true;
    for fragment in fragments {
        if is_begin {
            begins.push(fragment.offset);
        }
        let tail = place.read(&[(fragment.end.saturating_sub(3).max(fragment.begin), fragment.end)])?;
        is_begin = tail.ends_with(&[0xff, 0xd9]) || tail.ends_with(&[0xff, 0xd9, 0]);
    }
    Ok(begins)
}
