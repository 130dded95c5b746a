//! From a frame's bytes to the values that people know: Hounsfield units, RGB. As in the package (`pkg-template/src/dicom-pixels.ts`).

use super::codecs::{Decoded, decode};
use super::file::DicomFile;
use super::header::{FileInfo, FrameInfo};
use super::syntax::Coding;
use crate::error::{Result, invalid};
use crate::volume::SliceValues;

/// Reads and decodes a frame that is there: row by row, channels of a pixel side by side.
///
/// # Errors
/// [`crate::Error::Invalid`] or [`crate::Error::File`] if it is damaged or cannot be read.
pub(super) fn frame_values(file: &DicomFile, number: usize) -> Result<SliceValues> {
    let (info, frame) = (&file.info, &file.frames[number]);
    let bytes = file.bytes(number)?;
    if let Some(bits) = file.floats {
        return floats(&bytes, bits, file.is_big_endian, info, frame);
    }
    let decoded = match file.coding {
        Coding::Native => native(&bytes, info, file.is_big_endian)?,
        coding => decode(coding, &bytes, info)?,
    };
    let is_as_stored = matches!(file.coding, Coding::Native | Coding::Rle);
    let values: Vec<i64> = decoded.values.into_iter().map(in_range(info, is_as_stored)).collect();
    if info.photometric == "PALETTE COLOR" {
        return coloured(&values, info);
    }
    if decoded.channels == 1 {
        return Ok(rescaled(&values, info, frame));
    }
    let is_ybr = info.photometric.starts_with("YBR_FULL") && !decoded.is_rgb;
    Ok(SliceValues::U8(match is_ybr {
        true => rgb_of_ybr(&values, decoded.channels),
        false => in_eight_bits(&values, info),
    }))
}

fn floats(bytes: &[u8], bits: u32, is_big_endian: bool, info: &FileInfo, frame: &FrameInfo) -> Result<SliceValues> {
    if info.channels() != 1 {
        return invalid(format!("the DICOM file has {} floats for a pixel; 1 is read", info.channels()));
    }
    let scale = |value: f64| value * frame.slope + frame.intercept;
    let values: Vec<f64> = match (bits, is_big_endian) {
        (64, true) => bytes.as_chunks().0.iter().map(|&bytes| f64::from_be_bytes(bytes)).collect(),
        (64, false) => bytes.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect(),
        (_, true) => bytes.as_chunks().0.iter().map(|&bytes| f32::from_be_bytes(bytes).into()).collect(),
        (_, false) => bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes).into()).collect(),
    };
    Ok(SliceValues::F32(values.into_iter().map(|value| scale(value) as f32).collect()))
}

/// Values that are not coded, channels side by side.
fn native(bytes: &[u8], info: &FileInfo, is_big_endian: bool) -> Result<Decoded> {
    let (pixels, samples) = (info.pixels(), info.samples);
    let count = pixels * samples;
    let decoded = |values| Ok(Decoded { values, channels: samples, is_rgb: false });
    if info.bits_allocated == 1 {
        return decoded((0..count).map(|index| i32::from(bytes[index >> 3] >> (index & 7) & 1)).collect());
    }
    if info.is_halved() {
        if info.bits_allocated != 8 || samples != 3 || info.columns % 2 == 1 {
            return invalid(format!(
                "the DICOM file has {} of {} bits, {samples} values for a pixel and {} columns; 8 bits, 3 values and an even number are read",
                info.photometric, info.bits_allocated, info.columns
            ));
        }
        // Two pixels are Y, Y, Cb, Cr.
        let pairs = bytes.as_chunks::<4>().0.iter();
        return decoded(pairs.flat_map(|&[a, b, cb, cr]| [a, cb, cr, b, cb, cr]).map(i32::from).collect());
    }
    let values: Vec<i32> = match (info.bits_allocated, is_big_endian) {
        (8, _) => bytes.iter().map(|&byte| byte.into()).collect(),
        (16, false) => bytes.as_chunks().0.iter().map(|&bytes| u16::from_le_bytes(bytes).into()).collect(),
        (16, true) => bytes.as_chunks().0.iter().map(|&bytes| u16::from_be_bytes(bytes).into()).collect(),
        (32, false) => bytes.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes)).collect(),
        (32, true) => bytes.as_chunks().0.iter().map(|&bytes| i32::from_be_bytes(bytes)).collect(),
        (bits, _) => return invalid(format!("the frame has whole numbers of {bits} bits, which are not read")),
    };
    match info.is_planar && samples > 1 {
        true => decoded((0..count).map(|index| values[index % samples * pixels + index / samples]).collect()),
        false => decoded(values),
    }
}

/// The stored bits of a value, with their sign.
fn in_range(info: &FileInfo, is_as_stored: bool) -> impl Fn(i32) -> i64 + use<> {
    let shift = if is_as_stored { info.high_bit + 1 - info.bits_stored } else { 0 };
    // Of 64 bits no frame comes here.
    let unused = 32u32.saturating_sub(info.bits_stored);
    let is_signed = info.is_signed;
    move |value| {
        let top = (value as u32).checked_shl(unused.saturating_sub(shift)).unwrap_or(0);
        if is_signed { i64::from(top as i32 >> unused) } else { i64::from(top >> unused) }
    }
}

/// Values in the file's units, and pixels that are none as the lowest of the others.
fn rescaled(stored: &[i64], info: &FileInfo, frame: &FrameInfo) -> SliceValues {
    let &FrameInfo { slope, intercept, .. } = frame;
    let table = info.modality_table.as_ref();
    let scaled = |value: i64| match table {
        Some(table) => f64::from(table.entry(value)),
        None => value as f64 * slope + intercept,
    };
    let is_padding = |value: i64| info.padding.is_some_and(|[low, high]| (low..=high).contains(&value));
    let others = stored.iter().filter(|&&value| !is_padding(value)).map(|&value| scaled(value));
    let lowest = others.reduce(f64::min);
    let values = stored.iter().map(|&value| match lowest {
        Some(lowest) if is_padding(value) => lowest,
        _ => scaled(value),
    });
    let is_plain = table.is_none() && slope == 1.0 && intercept == 0.0;
    match is_plain && info.bits_allocated <= 8 && !info.is_signed {
        true => SliceValues::U8(values.map(|value| value as u8).collect()),
        false => SliceValues::F32(values.map(|value| value as f32).collect()),
    }
}

fn coloured(values: &[i64], info: &FileInfo) -> Result<SliceValues> {
    let Some(palette) = &info.palette else {
        return invalid("the DICOM file has palette colours without a table of its own, which are not read");
    };
    if info.samples != 1 {
        return invalid(format!("the DICOM file has palette colours of {} values for a pixel", info.samples));
    }
    Ok(SliceValues::U8(values.iter().flat_map(|&value| palette.each_ref().map(|table| table.entry8(value))).collect()))
}

/// Source: PS3.3, C.7.6.3.1.2, for YBR_FULL.
fn rgb_of_ybr(values: &[i64], channels: usize) -> Vec<u8> {
    let rounded = |value: f64| value.round_ties_even().clamp(0.0, 255.0) as u8;
    let mut rgb = Vec::with_capacity(values.len());
    for pixel in values.chunks_exact(channels) {
        let [y, cb, cr] = [pixel[0] as f64, (pixel[1] - 128) as f64, (pixel[2] - 128) as f64];
        rgb.extend([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb].map(rounded));
        rgb.extend(pixel[3..].iter().map(|&value| value as u8));
    }
    rgb
}

/// Colours of more bits as 8.
fn in_eight_bits(values: &[i64], info: &FileInfo) -> Vec<u8> {
    let shift = info.bits_stored.saturating_sub(8);
    values.iter().map(|&value| (value >> shift) as u8).collect()
}
