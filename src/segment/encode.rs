//! From an image to its embedding.

use std::sync::OnceLock;

use burn::tensor::Tensor;

use super::image::Look;
use super::pace::{Pace, Unpaced, at_once};
use super::zoom::{CROPS_KEPT, EncodedCrop};
use super::{Crop, EncodedImage, Segmenter};
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
        let look = self
            .alarm()
            .map(|_| Look { features: self.network.features(&embedding, &geometry), shift: OnceLock::new() });
        EncodedImage {
            look,
            embedding: self.network.prepare(embedding),
            flipped: Vec::new(),
            pixels: None,
            crops: Vec::new(),
            geometry,
        }
    }

    /// Gives an image the embedding of its mirror image.
    pub(crate) fn add_flip(&self, image: &mut EncodedImage, flip: Flip, embedding: Tensor<4>) {
        image.flipped.push((flip, self.network.prepare(embedding)));
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
        self.network.embed(&self.metadata.config, input, pace).await
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
