//! The files that `umedsam segment` writes.

use std::path::Path;

use image::{GrayImage, ImageBuffer, Luma, RgbImage};
use serde_json::{Value, json};
use umedsam::image::Image8;
use umedsam::segment::Segmentation;
use umedsam::uncertainty::Shift;
use umedsam::{Error, Result};

/// Opacity of the heatmap where the uncertainty is 1 bit.
const HEATMAP_OPACITY: f64 = 0.9;

/// The file of a kind of picture of a box.
pub fn name(kind: &str, index: usize) -> String {
    format!("{kind}_{index}.png")
}

/// Writes the pictures of a box's segmentation of an image, if there is one, and returns what `result.json` says of it.
pub fn write(
    mut segmentation: Segmentation,
    index: usize,
    [width, _]: [usize; 2],
    image: Option<&Image8>,
    folder: &Path,
) -> Result<Value> {
    let name = |kind: &str| name(kind, index);
    let maps = &mut segmentation.uncertainty;
    let mean_uncertainty = json!({
        "total": mean(&maps.total), "aleatoric": mean(&maps.aleatoric), "epistemic": mean(&maps.epistemic),
    });
    // No picture shows these two, which take 8 bytes a pixel while the pictures are made.
    (maps.aleatoric, maps.epistemic) = (Vec::new(), Vec::new());
    let segmentation = &segmentation;
    let mut files = json!({});
    if let Some(image) = image {
        write_mask(&segmentation.mask, width, &folder.join(name("mask")))?;
        write_probability(segmentation, width, &folder.join(name("probability")))?;
        write_uncertainty(segmentation, image, &folder.join(name("uncertainty")))?;
        files = json!({
            "mask": name("mask"), "probability": name("probability"), "uncertainty": name("uncertainty"),
        });
        for (kind, mask) in [("outer", &segmentation.outer), ("inner", &segmentation.inner)] {
            if let Some(mask) = mask {
                write_mask(mask, width, &folder.join(name(kind)))?;
                files[kind] = name(kind).into();
            }
        }
    }
    Ok(json!({
        "box": segmentation.bounding_box,
        "prompt": segmentation.prompt_kind,
        "predicted_iou": segmentation.predicted_iou,
        "expected_dsc": segmentation.expected_dsc,
        "needs_review": segmentation.needs_review,
        "calibration": segmentation.calibration,
        "area_pixels": segmentation.area,
        "area_interval_pixels": segmentation.area_interval,
        "guarantee": segmentation.guarantee,
        "shift": segmentation.shift.map(shift),
        "zoom": segmentation.zoom,
        "mean_uncertainty_bits": mean_uncertainty,
        "files": files,
    }))
}

/// How unlike the calibration's images one is, as JSON has it.
pub fn shift(Shift { p_value, alarm }: Shift) -> Value {
    json!({ "p_value": p_value, "alarm": alarm })
}

/// A path as JSON has it: bytes that are no UTF-8 as `%XX`, and `%` itself as `%25` in such a name.
pub fn name_of(path: &Path) -> String {
    if let Some(text) = path.to_str() {
        return text.into();
    }
    let mut name = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        name.push_str(&chunk.valid().replace('%', "%25"));
        chunk.invalid().iter().for_each(|byte| name.push_str(&format!("%{byte:02X}")));
    }
    name
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64
}

fn height_of(values: usize, width: usize) -> u32 {
    (values / width) as u32
}

fn write_mask(mask: &[u8], width: usize, path: &Path) -> Result<()> {
    let pixels = mask.iter().map(|&inside| inside * 255).collect();
    let image = GrayImage::from_raw(width as u32, height_of(mask.len(), width), pixels);
    image.expect("a mask of the image's size").save(path).map_err(|error| Error::file(path, error))
}

/// 0–1 becomes 0–65535.
fn write_probability(segmentation: &Segmentation, width: usize, path: &Path) -> Result<()> {
    let pixels = segmentation.probability.iter().map(|&value| (value * 65535.0).round() as u16).collect();
    let height = height_of(segmentation.probability.len(), width);
    let image = ImageBuffer::<Luma<u16>, Vec<u16>>::from_raw(width as u32, height, pixels);
    image.expect("a map of the image's size").save(path).map_err(|error| Error::file(path, error))
}

/// The image with the uncertainty over it in the colours of inferno, more opaque where it is higher.
fn write_uncertainty(segmentation: &Segmentation, image: &Image8, path: &Path) -> Result<()> {
    let overlay = RgbImage::from_fn(image.width as u32, image.height as u32, |x, y| {
        let pixel = y as usize * image.width + x as usize;
        let uncertainty = f64::from(segmentation.uncertainty.total[pixel]);
        let heat = colorous::INFERNO.eval_continuous(uncertainty).as_array();
        let opacity = HEATMAP_OPACITY * uncertainty;
        image::Rgb(std::array::from_fn(|channel| {
            let value = f64::from(image.data[pixel * image.channels + channel % image.channels]);
            (value * (1.0 - opacity) + f64::from(heat[channel]) * opacity).round() as u8
        }))
    });
    overlay.save(path).map_err(|error| Error::file(path, error))
}
