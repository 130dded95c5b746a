//! From an image to its embedding.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};

use super::image::Embedding;
use super::pace::{Pace, Unpaced, at_once};
use super::zoom::{CROPS_KEPT, EncodedCrop};
use super::{CpuNetwork, Crop, EncodedImage, Segmenter};
use crate::error::Result;
use crate::image::{Flip, Geometry, ImageView, Pixels, Preprocessed, Window, preprocess};
use crate::uncertainty::UncertaintyOptions;

impl Segmenter {
    /// Windows, resizes and scales an image to the network's input.
    ///
    /// # Errors
    /// As [`preprocess`].
    pub fn preprocess(&self, image: &ImageView, window: Window) -> Result<Preprocessed> {
        preprocess(image, window, self.metadata.config.input_size())
    }

    /// Encodes a preprocessed image. `progress` gets the share of the work handed to the device, 0–1.
    pub fn encode(&self, preprocessed: &Preprocessed, progress: impl FnMut(f64)) -> EncodedImage {
        at_once(self.encode_paced(preprocessed, &mut Unpaced(progress))).expect("nothing ends it")
    }

    /// As [`Segmenter::encode`], at somebody's pace.
    ///
    /// # Errors
    /// The pace's.
    pub async fn encode_paced(&self, preprocessed: &Preprocessed, pace: &mut impl Pace) -> Result<EncodedImage> {
        let embedding = self.embed_paced(preprocessed.input.clone(), pace).await?;
        Ok(self.encoded(embedding, preprocessed.geometry).with_pixels(preprocessed.windowed.clone()))
    }

    /// An image whose embedding `[1, embedding_size, embedding_size, dim]` is there already.
    pub(crate) fn encoded(&self, embedding: Tensor<4>, geometry: Geometry) -> EncodedImage {
        EncodedImage {
            embedding: self.prepare(embedding),
            flipped: Vec::new(),
            pixels: None,
            crops: Vec::new(),
            geometry,
        }
    }

    /// Gives an image the embedding of its mirror image.
    pub(crate) fn add_flip(&self, image: &mut EncodedImage, flip: Flip, embedding: Tensor<4>) {
        image.flipped.push((flip, self.prepare(embedding)));
    }

    fn prepare(&self, embedding: Tensor<4>) -> Embedding {
        match self.cpu.as_deref() {
            Some(CpuNetwork { decoder, .. }) => {
                let values = embedding.into_data().try_into_vec().expect("embeddings are f32");
                Embedding::Cpu(Arc::new(decoder.prepare(values)))
            }
            None => Embedding::Tensor(Box::new(embedding)),
        }
    }

    /// Encodes the mirrored images that the options ask for and that are not there yet.
    ///
    /// # Errors
    /// The pace's.
    pub async fn encode_flips(
        &self,
        preprocessed: &Preprocessed,
        options: &UncertaintyOptions,
        image: &mut EncodedImage,
        pace: &mut impl Pace,
    ) -> Result<()> {
        for &flip in options.flips() {
            if image.embedding(Some(flip)).is_none() {
                let embedding = self.embed_paced(preprocessed.flipped_input(flip), pace).await?;
                self.add_flip(image, flip, embedding);
            }
        }
        Ok(())
    }

    /// The embedding of `input_size · input_size · 3` values.
    #[cfg(feature = "cli")]
    pub(crate) fn embed(&self, input: Vec<f32>) -> Tensor<4> {
        at_once(self.embed_paced(input, &mut Unpaced(|_| ()))).expect("nothing ends it")
    }

    async fn embed_paced(&self, input: Vec<f32>, pace: &mut impl Pace) -> Result<Tensor<4>> {
        let size = self.metadata.config.input_size();
        let steps = self.model.network.image_encoder.steps() as f64;
        let mut done = 0.0;
        if let Some(CpuNetwork { encoder: Some(encoder), .. }) = self.cpu.as_deref() {
            let config = &self.metadata.config.image_encoder;
            let shape = [1, config.embedding_size(), config.embedding_size(), config.out_channels()];
            let mut after_step = async |_: &str, _: &[f32]| {
                done += 1.0;
                pace.after(done / steps).await
            };
            let embedding = encoder.forward_in_steps(&input, size, &mut after_step).await?;
            return Ok(Tensor::from_data(TensorData::new(embedding, shape), &self.device));
        }
        // A GPU only takes orders here, which it carries out by itself.
        let input = Tensor::<4>::from_data(TensorData::new(input, [1, size, size, 3]), &self.device);
        let mut shares = Vec::new();
        let embedding = self.model.encode(input, &mut |_, _| {
            done += 1.0;
            shares.push(done / steps);
        });
        for share in shares {
            pace.after(share).await?;
        }
        Ok(embedding)
    }

    /// A part of the image with its embedding, and its mirror images' where the options need them.
    pub(super) async fn encoded_crop<'a>(
        &self,
        image: &'a mut EncodedImage,
        crop: Crop,
        options: &UncertaintyOptions,
        pace: &mut impl Pace,
    ) -> Result<&'a EncodedImage> {
        let (mut kept, is_new) = match image.crops.iter().position(|kept| kept.crop == crop) {
            Some(place) => (image.crops.remove(place), false),
            None => {
                let pixels = crop.cut(image.pixels.as_ref().expect("crops are of images with pixels"));
                let view = ImageView::new(Pixels::U8(&pixels.data), crop.width, crop.height, pixels.channels)?;
                let preprocessed = self.preprocess(&view, Window::Auto)?;
                let mut encoded = self.encode_paced(&preprocessed, pace).await?;
                encoded.pixels = None;
                (EncodedCrop { crop, preprocessed, encoded }, true)
            }
        };
        let flips = kept.encoded.flips();
        self.encode_flips(&kept.preprocessed, options, &mut kept.encoded, pace).await?;
        if is_new || kept.encoded.flips() > flips {
            kept.encoded.wait().await?;
        }
        image.crops.truncate(CROPS_KEPT - 1);
        image.crops.insert(0, kept);
        Ok(&image.crops[0].encoded)
    }
}
