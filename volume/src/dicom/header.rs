//! What is needed of a DICOM file besides its pixels. As in the package (`pkg-template/src/dicom-header.ts`).

use umedsam_export::StudyText;

use super::parse::DataSet;
use super::tables::LookUpTable;

pub(super) type Triple = [f64; 3];

/// What a frame says of itself.
#[derive(Debug, Clone)]
pub(super) struct FrameInfo {
    /// Place of the first pixel's middle, mm, LPS.
    pub position: Option<Triple>,
    /// Directions of a row's pixels and of a column's, LPS.
    pub orientation: Option<[Triple; 2]>,
    /// Distance of rows, distance of columns, mm.
    pub spacing: Option<[f64; 2]>,
    /// Thickness of the slice, mm.
    pub thickness: Option<f64>,
    /// Distance to the next slice, mm, as the file says.
    pub between: Option<f64>,
    pub slope: f64,
    pub intercept: f64,
    /// Centre and width of the first window.
    pub window: Option<[f64; 2]>,
}

/// What all frames of a file have in common.
#[derive(Debug, Clone)]
pub(super) struct FileInfo {
    pub sop_class: String,
    pub sop_instance: String,
    pub study: String,
    pub series: String,
    pub frame_of_reference: Option<String>,
    pub modality: String,
    pub description: String,
    pub series_number: Option<i64>,
    pub instance_number: Option<i64>,
    pub rows: usize,
    pub columns: usize,
    pub samples: usize,
    pub photometric: String,
    pub is_planar: bool,
    pub bits_allocated: u32,
    pub bits_stored: u32,
    pub high_bit: u32,
    pub is_signed: bool,
    /// Lowest and highest value that stands for "no pixel", both included.
    pub padding: Option<[i64; 2]>,
    pub modality_table: Option<LookUpTable>,
    pub palette: Option<[LookUpTable; 3]>,
}

/// The longest side that is read: what the network takes of a picture.
const LONGEST_SIDE: usize = 32_768;

impl FileInfo {
    pub(super) fn new(data: &DataSet) -> Self {
        let uid = |tag| data.string(tag).unwrap_or_default();
        let is_signed = data.u16(0x0028_0103, 0) == Some(1);
        let bits_allocated = data.u16(0x0028_0100, 0).unwrap_or(16);
        let bits_stored = data.u16(0x0028_0101, 0).unwrap_or(bits_allocated);
        let padding = data.sample(0x0028_0120, 0, is_signed);
        let limit = data.sample(0x0028_0121, 0, is_signed).or(padding);
        let channel = |number| LookUpTable::of_palette(data, number, is_signed);
        Self {
            sop_class: uid(0x0008_0016),
            sop_instance: uid(0x0008_0018),
            study: uid(0x0020_000d),
            series: uid(0x0020_000e),
            frame_of_reference: Some(uid(0x0020_0052)).filter(|uid| !uid.is_empty()),
            modality: uid(0x0008_0060),
            description: data.text(0x0008_103e),
            series_number: data.integer(0x0020_0011),
            instance_number: data.integer(0x0020_0013),
            rows: data.u16(0x0028_0010, 0).unwrap_or(0).into(),
            columns: data.u16(0x0028_0011, 0).unwrap_or(0).into(),
            samples: data.u16(0x0028_0002, 0).unwrap_or(1).into(),
            photometric: data.string(0x0028_0004).unwrap_or_else(|| "MONOCHROME2".into()),
            is_planar: data.u16(0x0028_0006, 0) == Some(1),
            bits_allocated: bits_allocated.into(),
            bits_stored: bits_stored.into(),
            high_bit: data.u16(0x0028_0102, 0).unwrap_or(bits_stored.saturating_sub(1)).into(),
            is_signed,
            padding: padding.zip(limit).map(|(a, b)| [a.min(b), a.max(b)]),
            modality_table: data.item(0x0028_3000).and_then(|item| LookUpTable::of_modality(item, is_signed)),
            palette: channel(0).zip(channel(1)).zip(channel(2)).map(|((red, green), blue)| [red, green, blue]),
        }
    }

    /// Says what cannot be read of the numbers.
    pub(super) fn check(&self) -> Result<(), String> {
        let Self { rows, columns, bits_allocated, bits_stored, high_bit, samples, .. } = *self;
        if rows < 1 || columns < 1 {
            return Err(format!("says {columns}×{rows} pixels"));
        }
        if rows > LONGEST_SIDE || columns > LONGEST_SIDE {
            return Err(format!("has {columns}×{rows} pixels; at most {LONGEST_SIDE} a side are read"));
        }
        if ![1, 8, 16, 32, 64].contains(&bits_allocated) {
            return Err(format!("has {bits_allocated} bits allocated for a value; 1, 8, 16, 32 and 64 are read"));
        }
        if bits_stored < 1 || bits_stored > bits_allocated || high_bit + 1 < bits_stored || high_bit >= bits_allocated {
            return Err(format!("says {bits_stored} bits stored, the highest {high_bit}, of {bits_allocated}"));
        }
        if ![1, 3, 4].contains(&samples) {
            return Err(format!("has {samples} values for a pixel; 1, 3 and 4 are read"));
        }
        Ok(())
    }

    /// Pixels of a frame.
    pub(super) fn pixels(&self) -> usize {
        self.rows * self.columns
    }

    /// Whether two pixels share their colours where they are not coded (PS3.3, C.7.6.3.1.2).
    pub(super) fn is_halved(&self) -> bool {
        self.photometric.starts_with("YBR_FULL_422") || self.photometric == "YBR_PARTIAL_422"
    }

    /// Values of a pixel once its colours are looked up.
    pub(super) fn channels(&self) -> usize {
        if self.photometric == "PALETTE COLOR" { 3 } else { self.samples }
    }
}

/// What each frame of a file says, of as many as there are.
pub(super) fn frames(data: &DataSet, count: usize) -> Vec<FrameInfo> {
    let per_frame = data.element(0x5200_9230).map_or(&[][..], |element| &element.items);
    let shared = data.item(0x5200_9229);
    (0..count).map(|index| frame([per_frame.get(index), shared], data)).collect()
}

/// Of places where a frame's values may be, the most particular first.
fn frame(places: [Option<&DataSet>; 2], main: &DataSet) -> FrameInfo {
    let within = |group| places.into_iter().flatten().find_map(|place| place.item(group)).unwrap_or(main);
    let positive = |value: f64| (value > 0.0 && value.is_finite()).then_some(value);
    let measures = within(0x0028_9110);
    let first = |data: &DataSet, tag| data.numbers(tag).first().copied();
    let transformation = within(0x0028_9145);
    let cosines: Option<[f64; 6]> = within(0x0020_9116).fixed(0x0020_0037);
    let spacing: Option<[f64; 2]> = measures.fixed(0x0028_0030).or_else(|| main.fixed(0x0018_1164));
    let finite = |value: &f64| value.is_finite();
    FrameInfo {
        position: within(0x0020_9113).fixed(0x0020_0032),
        orientation: cosines.map(|[a, b, c, d, e, f]| [[a, b, c], [d, e, f]]),
        spacing: spacing.filter(|spacing| spacing.iter().all(|&length| length > 0.0)),
        thickness: first(measures, 0x0018_0050).and_then(positive),
        // Of emission tomography it may be negative.
        between: first(measures, 0x0018_0088).map(f64::abs).and_then(positive),
        slope: first(transformation, 0x0028_1053).filter(|&slope| slope.is_finite() && slope != 0.0).unwrap_or(1.0),
        intercept: first(transformation, 0x0028_1052).filter(finite).unwrap_or(0.0),
        window: first_window(within(0x0028_9132)),
    }
}

fn first_window(data: &DataSet) -> Option<[f64; 2]> {
    let windows = data.numbers(0x0028_1050).into_iter().zip(data.numbers(0x0028_1051));
    windows
        .map(|(center, width)| [center, width])
        .find(|[center, width]| center.is_finite() && *width > 0.0 && width.is_finite())
}

/// Patient and study, as text; for files that are written of them.
pub(super) fn study_text(data: &DataSet) -> StudyText {
    StudyText {
        patient_name: data.text(0x0010_0010),
        patient_id: data.text(0x0010_0020),
        patient_birth_date: data.text(0x0010_0030),
        patient_sex: data.text(0x0010_0040),
        study_date: data.text(0x0008_0020),
        study_time: data.text(0x0008_0030),
        study_id: data.text(0x0020_0010),
        study_description: data.text(0x0008_1030),
        accession_number: data.text(0x0008_0050),
        referring_physician_name: data.text(0x0008_0090),
        position_reference_indicator: data.text(0x0020_1040),
        patient_orientation: data.text(0x0020_0020),
        character_set: "ISO_IR 192".into(),
    }
}
