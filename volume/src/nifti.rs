//! NIfTI-1 and NIfTI-2 files of both byte orders.
//!
//! Sources: nifti1.h and nifti2.h (NIfTI Data Format Working Group, 2004 and 2011). As in the package (`pkg-template/src/nifti-header.ts`).

mod affine;
mod write;

use std::io::Read;

use flate2::read::MultiGzDecoder;

use affine::affine;

use crate::error::{Error, Result, invalid};
use crate::geometry::{Axis, SpaceGeometry};
use crate::volume::{SliceValues, Volume};

/// A file that was read: its voxels as they are stored.
#[derive(Debug, Clone)]
pub struct Nifti {
    bytes: Vec<u8>,
    header: Header,
    kind: Kind,
    frame: usize,
    geometry: SpaceGeometry,
    problems: Vec<String>,
}

/// The numbers of a header, in the order of their bytes.
#[derive(Debug, Clone)]
struct Header {
    fields: Fields,
    is_little: bool,
    frames: usize,
    offset: usize,
    slope: f64,
    intercept: f64,
}

/// Where fields are: NIfTI-1's are shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fields {
    One,
    Two,
}

impl Fields {
    fn length(self) -> usize {
        match self {
            Self::One => 348,
            Self::Two => 540,
        }
    }
}

/// Numbers at places of a file.
struct Reader<'a> {
    bytes: &'a [u8],
    fields: Fields,
    is_little: bool,
}

impl Reader<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes: [u8; N] = self.bytes[at..at + N].try_into().expect("as many bytes");
        if !self.is_little {
            bytes.reverse();
        }
        bytes
    }

    fn i16(&self, at: usize) -> i16 {
        i16::from_le_bytes(self.array(at))
    }

    fn f32(&self, at: usize) -> f64 {
        f64::from(f32::from_le_bytes(self.array(at)))
    }

    fn i64(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.array(at))
    }

    fn f64(&self, at: usize) -> f64 {
        f64::from_le_bytes(self.array(at))
    }

    fn dim(&self, index: usize) -> i64 {
        match self.fields {
            Fields::One => i64::from(self.i16(40 + 2 * index)),
            Fields::Two => self.i64(16 + 8 * index),
        }
    }

    fn float(&self, one: usize, two: usize, index: usize) -> f64 {
        match self.fields {
            Fields::One => self.f32(one + 4 * index),
            Fields::Two => self.f64(two + 8 * index),
        }
    }

    fn pixdim(&self, index: usize) -> f64 {
        self.float(76, 104, index)
    }

    /// Codes of qform and sform.
    fn codes(&self) -> [i64; 2] {
        match self.fields {
            Fields::One => [252, 254].map(|at| i64::from(self.i16(at))),
            Fields::Two => [344, 348].map(|at| i64::from(i32::from_le_bytes(self.array(at)))),
        }
    }

    fn units(&self) -> i32 {
        match self.fields {
            Fields::One => i32::from(self.bytes[123]),
            Fields::Two => i32::from_le_bytes(self.array(500)),
        }
    }
}

/// The type of voxels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    code: i16,
    bytes: usize,
    channels: usize,
}

/// Codes that are read: bytes of a voxel, and its channels.
const KINDS: [(i16, usize, usize); 14] = [
    (2, 1, 1),
    (4, 2, 1),
    (8, 4, 1),
    (16, 4, 1),
    (32, 8, 1),
    (64, 8, 1),
    (128, 3, 3),
    (256, 1, 1),
    (512, 2, 1),
    (768, 4, 1),
    (1024, 8, 1),
    (1280, 8, 1),
    (1792, 16, 1),
    (2304, 4, 4),
];

/// The longest axis that is read: what the network takes of a picture.
const LONGEST_AXIS: i64 = 32_768;

/// Whether bytes begin as a NIfTI file, packed by gzip or not, does.
pub fn is_nifti(bytes: &[u8]) -> bool {
    let mut start = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        // A file that is cut off is still one.
        let _ = MultiGzDecoder::new(bytes).take(348).read_to_end(&mut start);
    }
    let start = if start.is_empty() { bytes } else { &start };
    let magic = |at: usize, version: u8| {
        start.get(at..at + 3).is_some_and(|magic| matches!(magic, [b'n', b'+' | b'i', last] if *last == version))
    };
    magic(344, b'1') || magic(4, b'2')
}

impl Nifti {
    /// Reads a file, packed by gzip or not.
    ///
    /// # Errors
    /// [`Error::Invalid`] that says what is wrong: cut off, another format, a type that cannot be read.
    pub fn new(bytes: Vec<u8>) -> Result<Self> {
        let bytes = unpacked(bytes)?;
        let (fields, is_little) = recognized(&bytes)?;
        let reader = Reader { bytes: &bytes, fields, is_little };
        let dimensions = reader.dim(0);
        let used = dimensions.clamp(0, 7) as usize;
        let dims: Vec<i64> = (1..=7).map(|index| if index <= used { reader.dim(index) } else { 1 }).collect();
        if !(1..=7).contains(&dimensions) || dims.iter().any(|&length| length < 1) {
            return invalid(format!(
                "the NIfTI header says {dimensions} dimensions of {:?} voxels; use 1 to 7, each 1 or more",
                &dims[..used]
            ));
        }
        if dims[..3].iter().any(|&length| length > LONGEST_AXIS) {
            return invalid(format!(
                "the volume has {:?} voxels; use at most {LONGEST_AXIS} along an axis",
                &dims[..3]
            ));
        }
        let size: [usize; 3] = std::array::from_fn(|axis| dims[axis] as usize);
        let frames = dims[3..].iter().try_fold(1usize, |product, &count| product.checked_mul(count as usize));
        let mut problems = Vec::new();
        let affine = affine(&reader, &mut problems);
        let offset = match fields {
            Fields::One => reader.f32(108),
            Fields::Two => reader.i64(168) as f64,
        };
        let [slope, intercept] = [0, 1].map(|index| reader.float(112, 176, index));
        let is_scaled = slope.is_finite() && slope != 0.0;
        let header = Header {
            fields,
            is_little,
            frames: frames.unwrap_or(usize::MAX),
            offset: if offset.is_finite() && offset >= fields.length() as f64 {
                offset as usize
            } else {
                fields.length() + 4
            },
            slope: if is_scaled { slope } else { 1.0 },
            intercept: if is_scaled && intercept.is_finite() { intercept } else { 0.0 },
        };
        let code = reader.i16(if fields == Fields::One { 70 } else { 12 });
        let kind = kind(code)?;
        let voxels = size.iter().product::<usize>();
        let expected =
            voxels.checked_mul(header.frames).and_then(|all| all.checked_mul(kind.bytes)?.checked_add(header.offset));
        if expected.is_none_or(|expected| bytes.len() < expected) {
            let expected = expected.map_or("more than can be".into(), |expected| expected.to_string());
            return invalid(format!("the NIfTI file is cut off: {} of {expected} bytes", bytes.len()));
        }
        Ok(Self { bytes, header, kind, frame: 0, geometry: SpaceGeometry { size, affine }, problems })
    }

    /// Volumes in the file.
    pub fn frames(&self) -> usize {
        self.header.frames
    }

    /// The same file, another of its volumes.
    ///
    /// # Errors
    /// [`Error::Option`] if there is no such volume.
    pub fn with_frame(self, frame: usize) -> Result<Self> {
        match frame < self.header.frames {
            true => Ok(Self { frame, ..self }),
            false => {
                Err(Error::Option(format!("frame is {frame}; the file has volumes 0 to {}", self.header.frames - 1)))
            }
        }
    }

    fn value(&self, at: usize) -> f64 {
        let Header { fields, is_little, .. } = self.header;
        let reader = Reader { bytes: &self.bytes, fields, is_little };
        match self.kind.code {
            4 => f64::from(reader.i16(at)),
            8 => f64::from(i32::from_le_bytes(reader.array(at))),
            16 => reader.f32(at),
            // A complex number is shown by its magnitude.
            32 => reader.f32(at).hypot(reader.f32(at + 4)),
            64 => reader.f64(at),
            256 => f64::from(self.bytes[at] as i8),
            512 => f64::from(u16::from_le_bytes(reader.array(at))),
            768 => f64::from(u32::from_le_bytes(reader.array(at))),
            1024 => reader.i64(at) as f64,
            1280 => u64::from_le_bytes(reader.array(at)) as f64,
            1792 => reader.f64(at).hypot(reader.f64(at + 8)),
            _ => f64::from(self.bytes[at]),
        }
    }
}

impl Volume for Nifti {
    fn geometry(&self) -> &SpaceGeometry {
        &self.geometry
    }

    fn channels(&self) -> usize {
        self.kind.channels
    }

    fn problems(&self) -> &[String] {
        &self.problems
    }

    fn read(&self, axis: Axis, index: usize) -> Result<SliceValues> {
        self.check_slice(axis, index)?;
        let size = self.geometry.size;
        let strides = [1, size[0], size[0] * size[1]];
        let [a, b] = axis.others();
        let begin = self.frame * size.iter().product::<usize>() + index * strides[axis as usize];
        let places = (0..size[b])
            .flat_map(|row| (0..size[a]).map(move |column| begin + row * strides[b] + column * strides[a]))
            .map(|voxel| self.header.offset + voxel * self.kind.bytes);
        let Header { slope, intercept, .. } = self.header;
        let is_plain = slope == 1.0 && intercept == 0.0;
        Ok(match (self.kind.channels, self.kind.code == 2 && is_plain) {
            (1, false) => SliceValues::F32(places.map(|at| (self.value(at) * slope + intercept) as f32).collect()),
            // Colours are not scaled.
            (channels, _) => SliceValues::U8(places.flat_map(|at| &self.bytes[at..at + channels]).copied().collect()),
        })
    }
}

fn unpacked(bytes: Vec<u8>) -> Result<Vec<u8>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut all = Vec::new();
    match MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut all) {
        Ok(_) => Ok(all),
        Err(error) => invalid(format!("the .gz file is cut off or damaged ({error}); get it again")),
    }
}

fn recognized(bytes: &[u8]) -> Result<(Fields, bool)> {
    let Some(length) = bytes.first_chunk::<4>() else {
        return invalid(format!("the file has {} bytes; it is no NIfTI file", bytes.len()));
    };
    let found = [i32::from_le_bytes(*length), i32::from_be_bytes(*length)].into_iter().zip([true, false]);
    let fields = |length: i32| match length {
        348 => Some(Fields::One),
        540 => Some(Fields::Two),
        _ => None,
    };
    let Some((fields, is_little)) = found.filter_map(|(length, is_little)| Some((fields(length)?, is_little))).next()
    else {
        return invalid("the file is no NIfTI file: it does not begin with a header of 348 or 540 bytes");
    };
    if bytes.len() < fields.length() {
        return invalid(format!(
            "the NIfTI file is cut off: {} bytes, its header alone has {}",
            bytes.len(),
            fields.length()
        ));
    }
    let (at, version) = if fields == Fields::One { (344, b'1') } else { (4, b'2') };
    match &bytes[at..at + 3] {
        [b'n', b'+', last] if *last == version => Ok((fields, is_little)),
        [b'n', b'i', last] if *last == version => invalid(
            "the file is a NIfTI header whose voxels are in another file (.hdr and .img); convert them to one .nii, for instance with nibabel",
        ),
        _ if fields == Fields::One => invalid(
            "the file is an Analyze 7.5 header, which does not say where left and right are; convert it to .nii",
        ),
        _ => invalid("the file is no NIfTI file: it has no magic after its header's length"),
    }
}

fn kind(code: i16) -> Result<Kind> {
    if let Some(&(code, bytes, channels)) = KINDS.iter().find(|(known, ..)| *known == code) {
        return Ok(Kind { code, bytes, channels });
    }
    let name = match code {
        0 => "unknown",
        1 => "bits",
        1536 => "float128, which every machine writes its own way",
        2048 => "complex256, which every machine writes its own way",
        _ => "none that NIfTI has",
    };
    invalid(format!("the voxels' type is {code} ({name}); convert the file to int16 or float32"))
}
