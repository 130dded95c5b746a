//! What a step learns from.

use burn::tensor::Tensor;

use crate::model::prompt_encoder::InputBox;

/// One image with some boxes.
#[derive(Debug, Clone)]
pub struct Example {
    /// File, slice and labels, for people.
    pub name: String,
    /// The folder under the data folder.
    pub modality: String,
    /// The image.
    pub image: ExampleImage,
    /// What the boxes are to give, in the same number for all examples of a batch; none where only the embedding is learned.
    pub structures: Vec<Structure>,
    /// The teacher's embedding of the image, where there is a teacher.
    pub teacher: Option<Tensor<4>>,
}

/// A box and its mask.
#[derive(Debug, Clone)]
pub struct Structure {
    /// The prompt.
    pub bounding_box: InputBox,
    /// 1 inside, 0 outside: `low_res_size · low_res_size` values.
    pub mask: Vec<u8>,
    /// Signed distance to the mask's edge, where the boundary loss needs it.
    pub distance: Option<Vec<f32>>,
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
