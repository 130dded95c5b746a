//! Prompts that are corrected, answer after answer: what a simulated person does between two answers of the network.
//!
//! Source: Kirillov et al., *Segment Anything*, 2023, appendix A: the logits of an answer are the mask prompt of the next, without a gradient between them; clicks
//! from the error of the answer before. Every answer has a loss.

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Tensor, TensorData};

use super::config::Interaction;
use super::example::{Example, Structure};
use super::objective::{Goal, Trainee};
use super::parallel;
use super::values::{LossValues, Losses};
use crate::metrics::dsc;
use crate::model::are_boxes_alone;
use crate::model::prompt_encoder::{InputPrompt, PLAIN_MASK_LOGIT};
use crate::random::SplitMix64;
use crate::simulated_user::ErrorRegion;

/// Somebody who corrects the answers to one prompt.
struct Session<'a> {
    structure: &'a Structure,
    content: [usize; 2],
    interaction: Option<Interaction>,
    prompt: InputPrompt,
    /// Low-res logits for the next answer.
    mask_prompt: Option<Vec<f32>>,
    random: Option<SplitMix64>,
    rounds_left: usize,
}

impl<'a> Session<'a> {
    fn new(structure: &'a Structure, content: [usize; 2], interaction: Option<Interaction>) -> Self {
        Self {
            structure,
            content,
            interaction,
            prompt: structure.prompt.clone(),
            mask_prompt: None,
            random: structure.corrections.seed.map(SplitMix64::new),
            rounds_left: structure.corrections.count,
        }
    }

    /// The mask of an answer, which ends with the image.
    fn mask(&self, logits: &[f32]) -> Vec<u8> {
        let size = logits.len().isqrt();
        let is_inside = |(pixel, &logit): (usize, &f32)| {
            u8::from(logit > 0.0 && pixel % size < self.content[0] && pixel / size < self.content[1])
        };
        logits.iter().enumerate().map(is_inside).collect()
    }

    /// Clicks where the answer is wrong. Returns whether there is a next answer.
    fn correct(&mut self, logits: Vec<f32>, mask: &[u8]) -> bool {
        if self.rounds_left == 0 {
            return false;
        }
        self.rounds_left -= 1;
        let Some(error) = ErrorRegion::largest(mask, &self.structure.mask, mask.len().isqrt()) else { return false };
        let click = match &mut self.random {
            Some(random) => error.near_the_middle(&mut || random.next()),
            None => error.middle(),
        };
        self.prompt.points.push(click.into());
        self.mask_prompt = self.next_mask_prompt(logits, mask);
        true
    }

    fn next_mask_prompt(&mut self, logits: Vec<f32>, mask: &[u8]) -> Option<Vec<f32>> {
        let (Some(random), Some(interaction)) = (&mut self.random, self.interaction) else { return Some(logits) };
        let mut chance = || (random.next() >> 11) as f64 / (1u64 << 53) as f64;
        let plain = |&inside: &u8| if inside != 0 { PLAIN_MASK_LOGIT } else { -PLAIN_MASK_LOGIT };
        match (chance() < interaction.without_mask, chance() < interaction.plain_masks) {
            (true, _) => None,
            (_, true) => Some(mask.iter().map(plain).collect()),
            _ => Some(logits),
        }
    }
}

impl Trainee {
    /// The gradient of the loss of every answer to a batch's prompts and their corrections, and the loss.
    ///
    /// An answer weighs a share of its structure's planned answers: one that needs fewer corrections than planned counts less. Every answer has a graph of its own, which is gone before the next.
    pub(super) fn corrected_gradients(
        &self,
        batch: &[Example],
        goal: &Goal,
        jobs: usize,
    ) -> (GradientsParams, LossValues) {
        let structures: usize = batch.iter().map(|example| example.structures.len()).sum();
        let mut work: Vec<(&Example, &Structure)> = batch
            .iter()
            .flat_map(|example| example.structures.iter().map(move |structure| (example, structure)))
            .collect();
        // The longest first, so that no thread is left alone with it.
        work.sort_by_key(|(_, structure)| std::cmp::Reverse(structure.corrections.count));
        let results = parallel::map(&work, jobs, |&(example, structure)| {
            let own = self.with_own_graph();
            let planned = structure.corrections.count + usize::from(own.learns_from(&structure.prompt, false));
            let share = 1.0 / (structures * planned.max(1)) as f64;
            let (mut sum, mut all) = (GradientsAccumulator::new(), Vec::new());
            own.play(
                example,
                structure,
                goal,
                || own.embed(example),
                |answer| {
                    if answer.is_learned {
                        let losses = answer.losses();
                        all.push(losses.values());
                        let gradients = (losses.total * share).backward();
                        sum.accumulate(&own, GradientsParams::from_grads(gradients, &own));
                    }
                },
            );
            (sum.grads(), all)
        });
        let (gradients, values): (Vec<GradientsParams>, Vec<Vec<LossValues>>) = results.into_iter().unzip();
        // A prompt without a learned answer has no part in the mean.
        let means: Vec<LossValues> =
            values.iter().filter(|all| !all.is_empty()).map(|all| LossValues::mean(all)).collect();
        let (sum, _) = self.summed(gradients.into_iter().map(|gradients| (gradients, LossValues::default())).collect());
        (sum, LossValues::mean(&means))
    }

    /// Whether the answer to a prompt is learned from: a box alone has another decoder where corrections have theirs, which does not change with them.
    fn learns_from(&self, prompt: &InputPrompt, has_mask: bool) -> bool {
        let is_apart = self.network.corrections.is_some();
        !(is_apart && are_boxes_alone(std::slice::from_ref(prompt), has_mask))
    }

    /// Mean DSC and loss of all answers to an example's prompts and their corrections.
    pub(super) fn score(&self, example: &Example, goal: &Goal) -> (f64, LossValues) {
        let (mut sum, mut all) = (0.0, Vec::new());
        let embedding = self.embed(example);
        for structure in &example.structures {
            let mut scores = Vec::new();
            self.play(
                example,
                structure,
                goal,
                || embedding.clone(),
                |answer| {
                    scores.push(dsc(answer.mask, &structure.mask));
                    all.push(answer.losses().values());
                },
            );
            // A mask without error needs no correction, and stays as it is.
            let last = scores[scores.len() - 1];
            scores.resize(structure.corrections.count + 1, last);
            sum += scores.iter().sum::<f64>() / scores.len() as f64;
        }
        (sum / example.structures.len() as f64, LossValues::mean(&all))
    }

    /// Answers a structure's prompt and the corrections of it; `visit` gets each answer. `embed` gives the image's embedding, for every answer anew.
    fn play(
        &self,
        example: &Example,
        structure: &Structure,
        goal: &Goal,
        embed: impl Fn() -> Tensor<4>,
        mut visit: impl FnMut(Played),
    ) {
        let mut session = Session::new(structure, example.content, goal.interaction);
        loop {
            let embedding = embed();
            let device = embedding.device();
            let size = structure.mask.len().isqrt();
            let as_tensor =
                |logits: &Vec<f32>| Tensor::<3>::from_data(TensorData::new(logits.clone(), [1, size, size]), &device);
            let masks = session.mask_prompt.as_ref().map(as_tensor);
            let is_learned = self.learns_from(&session.prompt, masks.is_some());
            let (logits, iou) = self.decode(embedding, std::slice::from_ref(&session.prompt), masks);
            let values: Vec<f32> = logits.clone().into_data().try_into_vec().expect("logits are f32");
            let mask = session.mask(&values);
            visit(Played { trainee: self, structure, goal, logits, iou, mask: &mask, is_learned });
            if !session.correct(values, &mask) {
                return;
            }
        }
    }
}

/// An answer.
struct Played<'a> {
    trainee: &'a Trainee,
    structure: &'a Structure,
    goal: &'a Goal,
    /// `[1, low_res_size, low_res_size]`
    logits: Tensor<3>,
    /// `[1]`
    iou: Tensor<1>,
    mask: &'a [u8],
    /// Whether a trained part gave it.
    is_learned: bool,
}

impl Played<'_> {
    fn losses(&self) -> Losses {
        self.trainee.losses(self.logits.clone(), self.iou.clone(), &[self.structure], &self.goal.loss)
    }
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, ModuleVisitor, Param};
    use burn::tensor::Tolerance;

    use super::super::config::Part;
    use super::super::example::Corrections;
    use super::super::objective::tests::{batch, trainee};
    use super::*;

    fn goal() -> Goal {
        Goal { interaction: Some(Interaction::default()), ..Default::default() }
    }

    fn corrected(count: usize, seed: Option<u64>) -> Vec<Example> {
        let mut batch = batch(true);
        for structure in batch.iter_mut().flat_map(|example| &mut example.structures) {
            structure.corrections = Corrections { count, seed };
        }
        batch
    }

    /// Sums of the absolute gradients by the parameter's name.
    fn gradients_by_name(trainee: &Trainee, gradients: &GradientsParams) -> Vec<(String, f32)> {
        struct Names<'a>(&'a GradientsParams, Vec<String>, Vec<(String, f32)>);
        impl ModuleVisitor for Names<'_> {
            fn enter_module(&mut self, name: &str, _: &str) {
                self.1.push(name.to_string());
            }
            fn exit_module(&mut self, _: &str, _: &str) {
                self.1.pop();
            }
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if let Some(gradient) = self.0.get::<D>(param.id) {
                    self.2.push((self.1.join("."), gradient.abs().sum().into_scalar()));
                }
            }
        }
        let mut names = Names(gradients, Vec::new(), Vec::new());
        trainee.visit(&mut names);
        names.2
    }

    #[test]
    fn without_corrections_the_gradient_is_the_boxes() {
        let trainee = trainee(Part::Decoder);
        let (expected, values) = trainee.gradients(&batch(true), &Goal::default(), Some(2));
        let (actual, same) = trainee.gradients(&corrected(0, Some(1)), &goal(), Some(2));
        assert!((values.total - same.total).abs() < 1e-5);
        let sigma = trainee.weighting.sigma.id;
        let [expected, actual] = [expected, actual].map(|of| of.get::<1>(sigma).unwrap().into_data());
        actual.assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
    }

    #[test]
    fn corrections_teach_points_and_mask_prompts() {
        let trainee = trainee(Part::Prompts);
        let (gradients, _) = trainee.gradients(&corrected(4, None), &goal(), Some(2));
        let named = gradients_by_name(&trainee, &gradients);
        let sum =
            |part: &str| -> f32 { named.iter().filter(|(name, _)| name.contains(part)).map(|(_, sum)| sum).sum() };
        for part in ["point_embeddings", "mask_downscaling", "no_mask_embed", "mask_decoder"] {
            assert!(sum(part) > 0.0, "{part}: {named:?}");
        }
        for part in ["pe_layer", "image_encoder"] {
            assert!(!named.iter().any(|(name, _)| name.contains(part)), "{part}: {named:?}");
        }
    }

    #[test]
    fn corrections_apart_leave_boxes_as_they_are() {
        let mut trainee = trainee(Part::Corrections);
        let (gradients, _) = trainee.gradients(&corrected(4, None), &goal(), Some(2));
        let named = gradients_by_name(&trainee, &gradients);
        assert!(named.iter().any(|(name, sum)| name.contains("corrections.mask_decoder") && *sum > 0.0), "{named:?}");
        assert!(named.iter().any(|(name, sum)| name.contains("corrections.prompt_encoder.mask_down") && *sum > 0.0));
        let is_apart = |name: &str| name.contains("corrections.") || name.contains("weighting");
        assert!(named.iter().all(|(name, _)| is_apart(name)), "{named:?}");
        // A box alone, without corrections, teaches nothing.
        let (none, values) = trainee.gradients(&corrected(0, None), &goal(), Some(2));
        assert!(gradients_by_name(&trainee, &none).is_empty() && values.total == 0.0);

        let example = &corrected(1, None)[0];
        let masks = |trainee: &Trainee| {
            let mut masks = Vec::new();
            let embed = || trainee.embed(example);
            trainee.play(example, &example.structures[0], &goal(), embed, |answer| masks.push(answer.mask.to_vec()));
            masks
        };
        let before = masks(&trainee);
        let mut optimizer = burn::optim::AdamWConfig::new().init();
        for _ in 0..30 {
            let (gradients, _) = trainee.gradients(&corrected(2, None), &goal(), Some(2));
            trainee = optimizer.step(3e-3, trainee, gradients);
        }
        let after = masks(&trainee);
        assert_eq!(before[0], after[0], "the answer to a box changed");
        assert_ne!(before[1], after[1], "nothing was learned");
    }

    #[test]
    fn the_same_seed_plays_the_same_game() {
        let trainee = trainee(Part::Prompts);
        let total = |seed| trainee.gradients(&corrected(3, Some(seed)), &goal(), Some(2)).1.total;
        assert_eq!(total(5), total(5));
        assert!((0..6).any(|seed| total(seed) != total(5)));
    }

    #[test]
    fn a_score_is_the_mean_over_all_answers() {
        let trainee = trainee(Part::Prompts);
        let [none, some] = [0, 2].map(|count| trainee.score(&corrected(count, None)[0], &goal()).0);
        assert!((0.0..=1.0).contains(&none) && (0.0..=1.0).contains(&some));
        let example = &corrected(2, None)[0];
        let mut scores = Vec::new();
        let embed = || trainee.embed(example);
        trainee.play(example, &example.structures[0], &goal(), embed, |answer| {
            scores.push(dsc(answer.mask, &example.structures[0].mask));
        });
        assert_eq!(scores.len(), 3);
        assert!((scores.iter().sum::<f64>() / 3.0 - some).abs() < 1e-12 && scores[0] == none);
    }

    #[test]
    fn what_is_outside_of_the_image_is_no_error() {
        let batch = corrected(1, None);
        let structure = &batch[0].structures[0];
        let size = structure.mask.len().isqrt();
        let session = Session::new(structure, [size, size / 2], None);
        let mask = session.mask(&vec![1.0; size * size]);
        assert!(mask[..size * size / 2].iter().all(|&inside| inside == 1));
        assert!(mask[size * size / 2..].iter().all(|&inside| inside == 0));
    }
}
