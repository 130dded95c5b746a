//! The challenge's data format.
//!
//! Source: CVPR 2024 "Segment Anything in Medical Images on Laptop": `imgs` H×W(×3) or D×H×W(×3) uint8,
//! `boxes` N×4 or N×6, `gts` labels, `spacing` z, y, x.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use npyz::npz::NpzArchive;
use npyz::{DType, NpyFile, Order, TypeChar};

use crate::error::{Error, Result};

/// One case of the challenge: an image, or a volume of slices.
#[derive(Debug, Clone, PartialEq)]
pub struct ChallengeCase {
    /// `depth · height · width · channels` values, slice by slice and row by row.
    pub imgs: Vec<u8>,
    /// Number of slices; 1 for images.
    pub depth: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Its boxes; box k belongs to label k + 1. None if the file has none.
    pub boxes: CaseBoxes,
    /// Labels 0…K, `depth · height · width` values, if the file has them.
    pub gts: Option<Vec<u8>>,
    /// Distance of neighbours from slice to slice, row to row and column to column, in mm; 1 for images.
    pub spacing: [f64; 3],
}

/// Boxes of a case.
#[derive(Debug, Clone, PartialEq)]
pub enum CaseBoxes {
    /// `[x0, y0, x1, y1]` in pixels.
    Image(Vec<[f64; 4]>),
    /// `[x0, y0, z0, x1, y1, z1]` in pixels and slices.
    Volume(Vec<[f64; 6]>),
}

impl ChallengeCase {
    /// Keeps at most `limit` boxes, evenly spread, with their labels numbered anew; the other labels become background.
    pub fn keep_boxes(&mut self, limit: usize) {
        let CaseBoxes::Image(boxes) = &mut self.boxes else { return };
        let count = boxes.len().min(limit.max(1));
        let kept: Vec<usize> = (0..count).map(|position| position * boxes.len() / count).collect();
        *boxes = kept.iter().map(|&index| boxes[index]).collect();
        if let Some(gts) = &mut self.gts {
            let new_label =
                |label: usize| kept.iter().position(|&index| index + 1 == label).map_or(0, |place| place + 1);
            let labels: Vec<u8> = (0..=usize::from(u8::MAX)).map(|label| new_label(label) as u8).collect();
            gts.iter_mut().for_each(|label| *label = labels[usize::from(*label)]);
        }
    }

    /// Slice `z` of the pixels.
    pub fn slice(&self, z: usize) -> &[u8] {
        let size = self.height * self.width * self.channels;
        &self.imgs[z * size..][..size]
    }
}

/// Reads a case. Three dimensions ending in 3 are an RGB image unless the file's name begins with `3D`.
///
/// # Errors
/// [`Error::File`] if the file is not a readable `.npz`, lacks `imgs`, or its arrays do not fit each other.
pub fn read_npz(path: &Path) -> Result<ChallengeCase> {
    let fail = |message: String| Error::file(path, message);
    let mut archive = NpzArchive::open(path).map_err(|error| fail(format!("not a readable .npz ({error})")))?;
    let imgs = read_array(&mut archive, "imgs").map_err(fail)?.ok_or_else(|| fail("has no array imgs".into()))?;
    let is_named_volume = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("3D"));
    let (is_volume, depth, height, width, channels) = match imgs.shape[..] {
        [height, width] => (false, 1, height, width, 1),
        [height, width, 3] if !is_named_volume => (false, 1, height, width, 3),
        [depth, height, width] => (true, depth, height, width, 1),
        [depth, height, width, 3] => (true, depth, height, width, 3),
        _ => return Err(fail(format!("imgs has shape {:?}; H×W(×3) or D×H×W(×3) is expected", imgs.shape))),
    };
    let bytes = imgs.to_u8().ok_or_else(|| fail("imgs must be integers in 0–255".into()))?;

    let boxes = read_array(&mut archive, "boxes").map_err(fail)?;
    let columns = if is_volume { 6 } else { 4 };
    if let Some(boxes) = boxes.as_ref().filter(|boxes| boxes.shape.len() != 2 || boxes.shape[1] != columns) {
        return Err(fail(format!("boxes has shape {:?}; N×{columns} is expected", boxes.shape)));
    }
    let corners = boxes.map_or_else(Vec::new, |boxes| boxes.values);
    let boxes = match is_volume {
        true => CaseBoxes::Volume(corners.as_chunks().0.to_vec()),
        false => CaseBoxes::Image(corners.as_chunks().0.to_vec()),
    };
    let gts = match read_array(&mut archive, "gts").map_err(fail)? {
        Some(gts) if gts.values.len() == depth * height * width && gts.shape.ends_with(&[height, width]) => {
            Some(gts.to_u8().ok_or_else(|| fail("gts must be integers in 0–255".into()))?)
        }
        Some(gts) => return Err(fail(format!("gts has shape {:?}, imgs is {depth}×{height}×{width}", gts.shape))),
        None => None,
    };
    let spacing = match read_array(&mut archive, "spacing").map_err(fail)? {
        Some(spacing) if is_volume => match spacing.values[..] {
            [z, y, x] if [z, y, x].iter().all(|step| *step > 0.0 && step.is_finite()) => [z, y, x],
            _ => return Err(fail(format!("spacing is {:?}; three positive numbers are expected", spacing.values))),
        },
        _ => [1.0; 3],
    };
    Ok(ChallengeCase { imgs: bytes, depth, height, width, channels, boxes, gts, spacing })
}

/// An array of numbers; every type the format uses fits in f64.
struct Array {
    shape: Vec<usize>,
    values: Vec<f64>,
}

impl Array {
    fn to_u8(&self) -> Option<Vec<u8>> {
        let is_byte = |value: &f64| value.fract() == 0.0 && (0.0..=255.0).contains(value);
        self.values.iter().all(is_byte).then(|| self.values.iter().map(|&value| value as u8).collect())
    }
}

fn read_array(
    archive: &mut NpzArchive<std::io::BufReader<File>>,
    name: &str,
) -> std::result::Result<Option<Array>, String> {
    match archive.by_name(name) {
        Ok(Some(npy)) => to_array(npy).map(Some).map_err(|message| format!("array {name}: {message}")),
        Ok(None) => Ok(None),
        Err(error) => Err(format!("array {name}: {error}")),
    }
}

fn to_array<R: Read>(npy: NpyFile<R>) -> std::result::Result<Array, String> {
    if npy.order() != Order::C {
        return Err("Fortran order is not supported".into());
    }
    let shape: Vec<usize> = npy.shape().iter().map(|&side| side as usize).collect();
    let DType::Plain(dtype) = npy.dtype() else { return Err("structured arrays are not supported".into()) };
    macro_rules! values {
        ($type:ty) => {
            npy.into_vec::<$type>().map(|values| values.into_iter().map(|value| value as f64).collect())
        };
    }
    let values: std::io::Result<Vec<f64>> = match (dtype.type_char(), dtype.size_field()) {
        (TypeChar::Uint, 1) => values!(u8),
        (TypeChar::Uint, 2) => values!(u16),
        (TypeChar::Uint, 4) => values!(u32),
        (TypeChar::Uint, 8) => values!(u64),
        (TypeChar::Int, 1) => values!(i8),
        (TypeChar::Int, 2) => values!(i16),
        (TypeChar::Int, 4) => values!(i32),
        (TypeChar::Int, 8) => values!(i64),
        (TypeChar::Float, 4) => values!(f32),
        (TypeChar::Float, 8) => values!(f64),
        _ => return Err(format!("type {dtype} is not supported")),
    };
    let values = values.map_err(|error| error.to_string())?;
    Ok(Array { shape, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_boxes_keep_their_labels() {
        let boxes = (0..5).map(|index| [f64::from(index); 4]).collect();
        let mut case = ChallengeCase {
            imgs: vec![0; 6],
            depth: 1,
            height: 1,
            width: 6,
            channels: 1,
            boxes: CaseBoxes::Image(boxes),
            gts: Some(vec![0, 1, 2, 3, 4, 5]),
            spacing: [1.0; 3],
        };
        case.keep_boxes(2);
        assert_eq!(case.boxes, CaseBoxes::Image(vec![[0.0; 4], [2.0; 4]]));
        assert_eq!(case.gts, Some(vec![0, 1, 0, 2, 0, 0]));
    }
}
