//! What a file says of how, when and by what it was made, and what its frames have in common.
//!
//! Source: PS3.3, C.7.6.16 and C.7.6.17 (multi-frame functional groups and dimensions), C.7.5.2 (enhanced general equipment).

use serde::Deserialize;

use crate::codes::Code;
use crate::dataset::{DataSet, Tag};
use crate::error::{Result, fail};
use crate::source::{Source, reference};
use crate::uid::Uids;

/// How and when a file was made.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Writing {
    /// Date of the work, `YYYYMMDD`.
    pub date: String,
    /// Time of the work, `HHMMSS`, perhaps with a fraction.
    pub time: String,
    /// Number of the new series; by default 1000.
    #[serde(default = "thousand")]
    pub series_number: u32,
    /// What the series is called in lists.
    #[serde(default)]
    pub series_description: String,
    /// Name and version of the program, and the SHA-256 of its weights.
    pub algorithm: Algorithm,
    /// Tells files of the same content apart, such as several runs; by default nothing.
    #[serde(default)]
    pub seed: String,
}

fn thousand() -> u32 {
    1000
}

/// What made the masks.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Algorithm {
    /// Name of the network.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// SHA-256 of the weights.
    #[serde(default)]
    pub weights_sha256: String,
}

impl Algorithm {
    /// Algorithm identification macro.
    pub(crate) fn set(&self) -> DataSet {
        let set = DataSet::default()
            .code((0x0066, 0x002f), &Code::new("123110", "DCM", "Artificial Intelligence"))
            .text((0x0066, 0x0036), "LO", short(&self.name, 64))
            .text((0x0066, 0x0031), "LO", short(&self.version, 64));
        match self.weights_sha256.is_empty() {
            true => set,
            false => set.text((0x0066, 0x0032), "LT", format!("weights sha256 {}", self.weights_sha256)),
        }
    }
}

/// Text cut to what an attribute holds, without what separates values.
pub(crate) fn short(text: &str, longest: usize) -> String {
    text.chars().filter(|letter| *letter != '\\' && !letter.is_control()).take(longest).collect()
}

impl Writing {
    /// # Errors
    /// If date or time are none.
    pub(crate) fn check(&self) -> Result<()> {
        let digits =
            |text: &str, count| text.len() >= count && text.bytes().take(count).all(|byte| byte.is_ascii_digit());
        if self.date.len() != 8 || !digits(&self.date, 8) {
            return fail(format!("the date is {:?}; use YYYYMMDD", self.date));
        }
        if !digits(&self.time, 6) || !self.time[6..].bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return fail(format!("the time is {:?}; use HHMMSS", self.time));
        }
        Ok(())
    }

    /// What every file has, beside its image.
    pub(crate) fn common(&self, source: &Source, modality: &str, class: &str, uids: &Uids) -> DataSet {
        let character_set =
            if source.study.character_set.is_empty() { "ISO_IR 192" } else { &source.study.character_set };
        DataSet::default()
            .with(source.context())
            .with(source.references())
            .text((0x0008, 0x0005), "CS", character_set)
            .text((0x0008, 0x0016), "UI", class)
            .text((0x0008, 0x0018), "UI", uids.get("instance"))
            .text((0x0008, 0x0023), "DA", &self.date)
            .text((0x0008, 0x0033), "TM", &self.time)
            .text((0x0008, 0x0060), "CS", modality)
            .text((0x0008, 0x0070), "LO", "umedsam")
            .text((0x0008, 0x103e), "LO", short(&self.series_description, 64))
            .text((0x0008, 0x1090), "LO", short(&self.algorithm.name, 64))
            .text((0x0018, 0x1000), "LO", "0")
            .text((0x0018, 0x1020), "LO", short(&self.algorithm.version, 64))
            .text((0x0020, 0x000e), "UI", uids.get("series"))
            .text((0x0020, 0x0011), "IS", self.series_number.to_string())
            .text((0x0020, 0x0013), "IS", "1")
            .text((0x0028, 0x2110), "CS", "00")
            .text((0x2050, 0x0020), "CS", "IDENTITY")
            .u16s((0x0028, 0x0002), &[1])
            .text((0x0028, 0x0004), "CS", "MONOCHROME2")
            .u16s((0x0028, 0x0010), &[source.size[1] as u16])
            .u16s((0x0028, 0x0011), &[source.size[0] as u16])
    }
}

/// A dimension by which frames are ordered: an attribute, and the group that it is in.
pub(crate) struct Dimension {
    pub attribute: Tag,
    pub group: Tag,
    pub label: &'static str,
}

/// Which segment a frame shows.
pub(crate) const SEGMENT: Dimension =
    Dimension { attribute: (0x0062, 0x000b), group: (0x0062, 0x000a), label: "Referenced Segment Number" };
/// Where a frame is,
const POSITION: Dimension =
    Dimension { attribute: (0x0020, 0x0032), group: (0x0020, 0x9113), label: "Image Position Patient" };
/// or its place in the order, where it is nowhere.
const PLACE: Dimension =
    Dimension { attribute: (0x0020, 0x9057), group: (0x0020, 0x9111), label: "In-Stack Position Number" };

/// Multi-frame dimension module, of the frames' places after `first`.
pub(crate) fn dimensions(source: &Source, first: Option<Dimension>, uids: &Uids) -> DataSet {
    let organization = uids.get("dimensions");
    let place = if source.is_placed() { POSITION } else { PLACE };
    let items = first.into_iter().chain([place]).map(|Dimension { attribute, group, label }| {
        DataSet::default()
            .text((0x0020, 0x9164), "UI", &organization)
            .tag((0x0020, 0x9165), attribute)
            .tag((0x0020, 0x9167), group)
            .text((0x0020, 0x9421), "LO", label)
    });
    DataSet::default()
        .item((0x0020, 0x9221), DataSet::default().text((0x0020, 0x9164), "UI", &organization))
        .items((0x0020, 0x9222), items.collect())
}

/// Groups that all frames share: orientation and distances, where the source has a place.
pub(crate) fn shared_groups(source: &Source) -> DataSet {
    let (true, Some(orientation), Some(spacing)) = (source.is_placed(), source.orientation, source.spacing) else {
        return DataSet::default();
    };
    let between = distance(source);
    let measures = DataSet::default()
        .decimals((0x0028, 0x0030), &spacing)
        .decimals((0x0018, 0x0050), &[source.thickness.or(between).unwrap_or(1.0)]);
    let measures = match between {
        Some(between) => measures.decimals((0x0018, 0x0088), &[between]),
        None => measures,
    };
    DataSet::default()
        .item((0x0020, 0x9116), DataSet::default().decimals((0x0020, 0x0037), &orientation))
        .item((0x0028, 0x9110), measures)
}

/// Share of the distance by which slices may be off to count as equally spaced.
const UNEQUAL: f64 = 0.02;

/// The distance of the slices' middles along their normal, where it is the same throughout.
fn distance(source: &Source) -> Option<f64> {
    let [a, b, c, d, e, f] = source.orientation?;
    let normal = [b * f - c * e, c * d - a * f, a * e - b * d];
    let along = |position: [f64; 3]| position.iter().zip(normal).map(|(value, axis)| value * axis).sum::<f64>();
    let places: Vec<f64> = source.frames.iter().map(|frame| frame.position.map(along)).collect::<Option<_>>()?;
    let gaps: Vec<f64> = places.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    (mean > 0.0 && gaps.iter().all(|gap| (gap - mean).abs() <= UNEQUAL * mean)).then_some(mean)
}

/// Groups of one frame: its place among the dimensions, where it is, and what it was made of.
pub(crate) fn frame_groups(source: &Source, index: usize, values: &[u32], derivation: &Code) -> DataSet {
    let frame = &source.frames[index];
    let image = reference(frame, true)
        .text((0x0028, 0x135a), "CS", "YES")
        .code((0x0040, 0xa170), &Code::new("121322", "DCM", "Source image for image processing operation"));
    let derived = DataSet::default().code((0x0008, 0x9215), derivation).item((0x0008, 0x2112), image);
    let content = DataSet::default().u32s((0x0020, 0x9157), values);
    let set = DataSet::default().item((0x0008, 0x9124), derived);
    match frame.position.filter(|_| source.is_placed()) {
        Some(position) => set
            .item((0x0020, 0x9111), content)
            .item((0x0020, 0x9113), DataSet::default().decimals((0x0020, 0x0032), &position)),
        None => set.item(
            (0x0020, 0x9111),
            content.text((0x0020, 0x9056), "SH", "1").u32s((0x0020, 0x9057), &[index as u32 + 1]),
        ),
    }
}
