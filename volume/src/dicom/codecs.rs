//! Decoders of compressed frames.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jpeg_decoder::{CodingProcess, ColorTransform, Decoder, PixelFormat};

use super::header::FileInfo;
use super::syntax::{Coding, DECOMPRESS};
use crate::error::{Result, invalid};

/// Stored values, channels of a pixel side by side. Whole numbers of 32 bits without a sign are those with the same bits.
pub(super) struct Decoded {
    pub values: Vec<i32>,
    pub channels: usize,
    /// Whether the decoder made RGB of whatever colours there were.
    pub is_rgb: bool,
}

/// What is wrong is said in words.
type Decode = fn(&[u8], &FileInfo) -> Result<Decoded, String>;

/// Decodes a frame. A decoder that panics on damage has not decoded it.
///
/// # Errors
/// [`crate::Error::Invalid`] if it is damaged, of another size, or coded in a way that is not read.
pub(super) fn decode(coding: Coding, bytes: &[u8], info: &FileInfo) -> Result<Decoded> {
    let (name, decoder): (_, Decode) = match coding {
        Coding::JpegExtended if info.bits_allocated > 8 => ("jpeg of 12 bits", jpeg_12),
        Coding::JpegLs if info.samples > 1 => {
            return invalid(format!("JPEG-LS of colours is not read by the command line; {DECOMPRESS}"));
        }
        Coding::Native => return invalid("the frame is not coded"),
        Coding::Rle => ("RLE", rle),
        Coding::Jpeg | Coding::JpegExtended | Coding::JpegLossless => ("jpeg", jpeg),
        Coding::JpegLs => ("jpeg-ls", jpeg_ls),
        Coding::Jpeg2000 => ("jpeg-2000", jpeg_2000),
    };
    let outcome =
        catch_unwind(AssertUnwindSafe(|| decoder(bytes, info))).unwrap_or_else(|_| Err("its decoder gave up".into()));
    match outcome {
        Ok(decoded) if decoded.channels != info.samples || decoded.values.len() != info.pixels() * info.samples => {
            invalid(format!(
                "a frame coded as {name} is damaged: it holds {} values of {} a pixel, the file says {} of {}",
                decoded.values.len(),
                decoded.channels,
                info.pixels() * info.samples,
                info.samples
            ))
        }
        Ok(decoded) => Ok(decoded),
        Err(message) => invalid(format!("a frame coded as {name} is damaged: {message}")),
    }
}

fn same_size(columns: usize, rows: usize, info: &FileInfo) -> Result<(), String> {
    match columns == info.columns && rows == info.rows {
        true => Ok(()),
        false => Err(format!("it holds {columns}×{rows} pixels, the file says {}×{}", info.columns, info.rows)),
    }
}

/// JPEG of 8 bits, and lossless JPEG of up to 16.
fn jpeg(bytes: &[u8], info: &FileInfo) -> Result<Decoded, String> {
    let mut decoder = Decoder::new(bytes);
    // A JPEG without a marker is taken for YCbCr, whatever the DICOM file says.
    let is_marked = matches!(bytes, [_, _, 0xff, 0xe0 | 0xee, ..]);
    if info.photometric == "RGB" && !is_marked {
        decoder.set_color_transform(ColorTransform::RGB);
    }
    decoder.read_info().map_err(|error| error.to_string())?;
    let frame = decoder.info().ok_or("it has no header")?;
    same_size(frame.width.into(), frame.height.into(), info)?;
    let channels = match frame.pixel_format {
        PixelFormat::L8 | PixelFormat::L16 => 1,
        PixelFormat::RGB24 => 3,
        PixelFormat::CMYK32 => 4,
    };
    let is_lossless = frame.coding_process == CodingProcess::Lossless;
    // The decoder grows up to whole blocks, and to twice the bytes of lossless values.
    decoder.set_max_decoding_buffer_size(4 * (info.columns + 64) * (info.rows + 64) * channels);
    let decoded = decoder.decode().map_err(|error| error.to_string())?;
    let count = info.pixels() * channels;
    let values = match decoded.len() == 2 * count {
        // In the machine's own order.
        true => decoded.as_chunks::<2>().0.iter().map(|&bytes| value16(u16::from_ne_bytes(bytes), info)).collect(),
        false => decoded.into_iter().map(i32::from).collect(),
    };
    Ok(Decoded { values, channels, is_rgb: channels == 3 && !is_lossless })
}

fn value16(value: u16, info: &FileInfo) -> i32 {
    if info.is_signed { i32::from(value as i16) } else { i32::from(value) }
}

/// Extended JPEG of 12 bits.
fn jpeg_12(bytes: &[u8], info: &FileInfo) -> Result<Decoded, String> {
    let mut decoder = oxiarc_jpeg::Decoder::new(bytes);
    let frame = decoder.read_info().map_err(|error| error.to_string())?;
    same_size(frame.width as usize, frame.height as usize, info)?;
    let channels = frame.output_components();
    let decoded = decoder.decode_u16().map_err(|error| error.to_string())?;
    if decoder.was_truncated() {
        return Err("it is cut off".into());
    }
    let values = decoded.into_iter().map(|value| value16(value, info)).collect();
    Ok(Decoded { values, channels, is_rgb: channels == 3 })
}

/// JPEG-LS, lossless and nearly so, of one value a pixel.
fn jpeg_ls(bytes: &[u8], info: &FileInfo) -> Result<Decoded, String> {
    let (columns, rows) = (info.columns as u32, info.rows as u32);
    let (decoded, ..) = jpegls::decode(bytes, columns, rows).map_err(|error| error.to_string())?;
    let value = |value: u16| match info.bits_allocated {
        8 if info.is_signed => i32::from(value as u8 as i8),
        _ => value16(value, info),
    };
    Ok(Decoded { values: decoded.into_iter().map(value).collect(), channels: 1, is_rgb: false })
}

/// JPEG 2000 and HTJ2K.
fn jpeg_2000(bytes: &[u8], info: &FileInfo) -> Result<Decoded, String> {
    let (columns, rows) = size_2000(bytes).ok_or("it has no size")?;
    same_size(columns as usize, rows as usize, info)?;
    let image = jpeg2k::Image::from_bytes(bytes).map_err(|error| error.to_string())?;
    let components = image.components();
    let channels = components.len();
    if channels != info.samples {
        return Err(format!("it has {channels} values for a pixel, the file says {}", info.samples));
    }
    let mut values = vec![0; info.pixels() * channels];
    for (channel, component) in components.iter().enumerate() {
        same_size(component.width() as usize, component.height() as usize, info)?;
        // The crate takes the decoder's pointer for a slice without a look at it, and shows it nowhere else.
        if format!("{component:?}").contains("data: 0x0,") {
            return Err("a channel was not decoded".into());
        }
        let places = values.iter_mut().skip(channel).step_by(channels);
        places.zip(component.data()).for_each(|(place, &value)| *place = value);
    }
    Ok(Decoded { values, channels, is_rgb: false })
}

/// Columns and rows of a code stream, also of one in a JP2 file. Source: ISO/IEC 15444-1, A.5.1.
fn size_2000(bytes: &[u8]) -> Option<(u32, u32)> {
    let begin = bytes.windows(4).position(|marker| marker == [0xff, 0x4f, 0xff, 0x51])?;
    let number = |index: usize| {
        let at = begin + 8 + 4 * index;
        Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    };
    let [x_end, y_end, x_begin, y_begin] = [number(0)?, number(1)?, number(2)?, number(3)?];
    Some((x_end.checked_sub(x_begin)?, y_end.checked_sub(y_begin)?))
}

/// Source: PS3.5, annex G: up to 15 segments of packed bytes, each a byte of every value, the most significant first.
fn rle(bytes: &[u8], info: &FileInfo) -> Result<Decoded, String> {
    let number = |index: usize| bytes.as_chunks::<4>().0.get(index).map(|&bytes| u32::from_le_bytes(bytes) as usize);
    let width = info.bits_allocated as usize / 8;
    let segments = if bytes.len() >= 64 { number(0).unwrap_or(0) } else { 0 };
    if segments != info.samples * width || ![8, 16, 32].contains(&info.bits_allocated) {
        let (samples, bits) = (info.samples, info.bits_allocated);
        return Err(format!("it has {segments} segments, for {samples} values of {bits} bits a pixel"));
    }
    let pixels = info.pixels();
    // Two bytes are at most 128 values.
    if pixels * segments > 64 * bytes.len() {
        return Err(format!("it is cut off: {} bytes for {} values", bytes.len(), pixels * info.samples));
    }
    let mut values = vec![0u32; pixels * info.samples];
    for segment in 0..segments {
        let begin = number(1 + segment).unwrap_or(0).min(bytes.len());
        let end = if segment + 1 < segments { number(2 + segment).unwrap_or(0) } else { bytes.len() };
        let (sample, order) = (segment / width, segment % width);
        let shift = 8 * (width - 1 - order);
        let packed = &bytes[begin..end.clamp(begin, bytes.len())];
        let mut places = values.iter_mut().skip(sample).step_by(info.samples);
        unpack(packed, pixels, |byte| {
            if let Some(place) = places.next() {
                *place |= u32::from(byte) << shift;
            }
        })?;
    }
    let signed = |value: u32| match info.bits_allocated {
        8 if info.is_signed => i32::from(value as u8 as i8),
        16 => value16(value as u16, info),
        _ => value as i32,
    };
    Ok(Decoded { values: values.into_iter().map(signed).collect(), channels: info.samples, is_rgb: false })
}

/// PackBits.
fn unpack(packed: &[u8], count: usize, mut put: impl FnMut(u8)) -> Result<(), String> {
    let (mut done, mut at) = (0, 0);
    while done < count {
        let cut_off = || format!("it is cut off: {done} of {count} values");
        let head = *packed.get(at).ok_or_else(cut_off)?;
        at += 1;
        if head == 128 {
            continue;
        }
        let is_run = head > 128;
        let whole = if is_run { 257 - usize::from(head) } else { usize::from(head) + 1 };
        let length = whole.min(count - done);
        match is_run {
            true => {
                let value = *packed.get(at).ok_or_else(cut_off)?;
                (0..length).for_each(|_| put(value));
                at += 1;
            }
            false => {
                packed.get(at..at + length).ok_or_else(cut_off)?.iter().for_each(|&value| put(value));
                at += whole;
            }
        }
        done += length;
    }
    Ok(())
}
