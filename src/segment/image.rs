//! What is kept of an image to answer prompts.

use std::sync::{Arc, OnceLock};

use burn::tensor::Tensor;

use super::network::{finite, read};
use super::zoom::EncodedCrop;
use crate::error::Result;
use crate::image::{Flip, Geometry, Image8};
use crate::model::mask_decoder::PreparedImage;

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
    /// Where the image lies in the network's input.
    pub geometry: Geometry,
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
