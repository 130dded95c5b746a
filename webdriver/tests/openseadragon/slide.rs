//! A large picture as tiles: chests on a dark ground, one of them cut by the border.

use std::path::Path;

use anyhow::{Context, Result};
use image::imageops::{FilterType, crop_imm, replace, resize};
use image::{ImageFormat, ImageReader, Rgb, RgbImage};

/// Of the full resolution; no level divides them.
pub const SIZE: (u32, u32) = (1701, 1301);
/// Where the whole chest lies, and how much larger than the sample it is.
pub const CHEST: (u32, u32, u32) = (150, 150, 2);

/// A picture with all its levels.
pub struct Slide {
    /// Each half of the next one, rounded up; the last one is the full resolution.
    levels: Vec<RgbImage>,
}

impl Slide {
    /// Made of the site's sample.
    pub fn new(site: &Path) -> Result<Self> {
        let sample = ImageReader::open(site.join("samples/chest-ct.png"))?.decode()?.into_rgb8();
        let chest = resize(&sample, sample.width() * CHEST.2, sample.height() * CHEST.2, FilterType::Triangle);
        // What is no picture is not even, so that a shift by a pixel is seen.
        let mut full = RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
            Rgb([(x * 7 + y * 13) % 23, x % 17, y % 19].map(|value| value as u8))
        });
        replace(&mut full, &chest, CHEST.0.into(), CHEST.1.into());
        replace(&mut full, &chest, 1200, 220);
        let mut levels = vec![full];
        while levels[0].width().max(levels[0].height()) > 1 {
            levels.insert(0, half(&levels[0]));
        }
        Ok(Self { levels })
    }

    /// The number of the full resolution in a Deep Zoom image.
    pub fn finest(&self) -> usize {
        self.levels.len() - 1
    }

    /// A part of a level.
    pub fn part(&self, level: usize, [x, y, width, height]: [u32; 4]) -> RgbImage {
        crop_imm(&self.levels[level], x, y, width, height).to_image()
    }

    /// A Deep Zoom image `NAME.dzi` in a folder.
    pub fn write_dzi(&self, folder: &Path, name: &str, tile: u32, overlap: u32) -> Result<()> {
        for (level, picture) in self.levels.iter().enumerate() {
            let into = folder.join(format!("{name}_files/{level}"));
            std::fs::create_dir_all(&into)?;
            for (column, row) in places(picture, tile) {
                let begin = |index: u32| (index * tile).saturating_sub(overlap);
                let end = |index: u32, size: u32| ((index + 1) * tile + overlap).min(size);
                let (x, y) = (begin(column), begin(row));
                let part = [x, y, end(column, picture.width()) - x, end(row, picture.height()) - y];
                save(&self.part(level, part), &into.join(format!("{column}_{row}.png")))?;
            }
        }
        let (width, height) = SIZE;
        let description = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="png"
            Overlap="{overlap}" TileSize="{tile}"><Size Width="{width}" Height="{height}"/></Image>"#
        );
        Ok(std::fs::write(folder.join(format!("{name}.dzi")), description)?)
    }

    /// An image of the IIIF Image API 2 as files: its description and its tiles, as OpenSeadragon asks for them.
    pub fn write_iiif(&self, folder: &Path, address: &str, profile: &str) -> Result<()> {
        const TILE: u32 = 256;
        let factors = [1, 2, 4, 8];
        for (factor, picture) in factors.iter().zip(self.levels.iter().rev()) {
            if picture.width() < TILE && picture.height() < TILE {
                save_as(&folder.join(format!("full/{},/0", picture.width())), picture)?;
                continue;
            }
            for (column, row) in places(picture, TILE) {
                let side = TILE * factor;
                let (x, y) = (column * side, row * side);
                let part = [x, y, side.min(SIZE.0 - x), side.min(SIZE.1 - y)];
                let width = TILE.min(picture.width() - column * TILE);
                let height = TILE.min(picture.height() - row * TILE);
                // Level 0 has widths alone in its addresses.
                let size = if profile.contains("level0") { format!("{width},") } else { format!("{width},{height}") };
                let tile = crop_imm(picture, column * TILE, row * TILE, width, height).to_image();
                write_answer(folder, &part, &size, &tile)?;
            }
        }
        let description = serde_json::json!({
            "@context": "http://iiif.io/api/image/2/context.json", "@id": address, "protocol": "http://iiif.io/api/image",
            "width": SIZE.0, "height": SIZE.1, "profile": [profile], "preferredFormats": ["png"],
            "tiles": [{ "width": TILE, "scaleFactors": factors }],
        });
        Ok(std::fs::write(folder.join("info.json"), description.to_string())?)
    }

    /// Answers a request of the IIIF Image API for a part of the image: what a server would compute becomes a file.
    pub fn answer(&self, folder: &Path, request: &str) -> Result<()> {
        let mut words = request.rsplit('/').skip(2);
        let size = words.next().context("a size")?;
        let numbers = words.next().context("a region")?.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
        let part: [u32; 4] = numbers.try_into().ok().context("four numbers")?;
        let width: u32 = size.trim_end_matches(',').parse()?;
        let factor = part[2].div_ceil(width).next_power_of_two();
        let level = self.finest() - factor.ilog2() as usize;
        let scaled = part.map(|value| value.div_ceil(factor));
        write_answer(folder, &part, size, &self.part(level, scaled))
    }
}

fn write_answer(folder: &Path, [x, y, width, height]: &[u32; 4], size: &str, picture: &RgbImage) -> Result<()> {
    save_as(&folder.join(format!("{x},{y},{width},{height}/{size}/0")), picture)
}

fn save_as(into: &Path, picture: &RgbImage) -> Result<()> {
    std::fs::create_dir_all(into)?;
    save(picture, &into.join("default.png"))
}

fn places(picture: &RgbImage, tile: u32) -> impl Iterator<Item = (u32, u32)> {
    let (columns, rows) = (picture.width().div_ceil(tile), picture.height().div_ceil(tile));
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (column, row)))
}

pub fn save(picture: &RgbImage, path: &Path) -> Result<()> {
    Ok(picture.save_with_format(path, ImageFormat::Png)?)
}

/// Means of two by two pixels, of fewer at the border.
fn half(picture: &RgbImage) -> RgbImage {
    RgbImage::from_fn(picture.width().div_ceil(2), picture.height().div_ceil(2), |x, y| {
        let around = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| picture.get_pixel_checked(2 * x + dx, 2 * y + dy));
        let count = around.iter().flatten().count() as u32;
        Rgb([0, 1, 2]
            .map(|channel| (around.iter().flatten().map(|pixel| u32::from(pixel[channel])).sum::<u32>() / count) as u8))
    })
}
