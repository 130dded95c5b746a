//! The optimizer of a configuration: σ apart from the weights, and gradients cut to a norm.

use burn::module::{Module, ModuleVisitor, Param, ParamGroup};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamWConfig, GradientsParams, LearningRate, ModuleOptimizer, Optimizer, SgdConfig};
use burn::tensor::{Device, Tensor};

use super::config::{OptimizerConfig, OptimizerKind};
use super::sharp_min::gradient_norm;

/// PyTorch's default, with which LiteMedSAM was trained; burn's is 1e-5.
const ADAM_EPSILON: f32 = 1e-8;

impl OptimizerConfig {
    /// Creates the optimizer of a [`Trainee`](super::objective::Trainee). The loss's σ have no weight decay and may have a learning rate of
    /// their own.
    pub fn init(&self) -> ModuleOptimizer {
        let sigma = ParamGroup::from_predicate("weighting");
        let trunk = ParamGroup::from_predicate("image_encoder.trunk");
        let decoder = ParamGroup::from_predicate("mask_decoder");
        let rate = self.sigma_learning_rate.map_or(1.0, |rate| rate / self.learning_rate);
        match self.kind {
            OptimizerKind::Adamw => {
                let adamw = |weight_decay| {
                    AdamWConfig::new().with_epsilon(ADAM_EPSILON).with_weight_decay(weight_decay).build()
                };
                ModuleOptimizer::from(adamw(self.weight_decay))
                    .with_group(sigma, Scaled { optimizer: adamw(0.0), rate }, None)
                    .with_group(trunk, Scaled { optimizer: adamw(self.weight_decay), rate: self.trunk_rate }, None)
                    .with_group(decoder, Scaled { optimizer: adamw(self.weight_decay), rate: self.decoder_rate }, None)
            }
            OptimizerKind::Sgd => {
                let momentum =
                    MomentumConfig { momentum: self.momentum, dampening: 0.0, nesterov: self.momentum > 0.0 };
                let sgd = SgdConfig::new().with_momentum(Some(momentum));
                let decayed = sgd.clone().with_weight_decay(Some(WeightDecayConfig { penalty: self.weight_decay }));
                ModuleOptimizer::from(decayed.clone().build())
                    .with_group(sigma, Scaled { optimizer: sgd.build(), rate }, None)
                    .with_group(trunk, Scaled { optimizer: decayed.clone().build(), rate: self.trunk_rate }, None)
                    .with_group(decoder, Scaled { optimizer: decayed.build(), rate: self.decoder_rate }, None)
            }
        }
    }
}

/// An optimizer with another learning rate.
#[derive(Clone)]
struct Scaled<O> {
    optimizer: O,
    rate: f64,
}

impl<O: Optimizer> Optimizer for Scaled<O> {
    type State<const D: usize> = O::State<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        self.optimizer.step(rate * self.rate, tensor, gradient, state)
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        O::to_device(state, device)
    }
}

/// Cuts the gradient of all parameters together to a norm, and returns the norm it had.
pub fn clip<M: Module>(module: &M, gradients: &mut GradientsParams, largest: Option<f64>) -> f64 {
    let norm = gradient_norm(module, gradients, false).map_or(0.0, |norm| f64::from(norm.into_scalar::<f32>()));
    if let Some(largest) = largest.filter(|largest| norm > *largest) {
        module.visit(&mut Scale { gradients, factor: largest / norm });
    }
    norm
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient * self.factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::loss::UncertaintyAware;
    use super::*;

    #[derive(Module, Debug)]
    struct Weights {
        weight: Param<Tensor<1>>,
        weighting: UncertaintyAware,
    }

    fn weights() -> Weights {
        let device = Device::flex().autodiff();
        Weights {
            weight: Param::from_tensor(Tensor::from_data([1.0f32, -1.0], &device)),
            weighting: UncertaintyAware::new(1, &device),
        }
    }

    fn gradients(weights: &Weights) -> GradientsParams {
        let loss = weights.weight.val().sum() * 3.0 + weights.weighting.sigma.val().sum() * 4.0;
        GradientsParams::from_grads(loss.backward(), weights)
    }

    fn values(weights: &Weights) -> Vec<f32> {
        let read = |tensor: Tensor<1>| tensor.into_data().try_into_vec::<f32>().unwrap();
        [read(weights.weight.val()), read(weights.weighting.sigma.val())].concat()
    }

    #[test]
    fn sigma_has_its_own_rate_and_no_decay() {
        for kind in [OptimizerKind::Adamw, OptimizerKind::Sgd] {
            let config = OptimizerConfig {
                kind,
                learning_rate: 0.01,
                weight_decay: 0.5,
                momentum: 0.0,
                sigma_learning_rate: Some(0.1),
                ..Default::default()
            };
            let weights = weights();
            let gradients = gradients(&weights);
            let after = values(&config.init().step(config.learning_rate, weights, gradients));
            let expected = match kind {
                // Adam's first step has the length of the rate; decay takes 0.5 % of a weight.
                OptimizerKind::Adamw => [0.995 - 0.01, -0.995 - 0.01, 1.0 - 0.1],
                OptimizerKind::Sgd => [1.0 - 0.01 * 3.5, -1.0 - 0.01 * 2.5, 1.0 - 0.1 * 4.0],
            };
            for (actual, expected) in after.iter().zip(expected) {
                assert!((actual - expected).abs() < 1e-5, "{kind:?}: {after:?}");
            }
        }
    }

    #[test]
    fn gradients_are_cut_together() {
        let weights = weights();
        // (3, 3, 4) has the norm √34.
        let mut cut = gradients(&weights);
        assert!((clip(&weights, &mut cut, Some(1.0)) - 34f64.sqrt()).abs() < 1e-5);
        assert!((clip(&weights, &mut cut, Some(2.0)) - 1.0).abs() < 1e-5);
        let sigma: Vec<f32> = cut.get::<1>(weights.weighting.sigma.id).unwrap().into_data().try_into_vec().unwrap();
        assert!((sigma[0] - 4.0 / 34f32.sqrt()).abs() < 1e-5);
        assert!((clip(&weights, &mut cut, None) - 1.0).abs() < 1e-5);
    }
}
