//! Borrowed pixel buffers of the types that viewers hold.

use crate::error::{Error, Result};

/// The most pixels of one image side; beyond it sizes in bytes could overflow 32-bit memory.
const MAX_SIDE: usize = 32_768;
/// The most pixels of an image.
const MAX_PIXELS: usize = 1 << 27;

/// Pixel values, row by row, channels of a pixel side by side.
#[derive(Debug, Clone, Copy)]
pub enum Pixels<'a> {
    /// 8-bit unsigned.
    U8(&'a [u8]),
    /// 8-bit signed.
    I8(&'a [i8]),
    /// 16-bit unsigned.
    U16(&'a [u16]),
    /// 16-bit signed, such as Hounsfield units.
    I16(&'a [i16]),
    /// 32-bit unsigned.
    U32(&'a [u32]),
    /// 32-bit signed.
    I32(&'a [i32]),
    /// 32-bit float.
    F32(&'a [f32]),
    /// 64-bit float.
    F64(&'a [f64]),
}

impl Pixels<'_> {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::I16(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A checked image: `height · width · channels` values with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels. Colours are composited over black where values are
/// unsigned integers of 8 or 16 bits; the alpha of other types is left out.
#[derive(Debug, Clone, Copy)]
pub struct ImageView<'a> {
    pixels: Pixels<'a>,
    width: usize,
    height: usize,
    channels: usize,
    inverted: bool,
}

impl<'a> ImageView<'a> {
    /// Checks a buffer against its size.
    ///
    /// # Errors
    /// [`Error::InvalidImage`] if a side is 0 or over 32,768 pixels, the image has over 2²⁷ pixels, the channels are not 1 to 4, or the length does not fit.
    pub fn new(pixels: Pixels<'a>, width: usize, height: usize, channels: usize) -> Result<Self> {
        if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE || width * height > MAX_PIXELS {
            return Err(Error::InvalidImage(format!(
                "{width}×{height} pixels; each side must be 1–{MAX_SIDE} and the product at most {MAX_PIXELS}"
            )));
        }
        if !(1..=4).contains(&channels) {
            return Err(Error::InvalidImage(format!(
                "{channels} channels; use 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGBA)"
            )));
        }
        let expected = width * height * channels;
        if pixels.len() != expected {
            return Err(Error::InvalidImage(format!(
                "the buffer holds {} values, but {width}×{height} pixels of {channels} channels are {expected}",
                pixels.len()
            )));
        }
        Ok(Self { pixels, width, height, channels, inverted: false })
    }

    /// The same image, of which high values are dark if `inverted`, as in DICOM's MONOCHROME1.
    pub fn inverted(self, inverted: bool) -> Self {
        Self { inverted, ..self }
    }

    /// Whether high values are dark.
    pub fn is_inverted(&self) -> bool {
        self.inverted
    }

    /// The values.
    pub fn pixels(&self) -> Pixels<'a> {
        self.pixels
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// 1 to 4.
    pub fn channels(&self) -> usize {
        self.channels
    }
}
