//! Folders of challenge cases as a stream of examples: what comes when follows from the seed alone.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rayon::prelude::*;

use super::augment::LabelledInput;
use super::config::{Augmentation, Part, TrainConfig, ValidationConfig};
use super::loss::signed_distance;
use super::objective::{Example, ExampleImage};
use super::sample::{labels_of, scaled_labels, target};
use crate::data::{ChallengeCase, read_npz};
use crate::error::{Error, Result};
use crate::eval::{CasePath, EmbeddingCache, Failure, find_cases};
use crate::image::{Geometry, ImageView, Pixels, Window};
use crate::model::prompt_encoder::InputBox;
use crate::random::SplitMix64;
use crate::segment::Segmenter;

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
    /// Reads every `.npz` file under a folder once, to see what is in it. Files that cannot be used are noted and left out.
    ///
    /// # Errors
    /// [`Error::File`] if the folder cannot be read or no file in it can be used.
    pub fn scan(root: &Path, input_size: usize) -> Result<Self> {
        let scanned: Vec<(CasePath, Result<Vec<Item>>)> = find_cases(root)?
            .into_par_iter()
            .map(|case| {
                let items = read_npz(&case.path).and_then(|data| items(&case, &data, input_size));
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
                Err(Error::file(root, format!("there is nothing to train on: {count} files cannot be used{why}")))
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
            held_out.items.extend_from_slice(after);
        }
        (Self { items: kept, ..self }, held_out)
    }
}

fn items(case: &CasePath, data: &ChallengeCase, input_size: usize) -> Result<Vec<Item>> {
    let gts =
        data.gts.as_ref().ok_or_else(|| Error::file(&case.path, "it has no gts, so there is nothing to learn"))?;
    let geometry = Geometry { width: data.width, height: data.height, input_size };
    let slices = gts.chunks_exact(data.width * data.height).enumerate();
    let items: Vec<Item> = slices
        .map(|(slice, gts)| Item { case: case.clone(), slice, labels: labels_of(&scaled_labels(gts, &geometry)) })
        .filter(|item| !item.labels.is_empty())
        .collect();
    match items.is_empty() {
        true => Err(Error::file(&case.path, format!("no label is left at {input_size} pixels"))),
        false => Ok(items),
    }
}

/// Items to examples.
pub struct Examples<'a> {
    items: &'a [Item],
    segmenter: &'a Segmenter,
    cache: &'a EmbeddingCache,
    augmentation: Augmentation,
    part: Part,
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
            seed: config.seed,
            with_distance: config.loss.boundary > 0.0,
            recent: Recent::default(),
        }
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
        let labelled = self.labelled(item)?.augmented(&self.augmentation, random);
        let geometry = labelled.geometry;
        // What was there may have been moved out of the image.
        let labels = labels_of(&labelled.labels);
        let label = labels
            .choose(random)
            .ok_or_else(|| Error::InvalidImage(format!("{}: the augmentation left no label", item.case.relative)))?;
        let target = target(&labelled.labels, geometry.input_size, *label).expect("the label is there");
        let bounding_box = target.loosened_box(self.augmentation.box_shift, &geometry, random);
        let name = format!("{} slice {} label {label}", item.case.relative, item.slice);
        self.finish(name, &item.case.modality, labelled.input, target.mask, bounding_box)
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
                self.finish(name, &item.case.modality, labelled.input.clone(), target.mask, bounding_box)
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
    ) -> Result<Example> {
        let image = match (self.part, self.augmentation.is_discrete()) {
            (Part::Decoder, true) => ExampleImage::Embedding(self.cache.embed(self.segmenter, &input)?),
            (Part::Decoder, false) => ExampleImage::Embedding(self.segmenter.embed(input, &mut || ())),
            _ => ExampleImage::Input(input),
        };
        let side = mask.len().isqrt();
        let distance = self.with_distance.then(|| signed_distance(&mask, side));
        Ok(Example { name, modality: modality.to_string(), image, mask, distance, bounding_box })
    }

    fn labelled(&self, item: &Item) -> Result<LabelledInput> {
        let case = self.recent.case(&item.case.path)?;
        let view = ImageView::new(Pixels::U8(case.slice(item.slice)), case.width, case.height, case.channels)
            .map_err(|error| Error::file(&item.case.path, error))?;
        let preprocessed = self.segmenter.preprocess(&view, Window::Auto)?;
        let geometry = preprocessed.geometry;
        let gts = case.gts.as_ref().ok_or_else(|| Error::file(&item.case.path, "its gts are gone"))?;
        let size = case.width * case.height;
        let labels = scaled_labels(&gts[item.slice * size..][..size], &geometry);
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
        let case = Arc::new(read_npz(path)?);
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
