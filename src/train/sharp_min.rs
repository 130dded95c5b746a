//! SharpMin: Sharpness-Aware Minimization.
//!
//! Source: Foret et al., *Sharpness-Aware Minimization for Efficiently Improving Generalization*, 2021; adaptive: Kwon et al., *ASAM*, 2021.
//! Begun late it finds minima about as flat as from the start (Zhou et al., *Sharpness-Aware Minimization Efficiently Selects Flatter Minima Late in Training*,
//! ICLR 2025), and a step without it costs half as much.
//! U-MedSAM calls it SharpMin; its ρ could not be obtained, the companion work UU-Mamba uses 0.05, not adaptive.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How far to look for the worst weights nearby.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SharpMin {
    /// Radius of the neighbourhood.
    pub rho: f64,
    /// Measures the neighbourhood in units of each weight's size.
    pub adaptive: bool,
    /// Share of the run that is done without it first, 0–1.
    pub begin: f64,
}

impl Default for SharpMin {
    fn default() -> Self {
        Self { rho: 0.05, adaptive: false, begin: 0.0 }
    }
}

/// Keeps the step finite where there is no gradient.
const SMALLEST_NORM: f64 = 1e-12;

impl SharpMin {
    /// The weights of the neighbourhood where the loss is about largest: `w + ρ g / ‖g‖`, adaptive `w + ρ w² g / ‖|w| g‖`, the norm over all
    /// parameters that have a gradient. The norm stays on the device.
    pub fn ascend<M: Module>(&self, module: M, gradients: &GradientsParams) -> M {
        match gradient_norm(&module, gradients, self.adaptive) {
            Some(norm) => {
                let scale = (norm + SMALLEST_NORM).recip() * self.rho;
                module.map(&mut Ascent { gradients, adaptive: self.adaptive, scale })
            }
            None => module,
        }
    }

    /// The gradient to descend by: the one at the weights nearby where the loss is about largest. `gradient` is called twice, with the same
    /// data. Also returns what it said of the module itself.
    pub fn gradient<M: Module, T>(
        &self,
        module: &M,
        mut gradient: impl FnMut(&M) -> (GradientsParams, T),
    ) -> (GradientsParams, T) {
        let (gradients, value) = gradient(module);
        let worst = self.ascend(module.clone(), &gradients);
        (gradient(&worst).0, value)
    }
}

/// The norm `[1]` of all gradients together, adaptive each times its weight; `None` without gradients.
pub(super) fn gradient_norm<M: Module>(module: &M, gradients: &GradientsParams, adaptive: bool) -> Option<Tensor<1>> {
    let mut norm = SquaredNorm { gradients, adaptive, sum: None };
    module.visit(&mut norm);
    norm.sum.map(Tensor::sqrt)
}

struct SquaredNorm<'a> {
    gradients: &'a GradientsParams,
    adaptive: bool,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for SquaredNorm<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return };
        let gradient = match self.adaptive {
            true => gradient * param.val().inner().abs(),
            false => gradient,
        };
        let squared = gradient.square().sum();
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum + squared,
            None => squared,
        });
    }
}

struct Ascent<'a> {
    gradients: &'a GradientsParams,
    adaptive: bool,
    /// ρ divided by the norm, `[1]`.
    scale: Tensor<1>,
}

impl ModuleMapper for Ascent<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return param };
        param.map(|weight| {
            let weight = weight.inner();
            let gradient = match self.adaptive {
                true => gradient * weight.clone().square(),
                false => gradient,
            };
            let moved = weight + gradient * self.scale.clone().unsqueeze();
            Tensor::from_inner(moved).require_grad()
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::optim::{AdamWConfig, SgdConfig};
    use burn::tensor::{Device, TensorData};

    use super::*;

    #[derive(Module, Debug)]
    struct Weights {
        a: Param<Tensor<1>>,
        b: Param<Tensor<2>>,
        unused: Param<Tensor<1>>,
    }

    impl Weights {
        fn new(a: [f32; 2], b: [f32; 2]) -> Self {
            let device = Device::flex().autodiff();
            Self {
                a: Param::from_tensor(Tensor::from_data(a, &device)),
                b: Param::from_tensor(Tensor::from_data(TensorData::new(b.to_vec(), [1, 2]), &device)),
                unused: Param::from_tensor(Tensor::from_data([7.0f32], &device)),
            }
        }

        /// Σ a² + 3 Σ b⁴
        fn loss(&self) -> Tensor<1> {
            self.a.val().square().sum() + self.b.val().powi_scalar(4).sum() * 3.0
        }

        fn gradients(&self) -> (GradientsParams, ()) {
            (GradientsParams::from_grads(self.loss().backward(), self), ())
        }

        fn values(&self) -> Vec<f32> {
            let values = |data: TensorData| data.try_to_vec::<f32>().unwrap();
            [values(self.a.val().into_data()), values(self.b.val().into_data()), values(self.unused.val().into_data())]
                .concat()
        }
    }

    fn ascended(sharp_min: SharpMin, weights: &Weights) -> Vec<f32> {
        let gradients = GradientsParams::from_grads(weights.loss().backward(), weights);
        sharp_min.ascend(weights.clone(), &gradients).values()
    }

    #[test]
    fn the_ascent_has_the_length_and_direction_of_the_formula() {
        let weights = Weights::new([1.0, -2.0], [0.5, 1.0]);
        // ∂/∂a = 2 a, ∂/∂b = 12 b³
        let (w, g) = ([1.0f64, -2.0, 0.5, 1.0], [2.0f64, -4.0, 1.5, 12.0]);
        let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
        let actual = ascended(SharpMin { rho: 0.1, adaptive: false, begin: 0.0 }, &weights);
        for index in 0..4 {
            assert!((f64::from(actual[index]) - (w[index] + 0.1 * g[index] / norm)).abs() < 1e-6);
        }
        assert_eq!(actual[4], 7.0, "a parameter without gradient moved");
        let norm = (0..4).map(|index| (w[index] * g[index]).powi(2)).sum::<f64>().sqrt();
        let actual = ascended(SharpMin { rho: 0.1, adaptive: true, begin: 0.0 }, &weights);
        for index in 0..4 {
            assert!((f64::from(actual[index]) - (w[index] + 0.1 * w[index].powi(2) * g[index] / norm)).abs() < 1e-6);
        }
    }

    #[test]
    fn a_step_is_bit_for_bit_the_two_passes() {
        let sharp_min = SharpMin { rho: 0.3, adaptive: false, begin: 0.0 };
        let config = AdamWConfig::new();
        let (mut one, mut other) = (Weights::new([1.0, -2.0], [0.5, 1.0]), Weights::new([1.0, -2.0], [0.5, 1.0]));
        // The same ids, so that the optimizers' states belong to the same parameters.
        other = Weights { a: one.a.clone(), b: one.b.clone(), unused: other.unused };
        let (mut optimizer, mut plain) = (config.init(), config.init());
        for _ in 0..5 {
            let (gradients, _) = sharp_min.gradient(&one, Weights::gradients);
            one = optimizer.step(0.1, one, gradients);
            let gradients = GradientsParams::from_grads(other.loss().backward(), &other);
            let worst = sharp_min.ascend(other.clone(), &gradients);
            let gradients = GradientsParams::from_grads(worst.loss().backward(), &worst);
            other = plain.step(0.1, other, gradients);
        }
        assert_eq!(one.values()[..4], other.values()[..4]);
    }

    /// `(u v − 1)²`: every point with u v = 1 is a minimum, of sharpness `2 (u² + v²)`, least at u = v = ±1.
    fn valley(weights: &Weights) -> Tensor<1> {
        let (u, v) = (weights.a.val().slice([0..1]), weights.a.val().slice([1..2]));
        (u * v - 1.0).square()
    }

    /// `u² + v²` of the minimum that is found from (3, 0.5).
    fn sharpness(sharp_min: Option<SharpMin>) -> f32 {
        const LEARNING_RATE: f64 = 0.05;
        let gradients = |weights: &Weights| (GradientsParams::from_grads(valley(weights).backward(), weights), ());
        let mut weights = Weights::new([3.0, 0.5], [0.0, 0.0]);
        let mut optimizer = SgdConfig::new().init();
        for _ in 0..500 {
            let gradients_of_step = match sharp_min {
                Some(sharp_min) => sharp_min.gradient(&weights, gradients).0,
                None => gradients(&weights).0,
            };
            weights = optimizer.step(LEARNING_RATE, weights, gradients_of_step);
        }
        let [u, v] = [0, 1].map(|index| weights.values()[index]);
        assert!((u * v - 1.0).abs() < 0.05, "({u}, {v}) is no minimum");
        u * u + v * v
    }

    #[test]
    fn sharp_minima_are_left_for_flat_ones() {
        assert!((sharpness(None) - 8.954).abs() < 0.01, "plain descent stays where it arrives");
        assert!((sharpness(Some(SharpMin { rho: 0.2, adaptive: false, begin: 0.0 })) - 2.0).abs() < 0.05);
    }

    #[test]
    fn without_gradients_nothing_moves() {
        let weights = Weights::new([1.0, 2.0], [3.0, 4.0]);
        let moved = SharpMin::default().ascend(weights.clone(), &GradientsParams::new());
        assert_eq!(moved.values(), weights.values());
        // A gradient of zero is no reason for NaN.
        let weights = Weights::new([0.0, 0.0], [0.0, 0.0]);
        assert_eq!(ascended(SharpMin::default(), &weights)[..4], [0.0; 4]);
    }
}
