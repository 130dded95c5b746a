//! Embeddings kept between runs.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};

use crate::error::{Error, Result};
use crate::image::{Flip, ImageView, Pixels, Window};
use crate::segment::{EncodedImage, Segmenter};
use crate::uncertainty::UncertaintyOptions;
use crate::weights::sha256_hex;

/// A folder of embeddings, 4 MB an image, named by the weights and the network's input; or no folder, and every image is encoded.
#[derive(Debug, Clone)]
pub struct EmbeddingCache {
    folder: Option<PathBuf>,
    /// Distinguishes weights.
    key: String,
}

impl EmbeddingCache {
    /// A cache in `folder` for a weight file's bytes. Files that differ in their metadata only, such as the calibration, share it.
    pub fn new(folder: Option<PathBuf>, weights: &[u8]) -> Self {
        let header =
            weights.first_chunk().map_or(0, |&length| usize::try_from(u64::from_le_bytes(length)).unwrap_or(0));
        let tensors = weights.get(header.saturating_add(8)..).unwrap_or(weights);
        Self { folder, key: sha256_hex(tensors) }
    }

    /// Encodes an image, and its mirror images where the options need them, or reads what an earlier run encoded.
    ///
    /// # Errors
    /// [`Error::InvalidImage`] if the image cannot be used; [`Error::File`] if the folder cannot be written.
    pub fn encode(
        &self,
        segmenter: &Segmenter,
        pixels: &[u8],
        [width, height, channels]: [usize; 3],
        options: &UncertaintyOptions,
    ) -> Result<EncodedImage> {
        let view = ImageView::new(Pixels::U8(pixels), width, height, channels)?;
        let preprocessed = segmenter.preprocess(&view, Window::Auto)?;
        let input: Vec<u8> = preprocessed.input.iter().flat_map(|value| value.to_le_bytes()).collect();
        let name = sha256_hex(&[self.key.as_bytes(), &input].concat());
        let embedding = match self.read(segmenter, &name, None) {
            Some(embedding) => embedding,
            None => {
                let embedding = segmenter.encode(&preprocessed, |_| ()).embedding;
                self.write(&name, None, &embedding)?;
                embedding
            }
        };
        let mut image = EncodedImage { embedding, flipped: Vec::new(), geometry: preprocessed.geometry };
        for &flip in options.flips() {
            image.flipped.extend(self.read(segmenter, &name, Some(flip)).map(|embedding| (flip, embedding)));
        }
        let read = image.flipped.len();
        segmenter.encode_flips(&preprocessed, options, &mut image);
        for (flip, embedding) in &image.flipped[read..] {
            self.write(&name, Some(*flip), embedding)?;
        }
        Ok(image)
    }

    fn path(&self, name: &str, flip: Option<Flip>) -> Option<PathBuf> {
        let suffix = match flip {
            None => "",
            Some(Flip::Horizontal) => "-horizontal",
            Some(Flip::Vertical) => "-vertical",
        };
        self.folder.as_ref().map(|folder| folder.join(format!("{name}{suffix}.f32")))
    }

    fn read(&self, segmenter: &Segmenter, name: &str, flip: Option<Flip>) -> Option<Tensor<4>> {
        let bytes = std::fs::read(self.path(name, flip)?).ok()?;
        let encoder = &segmenter.metadata().config.image_encoder;
        let shape = [1, encoder.embedding_size(), encoder.embedding_size(), encoder.out_channels()];
        let (values, rest) = bytes.as_chunks();
        let values: Vec<f32> = values.iter().map(|&value| f32::from_le_bytes(value)).collect();
        let is_whole = rest.is_empty() && values.len() == shape.iter().product::<usize>();
        is_whole.then(|| Tensor::from_data(TensorData::new(values, shape), &Device::flex()))
    }

    /// Beside and renamed, so that a reader never meets half a file.
    fn write(&self, name: &str, flip: Option<Flip>, embedding: &Tensor<4>) -> Result<()> {
        let Some(path) = self.path(name, flip) else { return Ok(()) };
        let values: Vec<f32> = embedding.clone().into_data().try_into_vec().expect("embeddings are f32");
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let partial = path.with_extension(format!("{:?}", std::thread::current().id()));
        let folder = path.parent().expect("it is in the folder");
        let written = std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&partial, bytes))
            .and_then(|()| std::fs::rename(&partial, &path));
        written.map_err(|error| {
            let _ = std::fs::remove_file(&partial);
            Error::file(&path, error)
        })
    }
}
