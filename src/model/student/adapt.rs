//! Batch statistics of a pretrained trunk on other images than it was trained on.

use burn::module::RunningState;
use burn::tensor::Tensor;

use super::{Student, trunk};
use crate::kernels::Activation;
use crate::model::common::{ConvBn, conv2d_nhwc};
use crate::model::efficient_vit::{ConvNorm, EfficientVit};
use crate::model::layers::BatchNorm;

impl Student {
    /// Replaces the running statistics of every batch normalization by those of some images, layer by layer; they stay as they are in all training after it, so
    /// that each example may have a graph of its own.
    ///
    /// # Shapes
    /// - `x`: `[batch, input_size, input_size, 3]`, values in 0–1
    pub fn adapt_norms(&mut self, x: Tensor<4>) {
        let mut map = adapt_conv_bn(&mut self.trunk.stem, trunk::centred(x), Activation::Relu6);
        let mut maps = Vec::new();
        for (index, stage) in self.trunk.stages.iter_mut().enumerate() {
            for block in stage {
                let input = map.clone();
                if let Some(expand) = &mut block.expand {
                    map = adapt_conv_bn(expand, map, Activation::Relu6);
                }
                map = adapt_conv_bn(&mut block.depthwise, map, Activation::Relu6);
                map = adapt_conv_bn(&mut block.project, map, Activation::None);
                if block.residual {
                    map = map + input;
                }
            }
            if self.laterals.contains(&index) {
                maps.push(map.clone());
            }
        }
        if self.efficient_vit.is_empty() {
            return;
        }
        let mut maps = maps.into_iter().zip(&self.neck.laterals).rev();
        let mut level = || maps.next().map(|(map, lateral)| super::neck::lateral(lateral, map));
        let (Some(deepest), Some(next)) = (level(), level()) else { return };
        let mut sum = super::neck::upsampled(deepest) + next;
        for module in &mut self.efficient_vit {
            sum = adapt_module(module, sum);
        }
    }
}

fn adapt_module(module: &mut EfficientVit, x: Tensor<4>) -> Tensor<4> {
    let attention = &mut module.context_module.main;
    let attended = attention.attend(x.clone());
    let x = adapt_conv_norm(&mut attention.proj, attended) + x;
    let bottleneck = &mut module.local_module.main;
    let hidden = bottleneck.widened(x.clone());
    adapt_conv_norm(&mut bottleneck.point_conv, hidden) + x
}

fn adapt_conv_bn(layer: &mut ConvBn, x: Tensor<4>, activation: Activation) -> Tensor<4> {
    if let Some(bn) = &mut layer.bn {
        adapt(bn, conv2d_nhwc(&layer.c, x.clone(), Activation::None));
    }
    layer.forward(x, activation)
}

fn adapt_conv_norm(layer: &mut ConvNorm, x: Tensor<4>) -> Tensor<4> {
    if let Some(bn) = &mut layer.norm {
        adapt(bn, conv2d_nhwc(&layer.conv, x.clone(), Activation::None));
    }
    layer.forward(x, Activation::None)
}

fn adapt(bn: &mut BatchNorm, output: Tensor<4>) {
    let [batch, height, width, channels] = output.dims();
    let values: Tensor<2> = output.reshape([batch * height * width, channels]);
    let mean = values.clone().mean_dim(0);
    let variance = (values - mean.clone()).square().mean_dim(0);
    bn.running_mean = RunningState::new(mean.squeeze_dim(0));
    bn.running_var = RunningState::new(variance.squeeze_dim(0));
}
