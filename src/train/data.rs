//! A stream of examples: what comes when follows from the seed alone.

use burn::tensor::Tensor;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;

use super::augment::LabelledInput;
use super::config::{Augmentation, Interaction, Part, TrainConfig, ValidationConfig};
use super::example::{Corrections, Example, ExampleImage, Structure};
use super::loss::signed_distance;
use super::objective::Goal;
use super::order::{Recent, balanced, mixed};
use super::sample::{Target, labels_of, scaled_labels, target};
use super::set::Item;
use super::teacher::{Teacher, seen_somewhere};
use crate::error::{Error, Result};
use crate::eval::{EmbeddingCache, Failure};
use crate::image::{Geometry, ImageView, Pixels, Window, points_along};
use crate::model::are_boxes_alone;
use crate::model::prompt_encoder::{InputPoint, InputPrompt};
use crate::segment::Segmenter;
use crate::simulated_user::ErrorRegion;
use crate::weights::sha256;

/// Items to examples.
pub struct Examples<'a> {
    items: &'a [Item],
    segmenter: &'a Segmenter,
    cache: &'a EmbeddingCache,
    augmentation: Augmentation,
    part: Part,
    goal: Goal,
    teacher: Option<&'a Teacher>,
    seed: u64,
    balance: f64,
    boxes_per_image: usize,
    interaction: Option<Interaction>,
    with_distance: bool,
    recent: Recent,
}

impl<'a> Examples<'a> {
    /// Examples as a configuration wants them. Where the image encoder is frozen, their embeddings come from the cache.
    pub fn new(items: &'a [Item], segmenter: &'a Segmenter, cache: &'a EmbeddingCache, config: &TrainConfig) -> Self {
        Self {
            items,
            segmenter,
            cache,
            augmentation: config.augmentation,
            part: config.part,
            goal: Goal::of(config),
            teacher: None,
            seed: config.seed,
            balance: config.balance,
            boxes_per_image: config.boxes_per_image,
            interaction: config.interaction,
            with_distance: config.loss.boundary > 0.0,
            recent: Recent::default(),
        }
    }

    /// The same with a teacher's embeddings.
    pub(super) fn with_teacher(self, teacher: Option<&'a Teacher>) -> Self {
        Self { teacher, ..self }
    }

    /// Images per pass.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The examples of a step, counted from 0, and the files that could not be read. Every pass over the images has an order of its own.
    ///
    /// # Errors
    /// [`Error::File`] if none of them could be read.
    pub fn batch(&self, step: usize, size: usize) -> Result<(Vec<Example>, Vec<Failure>)> {
        let positions = (step * size) as u64..((step + 1) * size) as u64;
        let examples: Vec<(usize, Result<Example>)> = positions
            .into_par_iter()
            .map(|position| {
                let index = self.index(position);
                let mut random = StdRng::seed_from_u64(mixed(self.seed, 2 * position + 1));
                (index, self.example(&self.items[index], &mut random))
            })
            .collect();
        let (mut batch, mut failures, mut first) = (Vec::new(), Vec::new(), None);
        for (index, example) in examples {
            match example {
                Ok(example) => batch.push(example),
                Err(error) => {
                    let case = self.items[index].case.relative.clone();
                    failures.push(Failure { case, message: error.to_string() });
                    first.get_or_insert(error);
                }
            }
        }
        match (batch.is_empty(), first) {
            (true, Some(error)) => Err(error),
            _ => Ok((batch, failures)),
        }
    }

    /// The item at a position of the stream.
    fn index(&self, position: u64) -> usize {
        let count = self.items.len() as u64;
        let (epoch, place) = (position / count, (position % count) as usize);
        self.recent.order(epoch, || {
            let mut random = StdRng::seed_from_u64(mixed(self.seed, 2 * epoch));
            let mut order: Vec<usize> = match self.balance > 0.0 {
                true => balanced(self.items, self.balance, &mut random),
                false => (0..self.items.len()).collect(),
            };
            order.shuffle(&mut random);
            order
        })[place]
    }

    fn example(&self, item: &Item, random: &mut StdRng) -> Result<Example> {
        let source = self.source(item, random);
        let (viewed, is_taught) = self.view(item, source, random)?;
        let labelled = viewed.augmented(&self.augmentation, random);
        let geometry = labelled.geometry;
        let teacher = self.teacher.filter(|_| is_taught);
        let embedding = teacher.map(|teacher| teacher.embed(&labelled.input)).transpose()?;
        let place = format!("{} slice {}", item.case.relative, item.slice);
        let none = || Error::InvalidImage(format!("{place}: the teacher sees nothing in it"));
        let (name, targets) = match (source, teacher.zip(embedding.as_ref())) {
            (MaskOf::Nothing, _) => (place.clone(), Vec::new()),
            (MaskOf::Teacher, None) if self.interaction.is_some() => {
                let embedding = self.cache.embed(self.segmenter, &labelled.input)?;
                let target = seen_somewhere(self.segmenter, &embedding, &geometry, random)?;
                (format!("{place}, what was seen before"), vec![target.ok_or_else(none)?; self.boxes_per_image])
            }
            (MaskOf::Teacher, Some((teacher, embedding))) => {
                let target = teacher.structure(embedding, &geometry, random)?;
                (format!("{place}, the teacher's mask"), vec![target.ok_or_else(none)?; self.boxes_per_image])
            }
            _ => {
                // What was there may have been moved out of the image.
                let labels = labels_of(&labelled.labels);
                let none = || Error::InvalidImage(format!("{place}: the augmentation left no label"));
                let mut chosen = || labels.choose(random).copied().ok_or_else(none);
                let chosen = (0..self.boxes_per_image).map(|_| chosen()).collect::<Result<Vec<u8>>>()?;
                let targets = chosen.iter().filter_map(|&label| target(&labelled.labels, geometry.input_size, label));
                (format!("{place} label {}", separated(&chosen)), targets.collect())
            }
        };
        let structure = |target: Target| {
            let (prompt, corrections) = self.prompt(&target, &geometry, random);
            self.structure(target.mask, prompt, corrections)
        };
        let structures = targets.into_iter().map(structure).collect();
        let teacher = embedding;
        self.finish(Finish {
            name,
            modality: &item.case.modality,
            input: labelled.input,
            geometry,
            structures,
            teacher,
        })
    }

    /// The first prompt of a structure, and how often the answer is corrected.
    fn prompt(&self, target: &Target, geometry: &Geometry, random: &mut StdRng) -> (InputPrompt, Corrections) {
        let Some(interaction) = self.interaction else {
            return (target.prompt(&self.augmentation, geometry, random).into(), Corrections::default());
        };
        let kind = random.random_range(0.0..1.0);
        let prompt: InputPrompt = match (kind < interaction.clicks, kind < interaction.clicks + interaction.strokes) {
            (true, _) => points(target, random, false),
            (_, true) => points(target, random, true),
            _ => target.prompt(&self.augmentation, geometry, random).into(),
        };
        // The answer to a box alone is not learned where corrections are apart.
        let least =
            usize::from(self.part == Part::Corrections && are_boxes_alone(std::slice::from_ref(&prompt), false));
        let count = random.random_range(least..=interaction.corrections.max(least));
        (prompt, Corrections { count, seed: Some(random.random()) })
    }

    /// Whose mask is learned from an item.
    fn source(&self, item: &Item, random: &mut StdRng) -> MaskOf {
        let distilled = self.goal.distillation.map_or(0.0, |distillation| distillation.taught_masks);
        let share = self.interaction.map_or(distilled, |interaction| interaction.taught);
        match self.goal.is_embedding_only() {
            true => MaskOf::Nothing,
            false if item.labels.is_empty() || (share > 0.0 && random.random_bool(share)) => MaskOf::Teacher,
            false => MaskOf::People,
        }
    }

    /// One of the item's views, the image itself where there are none or the view lost every label, and whether the teacher sees it too.
    fn view(&self, item: &Item, source: MaskOf, random: &mut StdRng) -> Result<(LabelledInput, bool)> {
        let labelled = self.labelled(item)?;
        let Some(views) = self.augmentation.views else { return Ok((labelled, true)) };
        let taught = self.goal.distillation.and_then(|distillation| distillation.taught_views).unwrap_or(views.count);
        let seen = if source == MaskOf::People { views.count } else { taught.min(views.count) };
        let number = random.random_range(0..seen);
        let name = format!("{}/{}/{}", item.case.relative, item.slice, number);
        let viewed = labelled.viewed(&views, number, &mut StdRng::from_seed(sha256(name.as_bytes())));
        let is_lost = source == MaskOf::People && labels_of(&viewed.labels).is_empty();
        Ok(if is_lost { (labelled, true) } else { (viewed, number < taught) })
    }

    /// Examples to validate with: some labels of some items, evenly spread, not augmented, with boxes that are the same every time.
    ///
    /// # Errors
    /// [`Error::File`] if a file cannot be read.
    pub fn validation(&self, config: &ValidationConfig) -> Result<Vec<Example>> {
        let count = self.items.len().min(config.images);
        let items = (0..count).map(|place| &self.items[place * self.items.len() / count]).collect::<Vec<_>>();
        let examples = |(number, item): (usize, &&Item)| -> Result<Vec<Example>> {
            let labelled = self.labelled(item)?;
            let mut random = StdRng::seed_from_u64(mixed(number as u64, 0));
            let labels = item.labels.len().min(config.boxes_per_image);
            let examples = (0..labels).map(|place| item.labels[place * item.labels.len() / labels]).map(|label| {
                let target = target(&labelled.labels, labelled.geometry.input_size, label).expect("the label is there");
                let packed = target.loosened_box(self.augmentation.box_shift, &labelled.geometry, &mut random);
                let loose = config.loosen.map(|share| target.enlarged_box([share as f32; 4], &labelled.geometry));
                let boxes = std::iter::once(packed).chain(loose).map(InputPrompt::from);
                let click = self.interaction.map(|_| first_click(&target));
                let count = self.interaction.map_or(0, |interaction| interaction.validated);
                let structure = |prompt| self.structure(target.mask.clone(), prompt, Corrections { count, seed: None });
                self.finish(Finish {
                    name: format!("{} slice {} label {label}", item.case.relative, item.slice),
                    modality: &item.case.modality,
                    input: labelled.input.clone(),
                    geometry: labelled.geometry,
                    structures: boxes.chain(click).map(structure).collect(),
                    teacher: None,
                })
            });
            examples.collect()
        };
        let examples: Result<Vec<Vec<Example>>> = items.par_iter().enumerate().map(examples).collect();
        Ok(examples?.concat())
    }

    fn finish(&self, parts: Finish) -> Result<Example> {
        let Finish { name, modality, input, geometry, structures, teacher } = parts;
        let image = match (self.part.has_encoder(), self.augmentation.is_discrete()) {
            (true, _) => ExampleImage::Input(input),
            (false, true) => ExampleImage::Embedding(self.cache.embed(self.segmenter, &input)?),
            (false, false) => ExampleImage::Embedding(self.segmenter.embed(input)),
        };
        let content = geometry.resized().into();
        Ok(Example { name, modality: modality.to_string(), image, content, structures, teacher })
    }

    fn structure(&self, mask: Vec<u8>, prompt: InputPrompt, corrections: Corrections) -> Structure {
        let distance = self.with_distance.then(|| signed_distance(&mask, mask.len().isqrt()));
        Structure { prompt, mask, distance, corrections }
    }

    fn labelled(&self, item: &Item) -> Result<LabelledInput> {
        let case = self.recent.case(&item.case.path)?;
        let view = ImageView::new(Pixels::U8(case.slice(item.slice)), case.width, case.height, case.channels)
            .map_err(|error| Error::file(&item.case.path, error))?;
        let preprocessed = self.segmenter.preprocess(&view, Window::Auto)?;
        let geometry = preprocessed.geometry;
        let size = case.width * case.height;
        let labels = match &case.gts {
            Some(gts) => scaled_labels(&gts[item.slice * size..][..size], &geometry),
            None => vec![0; geometry.input_size * geometry.input_size],
        };
        Ok(LabelledInput { input: preprocessed.input, labels, geometry })
    }
}

/// What an example is made of.
struct Finish<'a> {
    name: String,
    modality: &'a str,
    input: Vec<f32>,
    geometry: Geometry,
    structures: Vec<Structure>,
    teacher: Option<Tensor<4>>,
}

/// All of a target as an error.
fn region(target: &Target) -> ErrorRegion {
    let nothing = vec![0; target.mask.len()];
    ErrorRegion::largest(&nothing, &target.mask, nothing.len().isqrt()).expect("targets have pixels")
}

/// A click in the middle of a target.
fn first_click(target: &Target) -> InputPrompt {
    InputPrompt { points: vec![region(target).middle().into()], bounding_box: None }
}

/// A click near the middle of a target, or points along a stroke in it.
fn points(target: &Target, random: &mut StdRng, is_stroke: bool) -> InputPrompt {
    let region = region(target);
    let mut random = || random.random::<u64>();
    let width = target.mask.len().isqrt();
    let click = InputPoint::from(region.near_the_middle(&mut random));
    let mut points = vec![click];
    if is_stroke {
        let ends = region.stroke(&mut random).map(|end| [end.x as f32, end.y as f32]);
        let inside = |place: &[f32; 2]| target.mask[place[1].round() as usize * width + place[0].round() as usize] != 0;
        let places: Vec<[f32; 2]> = points_along(&ends).into_iter().filter(inside).collect();
        if !places.is_empty() {
            points = places.into_iter().map(|[x, y]| InputPoint { x, y, ..click }).collect();
        }
    }
    InputPrompt { points, bounding_box: None }
}

/// Whose mask an example has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MaskOf {
    /// Only the embedding is learned.
    Nothing,
    /// A label of the file.
    People,
    /// What the teacher sees in a box at a random place.
    Teacher,
}

fn separated(labels: &[u8]) -> String {
    labels.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}
