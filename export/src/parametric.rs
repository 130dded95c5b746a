//! DICOM Parametric Map of floats: probabilities and uncertainty.
//!
//! Source: PS3.3, A.75 and C.8.32.

use serde::Deserialize;

use crate::codes::Code;
use crate::dataset::DataSet;
use crate::error::{Result, fail};
use crate::source::Source;
use crate::uid::Uids;
use crate::writing::{Writing, dimensions, frame_groups, shared_groups, short};

const CLASS: &str = "1.2.840.10008.5.1.4.1.1.30";

/// What a map shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// How probable a pixel is of the object, 0–1.
    Probability,
    /// Entropy of the mean prediction, in bits.
    TotalUncertainty,
    /// Mean entropy of the members' predictions, in bits.
    AleatoricUncertainty,
    /// Their difference, in bits.
    EpistemicUncertainty,
}

impl Quantity {
    fn label(self) -> &'static str {
        match self {
            Self::Probability => "probability",
            Self::TotalUncertainty => "uncertainty",
            Self::AleatoricUncertainty => "aleatoric",
            Self::EpistemicUncertainty => "epistemic",
        }
    }

    fn explanation(self) -> &'static str {
        match self {
            Self::Probability => "Probability that the pixel is of the object",
            Self::TotalUncertainty => "Uncertainty: entropy of the mean prediction",
            Self::AleatoricUncertainty => "Aleatoric uncertainty: mean entropy of predictions",
            Self::EpistemicUncertainty => "Epistemic uncertainty: disagreement of predictions",
        }
    }

    fn unit(self) -> Code {
        match self {
            Self::Probability => Code::new("1", "UCUM", "no units"),
            _ => Code::new("bit_s", "UCUM", "bit"),
        }
    }
}

/// A Parametric Map file of `frames · rows · columns` values. It has to lie in space: of images without a place it lies in one of its own, which nothing else is in, the
/// frames 1 mm apart.
///
/// # Errors
/// If the map has another size than the source or values that are not finite, or the source cannot be referred to.
pub fn parametric_map(source: &Source, values: &[f32], quantity: Quantity, writing: &Writing) -> Result<Vec<u8>> {
    source.check()?;
    writing.check()?;
    if values.len() != source.pixels() * source.frames.len() {
        return fail(format!(
            "the map has {} values, the source {} frames of {}×{} pixels",
            values.len(),
            source.frames.len(),
            source.size[0],
            source.size[1]
        ));
    }
    if let Some(value) = values.iter().find(|value| !value.is_finite()) {
        return fail(format!("the map has a value {value}"));
    }
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let kind = quantity.label();
    let uids = Uids::of(&[
        source.series_uid.as_bytes(),
        kind.as_bytes(),
        writing.time.as_bytes(),
        writing.seed.as_bytes(),
        &bytes,
    ]);
    let source = &source.placed_somewhere(&uids);
    const TYPE: &str = "DERIVED\\PRIMARY\\VOLUME\\NONE";
    let shared = shared_groups(source)
        .item((0x0040, 0x9092), DataSet::default().text((0x0008, 0x9007), "CS", TYPE))
        .item(
            (0x0028, 0x9132),
            DataSet::default().decimals((0x0028, 0x1050), &[0.5]).decimals((0x0028, 0x1051), &[1.0]),
        )
        .item(
            (0x0028, 0x9145),
            DataSet::default().decimals((0x0028, 0x1052), &[0.0]).decimals((0x0028, 0x1053), &[1.0]).text(
                (0x0028, 0x1054),
                "LO",
                "US",
            ),
        )
        .item((0x0040, 0x9096), mapping(quantity))
        .item((0x0020, 0x9071), anatomy());
    let derivation = Code::new("112187", "DCM", "Unspecified method of calculation");
    let frames = (0..source.frames.len())
        .map(|index| frame_groups(source, index, &[index as u32 + 1], &derivation))
        .collect::<Vec<_>>();
    let set = writing
        .common(source, "OT", CLASS, &uids)
        .with(dimensions(source, None, &uids))
        .text((0x0008, 0x0008), "CS", TYPE)
        .text((0x0008, 0x9205), "CS", "MONOCHROME")
        .text((0x0018, 0x9004), "CS", "RESEARCH")
        .text((0x0028, 0x0008), "IS", frames.len().to_string())
        .u16s((0x0028, 0x0100), &[32])
        .text((0x0028, 0x0301), "CS", "NO")
        .text((0x0028, 0x0302), "CS", "NO")
        .items((0x0040, 0x0555), Vec::new())
        .text((0x0070, 0x0080), "CS", kind.to_uppercase())
        .text((0x0070, 0x0081), "LO", short(quantity.explanation(), 64))
        .text((0x0070, 0x0084), "PN", "")
        .item((0x5200, 0x9229), shared)
        .items((0x5200, 0x9230), frames);
    Ok(set.bytes((0x7fe0, 0x0008), "OF", bytes).file(CLASS, &uids.get("instance")))
}

/// Frame anatomy, which says that the region is not known: dcmqi's reader ends without it.
fn anatomy() -> DataSet {
    DataSet::default()
        .text((0x0020, 0x9072), "CS", "U")
        .code((0x0008, 0x2218), &Code::new("123037004", "SCT", "Body structure"))
}

/// Real world value mapping: values are what they are.
fn mapping(quantity: Quantity) -> DataSet {
    let concept = DataSet::default()
        .text((0x0040, 0xa040), "CS", "CODE")
        .code((0x0040, 0xa043), &Code::new("246205007", "SCT", "Quantity"))
        .code((0x0040, 0xa168), &Code::new(quantity.label(), "99UMEDSAM", quantity.explanation()));
    DataSet::default()
        .text((0x0028, 0x3003), "LO", short(quantity.explanation(), 64))
        .code((0x0040, 0x08ea), &quantity.unit())
        .text((0x0040, 0x9210), "SH", quantity.label())
        .f64((0x0040, 0x9214), 0.0)
        .f64((0x0040, 0x9213), 1.0)
        .item((0x0040, 0x9220), concept)
        .f64((0x0040, 0x9224), 0.0)
        .f64((0x0040, 0x9225), 1.0)
}
