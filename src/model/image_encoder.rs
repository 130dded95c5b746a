//! The image encoder's variants. Everything else sees only these types.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::efficient_vit_sam::{EfficientVitSam, EfficientVitSamConfig};
use super::student::{Student, StudentConfig, StudentCpu};
use super::tiny_vit::{TinyVit, TinyVitConfig, TinyVitCpu};
use crate::error::Result;
use crate::segment::at_once;

/// Sizes of an [`ImageEncoder`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ImageEncoderConfig {
    /// LiteMedSAM's TinyViT.
    TinyVit(TinyVitConfig),
    /// The light encoder.
    Student(StudentConfig),
    /// EfficientViT-SAM's.
    EfficientVitSam(EfficientVitSamConfig),
}

impl ImageEncoderConfig {
    /// Side of the square input, in pixels.
    pub fn input_size(&self) -> usize {
        match self {
            Self::TinyVit(config) => config.input_size,
            Self::Student(config) => config.input_size,
            Self::EfficientVitSam(config) => config.input_size,
        }
    }

    /// Side of the embedding, in tokens.
    pub fn embedding_size(&self) -> usize {
        match self {
            Self::TinyVit(config) => config.embedding_size(),
            Self::Student(config) => config.embedding_size(),
            Self::EfficientVitSam(config) => config.embedding_size,
        }
    }

    /// Channels of the embedding.
    pub fn out_channels(&self) -> usize {
        match self {
            Self::TinyVit(config) => config.out_channels,
            Self::Student(config) => config.out_channels,
            Self::EfficientVitSam(config) => config.out_channels,
        }
    }

    /// What is wrong with the sizes, if anything.
    pub fn check(&self) -> std::result::Result<(), String> {
        match self {
            Self::TinyVit(config) => config.check(),
            Self::Student(config) => config.check(),
            Self::EfficientVitSam(config) => config.check(),
        }
    }

    /// Creates the encoder with random weights.
    pub fn init(&self, device: &Device) -> ImageEncoder {
        match self {
            Self::TinyVit(config) => ImageEncoder::TinyVit(config.init(device)),
            Self::Student(config) => ImageEncoder::Student(config.init(device)),
            Self::EfficientVitSam(config) => ImageEncoder::EfficientVitSam(config.init(device)),
        }
    }
}

/// An image encoder.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum ImageEncoder {
    /// LiteMedSAM's TinyViT.
    TinyVit(TinyVit),
    /// The light encoder.
    Student(Student),
    /// EfficientViT-SAM's.
    EfficientVitSam(EfficientVitSam),
}

impl ImageEncoder {
    /// Encodes an image; `observe` gets each part's name and output as it is done.
    ///
    /// # Shapes
    /// - `x`: `[1, input_size, input_size, 3]`, values in 0–1
    /// - output: `[1, embedding_size, embedding_size, out_channels]`
    pub fn forward(&self, x: Tensor<4>, observe: &mut dyn FnMut(&str, &Tensor<4>)) -> Tensor<4> {
        match self {
            Self::TinyVit(encoder) => encoder.forward(x, observe),
            Self::Student(encoder) => encoder.forward(x, observe),
            Self::EfficientVitSam(encoder) => encoder.forward(x, observe),
        }
    }

    /// How often [`ImageEncoder::forward`] calls its observer.
    pub fn steps(&self) -> usize {
        match self {
            Self::TinyVit(encoder) => encoder.steps(),
            Self::Student(encoder) => encoder.steps(),
            Self::EfficientVitSam(encoder) => encoder.steps(),
        }
    }

    /// Folds batch normalizations and expands attention biases, for inference.
    pub fn fold(self) -> Self {
        match self {
            Self::TinyVit(encoder) => Self::TinyVit(encoder.fold()),
            Self::Student(encoder) => Self::Student(encoder.fold()),
            Self::EfficientVitSam(encoder) => Self::EfficientVitSam(encoder.fold()),
        }
    }
}

/// An [`ImageEncoder`] on kernels of our own, for inference on the CPU at batch 1.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
pub enum ImageEncoderCpu {
    /// LiteMedSAM's TinyViT.
    TinyVit(TinyVitCpu),
    /// The light encoder.
    Student(StudentCpu),
}

impl ImageEncoderCpu {
    /// Packs the weights of a folded encoder on the CPU; `None` if there are no such kernels for it.
    pub fn new(encoder: &ImageEncoder) -> Option<Self> {
        match encoder {
            ImageEncoder::TinyVit(encoder) => Some(Self::TinyVit(TinyVitCpu::new(encoder))),
            ImageEncoder::Student(encoder) => Some(Self::Student(StudentCpu::new(encoder))),
            ImageEncoder::EfficientVitSam(_) => None,
        }
    }

    /// Encodes an image; `observe` is called as often as [`ImageEncoder::forward`] calls it, with the same names and the activations' values.
    ///
    /// # Shapes
    /// - `input`: `[side, side, 3]`, values in 0–1
    /// - output: `[embedding_size, embedding_size, out_channels]`
    pub fn forward(&self, input: &[f32], side: usize, observe: &mut dyn FnMut(&str, &[f32])) -> Vec<f32> {
        let mut observe = async |name: &str, values: &[f32]| {
            observe(name, values);
            Ok(())
        };
        at_once(self.forward_in_steps(input, side, &mut observe)).expect("nothing ends it")
    }

    /// As [`ImageEncoderCpu::forward`]; `observe` may wait after each step, and end the work.
    ///
    /// # Errors
    /// The observer's.
    pub async fn forward_in_steps(&self, input: &[f32], side: usize, observe: &mut impl Observe) -> Result<Vec<f32>> {
        match self {
            Self::TinyVit(encoder) => encoder.forward(input, side, observe).await,
            Self::Student(encoder) => encoder.forward(input, side, observe).await,
        }
    }
}

/// What gets the name and the values of each part's output.
pub trait Observe: AsyncFnMut(&str, &[f32]) -> Result<()> {}

impl<F: AsyncFnMut(&str, &[f32]) -> Result<()>> Observe for F {}
