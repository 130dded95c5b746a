//! Volumes, slice by slice from the middle one outwards.
//!
//! Source: the challenge's baseline (`CVPR24_LiteMedSAM_infer.py`).

use std::collections::HashMap;

use super::embeddings::EmbeddingCache;
use crate::data::ChallengeCase;
use crate::error::{Error, Result};
use crate::image::{BoundingBox, Geometry, Image8, resize_area};
use crate::segment::{EncodedImage, PlacedPrompt, SegmentOptions, Segmentation, Segmenter};

/// How far a slice's box reaches beyond the mask of the slice before it, in pixels of the network's input.
const BOX_SHIFT: usize = 3;

/// The slices of a volume, each encoded once.
pub struct Slices<'a> {
    segmenter: &'a Segmenter,
    case: &'a ChallengeCase,
    embeddings: &'a EmbeddingCache,
    options: &'a SegmentOptions,
    encoded: HashMap<usize, EncodedImage>,
}

impl<'a> Slices<'a> {
    pub fn new(
        segmenter: &'a Segmenter,
        case: &'a ChallengeCase,
        embeddings: &'a EmbeddingCache,
        options: &'a SegmentOptions,
    ) -> Self {
        Self { segmenter, case, embeddings, options, encoded: HashMap::new() }
    }

    fn segment(&mut self, z: usize, prompt: PlacedPrompt) -> Result<Segmentation> {
        if !self.encoded.contains_key(&z) {
            let shape = [self.case.width, self.case.height, self.case.channels];
            let uncertainty = &self.options.uncertainty;
            let image = self.embeddings.encode(self.segmenter, self.case.slice(z), shape, uncertainty)?;
            self.encoded.insert(z, image);
        }
        let mut found = pollster::block_on(self.segmenter.segment_placed(&self.encoded[&z], &[prompt], self.options))?;
        Ok(found.remove(0))
    }
}

/// Segments box `index` from its middle slice to both ends; each slice's box comes from the mask of the slice before it, or is the
/// box itself where that mask is empty. `visit` gets each slice's number and result.
pub fn segment(
    slices: &mut Slices,
    corners: &[f64; 6],
    index: usize,
    mut visit: impl FnMut(usize, &Segmentation),
) -> Result<()> {
    let [x0, y0, z0, x1, y1, z1] = *corners;
    let depth = slices.case.depth;
    if corners.iter().any(|value| !value.is_finite()) || z0 > z1 || z0 < 0.0 || z1 < 0.0 || z0 >= depth as f64 {
        let message = format!("{corners:?} does not lie in a volume of {depth} slices; use [x0, y0, z0, x1, y1, z1]");
        return Err(Error::InvalidBox(message));
    }
    let geometry = Geometry {
        width: slices.case.width,
        height: slices.case.height,
        input_size: slices.segmenter.metadata().config.input_size(),
    };
    let whole = PlacedPrompt::of_box(BoundingBox([x0, y0, x1, y1]), &geometry);
    let (z0, z1) = (z0 as usize, z1 as usize);
    let middle = z0 + (z1 - z0) / 2;
    let upwards = middle..(z1 + 1).min(depth);
    let mut before: Option<Vec<u8>> = None;
    let mut middle_mask = None;
    for z in upwards.chain((z0..middle).rev()) {
        if z + 1 == middle {
            before.clone_from(&middle_mask);
        }
        let prompt = before.as_ref().and_then(|mask| next_box(mask, index, &geometry)).unwrap_or_else(|| whole.clone());
        let found = slices.segment(z, prompt)?;
        visit(z, &found);
        if z == middle {
            middle_mask = Some(found.mask.clone());
        }
        before = Some(found.mask);
    }
    Ok(())
}

/// The box around a mask in the network's input, widened; `None` if the mask is empty. The mask is scaled down with its label as its
/// value, as the baseline does: small parts then survive the rounding at high labels.
fn next_box(mask: &[u8], index: usize, geometry: &Geometry) -> Option<PlacedPrompt> {
    let label = (index + 1) as u8;
    let data = mask.iter().map(|&inside| inside * label).collect();
    let (width, height) = geometry.resized();
    let resized =
        resize_area(&Image8 { data, width: geometry.width, height: geometry.height, channels: 1 }, width, height);
    let inside = || (0..width * height).filter(|&pixel| resized.data[pixel] > 0);
    let columns = || inside().map(|pixel| pixel % width);
    let rows = || inside().map(|pixel| pixel / width);
    let low = |value: usize| value.saturating_sub(BOX_SHIFT) as f32;
    let high = |value: usize| (value + BOX_SHIFT).min(geometry.input_size) as f32;
    let input = [low(columns().min()?), low(rows().min()?), high(columns().max()?), high(rows().max()?)];
    Some(PlacedPrompt::of_input_box(input, geometry))
}
