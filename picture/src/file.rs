//! Files of pictures: samples as stored, upright, what is transparent over black.
//!
//! Colour profiles and gamma (gAMA, iCCP, sRGB, Adobe's JPEG profiles) are left aside: the network and other readers of medical pictures take samples as they are.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use crate::alpha::flattened;
use crate::sniff::{Kind, kind_of};
use crate::whole::{is_whole_jpeg, is_whole_png, is_whole_webp, png_exif};
use crate::{Error, ImageView, Pixels, Result};

/// The most bytes that a decoded picture takes: a 32-bit module has 4 GB in all.
const MAX_BYTES: u64 = if cfg!(target_pointer_width = "32") { 1 << 30 } else { 1 << 33 };
/// What can be read, for messages.
const READABLE: &str = "PNG, JPEG, WebP, TIFF, BMP and GIF (the first frame) can be read";

/// Pixel values that own their memory.
#[derive(Debug, Clone, PartialEq)]
pub enum OwnedPixels {
    /// 8-bit.
    U8(Vec<u8>),
    /// 16-bit.
    U16(Vec<u16>),
    /// 32-bit float.
    F32(Vec<f32>),
}

/// A decoded file.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// The values, row by row from the top as a person sees it.
    pub pixels: OwnedPixels,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
}

impl Picture {
    /// The picture as a checked view.
    ///
    /// # Errors
    /// As [`ImageView::new`].
    pub fn view(&self) -> Result<ImageView<'_>> {
        let pixels = match &self.pixels {
            OwnedPixels::U8(values) => Pixels::U8(values),
            OwnedPixels::U16(values) => Pixels::U16(values),
            OwnedPixels::F32(values) => Pixels::F32(values),
        };
        ImageView::new(pixels, self.width, self.height, self.channels)
    }
}

/// Reads a file's bytes: PNG, JPEG, WebP, TIFF, BMP, GIF.
///
/// Exif orientations are applied; grey stays grey, 16 bits stay 16 bits; transparent colours are composited over black; CMYK becomes RGB.
///
/// # Errors
/// [`Error::File`] if the file is of another kind, which is named where it is known, is cut off, damaged or too large.
pub fn read_picture(bytes: &[u8]) -> Result<Picture> {
    let fail = |message: String| Err(Error::File(message));
    let (format, is_whole) = match kind_of(bytes) {
        Kind::Png => (ImageFormat::Png, is_whole_png(bytes)),
        Kind::Jpeg => (ImageFormat::Jpeg, is_whole_jpeg(bytes)),
        Kind::WebP => (ImageFormat::WebP, is_whole_webp(bytes)),
        Kind::Gif => (ImageFormat::Gif, true),
        Kind::Bmp => (ImageFormat::Bmp, true),
        Kind::Tiff => (ImageFormat::Tiff, true),
        Kind::Foreign(name, advice) => return fail(format!("it is {name}, which is not read here; {advice}")),
        Kind::Unknown if bytes.is_empty() => return fail("it is empty".into()),
        Kind::Unknown => return fail(format!("it is no picture that is known; {READABLE}")),
    };
    if !is_whole {
        return fail(cut_off(format));
    }
    let explained = |error: ImageError| Error::File(explain(format, &error));
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(explained)?;
    let (width, height) = decoder.dimensions();
    if decoder.total_bytes() > MAX_BYTES {
        let megabytes = decoder.total_bytes() / 1_000_000;
        return fail(format!(
            "its {width}×{height} pixels take {megabytes} MB; at most {} are read",
            MAX_BYTES / 1_000_000
        ));
    }
    let of_tag = |tags: &[u8]| Orientation::from_exif_chunk(tags).unwrap_or(Orientation::NoTransforms);
    let orientation = match format {
        ImageFormat::Png => png_exif(bytes).map_or(Orientation::NoTransforms, of_tag),
        // The file has the layout of Exif data.
        ImageFormat::Tiff => of_tag(bytes),
        // Damaged tags say nothing.
        _ => decoder.orientation().unwrap_or(Orientation::NoTransforms),
    };
    let mut image = DynamicImage::from_decoder(decoder).map_err(explained)?;
    image.apply_orientation(orientation);
    Ok(picture(image))
}

/// Grey or RGB of a decoded image.
fn picture(image: DynamicImage) -> Picture {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (pixels, channels) = match image {
        DynamicImage::ImageLuma8(image) => (OwnedPixels::U8(image.into_raw()), 1),
        DynamicImage::ImageLumaA8(image) => (OwnedPixels::U8(flattened(&image, 2).into_owned()), 1),
        DynamicImage::ImageRgba8(image) => (OwnedPixels::U8(flattened(&image, 4).into_owned()), 3),
        DynamicImage::ImageLuma16(image) => (OwnedPixels::U16(image.into_raw()), 1),
        DynamicImage::ImageLumaA16(image) => (OwnedPixels::U16(flattened(&image, 2).into_owned()), 1),
        DynamicImage::ImageRgb16(image) => (OwnedPixels::U16(image.into_raw()), 3),
        DynamicImage::ImageRgba16(image) => (OwnedPixels::U16(flattened(&image, 4).into_owned()), 3),
        image @ (DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_)) => {
            (OwnedPixels::F32(image.into_rgb32f().into_raw()), 3)
        }
        image => (OwnedPixels::U8(image.into_rgb8().into_raw()), 3),
    };
    Picture { pixels, width, height, channels }
}

fn cut_off(format: ImageFormat) -> String {
    format!("the {} file is cut off: its end is missing; copy or download it again", name(format))
}

fn explain(format: ImageFormat, error: &ImageError) -> String {
    match error {
        ImageError::IoError(cause) if cause.kind() == std::io::ErrorKind::UnexpectedEof => cut_off(format),
        ImageError::Limits(_) => {
            format!("the {} file takes more than {} MB, which is not read", name(format), MAX_BYTES / 1_000_000)
        }
        ImageError::Unsupported(cause) => {
            format!("this kind of {} file is not read ({cause}); {READABLE}", name(format))
        }
        cause => format!("the {} file is damaged ({cause})", name(format)),
    }
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Bmp => "BMP",
        _ => "TIFF",
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayAlphaImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba};

    use super::*;

    /// Every pixel is another.
    fn rgb() -> RgbImage {
        RgbImage::from_fn(6, 4, |x, y| Rgb([(x * 40) as u8, (y * 60) as u8, (x * y) as u8]))
    }

    fn bytes(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn what_loses_nothing_is_read_as_it_was_written() {
        let image = DynamicImage::ImageRgb8(rgb());
        for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Bmp] {
            let read = read_picture(&bytes(&image, format)).unwrap();
            assert_eq!((read.width, read.height, read.channels), (6, 4, 3));
            assert_eq!(read.pixels, OwnedPixels::U8(rgb().into_raw()), "{format:?}");
        }
        let grey = ImageBuffer::<Luma<u16>, _>::from_fn(5, 3, |x, y| Luma([(x * 9000 + y * 7) as u16]));
        for format in [ImageFormat::Png, ImageFormat::Tiff] {
            let read = read_picture(&bytes(&DynamicImage::ImageLuma16(grey.clone()), format)).unwrap();
            assert_eq!((read.pixels, read.channels), (OwnedPixels::U16(grey.clone().into_raw()), 1), "{format:?}");
        }
    }

    #[test]
    fn hidden_colours_are_black() {
        let grey = GrayAlphaImage::from_fn(2, 1, |x, _| image::LumaA([200, if x == 0 { 0 } else { 255 }]));
        let read = read_picture(&bytes(&DynamicImage::ImageLumaA8(grey), ImageFormat::Png)).unwrap();
        assert_eq!((read.pixels, read.channels), (OwnedPixels::U8(vec![0, 200]), 1));
        let deep = ImageBuffer::<Rgba<u16>, _>::from_fn(2, 1, |x, _| {
            Rgba([60_000, 30_000, 9, if x == 0 { 0 } else { 65_535 }])
        });
        let read = read_picture(&bytes(&DynamicImage::ImageRgba16(deep), ImageFormat::Png)).unwrap();
        assert_eq!((read.pixels, read.channels), (OwnedPixels::U16(vec![0, 0, 0, 60_000, 30_000, 9]), 3));
    }

    /// Exif data with an orientation, in the byte order of Intel.
    fn exif(orientation: u8) -> Vec<u8> {
        let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0, 0]);
        exif
    }

    fn checksum(bytes: &[u8]) -> u32 {
        let step = |crc: u32, byte: &u8| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
        };
        !bytes.iter().fold(!0, step)
    }

    #[test]
    fn pictures_stand_upright_whatever_the_orientation() {
        let png = bytes(&DynamicImage::ImageRgb8(rgb()), ImageFormat::Png);
        let pixel = |picture: &Picture, x: usize, y: usize| {
            let OwnedPixels::U8(values) = &picture.pixels else { panic!("8 bits") };
            values[(y * picture.width + x) * 3..][..3].to_vec()
        };
        // Where the upright picture's first pixel and the next in its row are stored.
        let places = [
            (1, [0, 0], [1, 0]),
            (2, [5, 0], [4, 0]),
            (3, [5, 3], [4, 3]),
            (4, [0, 3], [1, 3]),
            (5, [0, 0], [0, 1]),
            (6, [0, 3], [0, 2]),
            (7, [5, 3], [5, 2]),
            (8, [5, 0], [5, 1]),
        ];
        for (orientation, first, next) in places {
            let chunk = [b"eXIf".as_slice(), &exif(orientation)].concat();
            let chunk = [&(chunk.len() as u32 - 4).to_be_bytes()[..], &chunk, &checksum(&chunk).to_be_bytes()].concat();
            // Before the pixels, and after them before the last chunk.
            for place in [33, png.len() - 12] {
                let read = read_picture(&[&png[..place], &chunk, &png[place..]].concat()).unwrap();
                let expected = |[x, y]: [u32; 2]| rgb().get_pixel(x, y).0.to_vec();
                assert_eq!((read.width, read.height), if orientation < 5 { (6, 4) } else { (4, 6) });
                assert_eq!(
                    [pixel(&read, 0, 0), pixel(&read, 1, 0)],
                    [expected(first), expected(next)],
                    "{orientation}"
                );
            }
        }
    }

    #[test]
    fn cut_and_foreign_files_are_said_to_be() {
        let image = DynamicImage::ImageRgb8(rgb());
        for format in [
            ImageFormat::Png,
            ImageFormat::Jpeg,
            ImageFormat::WebP,
            ImageFormat::Tiff,
            ImageFormat::Bmp,
            ImageFormat::Gif,
        ] {
            let whole = bytes(&image, format);
            let error = read_picture(&whole[..whole.len() * 2 / 3]).unwrap_err().to_string();
            assert!(error.contains("cut off") || error.contains("damaged"), "{format:?}: {error}");
        }
        for (bytes, part) in
            [(b"".as_slice(), "empty"), (b"%PDF-1.4 and more", "a PDF"), (b"nothing of the kind", "no picture")]
        {
            let error = read_picture(bytes).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
