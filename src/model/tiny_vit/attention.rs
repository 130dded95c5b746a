//! Attention in windows.

use burn::module::{Module, Param};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::kernels::matmul;
use crate::model::common::linear;
use crate::model::layers::{LayerNorm, Linear, lazy};

/// Multi-head self-attention in a window, with a learned bias per head and per absolute offset (LeViT).
#[derive(Module, Debug)]
pub struct Attention {
    /// Normalization of the input.
    pub norm: LayerNorm,
    /// Queries, keys and values, head by head.
    pub qkv: Linear,
    /// Output projection.
    pub proj: Linear,
    /// Bias per head and offset, `[heads, window²]`.
    pub attention_biases: Param<Tensor<2>>,
    /// The same expanded to every pair of tokens, `[1, heads, window², window²]`; present once folded.
    pub ab: Option<Param<Tensor<4>>>,
    pub(super) num_heads: usize,
    pub(super) window_size: usize,
}

impl Attention {
    pub(super) fn init(dim: usize, num_heads: usize, window_size: usize, device: &Device) -> Self {
        Self {
            norm: LayerNorm::init(dim, device),
            qkv: Linear::init(dim, 3 * dim, device),
            proj: Linear::init(dim, dim, device),
            attention_biases: lazy([num_heads, window_size * window_size], device, move |device| {
                Tensor::zeros([num_heads, window_size * window_size], device)
            }),
            ab: None,
            num_heads,
            window_size,
        }
    }

    /// Attends within windows; the image is padded with zeros to whole windows, and padded tokens take part.
    ///
    /// # Shapes
    /// - `x` and output: `[batch, height, width, dim]`
    pub(super) fn forward_windows(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, dim] = x.dims();
        let window = self.window_size;
        let (rows, columns) = (height.div_ceil(window), width.div_ceil(window));
        let (padded_height, padded_width) = (rows * window, columns * window);
        let padded = [padded_height, padded_width] != [height, width];
        let x = match padded {
            true => {
                let device = x.device();
                let right = Tensor::zeros([batch, height, padded_width - width, dim], &device);
                let x = Tensor::cat(vec![x, right], 2);
                let below = Tensor::zeros([batch, padded_height - height, padded_width, dim], &device);
                Tensor::cat(vec![x, below], 1)
            }
            false => x,
        };
        let x = x.reshape([batch, rows, window, columns, window, dim]).permute([0, 1, 3, 2, 4, 5]).reshape([
            batch * rows * columns,
            window * window,
            dim,
        ]);
        let x = self
            .forward(x)
            .reshape([batch, rows, columns, window, window, dim])
            .permute([0, 1, 3, 2, 4, 5])
            .reshape([batch, padded_height, padded_width, dim]);
        match padded {
            true => x.slice([0..batch, 0..height, 0..width]),
            false => x,
        }
    }

    /// # Shapes
    /// - `x` and output: `[windows, window², dim]`
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [windows, tokens, dim] = x.dims();
        let heads = self.num_heads;
        let head_dim = dim / heads;
        let qkv = linear(&self.qkv, self.norm.forward(x))
            .reshape([windows, tokens, heads, 3, head_dim])
            .permute([3, 0, 2, 1, 4]);
        let part = |index: usize| qkv.clone().slice([index..index + 1]).reshape([windows, heads, tokens, head_dim]);
        let (q, k, v) = (part(0) * (head_dim as f64).powf(-0.5), part(1), part(2));
        let bias = match &self.ab {
            Some(bias) => bias.val(),
            None => self.expanded_biases(),
        };
        let attention = softmax(matmul(q, k.transpose()) + bias, 3);
        let x = matmul(attention, v).permute([0, 2, 1, 3]).reshape([windows, tokens, dim]);
        linear(&self.proj, x)
    }

    /// The bias of every pair of tokens. The offset (|Δrow|, |Δcolumn|) has index `|Δrow| · window + |Δcolumn|`: the order in
    /// which the reference meets the offsets when it walks all pairs row by row.
    ///
    /// # Shapes
    /// - output: `[1, heads, window², window²]`
    pub(super) fn expanded_biases(&self) -> Tensor<4> {
        let window = self.window_size;
        let tokens = window * window;
        let offset = |from: usize, to: usize| {
            (from / window).abs_diff(to / window) * window + (from % window).abs_diff(to % window)
        };
        let index: Vec<i32> = (0..tokens * tokens).map(|pair| offset(pair / tokens, pair % tokens) as i32).collect();
        let biases = self.attention_biases.val();
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [tokens * tokens]), &biases.device());
        biases.select(1, index).reshape([1, self.num_heads, tokens, tokens])
    }

    pub(super) fn fold(mut self) -> Self {
        self.ab = Some(Param::from_tensor(self.expanded_biases()));
        self
    }
}
