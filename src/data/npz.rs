//! The challenge's data format.
//!
//! Source: CVPR 2024 "Segment Anything in Medical Images on Laptop": `imgs` H×W(×3) or D×H×W(×3) uint8,
//! `boxes` N×4 or N×6, `gts` labels, `spacing` z, y, x.

use std::path::Path;

use umedsam_picture::{OwnedPixels, Picture};

use super::array::{Archive, Array, Values};
use super::file::ImageFile;
use crate::error::Result;
use crate::image::{ImageView, Pixels, Window};

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
    /// What each of several raters outlined, labels as in `gts`; empty if the file has no `raters`.
    pub raters: Vec<Vec<u8>>,
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
        let new_label = |label: usize| kept.iter().position(|&index| index + 1 == label).map_or(0, |place| place + 1);
        let labels: Vec<u8> = (0..=usize::from(u8::MAX)).map(|label| new_label(label) as u8).collect();
        for label in self.gts.iter_mut().chain(&mut self.raters).flatten() {
            *label = labels[usize::from(*label)];
        }
    }

    /// Slice `z` of the pixels.
    pub fn slice(&self, z: usize) -> &[u8] {
        let size = self.height * self.width * self.channels;
        &self.imgs[z * size..][..size]
    }
}

/// How the axes of `imgs` are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    is_volume: bool,
    depth: usize,
    height: usize,
    width: usize,
    channels: usize,
    /// Whether channels are the first axis.
    channels_first: bool,
}

impl Layout {
    /// By shape, by the columns of `boxes` if there are any, and by the file's name, which says `3D` at its beginning of volumes.
    fn of(shape: &[usize], box_columns: Option<usize>, is_named_volume: bool) -> Option<Self> {
        let image = |height, width, channels, channels_first| Self {
            is_volume: false,
            depth: 1,
            height,
            width,
            channels,
            channels_first,
        };
        let volume = |depth, height, width, channels| Self {
            is_volume: true,
            depth,
            height,
            width,
            channels,
            channels_first: false,
        };
        let is_volume = is_named_volume || box_columns == Some(6);
        Some(match *shape {
            _ if shape.contains(&0) => return None,
            [height, width] => image(height, width, 1, false),
            [height, width, channels @ (1 | 3 | 4)] if !is_volume => image(height, width, channels, false),
            [channels @ (1 | 3 | 4), height, width] if !is_volume => image(height, width, channels, true),
            [depth, height, width] => volume(depth, height, width, 1),
            [1, height, width, channels @ (1 | 3 | 4)] if !is_volume => image(height, width, channels, false),
            [depth, height, width, channels @ (1 | 3 | 4)] => volume(depth, height, width, channels),
            _ => return None,
        })
    }
}

/// `imgs` with its layout, channels last.
fn imgs(archive: &mut Archive, path: &Path, box_columns: Option<usize>) -> Result<(Array, Layout)> {
    let Some(imgs) = archive.array("imgs")? else { return archive.fail("has no array imgs") };
    let is_named_volume = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("3D"));
    let Some(layout) = Layout::of(&imgs.shape, box_columns, is_named_volume) else {
        let message = format!("{}; H×W, H×W×(1, 3, 4), (1, 3, 4)×H×W or D×H×W(×3) is expected", imgs.describe());
        return archive.fail(message);
    };
    let imgs = if layout.channels_first { imgs.with_axes(&[1, 2, 0]) } else { imgs };
    Ok((imgs, layout))
}

/// Boxes of `columns` numbers: N×`columns`, one row of them, or an empty array of any shape.
fn boxes<const N: usize>(archive: &Archive, boxes: Option<&Array>) -> Result<Vec<[f64; N]>> {
    let Some(boxes) = boxes else { return Ok(Vec::new()) };
    let values = boxes.to_numbers();
    match boxes.shape[..] {
        _ if values.is_empty() => Ok(Vec::new()),
        [columns] | [_, columns] if columns == N => Ok(values.as_chunks().0.to_vec()),
        _ => archive.fail(format!("{}; N×{N} is expected", boxes.describe())),
    }
}

/// RGBA slices over black as RGB.
fn without_alpha(imgs: Vec<u8>, layout: &Layout) -> Result<(Vec<u8>, usize)> {
    if layout.channels != 4 {
        return Ok((imgs, layout.channels));
    }
    let slices = imgs.chunks_exact(layout.height * layout.width * 4);
    let slices = slices.map(|slice| {
        let view = ImageView::new(Pixels::U8(slice), layout.width, layout.height, 4)?;
        Ok(Window::Auto.apply(&view)?.data)
    });
    Ok((slices.collect::<Result<Vec<_>>>()?.concat(), 3))
}

/// Reads a case: `raters` R×H×W (or R×D×H×W) where there are any, and `imgs` H×W, H×W×(1, 3, 4), (1, 3, 4)×H×W or, where the name begins with `3D` or boxes have six numbers, D×H×W(×3), of
/// any type whose values are integers in 0–255, in C or Fortran order.
///
/// # Errors
/// [`Error::File`] if the file is not a readable `.npz`, lacks `imgs`, or its arrays do not fit each other; the message has the array's shape and type.
pub fn read_npz(path: &Path) -> Result<ChallengeCase> {
    let mut archive = Archive::open(path)?;
    let box_array = archive.array("boxes")?;
    let columns = box_array.as_ref().filter(|boxes| !boxes.to_numbers().is_empty());
    let columns = columns.and_then(|boxes| boxes.shape.last().copied());
    let (imgs, layout) = imgs(&mut archive, path, columns)?;
    let Layout { is_volume, depth, height, width, .. } = layout;
    let boxes = match is_volume {
        true => CaseBoxes::Volume(boxes(&archive, box_array.as_ref())?),
        false => CaseBoxes::Image(boxes(&archive, box_array.as_ref())?),
    };
    let described = imgs.describe();
    let bytes = match imgs.into_bytes() {
        Ok(bytes) => bytes,
        Err(value) => {
            return archive.fail(format!("{described} with the value {value}; integers in 0–255 are expected"));
        }
    };
    let (imgs, channels) = without_alpha(bytes, &layout)?;
    let gts = match archive.array("gts")? {
        Some(gts) => Some(labels(&archive, gts, &layout)?),
        None => None,
    };
    let raters = match archive.array("raters")? {
        Some(all) => raters(&archive, all, &layout)?,
        None => Vec::new(),
    };
    let spacing = match archive.array("spacing")? {
        Some(spacing) if is_volume => match spacing.to_numbers()[..] {
            [z, y, x] if [z, y, x].iter().all(|step| *step > 0.0 && step.is_finite()) => [z, y, x],
            ref other => return archive.fail(format!("spacing is {other:?}; three positive numbers are expected")),
        },
        _ => [1.0; 3],
    };
    Ok(ChallengeCase { imgs, depth, height, width, channels, boxes, gts, raters, spacing })
}

/// Labels of the image's shape but for axes of length 1.
fn labels(archive: &Archive, gts: Array, layout: &Layout) -> Result<Vec<u8>> {
    let Layout { depth, height, width, .. } = *layout;
    let sides = |shape: &[usize]| shape.iter().copied().filter(|&side| side != 1).collect::<Vec<_>>();
    let described = gts.describe();
    if sides(&gts.shape) != sides(&[depth, height, width]) {
        return archive.fail(format!("{described}, imgs is {depth}×{height}×{width}"));
    }
    match gts.into_bytes() {
        Ok(labels) => Ok(labels),
        Err(value) => archive.fail(format!("{described} with the value {value}; labels 0–255 are expected")),
    }
}

/// Labels of several raters: R×H×W, or R×D×H×W of volumes.
fn raters(archive: &Archive, all: Array, layout: &Layout) -> Result<Vec<Vec<u8>>> {
    let Layout { depth, height, width, .. } = *layout;
    let described = all.describe();
    let is_shape = match &all.shape[..] {
        [_, shape @ ..] => *shape == [depth, height, width] || depth == 1 && *shape == [height, width],
        [] => false,
    };
    if !is_shape {
        let slices = if depth == 1 { String::new() } else { format!("{depth}×") };
        return archive.fail(format!("{described}; R×{slices}{height}×{width} is expected"));
    }
    match all.into_bytes() {
        Ok(labels) => Ok(labels.chunks_exact(depth * height * width).map(<[u8]>::to_vec).collect()),
        Err(value) => archive.fail(format!("{described} with the value {value}; labels 0–255 are expected")),
    }
}

/// Reads the image of a 2D case, with values of any type, and its boxes if they are wanted; nothing else needs to be readable.
///
/// # Errors
/// As [`read_npz`].
pub fn read_npz_image(path: &Path, wants_boxes: bool) -> Result<ImageFile> {
    let mut archive = Archive::open(path)?;
    let box_array = if wants_boxes { archive.array("boxes")? } else { archive.array("boxes").unwrap_or_default() };
    let columns = box_array.as_ref().filter(|boxes| !boxes.to_numbers().is_empty());
    let columns = columns.and_then(|boxes| boxes.shape.last().copied());
    let (imgs, layout) = imgs(&mut archive, path, columns)?;
    let Layout { is_volume, depth, height, width, channels, .. } = layout;
    if is_volume {
        return archive.fail(format!("imgs is a 3D volume of {depth} slices; only 2D cases are supported here"));
    }
    let boxes = if wants_boxes { boxes(&archive, box_array.as_ref())? } else { Vec::new() };
    let numbers = matches!(imgs.values, Values::Numbers(_)).then(|| imgs.to_numbers());
    let picture = |pixels, channels| Picture { pixels, width, height, channels };
    let picture = match (imgs.into_bytes(), numbers) {
        (Ok(bytes), _) => {
            let (bytes, channels) = without_alpha(bytes, &layout)?;
            picture(OwnedPixels::U8(bytes), channels)
        }
        (Err(_), numbers) => {
            let values = numbers.unwrap_or_default().into_iter().map(|value| value as f32).collect();
            picture(OwnedPixels::F32(values), channels)
        }
    };
    Ok(ImageFile { picture, boxes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_mean_what_people_mean() {
        let layout = |shape: &[usize], columns, named| {
            let layout = Layout::of(shape, columns, named)?;
            let Layout { is_volume, depth, height, width, channels, channels_first } = layout;
            Some((is_volume, [depth, height, width, channels], channels_first))
        };
        assert_eq!(layout(&[9, 8], None, false), Some((false, [1, 9, 8, 1], false)));
        assert_eq!(layout(&[9, 8, 4], Some(4), false), Some((false, [1, 9, 8, 4], false)));
        assert_eq!(layout(&[3, 9, 8], None, false), Some((false, [1, 9, 8, 3], true)));
        assert_eq!(layout(&[3, 9, 8], Some(6), false), Some((true, [3, 9, 8, 1], false)));
        assert_eq!(layout(&[1, 9, 8], Some(4), false), Some((false, [1, 9, 8, 1], true)));
        assert_eq!(layout(&[1, 9, 8], None, true), Some((true, [1, 9, 8, 1], false)));
        assert_eq!(layout(&[20, 9, 8], None, false), Some((true, [20, 9, 8, 1], false)));
        assert_eq!(layout(&[20, 9, 8, 3], None, false), Some((true, [20, 9, 8, 3], false)));
        assert_eq!(layout(&[9], None, false), None);
        assert_eq!(layout(&[9, 0], None, false), None);
        assert_eq!(layout(&[9, 8, 5, 2], None, false), None);
    }

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
            raters: vec![vec![0, 3, 3, 0, 1, 1]],
            spacing: [1.0; 3],
        };
        case.keep_boxes(2);
        assert_eq!(case.boxes, CaseBoxes::Image(vec![[0.0; 4], [2.0; 4]]));
        assert_eq!(case.gts, Some(vec![0, 1, 0, 2, 0, 0]));
        assert_eq!(case.raters, [[0, 2, 2, 0, 1, 1]]);
    }
}
