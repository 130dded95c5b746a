//! DICOM Segmentation: BINARY, FRACTIONAL and LABELMAP.
//!
//! Source: PS3.3, A.51 and C.8.20; Supplement 243 for LABELMAP. Pixels are not compressed: of one bit, compressed frames are unreadable for pydicom.

use serde::Deserialize;

use crate::codes::Code;
use crate::color::cielab;
use crate::dataset::DataSet;
use crate::error::{Result, fail};
use crate::source::Source;
use crate::uid::Uids;
use crate::writing::{SEGMENT, Writing, dimensions, frame_groups, shared_groups, short};

const CLASS: &str = "1.2.840.10008.5.1.4.1.1.66.4";
const LABELMAP_CLASS: &str = "1.2.840.10008.5.1.4.1.1.66.7";
/// The largest value of a probability.
pub const LARGEST_FRACTION: u16 = 255;

/// An object that was segmented. Its number is its place in the list, from 1.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Segment {
    /// What people call it, at most 64 characters.
    pub label: String,
    /// What kind of thing it is; by default tissue.
    #[serde(default = "Code::tissue")]
    pub category: Code,
    /// What it is; by default tissue.
    #[serde(default = "Code::tissue", rename = "type")]
    pub kind: Code,
    /// Its colour, sRGB.
    #[serde(default)]
    pub color: Option<[u8; 3]>,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Masks<'a> {
    /// Whether a pixel is of a segment: `frames · rows · columns` numbers of segments, 0 where there is none.
    Binary(&'a [u8]),
    /// The same, as one map of numbers.
    Labelmap(&'a [u8]),
    /// How probable a pixel is of each segment, 0–255: `frames · rows · columns` values for each.
    Fractional(&'a [&'a [u8]]),
}

impl Masks<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Binary(_) => "BINARY",
            Self::Labelmap(_) => "LABELMAP",
            Self::Fractional(_) => "FRACTIONAL",
        }
    }
}

/// A DICOM Segmentation file. Frames in which a segment is nowhere are left out, but for LABELMAP, which has every frame.
///
/// # Errors
/// If there is no segment, or more than 255; if a mask has another size than the source, or a number that is no segment's; or the source cannot be referred to.
pub fn segmentation(source: &Source, segments: &[Segment], masks: Masks, writing: &Writing) -> Result<Vec<u8>> {
    source.check()?;
    writing.check()?;
    check(source, segments, masks)?;
    let is_labelmap = matches!(masks, Masks::Labelmap(_));
    let class = if is_labelmap { LABELMAP_CLASS } else { CLASS };
    let mut hashed: Vec<&[u8]> =
        vec![source.series_uid.as_bytes(), masks.kind().as_bytes(), writing.time.as_bytes(), writing.seed.as_bytes()];
    match masks {
        Masks::Binary(labels) | Masks::Labelmap(labels) => hashed.push(labels),
        Masks::Fractional(all) => hashed.extend(all),
    }
    let uids = Uids::of(&hashed);
    let frames = frames(source, segments, masks);
    let bits = if matches!(masks, Masks::Binary(_)) { 1 } else { 8 };
    let mut set = writing
        .common(source, "SEG", class, &uids)
        .with(dimensions(source, (!is_labelmap).then_some(SEGMENT), &uids))
        .text((0x0008, 0x0008), "CS", "DERIVED\\PRIMARY")
        .text((0x0028, 0x0008), "IS", frames.len().to_string())
        .u16s((0x0028, 0x0100), &[bits])
        .u16s((0x0028, 0x0101), &[bits])
        .u16s((0x0028, 0x0102), &[bits - 1])
        .u16s((0x0028, 0x0103), &[0])
        .text((0x0062, 0x0001), "CS", masks.kind())
        .text((0x0062, 0x0013), "CS", if matches!(masks, Masks::Fractional(_)) { "UNDEFINED" } else { "NO" })
        .text((0x0070, 0x0080), "CS", "SEGMENTATION")
        .text((0x0070, 0x0081), "LO", "Masks of umedsam, prompted by a person")
        .text((0x0070, 0x0084), "PN", "")
        .items(
            (0x0062, 0x0002),
            segments.iter().zip(1..).map(|(segment, number)| described(segment, number, writing, &uids)).collect(),
        )
        .item((0x5200, 0x9229), shared_groups(source))
        .items((0x5200, 0x9230), frames.iter().map(|frame| frame.groups(source, is_labelmap)).collect());
    if matches!(masks, Masks::Fractional(_)) {
        set = set.text((0x0062, 0x0010), "CS", "PROBABILITY").u16s((0x0062, 0x000e), &[LARGEST_FRACTION]);
    }
    if is_labelmap {
        // What is of no segment.
        set = set.u16s((0x0028, 0x0120), &[0]);
    }
    if !source.is_placed() {
        set = set.text((0x0020, 0x0020), "CS", &source.study.patient_orientation);
    }
    let pixels = pixels(source, masks, &frames);
    Ok(set.bytes((0x7fe0, 0x0010), "OB", pixels).file(class, &uids.get("instance")))
}

fn check(source: &Source, segments: &[Segment], masks: Masks) -> Result<()> {
    let count = segments.len();
    if count == 0 || count > 255 {
        return fail(format!("there are {count} segments; use 1 to 255"));
    }
    if let Some(segment) = segments.iter().find(|segment| segment.label.trim().is_empty()) {
        return fail(format!("the segment's label is {:?}; give it a name", segment.label));
    }
    let voxels = source.pixels() * source.frames.len();
    let of_size = |values: &[u8]| match values.len() == voxels {
        true => Ok(()),
        false => fail(format!(
            "a mask has {} values, the source {} frames of {}×{} pixels",
            values.len(),
            source.frames.len(),
            source.size[0],
            source.size[1]
        )),
    };
    match masks {
        Masks::Binary(labels) | Masks::Labelmap(labels) => {
            of_size(labels)?;
            match labels.iter().find(|&&label| usize::from(label) > count) {
                Some(label) => fail(format!("the masks have a label {label}, but there are {count} segments")),
                None => Ok(()),
            }
        }
        Masks::Fractional(all) if all.len() != count => {
            fail(format!("there are {} masks for {count} segments", all.len()))
        }
        Masks::Fractional(all) => all.iter().try_for_each(|values| of_size(values)),
    }
}

/// A frame that is written: of a frame of the source, and of a segment, from 1.
struct Written {
    of: usize,
    segment: u16,
}

impl Written {
    fn groups(&self, source: &Source, is_labelmap: bool) -> DataSet {
        let derivation = Code::new("113076", "DCM", "Segmentation");
        let place = self.of as u32 + 1;
        if is_labelmap {
            return frame_groups(source, self.of, &[place], &derivation);
        }
        frame_groups(source, self.of, &[u32::from(self.segment), place], &derivation)
            .item((0x0062, 0x000a), DataSet::default().u16s((0x0062, 0x000b), &[self.segment]))
    }
}

fn frames(source: &Source, segments: &[Segment], masks: Masks) -> Vec<Written> {
    let each = source.pixels();
    let all = 0..source.frames.len();
    if matches!(masks, Masks::Labelmap(_)) {
        return all.map(|of| Written { of, segment: 0 }).collect();
    }
    let is_there = |of: usize, segment: u16| match masks {
        Masks::Binary(labels) | Masks::Labelmap(labels) => {
            labels[of * each..][..each].iter().any(|&label| u16::from(label) == segment)
        }
        Masks::Fractional(all) => all[usize::from(segment) - 1][of * each..][..each].iter().any(|&value| value > 0),
    };
    let numbers = 1..=segments.len() as u16;
    let mut written: Vec<Written> = numbers
        .flat_map(|segment| all.clone().map(move |of| Written { of, segment }))
        .filter(|frame| is_there(frame.of, frame.segment))
        .collect();
    // A file has a frame, even where nothing was found.
    if written.is_empty() {
        written.push(Written { of: 0, segment: 1 });
    }
    written
}

fn pixels(source: &Source, masks: Masks, frames: &[Written]) -> Vec<u8> {
    let each = source.pixels();
    match masks {
        Masks::Labelmap(labels) => labels.to_vec(),
        Masks::Fractional(all) => frames
            .iter()
            .flat_map(|frame| &all[usize::from(frame.segment) - 1][frame.of * each..][..each])
            .copied()
            .collect(),
        Masks::Binary(labels) => {
            // Bits of one frame follow those of the one before, the lowest of a byte first.
            let mut packed = vec![0u8; (frames.len() * each).div_ceil(8)];
            for (index, frame) in frames.iter().enumerate() {
                for (pixel, &label) in labels[frame.of * each..][..each].iter().enumerate() {
                    let bit = index * each + pixel;
                    packed[bit / 8] |= u8::from(u16::from(label) == frame.segment) << (bit % 8);
                }
            }
            packed
        }
    }
}

fn described(segment: &Segment, number: u16, writing: &Writing, uids: &Uids) -> DataSet {
    let label = short(&segment.label, 64);
    let set = DataSet::default()
        .u16s((0x0062, 0x0004), &[number])
        .text((0x0062, 0x0005), "LO", &label)
        .code((0x0062, 0x0003), &segment.category)
        .code((0x0062, 0x000f), &segment.kind)
        .item((0x0062, 0x0007), writing.algorithm.set())
        .text((0x0062, 0x0008), "CS", "SEMIAUTOMATIC")
        .text((0x0062, 0x0009), "LO", short(&writing.algorithm.name, 64))
        .text((0x0062, 0x0020), "UT", &label)
        .text((0x0062, 0x0021), "UI", uids.get(&format!("segment {number}")));
    match segment.color {
        Some(color) => set.u16s((0x0062, 0x000d), &cielab(color)),
        None => set,
    }
}
