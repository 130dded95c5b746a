//! The sizes of a TinyViT.

use serde::{Deserialize, Serialize};

use crate::model::limits;

/// Sizes of a [`TinyVit`](super::TinyVit).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TinyVitConfig {
    /// Side of the square input, in pixels; a multiple of 4.
    pub input_size: usize,
    /// Channels of each stage.
    pub embed_dims: Vec<usize>,
    /// Blocks of each stage; the first stage is convolutional, the others attend in windows.
    pub depths: Vec<usize>,
    /// Attention heads of each stage (the first stage's is unused).
    pub num_heads: Vec<usize>,
    /// Side of the attention windows of each stage, in tokens (the first stage's is unused).
    pub window_sizes: Vec<usize>,
    /// Stride of the merge that ends each stage but the last.
    pub merge_strides: Vec<usize>,
    /// Widening of the hidden layer, in the convolutional blocks and in the attention blocks' MLPs.
    pub expand_ratio: usize,
    /// Channels of the embedding.
    pub out_channels: usize,
}

impl TinyVitConfig {
    /// LiteMedSAM's encoder.
    pub fn litemedsam() -> Self {
        Self {
            input_size: 256,
            embed_dims: vec![64, 128, 160, 320],
            depths: vec![2, 2, 6, 2],
            num_heads: vec![2, 4, 5, 10],
            window_sizes: vec![7, 7, 14, 7],
            merge_strides: vec![2, 2, 1],
            expand_ratio: 4,
            out_channels: 256,
        }
    }

    /// A small encoder of the same code, for fast tests.
    pub fn tiny() -> Self {
        Self {
            input_size: 64,
            embed_dims: vec![8, 16, 16, 24],
            depths: vec![1, 1, 1, 1],
            num_heads: vec![1, 2, 2, 3],
            window_sizes: vec![3, 3, 5, 3],
            merge_strides: vec![2, 2, 1],
            expand_ratio: 2,
            out_channels: 32,
        }
    }

    /// Side of the embedding, in tokens.
    pub fn embedding_size(&self) -> usize {
        self.merge_strides.iter().fold(self.input_size, |size, stride| size / stride)
    }

    /// What is wrong with the sizes, if anything.
    pub fn check(&self) -> Result<(), String> {
        limits::at_most(limits::SIDE, &[("input_size", &[self.input_size])])?;
        let (widths, heads) = (&self.embed_dims, &self.num_heads);
        limits::at_most(
            limits::WIDTH,
            &[("embed_dims", widths), ("num_heads", heads), ("out_channels", &[self.out_channels])],
        )?;
        limits::at_most(limits::DEPTH, &[("the number of stages", &[widths.len()]), ("depths", &self.depths)])?;
        limits::at_most(limits::WINDOW, &[("window_sizes", &self.window_sizes)])?;
        limits::at_most(limits::FACTOR, &[("expand_ratio", &[self.expand_ratio])])?;
        let stages = self.embed_dims.len();
        let lengths = [self.depths.len(), self.num_heads.len(), self.window_sizes.len(), self.merge_strides.len() + 1];
        if stages < 2 || lengths.iter().any(|&length| length != stages) {
            return Err(format!("TinyViT needs one entry per stage, got {stages} embed_dims and {lengths:?}"));
        }
        let sizes = [self.input_size, self.expand_ratio, self.out_channels];
        let lists = [&self.embed_dims, &self.num_heads, &self.window_sizes, &self.merge_strides];
        if sizes.contains(&0) || lists.iter().any(|list| list.contains(&0)) {
            return Err("TinyViT sizes must be positive".into());
        }
        if !widths[0].is_multiple_of(2) {
            return Err(format!("the first stage has {} channels, not an even number", widths[0]));
        }
        // There are no kernels for others.
        if self.merge_strides.iter().any(|&stride| stride > 2) {
            return Err(format!("merge_strides {:?}; use 1 or 2", self.merge_strides));
        }
        if self.embed_dims.iter().zip(&self.num_heads).skip(1).any(|(dim, heads)| dim % heads != 0) {
            return Err(format!("num_heads {:?} must divide embed_dims {:?}", self.num_heads, self.embed_dims));
        }
        if !self.input_size.is_multiple_of(self.merge_strides.iter().product::<usize>()) {
            return Err(format!("input_size {} is not a multiple of the strides", self.input_size));
        }
        Ok(())
    }
}
