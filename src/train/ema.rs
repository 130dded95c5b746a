//! Exponential moving average of the weights.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::container::TensorContainer;

/// The average of the trained parameters so far; the first steps count more, so that the start does not stay in it:
/// `decay_t = min(decay, (1 + t) / (10 + t))`.
///
/// Source: Polyak and Juditsky 1992; the warm-up is TensorFlow's `ExponentialMovingAverage`.
pub struct Ema {
    decay: f64,
    updates: usize,
    averages: TensorContainer<ParamId>,
}

impl Ema {
    /// An average that starts with a module, after some updates.
    pub fn new<M: Module>(decay: f64, module: &M, updates: usize) -> Self {
        let mut ema = Self { decay, updates, averages: TensorContainer::new() };
        module.visit(&mut Update { ema: &mut ema, decay: 0.0 });
        ema
    }

    /// Takes in the module after a step.
    pub fn update<M: Module>(&mut self, module: &M) {
        self.updates += 1;
        let updates = self.updates as f64;
        let decay = self.decay.min((1.0 + updates) / (10.0 + updates));
        module.visit(&mut Update { ema: self, decay });
    }

    /// The module with the average in place of its trained parameters.
    pub fn apply<M: Module>(&self, module: M) -> M {
        module.map(&mut Apply(self))
    }
}

struct Update<'a> {
    ema: &'a mut Ema,
    decay: f64,
}

impl ModuleVisitor for Update<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        if !value.is_require_grad() {
            return;
        }
        let value = value.inner();
        let averages = &mut self.ema.averages;
        let average = match averages.remove::<Tensor<D>>(&param.id) {
            Some(average) => average * self.decay + value * (1.0 - self.decay),
            None => value,
        };
        averages.register(param.id, average);
    }
}

struct Apply<'a>(&'a Ema);

impl ModuleMapper for Apply<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.0.averages.get::<Tensor<D>>(&param.id) {
            Some(average) => param.map(|_| Tensor::from_inner(average).require_grad()),
            None => param,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::loss::UncertaintyAware;
    use super::*;

    fn module(value: f32, like: Option<&UncertaintyAware>) -> UncertaintyAware {
        let device = Device::flex().autodiff();
        let module = like.cloned().unwrap_or_else(|| UncertaintyAware::new(1, &device));
        let sigma = module.sigma.map(|_| Tensor::from_data([value], &device).require_grad());
        UncertaintyAware { sigma }
    }

    fn value(module: &UncertaintyAware) -> f32 {
        module.sigma.val().into_data().try_into_vec::<f32>().unwrap()[0]
    }

    #[test]
    fn the_average_follows() {
        let start = module(0.0, None);
        let mut ema = Ema::new(0.5, &start, 0);
        assert_eq!(value(&ema.apply(start.clone())), 0.0);
        let next = module(11.0, Some(&start));
        ema.update(&next);
        // The first decay is 2 / 11.
        assert!((value(&ema.apply(next.clone())) - 9.0).abs() < 1e-5);
        for _ in 0..60 {
            ema.update(&next);
        }
        assert!((value(&ema.apply(start)) - 11.0).abs() < 1e-4);
        assert_eq!(value(&next), 11.0);
    }
}
