//! Whether a file is all there. Decoders make grey of what is missing.

/// A chunk of a PNG file: its name and data.
type Chunk<'a> = (&'a [u8], &'a [u8]);

/// The chunks of a PNG file up to its end; the last item is `None` where the file ends before.
fn png_chunks(bytes: &[u8]) -> impl Iterator<Item = Option<Chunk<'_>>> {
    const SIGNATURE: usize = 8;
    let mut rest = bytes.get(SIGNATURE..);
    std::iter::from_fn(move || {
        let current = rest.take()?;
        // Length, name, data, checksum.
        let chunk = current.split_first_chunk::<4>().and_then(|(length, after)| {
            let length = u32::from_be_bytes(*length) as usize;
            let whole = after.get(..length.checked_add(8)?)?;
            Some((&whole[..4], &whole[4..4 + length], &after[length + 8..]))
        });
        let Some((name, data, after)) = chunk else { return Some(None) };
        if name != b"IEND" {
            rest = Some(after);
        }
        Some(Some((name, data)))
    })
}

/// Whether a PNG file reaches its last chunk.
pub(crate) fn is_whole_png(bytes: &[u8]) -> bool {
    png_chunks(bytes).last().flatten().is_some_and(|(name, _)| name == b"IEND")
}

/// The Exif data of a PNG file, wherever it is: decoders look before the pixels only.
pub(crate) fn png_exif(bytes: &[u8]) -> Option<&[u8]> {
    png_chunks(bytes).flatten().find(|(name, _)| *name == b"eXIf").map(|(_, data)| data)
}

/// Whether a JPEG file reaches its end marker, past all its scans.
pub(crate) fn is_whole_jpeg(bytes: &[u8]) -> bool {
    const END: u8 = 0xd9;
    let mut place = 2;
    loop {
        // To the next marker; within a scan 0xFF is followed by 0, between markers 0xFF may be repeated.
        let Some(found) = bytes.get(place..).and_then(|rest| rest.iter().position(|&byte| byte == 0xff)) else {
            return false;
        };
        place += found + 1;
        match bytes.get(place) {
            None => return false,
            Some(&END) => return true,
            Some(0xff) => {}
            // Stuffed bytes, restarts and markers without a length.
            Some(0x00 | 0x01 | 0xd0..=0xd8) => place += 1,
            Some(_) => {
                let Some(&[high, low]) = bytes.get(place + 1..place + 3) else { return false };
                place += 1 + usize::from(u16::from_be_bytes([high, low])).max(2);
            }
        }
    }
}

/// Whether a WebP file has as many bytes as it says.
pub(crate) fn is_whole_webp(bytes: &[u8]) -> bool {
    let Some(&[a, b, c, d]) = bytes.get(4..8) else { return false };
    u64::from(u32::from_le_bytes([a, b, c, d])) + 8 <= bytes.len() as u64
}

#[cfg(test)]
mod tests {
    use image::{ImageFormat, RgbImage};

    use super::*;

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let picture = RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * 6) as u8, (y * 8) as u8, (x * y) as u8]));
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn every_cut_is_noticed() {
        for (format, is_whole) in [
            (ImageFormat::Png, is_whole_png as fn(&[u8]) -> bool),
            (ImageFormat::Jpeg, is_whole_jpeg),
            (ImageFormat::WebP, is_whole_webp),
        ] {
            let bytes = encoded(format);
            assert!(is_whole(&bytes), "{format:?}");
            assert!(is_whole(&[&bytes[..], b"what a camera adds"].concat()), "{format:?}");
            assert!((0..bytes.len()).all(|length| !is_whole(&bytes[..length])), "{format:?}");
        }
    }
}
