//! The challenge's data format.
//!
//! Source: CVPR 2024 "Segment Anything in Medical Images on Laptop": `imgs` H×W(×3) or D×H×W(×3) uint8, `boxes` N×4 or N×6.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use npyz::npz::NpzArchive;
use npyz::{DType, NpyFile, Order, TypeChar};

use crate::error::{Error, Result};

/// One 2D case of the challenge.
#[derive(Debug, Clone, PartialEq)]
pub struct ChallengeCase {
    /// `height · width · channels` values, row by row.
    pub imgs: Vec<u8>,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Boxes `[x0, y0, x1, y1]` in pixels; empty if the file has none.
    pub boxes: Vec<[f64; 4]>,
    /// Labels 0…K, `height · width` values, if the file has them; box k belongs to label k + 1.
    pub gts: Option<Vec<u8>>,
}

/// Reads a 2D case.
///
/// # Errors
/// [`Error::File`] if the file is not a readable `.npz`, lacks `imgs`, is 3D, or its arrays do not fit each other.
pub fn read_npz(path: &Path) -> Result<ChallengeCase> {
    let fail = |message: String| Error::file(path, message);
    let mut archive = NpzArchive::open(path).map_err(|error| fail(format!("not a readable .npz ({error})")))?;
    let imgs = read_array(&mut archive, "imgs").map_err(fail)?.ok_or_else(|| fail("has no array imgs".into()))?;
    let (height, width, channels) = match imgs.shape[..] {
        [height, width] => (height, width, 1),
        [height, width, 3] => (height, width, 3),
        [_, _, _] | [_, _, _, 3] => {
            return Err(fail(format!("imgs is a 3D volume {:?}; only 2D cases are supported", imgs.shape)));
        }
        _ => return Err(fail(format!("imgs has shape {:?}; H×W or H×W×3 is supported", imgs.shape))),
    };
    let bytes = imgs.to_u8().ok_or_else(|| fail("imgs must be integers in 0–255".into()))?;

    let boxes = match read_array(&mut archive, "boxes").map_err(fail)? {
        Some(boxes) if boxes.shape.len() == 2 && boxes.shape[1] == 4 => {
            boxes.values.chunks_exact(4).map(|corners| [corners[0], corners[1], corners[2], corners[3]]).collect()
        }
        Some(boxes) => return Err(fail(format!("boxes has shape {:?}; N×4 is expected", boxes.shape))),
        None => Vec::new(),
    };
    let gts = match read_array(&mut archive, "gts").map_err(fail)? {
        Some(gts) if gts.shape == [height, width] => {
            Some(gts.to_u8().ok_or_else(|| fail("gts must be integers in 0–255".into()))?)
        }
        Some(gts) => return Err(fail(format!("gts has shape {:?}, imgs is {height}×{width}", gts.shape))),
        None => None,
    };
    Ok(ChallengeCase { imgs: bytes, height, width, channels, boxes, gts })
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
