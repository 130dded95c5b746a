//! DICOM's transfer syntaxes and the kinds of objects that hold no images, by their UIDs (PS3.6, annex A). As in the package (`pkg-template/src/dicom-syntax.ts`).

/// How a file's pixels are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Native,
    Rle,
    Jpeg,
    /// Extended JPEG, of 8 or 12 bits.
    JpegExtended,
    JpegLossless,
    JpegLs,
    Jpeg2000,
}

pub(super) const IMPLICIT: &str = "1.2.840.10008.1.2";
pub(super) const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
pub(super) const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// What all transfer syntaxes of compressed pixels begin with.
const COMPRESSED: &str = "1.2.840.10008.1.2.4.";

/// What to do about files that are compressed in a way that is not read here.
pub(super) const DECOMPRESS: &str =
    "decompress the file (gdcmconv --raw IN OUT), or open it in the page or the package, which read it";

/// The coding of a transfer syntax.
///
/// # Errors
/// The message says what it is where it is not read.
pub(super) fn coding_of(syntax: &str) -> Result<Coding, String> {
    let unread = |name: &str| {
        let name = if name.is_empty() { String::new() } else { format!(", {name},") };
        Err(format!(
            "the transfer syntax {syntax}{name} is not read; convert the file, for instance with dcmconv or gdcmconv"
        ))
    };
    if let Some(number) = syntax.strip_prefix(COMPRESSED) {
        return match number {
            "50" => Ok(Coding::Jpeg),
            "51" => Ok(Coding::JpegExtended),
            "57" | "70" => Ok(Coding::JpegLossless),
            "80" | "81" => Ok(Coding::JpegLs),
            // HTJ2K is read by the same decoder.
            "90" | "91" | "201" | "202" | "203" => Ok(Coding::Jpeg2000),
            "92" | "93" => unread("JPEG 2000 part 2"),
            "94" | "95" => unread("JPIP: the pixels are on a server"),
            "100" | "101" => unread("MPEG-2 video"),
            "102" | "103" | "104" | "105" | "106" => unread("MPEG-4 video"),
            "107" | "108" => unread("HEVC video"),
            "110" | "111" | "112" => unread("JPEG XL"),
            "204" | "205" => unread("JPIP HTJ2K: the pixels are on a server"),
            _ => unread(""),
        };
    }
    match syntax {
        IMPLICIT | "1.2.840.10008.1.2.1" | DEFLATED | BIG_ENDIAN => Ok(Coding::Native),
        "1.2.840.10008.1.2.5" => Ok(Coding::Rle),
        _ => unread(""),
    }
}

/// What an object is instead of an image, by its SOP class; `None` of images.
pub(super) fn instead_of_image(sop_class: &str) -> Option<&'static str> {
    if sop_class == "1.2.840.10008.1.3.10" {
        return Some("a directory of files (DICOMDIR); open the folder that it is in");
    }
    let kind = sop_class.strip_prefix("1.2.840.10008.5.1.4.1.1.")?;
    match kind {
        "481.2" => Some("a dose (RTDOSE), not an image"),
        "481.3" => Some("contours (RTSTRUCT), not an image"),
        "481.5" => Some("a plan (RTPLAN), not an image"),
        "66" => Some("raw data, not an image"),
        "66.1" => Some("a registration, not an image"),
        "66.3" => Some("a deformable registration, not an image"),
        "66.4" | "66.7" => Some("a segmentation (SEG), not an image"),
        "66.5" => Some("a surface segmentation, not an image"),
        "104.1" => Some("a PDF document, not an image"),
        "104.2" => Some("a CDA document, not an image"),
        _ if kind.starts_with("88.") => Some("a structured report (SR), not an image"),
        _ if kind.starts_with("11.") => Some("a presentation state, not an image"),
        _ if kind.starts_with("9.") => Some("a waveform, not an image"),
        _ => None,
    }
}
