//! What is kept of an image to answer prompts.

use std::sync::{Arc, OnceLock};

use burn::tensor::Tensor;

use super::Segmentation;
use super::network::{finite, read};
use super::zoom::EncodedCrop;
use crate::error::Result;
use crate::image::{Flip, Geometry, Image8};
use crate::model::mask_decoder::PreparedImage;
use crate::uncertainty::Shift;

/// An image's embedding, kept to answer prompts.
#[derive(Debug, Clone)]
pub struct EncodedImage {
    pub(super) embedding: Embedding,
    /// Embeddings of the mirrored image, for ensembles with flips; empty until [`Segmenter::encode_flips`](super::Segmenter::encode_flips).
    pub(super) flipped: Vec<(Flip, Embedding)>,
    /// To look closer; without them nothing does.
    pub(super) pixels: Option<Arc<Image8>>,
    /// Parts that were looked at closer, the last first.
    pub(super) crops: Vec<EncodedCrop>,
    /// What it looks like as a whole, where the weights know what is familiar.
    pub(super) look: Option<Look>,
    /// Where the image lies in the network's input.
    pub geometry: Geometry,
}

/// What an image looks like as a whole, to be compared with the calibration's.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub features: Features,
    pub shift: OnceLock<Shift>,
}

/// Features of an embedding, as [`features`](crate::uncertainty::shift::features()) has them.
#[derive(Debug, Clone)]
pub(super) enum Features {
    Values(Vec<f32>),
    /// On the device, to be read when they are needed.
    Tensor(Box<Tensor<1>>),
}

/// What the mask decoder of a device takes.
#[derive(Debug, Clone)]
pub(super) enum Embedding {
    /// `[1, embedding_size, embedding_size, dim]`
    Tensor(Box<Tensor<4>>),
    /// With what the CPU's decoder computes once per image.
    Cpu(Arc<CpuEmbedding>),
}

/// An embedding as the CPU's mask decoders take it.
#[derive(Debug, Clone)]
pub(super) struct CpuEmbedding {
    pub prepared: PreparedImage,
    /// The same for the decoder of corrections, from the first of them on.
    pub for_corrections: OnceLock<PreparedImage>,
}

impl From<PreparedImage> for CpuEmbedding {
    fn from(prepared: PreparedImage) -> Self {
        Self { prepared, for_corrections: OnceLock::new() }
    }
}

impl EncodedImage {
    /// Waits until the device has computed the embeddings, by reading one value of each.
    ///
    /// # Errors
    /// [`Error::Computation`] if the device fails or the value is not finite.
    pub async fn wait(&self) -> Result<()> {
        for embedding in std::iter::once(&self.embedding).chain(self.flipped.iter().map(|(_, embedding)| embedding)) {
            match embedding {
                Embedding::Tensor(tensor) => read((**tensor).clone().slice([0..1, 0..1, 0..1, 0..1])).await?,
                Embedding::Cpu(image) => finite(vec![image.prepared.first_value()])?,
            };
        }
        Ok(())
    }

    /// The same with the windowed pixels of the image, so that small boxes can be looked at closer.
    pub(crate) fn with_pixels(self, pixels: Arc<Image8>) -> Self {
        Self { pixels: Some(pixels), ..self }
    }

    /// Whether all pixels in and around a mask have the same value in the 8 bits that the network sees, so that no edge can be its outline; `false` of images whose
    /// pixels are not kept, and empty masks.
    pub(crate) fn is_flat_around(&self, mask: &[u8]) -> bool {
        let Some(pixels) = &self.pixels else { return false };
        let Geometry { width, height, .. } = self.geometry;
        let Some([x0, y0, x1, y1]) = bounds(mask, width) else { return false };
        // An outline is a little inside or outside of the object.
        let (across, down) = (1 + (x1 - x0) / 8, 1 + (y1 - y0) / 8);
        let (left, right) = (x0.saturating_sub(across), (x1 + across).min(width));
        let channels = pixels.channels;
        let row = |y: usize| &pixels.data[(y * width + left) * channels..(y * width + right) * channels];
        let first = &row(y0)[..channels];
        let is_same = |y: usize| row(y).chunks_exact(channels).all(|pixel| pixel == first);
        (y0.saturating_sub(down)..(y1 + down).min(height)).all(is_same)
    }

    /// Leaves the guarantees of an unlike image in its results, for who measures them.
    #[cfg(feature = "cli")]
    pub(crate) fn without_alarm(&mut self) {
        self.look = None;
    }

    /// Nothing is to be expected of a mask where there is nothing to be seen, and nothing to be promised of an image that is unlike the calibration's.
    pub(super) fn doubt(&self, found: &mut Segmentation, shift: Option<Shift>) {
        if self.is_flat_around(&found.mask) {
            found.expected_dsc = 0.0;
            found.needs_review = found.needs_review.map(|_| true);
        }
        found.shift = shift;
        if shift.is_some_and(|shift| shift.alarm) {
            found.withdraw();
            found.needs_review = found.needs_review.map(|_| true);
        }
    }

    /// How many mirrored images are encoded.
    pub fn flips(&self) -> usize {
        self.flipped.len()
    }

    pub(super) fn embedding(&self, flip: Option<Flip>) -> Option<&Embedding> {
        match flip {
            None => Some(&self.embedding),
            Some(flip) => self.flipped.iter().find(|(other, _)| *other == flip).map(|(_, embedding)| embedding),
        }
    }
}

/// Columns and rows of a mask: the first ones inside, and those after the last.
fn bounds(mask: &[u8], width: usize) -> Option<[usize; 4]> {
    let is_inside = |row: &[u8]| row.iter().any(|&inside| inside != 0);
    let mut rows = mask.chunks_exact(width);
    let top = rows.position(is_inside)?;
    let bottom = mask.len() / width - mask.rchunks_exact(width).position(is_inside)?;
    let columns =
        |row: &[u8]| Some([row.iter().position(|&inside| inside != 0)?, row.iter().rposition(|&inside| inside != 0)?]);
    let all = mask[top * width..bottom * width].chunks_exact(width).filter_map(columns);
    let [left, last] = all.reduce(|[a, b], [c, d]| [a.min(c), b.max(d)])?;
    Some([left, top, last + 1, bottom])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_have_bounds() {
        let mut mask = vec![0; 60];
        assert_eq!(bounds(&mask, 10), None);
        (mask[23], mask[31], mask[48]) = (1, 1, 1);
        assert_eq!(bounds(&mask, 10), Some([1, 2, 9, 5]));
    }
}
