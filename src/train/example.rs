//! What a step learns from.

use burn::tensor::Tensor;

use crate::model::prompt_encoder::InputPrompt;

/// One image with some boxes.
#[derive(Debug, Clone)]
pub struct Example {
    /// File, slice and labels, for people.
    pub name: String,
    /// The folder under the data folder.
    pub modality: String,
    /// The image.
    pub image: ExampleImage,
    /// Columns and rows of the input that the image takes up; the rest is padding.
    pub content: [usize; 2],
    /// What the prompts are to give, in the same number for all examples of a batch; none where only the embedding is learned.
    pub structures: Vec<Structure>,
    /// The teacher's embedding of the image, where there is a teacher.
    pub teacher: Option<Tensor<4>>,
}

/// A prompt, its mask, and how often the answer is corrected.
#[derive(Debug, Clone)]
pub struct Structure {
    /// The first prompt.
    pub prompt: InputPrompt,
    /// 1 inside, 0 outside: `low_res_size · low_res_size` values.
    pub mask: Vec<u8>,
    /// Signed distance to the mask's edge, where the boundary loss needs it.
    pub distance: Option<Vec<f32>>,
    /// Clicks that correct the answer, one after the other.
    pub corrections: Corrections,
}

/// Clicks that correct an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Corrections {
    /// At most this many: a mask without error needs none.
    pub count: usize,
    /// Where chance puts them, and which mask prompts it leaves out; without it every click is in the middle of the largest error.
    pub seed: Option<u64>,
}

/// The image of an example.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
pub enum ExampleImage {
    /// Its embedding, `[1, embedding_size, embedding_size, dim]`, where the encoder does not change.
    Embedding(Tensor<4>),
    /// The network's input, `input_size · input_size · 3` values.
    Input(Vec<f32>),
}
