//! What a file is by its first bytes.

/// Kinds of files that people open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Read.
    Png,
    /// Read.
    Jpeg,
    /// The first frame is read.
    Gif,
    /// Read.
    Bmp,
    /// The first page is read.
    Tiff,
    /// Read.
    WebP,
    /// Not read as a picture; the name and what can be done.
    Foreign(&'static str, &'static str),
    /// Nothing that is known.
    Unknown,
}

const CONVERT: &str = "save it as PNG (16 bits keep full depth) or JPEG";
const DICOM: &str = "umedsam/dicom (readDicom) reads it, and gives its slices";
const NIFTI: &str = "umedsam/nifti (readNifti) reads it, and gives its slices";

/// What a file is. The name is not asked: files are often misnamed.
pub fn kind_of(bytes: &[u8]) -> Kind {
    let at = |place: usize, text: &[u8]| bytes.get(place..place + text.len()) == Some(text);
    let word = |place: usize| bytes.get(place..place + 4).map(|word| [word[0], word[1], word[2], word[3]]);
    let size_of = |place: usize, expected: u32| {
        word(place).is_some_and(|word| u32::from_le_bytes(word) == expected || u32::from_be_bytes(word) == expected)
    };
    // ISO base media files name their brand after "ftyp".
    let brand = |names: &[&[u8]]| at(4, b"ftyp") && names.iter().any(|name| at(8, name));
    match bytes {
        _ if at(0, b"\x89PNG\r\n\x1a\n") => Kind::Png,
        _ if at(0, &[0xff, 0xd8, 0xff]) => Kind::Jpeg,
        _ if at(0, b"GIF87a") || at(0, b"GIF89a") => Kind::Gif,
        _ if at(0, b"RIFF") && at(8, b"WEBP") => Kind::WebP,
        _ if at(0, b"II*\0") || at(0, b"MM\0*") || at(0, b"II+\0") || at(0, b"MM\0+") => Kind::Tiff,
        _ if at(128, b"DICM") => Kind::Foreign("a DICOM file", DICOM),
        // DICOM without its preamble begins with group 2 or 8 and a value representation of two letters.
        _ if (at(0, &[2, 0, 0, 0]) || at(0, &[8, 0, 0, 0]) || at(0, &[8, 0, 5, 0])) && is_letters(bytes, 4) => {
            Kind::Foreign("a DICOM file", DICOM)
        }
        _ if size_of(0, 348) && (at(344, b"n+1\0") || at(344, b"ni1\0")) => Kind::Foreign("a NIfTI volume", NIFTI),
        _ if size_of(0, 540) && (at(4, b"n+2\0") || at(4, b"ni2\0")) => Kind::Foreign("a NIfTI volume", NIFTI),
        _ if at(0, &[0x1f, 0x8b]) => Kind::Foreign(
            "a gzip archive, such as a NIfTI volume (.nii.gz)",
            "umedsam/nifti (readNifti) reads the latter; unpack anything else",
        ),
        _ if brand(&[b"avif", b"avis"]) => Kind::Foreign("an AVIF picture", CONVERT),
        _ if brand(&[b"heic", b"heix", b"hevc", b"mif1", b"msf1"]) => Kind::Foreign("a HEIC picture", CONVERT),
        _ if at(0, b"\0\0\0\x0cjP  \r\n\x87\n") || at(0, &[0xff, 0x4f, 0xff, 0x51]) => {
            Kind::Foreign("a JPEG 2000 picture", CONVERT)
        }
        _ if at(0, &[0xff, 0x0a]) || at(0, b"\0\0\0\x0cJXL \r\n\x87\n") => Kind::Foreign("a JPEG XL picture", CONVERT),
        _ if at(0, b"8BPS") => Kind::Foreign("a Photoshop file", CONVERT),
        _ if at(0, b"%PDF") => Kind::Foreign("a PDF", "save the page or its image as PNG"),
        _ if at(0, b"NRRD") => Kind::Foreign("an NRRD volume", NIFTI),
        _ if at(0, b"ObjectType") => Kind::Foreign("a MetaImage volume", NIFTI),
        _ if at(0, b"\x89HDF\r\n\x1a\n") => Kind::Foreign("an HDF5 file", NIFTI),
        _ if at(0, b"\x93NUMPY") => Kind::Foreign(
            "a NumPy array (.npy)",
            "save it with numpy.savez(path, imgs=array), which the command line reads",
        ),
        _ if at(0, b"PK\x03\x04") => Kind::Foreign(
            "a ZIP archive, such as .npz",
            "name it .npz for the command line, or unpack a picture out of it",
        ),
        _ if at(0, b"BM") && bytes.len() >= 26 => Kind::Bmp,
        _ if text_begins(bytes, &["<svg", "<?xml"]) => Kind::Foreign("an SVG or XML text", CONVERT),
        _ if text_begins(bytes, &["<!doctype html", "<html"]) => Kind::Foreign(
            "a web page, as a server sends for an address that it does not know",
            "check where it came from",
        ),
        _ => Kind::Unknown,
    }
}

fn is_letters(bytes: &[u8], place: usize) -> bool {
    bytes.get(place..place + 2).is_some_and(|pair| pair.iter().all(u8::is_ascii_uppercase))
}

/// Whether a text begins so, whatever the case and the white space before.
fn text_begins(bytes: &[u8], beginnings: &[&str]) -> bool {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).trim_start_matches('\u{feff}').to_lowercase();
    beginnings.iter().any(|beginning| text.trim_start().starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(bytes: &[u8]) -> &'static str {
        match kind_of(bytes) {
            Kind::Foreign(name, _) => name,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn foreign_files_are_named() {
        assert_eq!(name(&[&[0; 128], b"DICM".as_slice()].concat()), "a DICOM file");
        assert_eq!(name(b"\x08\0\x05\0CS\x0a\0ISO_IR 100"), "a DICOM file");
        let mut nifti = vec![0; 352];
        nifti[..4].copy_from_slice(&348u32.to_be_bytes());
        nifti[344..348].copy_from_slice(b"n+1\0");
        assert_eq!(name(&nifti), "a NIfTI volume");
        assert_eq!(name(b"\0\0\0\x1cftypavif\0\0"), "an AVIF picture");
        assert_eq!(name(b"\0\0\0\x18ftypheic"), "a HEIC picture");
        assert!(name(b"\x1f\x8b\x08").contains("gzip"));
        assert!(name(b"PK\x03\x04").contains(".npz"));
        assert_eq!(name(b"%PDF-1.7"), "a PDF");
        assert!(name(b"\xef\xbb\xbf\n <!DOCTYPE html><html>").contains("web page"));
    }

    #[test]
    fn short_and_strange_bytes_are_unknown() {
        for bytes in [b"".as_slice(), b"B", b"BM", b"\xff\xd8", b"RIFF", b"hello", &[0; 400]] {
            assert_eq!(kind_of(bytes), Kind::Unknown);
        }
    }
}
