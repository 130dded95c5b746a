//! What is kept of an image to answer prompts.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::decode::{finite, read};
use super::zoom::EncodedCrop;
use crate::error::Result;
use crate::image::{BoundingBox, Flip, Geometry, Image8};
use crate::model::mask_decoder::PreparedImage;
use crate::model::prompt_encoder::InputBox;

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
    Cpu(Arc<PreparedImage>),
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
                Embedding::Cpu(prepared) => finite(vec![prepared.first_value()])?,
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

/// A box and its place in the network's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxPrompt {
    /// In pixels of the image.
    pub bounding_box: BoundingBox,
    /// In pixels of the network's input.
    pub input: InputBox,
}

impl BoxPrompt {
    /// A box of the image, truncated to the input's pixels as the challenge's baseline does.
    pub fn new(bounding_box: BoundingBox, geometry: &Geometry) -> Self {
        Self { bounding_box, input: bounding_box.to_input(geometry) }
    }

    /// A box of the input.
    pub fn from_input(input: InputBox, geometry: &Geometry) -> Self {
        let corners = input.map(|coordinate| f64::from(coordinate) / geometry.scale());
        Self { bounding_box: BoundingBox(corners), input }
    }
}
