//! Embeddings kept between runs.

use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Tensor, TensorData};
use safetensors::SafeTensors;

use crate::error::{Error, Result};
use crate::image::{ImageView, Pixels, Preprocessed, Window};
use crate::segment::{EncodedImage, Segmenter};
use crate::uncertainty::UncertaintyOptions;
use crate::weights::{Precision, sha256_hex};

/// A folder of embeddings, named by the image encoder's weights and the network's input; or no folder, and every image is encoded.
#[derive(Debug, Clone)]
pub struct EmbeddingCache {
    folder: Option<PathBuf>,
    precision: Precision,
    /// Distinguishes encoders.
    key: String,
}

impl EmbeddingCache {
    /// A cache in `folder` for a weight file's bytes. Files with the same image encoder share it, whatever their decoder and metadata.
    pub fn new(folder: Option<PathBuf>, weights: &[u8]) -> Self {
        Self { folder, precision: Precision::F32, key: encoder_key(weights) }
    }

    /// The same folder with embeddings in 16 bits, 2 MB an image at 256 pixels instead of 4: for training, which does not notice.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// What distinguishes this encoder from others.
    pub fn key(&self) -> &str {
        &self.key
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
        self.encode_preprocessed(segmenter, &segmenter.preprocess(&view, Window::Auto)?, options)
    }

    /// The same for an image that is preprocessed already.
    ///
    /// # Errors
    /// [`Error::File`] if the folder cannot be written.
    pub fn encode_preprocessed(
        &self,
        segmenter: &Segmenter,
        preprocessed: &Preprocessed,
        options: &UncertaintyOptions,
    ) -> Result<EncodedImage> {
        let embedding = self.embed(segmenter, &preprocessed.input)?;
        let mut image = segmenter.encoded(embedding, preprocessed.geometry).with_pixels(preprocessed.windowed.clone());
        for &flip in options.flips() {
            segmenter.add_flip(&mut image, flip, self.embed(segmenter, &preprocessed.flipped_input(flip))?);
        }
        Ok(image)
    }

    /// The embedding `[1, embedding_size, embedding_size, dim]` of a preprocessed input.
    ///
    /// # Errors
    /// [`Error::File`] if the folder cannot be written.
    pub fn embed(&self, segmenter: &Segmenter, input: &[f32]) -> Result<Tensor<4>> {
        let Some(path) = self.path(input) else { return Ok(segmenter.embed(input.to_vec())) };
        if let Some(embedding) = self.read(segmenter, &path) {
            return Ok(embedding);
        }
        let embedding = segmenter.embed(input.to_vec());
        self.write(&path, &embedding)?;
        // As the next run will read it.
        Ok(match self.precision {
            Precision::F32 => embedding,
            Precision::F16 | Precision::I8 => self.read(segmenter, &path).unwrap_or(embedding),
        })
    }

    fn path(&self, input: &[f32]) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        let input: Vec<u8> = input.iter().flat_map(|value| value.to_le_bytes()).collect();
        let name = sha256_hex(&[self.key.as_bytes(), &input].concat());
        Some(folder.join(format!("{name}.{}", self.precision.name())))
    }

    fn dtype(&self) -> DType {
        match self.precision {
            Precision::F32 => DType::F32,
            Precision::F16 | Precision::I8 => DType::F16,
        }
    }

    fn read(&self, segmenter: &Segmenter, path: &Path) -> Option<Tensor<4>> {
        let bytes = std::fs::read(path).ok()?;
        let encoder = &segmenter.metadata().config.image_encoder;
        let shape = [1, encoder.embedding_size(), encoder.embedding_size(), encoder.out_channels()];
        let data = TensorData::try_from_bytes_vec(bytes, shape, self.dtype()).ok()?;
        Some(Tensor::from_data(data.convert_dtype(DType::F32), &Device::flex()))
    }

    /// Beside and renamed, so that a reader never meets half a file.
    fn write(&self, path: &Path, embedding: &Tensor<4>) -> Result<()> {
        let bytes = embedding.clone().into_data().convert_dtype(self.dtype()).into_bytes();
        let partial = path.with_extension(format!("{:?}", std::thread::current().id()));
        let folder = path.parent().expect("it is in the folder");
        let written = std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&partial, &*bytes))
            .and_then(|()| std::fs::rename(&partial, path));
        written.map_err(|error| {
            let _ = std::fs::remove_file(&partial);
            Error::file(path, error)
        })
    }
}

/// The SHA-256 of an image encoder's tensors; of the whole file where there are none.
fn encoder_key(weights: &[u8]) -> String {
    let Ok(tensors) = SafeTensors::deserialize(weights) else { return sha256_hex(weights) };
    let mut encoder: Vec<_> = tensors.iter().filter(|(name, _)| name.starts_with("image_encoder.")).collect();
    encoder.sort_by_key(|(name, _)| *name);
    let bytes: Vec<u8> = encoder.iter().flat_map(|(name, tensor)| [name.as_bytes(), tensor.data()].concat()).collect();
    sha256_hex(if bytes.is_empty() { weights } else { &bytes })
}
