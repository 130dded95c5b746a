//! Folders of challenge cases as images to learn from.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::sample::{labels_of, scaled_labels};
use crate::data::{CaseBoxes, ChallengeCase, read_image, read_npz};
use crate::error::{Error, Result};
use crate::eval::{CasePath, Failure, find_cases, find_files};
use crate::image::{Geometry, ImageView, Pixels, Window, preprocess};

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
pub(super) fn read(path: &Path) -> Result<ChallengeCase> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz")) {
        return read_npz(path);
    }
    let image = Window::Auto.apply(&read_image(path, false)?.view()?)?;
    Ok(ChallengeCase {
        imgs: image.data,
        depth: 1,
        height: image.height,
        width: image.width,
        channels: image.channels,
        boxes: CaseBoxes::Image(Vec::new()),
        gts: None,
        raters: Vec::new(),
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::train) fn item(dataset: &str, number: usize) -> Item {
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
}
