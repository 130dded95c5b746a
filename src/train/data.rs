//! Folders of challenge cases as a stream of examples: what comes when follows from the seed alone.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;

use super::augment::LabelledInput;
use super::config::{Augmentation, Part, TrainConfig, ValidationConfig};
use super::loss::signed_distance;
use super::objective::{Example, ExampleImage, Goal};
use super::run::Teacher;
use super::sample::{labels_of, scaled_labels, target};
use crate::data::{CaseBoxes, ChallengeCase, OwnedPixels, read_image, read_npz};
use crate::error::{Error, Result};
use crate::eval::{CasePath, EmbeddingCache, Failure, find_cases, find_files};
use crate::image::{Geometry, ImageView, Pixels, Window, preprocess};
use crate::model::prompt_encoder::InputBox;
use crate::random::SplitMix64;
use crate::segment::Segmenter;
use crate::weights::sha256;

/// An image, or a slice of a volume, with something to learn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its file.
    pub case: CasePath,
    /// Number of the slice; 0 for images.
    pub slice: usize,
    /// The labels that are left at the input's scale.
    pub labels: Vec<u8>,
}

/// The images of a folder.
#[derive(Debug, Clone, Default)]
pub struct TrainingSet {
    /// Images, sorted by file and slice.
    pub items: Vec<Item>,
    /// Files that cannot be used, and why.
    pub skipped: Vec<Failure>,
}

impl TrainingSet {
    /// Reads every `.npz` file under some folders once, to see what is in it. Files that cannot be used are noted and left out. With `unlabelled`, masks are not
    /// needed, and PNG and JPEG files are taken too.
    ///
    /// # Errors
    /// [`Error::File`] if a folder cannot be read or no file in them can be used.
    pub fn scan(roots: &[PathBuf], input_size: usize, unlabelled: bool) -> Result<Self> {
        let mut cases = Vec::new();
        for root in roots {
            cases.extend(match unlabelled {
                true => find_files(root, &["npz", "png", "jpg", "jpeg"])?,
                false => find_cases(root)?,
            });
        }
        let scanned: Vec<(CasePath, Result<Vec<Item>>)> = cases
            .into_par_iter()
            .map(|case| {
                let items = read(&case.path).and_then(|data| items(&case, &data, input_size, unlabelled));
                (case, items)
            })
            .collect();
        let mut set = Self::default();
        for (case, found) in scanned {
            match found {
                Ok(found) => set.items.extend(found),
                Err(error) => set.skipped.push(Failure { case: case.relative, message: error.to_string() }),
            }
        }
        match (set.items.is_empty(), set.skipped.first()) {
            (false, _) => Ok(set),
            (true, first) => {
                let why = first.map_or_else(String::new, |failure| format!(", the first: {}", failure.message));
                let count = set.skipped.len();
                let root = roots.first().cloned().unwrap_or_default();
                Err(Error::file(&root, format!("there is nothing to train on: {count} files cannot be used{why}")))
            }
        }
    }

    /// Splits off the last share of each dataset's images.
    pub fn hold_out(mut self, share: f64) -> (Self, Self) {
        let dataset = |item: &Item| (item.case.modality.clone(), item.case.dataset.clone());
        self.items.sort_by_cached_key(|item| (dataset(item), item.case.relative.clone(), item.slice));
        let mut held_out = Self::default();
        let mut kept = Vec::new();
        for group in self.items.chunk_by(|a, b| dataset(a) == dataset(b)) {
            let (before, after) = group.split_at(group.len() - (group.len() as f64 * share) as usize);
            kept.extend_from_slice(before);
            // Nothing can be measured on what has no masks.
            let (labelled, unlabelled): (Vec<Item>, Vec<Item>) =
                after.iter().cloned().partition(|item| !item.labels.is_empty());
            kept.extend(unlabelled);
            held_out.items.extend(labelled);
        }
        (Self { items: kept, ..self }, held_out)
    }
}

/// Reads a challenge file, or a picture as one without masks.
fn read(path: &Path) -> Result<ChallengeCase> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz")) {
        return read_npz(path);
    }
    let image = read_image(path)?;
    let imgs = match image.pixels {
        OwnedPixels::U8(values) => values,
        OwnedPixels::U16(values) => values.into_iter().map(|value| (value >> 8) as u8).collect(),
    };
    Ok(ChallengeCase {
        imgs,
        depth: 1,
        height: image.height,
        width: image.width,
        channels: image.channels,
        boxes: CaseBoxes::Image(Vec::new()),
        gts: None,
        spacing: [1.0; 3],
    })
}

fn items(case: &CasePath, data: &ChallengeCase, input_size: usize, unlabelled: bool) -> Result<Vec<Item>> {
    let item = |slice, labels| Item { case: case.clone(), slice, labels };
    if unlabelled && data.gts.is_none() {
        return Ok((0..data.depth).map(|slice| item(slice, Vec::new())).collect());
    }
    let gts =
        data.gts.as_ref().ok_or_else(|| Error::file(&case.path, "it has no gts, so there is nothing to learn"))?;
    let geometry = Geometry { width: data.width, height: data.height, input_size };
    let slices = gts.chunks_exact(data.width * data.height).enumerate();
    let items: Vec<Item> = slices
        .map(|(slice, gts)| item(slice, labels_of(&scaled_labels(gts, &geometry))))
        .filter(|item| unlabelled || !item.labels.is_empty())
        .collect();
    match items.is_empty() {
        true => Err(Error::file(&case.path, format!("no label is left at {input_size} pixels"))),
        false => Ok(items),
    }
}

/// The inputs of some images of a set, evenly spread: `[images, input_size, input_size, 3]`.
///
/// # Errors
/// [`Error::File`] if a file cannot be read.
pub(super) fn first_inputs(set: &TrainingSet, count: usize, input_size: usize) -> Result<Tensor<4>> {
    let count = set.items.len().min(count);
    let inputs: Result<Vec<Vec<f32>>> = (0..count)
        .into_par_iter()
        .map(|place| {
            let item = &set.items[place * set.items.len() / count];
            let case = read(&item.case.path)?;
            let view = ImageView::new(Pixels::U8(case.slice(item.slice)), case.width, case.height, case.channels)?;
            Ok(preprocess(&view, Window::Auto, input_size)?.input)
        })
        .collect();
    let data = TensorData::new(inputs?.concat(), [count, input_size, input_size, 3]);
    Ok(Tensor::from_data(data, &Device::flex()))
}

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
            goal: Goal { loss: config.loss, distillation: config.distillation },
            teacher: None,
            seed: config.seed,
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
            let mut order: Vec<usize> = (0..self.items.len()).collect();
            order.shuffle(&mut StdRng::seed_from_u64(mixed(self.seed, 2 * epoch)));
            order
        })[place]
    }

    fn example(&self, item: &Item, random: &mut StdRng) -> Result<Example> {
        let labelled = self.view(item, random)?.augmented(&self.augmentation, random);
        let geometry = labelled.geometry;
        if self.goal.is_embedding_only() {
            let name = format!("{} slice {}", item.case.relative, item.slice);
            return self.finish(name, &item.case.modality, labelled.input, Vec::new(), [0.0; 4], true);
        }
        // What was there may have been moved out of the image.
        let labels = labels_of(&labelled.labels);
        let label = labels
            .choose(random)
            .ok_or_else(|| Error::InvalidImage(format!("{}: the augmentation left no label", item.case.relative)))?;
        let target = target(&labelled.labels, geometry.input_size, *label).expect("the label is there");
        let bounding_box = target.prompt(&self.augmentation, &geometry, random);
        let name = format!("{} slice {} label {label}", item.case.relative, item.slice);
        self.finish(name, &item.case.modality, labelled.input, target.mask, bounding_box, true)
    }

    /// One of the item's views, the image itself where there are none or the view lost every label.
    fn view(&self, item: &Item, random: &mut StdRng) -> Result<LabelledInput> {
        let labelled = self.labelled(item)?;
        let Some(views) = self.augmentation.views else { return Ok(labelled) };
        let number = random.random_range(0..views.count);
        let name = format!("{}/{}/{}", item.case.relative, item.slice, number);
        let viewed = labelled.viewed(&views, number, &mut StdRng::from_seed(sha256(name.as_bytes())));
        let is_lost = !self.goal.is_embedding_only() && labels_of(&viewed.labels).is_empty();
        Ok(if is_lost { labelled } else { viewed })
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
                let bounding_box = target.loosened_box(self.augmentation.box_shift, &labelled.geometry, &mut random);
                let name = format!("{} slice {} label {label}", item.case.relative, item.slice);
                self.finish(name, &item.case.modality, labelled.input.clone(), target.mask, bounding_box, false)
            });
            examples.collect()
        };
        let examples: Result<Vec<Vec<Example>>> = items.par_iter().enumerate().map(examples).collect();
        Ok(examples?.concat())
    }

    fn finish(
        &self,
        name: String,
        modality: &str,
        input: Vec<f32>,
        mask: Vec<u8>,
        bounding_box: InputBox,
        taught: bool,
    ) -> Result<Example> {
        let teacher = self.teacher.filter(|_| taught);
        let teacher = teacher.map(|teacher| teacher.cache.embed(&teacher.segmenter, &input)).transpose()?;
        let image = match (self.part, self.augmentation.is_discrete()) {
            (Part::Decoder, true) => ExampleImage::Embedding(self.cache.embed(self.segmenter, &input)?),
            (Part::Decoder, false) => ExampleImage::Embedding(self.segmenter.embed(input, &mut || ())),
            _ => ExampleImage::Input(input),
        };
        let side = mask.len().isqrt();
        let distance = self.with_distance.then(|| signed_distance(&mask, side));
        Ok(Example { name, modality: modality.to_string(), image, mask, distance, bounding_box, teacher })
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

/// What was read or computed last.
#[derive(Default)]
struct Recent {
    /// Volumes, whose slices would each read the whole file.
    volumes: Mutex<Vec<(std::path::PathBuf, Arc<ChallengeCase>)>>,
    /// Orders of passes.
    orders: Mutex<Vec<(u64, Arc<Vec<usize>>)>>,
}

/// Volumes kept in memory.
const RECENT_VOLUMES: usize = 4;

impl Recent {
    fn case(&self, path: &Path) -> Result<Arc<ChallengeCase>> {
        let volumes = || self.volumes.lock().expect("no panics while looking");
        if let Some((_, case)) = volumes().iter().find(|(other, _)| other == path) {
            return Ok(case.clone());
        }
        let case = Arc::new(read(path)?);
        if case.depth > 1 {
            let mut volumes = volumes();
            volumes.truncate(RECENT_VOLUMES - 1);
            volumes.insert(0, (path.to_path_buf(), case.clone()));
        }
        Ok(case)
    }

    fn order(&self, epoch: u64, make: impl FnOnce() -> Vec<usize>) -> Arc<Vec<usize>> {
        let mut orders = self.orders.lock().expect("no panics while shuffling");
        if let Some((_, order)) = orders.iter().find(|(other, _)| *other == epoch) {
            return order.clone();
        }
        let order = Arc::new(make());
        orders.truncate(1);
        orders.insert(0, (epoch, order.clone()));
        order
    }
}

/// A seed of its own for every position.
fn mixed(seed: u64, position: u64) -> u64 {
    SplitMix64::new(SplitMix64::new(seed).next().wrapping_add(position)).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(dataset: &str, number: usize) -> Item {
        let case = CasePath {
            modality: "CT".into(),
            dataset: dataset.into(),
            relative: format!("CT/{dataset}/{number:02}.npz"),
            path: Default::default(),
        };
        Item { case, slice: 0, labels: vec![1] }
    }

    #[test]
    fn the_last_images_of_each_dataset_are_held_out() {
        let items = (0..10).map(|number| item("a", number)).chain((0..5).map(|number| item("b", number))).collect();
        let (kept, held_out) = TrainingSet { items, skipped: Vec::new() }.hold_out(0.2);
        assert_eq!(kept.items.len(), 12);
        assert_eq!(held_out.items, [item("a", 8), item("a", 9), item("b", 4)]);
        let (kept, held_out) = kept.hold_out(0.0);
        assert_eq!((kept.items.len(), held_out.items.len()), (12, 0));
    }

    #[test]
    fn positions_have_seeds_of_their_own() {
        let seeds: std::collections::HashSet<u64> =
            (0..4).flat_map(|seed| (0..100).map(move |position| mixed(seed, position))).collect();
        assert_eq!(seeds.len(), 400);
        assert_eq!(mixed(1, 2), mixed(1, 2));
    }
}
