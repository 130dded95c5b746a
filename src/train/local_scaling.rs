//! Learning a [`LocalScaling`] for a network that is done: everything else stays as it is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::module::{Module, Param};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use half::f16;

use super::parallel;
use crate::data::{CaseBoxes, ChallengeCase, read_npz};
use crate::error::{Error, Result};
use crate::eval::{CasePath, EmbeddingCache, find_cases};
use crate::image::{BoundingBox, Geometry, ImageView, Pixels, Window};
use crate::model::Config;
use crate::model::local_scaling::{FEATURES, LocalScaling, LocalScalingConfig};
use crate::model::seeded::seeded;
use crate::random::SplitMix64;
use crate::segment::{EncodedImage, LocalFeatures, PlacedPrompt, Segmenter};
use crate::weights::{self, sha256};

/// How far the sides of a loose box lie outside of the file's at most, as a share of its own.
const LOOSEST: f64 = 0.3;
/// What is added to the deviation of a feature.
const SMALLEST_DEVIATION: f32 = 1e-3;
/// Share of the steps that the learning rate rises in.
const WARM_UP: f64 = 0.1;

/// How to learn.
#[derive(Debug, Clone)]
pub struct LocalScalingSettings {
    /// Sizes.
    pub config: LocalScalingConfig,
    /// Folders of challenge cases.
    pub data: Vec<PathBuf>,
    /// Structures of an image, each with its box and a looser one.
    pub boxes_per_image: usize,
    /// Images of a dataset at most, evenly spread.
    pub images_per_dataset: usize,
    /// Steps.
    pub steps: usize,
    /// Examples of a step.
    pub batch: usize,
    /// The largest learning rate.
    pub learning_rate: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Decides everything that is random.
    pub seed: u64,
    /// Images decoded at the same time.
    pub jobs: usize,
}

/// What is told while it goes on.
#[derive(Debug, Clone, Copy)]
pub enum LocalScalingEvent {
    /// Examples decoded, of images in all.
    Decoded(usize, usize),
    /// Steps done, and the mean loss of the last ones in nats.
    Learned(usize, f64),
}

/// One box: 16 bits, so that thousands fit.
struct Example {
    map: Vec<f16>,
    truth: Vec<f16>,
    /// How often it is drawn.
    weight: f64,
}

/// Learns from the bytes of a weight file; returns the file with the local scaling in it. Its calibration, which was made without, is gone.
///
/// # Errors
/// [`Error::Weights`] if the weights cannot be used, [`Error::File`] if there is no usable case, [`Error::InvalidOption`] for sizes that do not fit,
/// [`Error::Computation`] if a loss is not finite.
pub fn train_local_scaling(
    weights: &[u8],
    settings: &LocalScalingSettings,
    embeddings: &EmbeddingCache,
    observe: &(dyn Fn(LocalScalingEvent) + Sync),
) -> Result<Vec<u8>> {
    settings.config.check().map_err(Error::InvalidOption)?;
    let segmenter = Segmenter::from_weights(weights.to_vec(), &Device::flex())?;
    let mut metadata = segmenter.metadata().clone();
    let examples = examples(&segmenter, settings, embeddings, observe)?;
    let (mean, deviation) = moments(examples.iter().map(|example| &example.map[..]));
    let device = Device::flex().autodiff();
    let mut network = seeded(settings.config.init(&device), settings.seed);
    // At first nothing is scaled.
    network.output.weight = network.output.weight.map(|weight| (weight * 0.0).detach().require_grad());
    network.output.bias = network.output.bias.map(|bias| bias.map(|bias| (bias * 0.0).detach().require_grad()));
    let adamw = AdamWConfig::new().with_weight_decay(settings.weight_decay as f32).build();
    let mut optimizer = ModuleOptimizer::from(adamw);
    let mut random = SplitMix64::new(settings.seed);
    let sums: Vec<f64> = examples
        .iter()
        .scan(0.0, |sum, example| {
            *sum += example.weight;
            Some(*sum)
        })
        .collect();
    let mut recent = 0.0;
    for step in 0..settings.steps {
        let drawn: Vec<usize> = (0..settings.batch)
            .map(|_| {
                let place = unit(&mut random) * sums.last().copied().unwrap_or(0.0);
                sums.partition_point(|&sum| sum <= place).min(examples.len() - 1)
            })
            .collect();
        let mirrored = [0, 1].map(|_| random.next() & 1 == 1);
        let side = settings.config.side;
        let batch = Batch::new(drawn.iter().map(|&index| &examples[index]), side, mirrored);
        let normalized = |place: &[f32; FEATURES]| -> [f32; FEATURES] {
            std::array::from_fn(|channel| (place[channel] - mean[channel]) / deviation[channel])
        };
        let places = batch.map.as_chunks::<FEATURES>().0;
        let map: Vec<f32> = places.iter().flat_map(normalized).collect();
        let map = TensorData::new(map, [settings.batch, side, side, FEATURES]);
        let logits: Vec<f32> = places.iter().map(|place| place[0]).collect();
        let shape = [settings.batch, side, side, 1];
        let [logits, truth] =
            [logits, batch.truth].map(|values| Tensor::<4>::from_data(TensorData::new(values, shape), &device));
        let found = network.forward(Tensor::from_data(map, &device));
        let part = |index: usize| found.clone().slice([0..settings.batch, 0..side, 0..side, index..index + 1]);
        let logits = logits * part(0).exp() + part(1);
        // Binary cross-entropy of logits, which does not overflow.
        let loss = logits.clone().clamp_min(0.0) - logits.clone() * truth + (-logits.abs()).exp().log1p();
        let loss = loss.mean();
        let value = f64::from(loss.clone().into_scalar::<f32>());
        if !value.is_finite() {
            return Err(Error::Computation(format!("the loss of step {step} is {value}")));
        }
        recent = if step == 0 { value } else { 0.98 * recent + 0.02 * value };
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(rate(settings, step), network, gradients);
        if (step + 1).is_multiple_of(25) || step + 1 == settings.steps {
            observe(LocalScalingEvent::Learned(step + 1, recent));
        }
    }
    let network = folded(network.valid(), mean, deviation);
    metadata.config = Config { local_scaling: Some(settings.config.clone()), ..metadata.config };
    metadata.calibration = None;
    Ok(weights::with_local_scaling(weights, &network, &metadata)?)
}

/// 0–1, 1 left out.
fn unit(random: &mut SplitMix64) -> f64 {
    (random.next() >> 11) as f64 / (1u64 << 53) as f64
}

/// Up in a line, down in a cosine (Smith 2018).
fn rate(settings: &LocalScalingSettings, step: usize) -> f64 {
    let share = (step + 1) as f64 / settings.steps as f64;
    let height = match share < WARM_UP {
        true => share / WARM_UP,
        false => 0.5 + 0.5 * (std::f64::consts::PI * (share - WARM_UP) / (1.0 - WARM_UP)).cos(),
    };
    settings.learning_rate * height.max(1e-4)
}

struct Batch {
    map: Vec<f32>,
    truth: Vec<f32>,
}

impl Batch {
    fn new<'a>(examples: impl Iterator<Item = &'a Example>, side: usize, [left, up]: [bool; 2]) -> Self {
        let mut batch = Self { map: Vec::new(), truth: Vec::new() };
        for example in examples {
            for (values, target) in [(&example.map, &mut batch.map), (&example.truth, &mut batch.truth)] {
                let channels = values.len() / (side * side);
                for index in 0..side * side {
                    let [x, y] = [index % side, index / side];
                    let x = if left { side - 1 - x } else { x };
                    let y = if up { side - 1 - y } else { y };
                    target.extend(values[(y * side + x) * channels..][..channels].iter().map(|value| value.to_f32()));
                }
            }
        }
        batch
    }
}

fn examples(
    segmenter: &Segmenter,
    settings: &LocalScalingSettings,
    embeddings: &EmbeddingCache,
    observe: &(dyn Fn(LocalScalingEvent) + Sync),
) -> Result<Vec<Example>> {
    let mut datasets: BTreeMap<String, Vec<CasePath>> = BTreeMap::new();
    for folder in &settings.data {
        for case in find_cases(folder)? {
            datasets.entry(format!("{}/{}", case.modality, case.dataset)).or_default().push(case);
        }
    }
    let spread = |cases: &Vec<CasePath>| -> Vec<CasePath> {
        let count = cases.len().min(settings.images_per_dataset.max(1));
        (0..count).map(|place| cases[place * cases.len() / count].clone()).collect()
    };
    let cases: Vec<CasePath> = datasets.values().flat_map(spread).collect();
    let done = std::sync::atomic::AtomicUsize::new(0);
    let decoded = parallel::map(&cases, settings.jobs.max(1), |case| {
        let found = decode(segmenter, case, settings, embeddings);
        let done = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        observe(LocalScalingEvent::Decoded(done, cases.len()));
        found
    });
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let (mut all, mut error) = (Vec::new(), None);
    for (case, found) in cases.iter().zip(decoded) {
        match found {
            Ok(found) => {
                *counts.entry((&case.modality, &case.dataset)).or_default() += found.len();
                all.extend(found.into_iter().map(|features| (case, features)));
            }
            Err(cause) => error = Some(cause),
        }
    }
    if let (true, Some(error)) = (all.is_empty(), error) {
        return Err(error);
    }
    let example = |(case, features): (&CasePath, LocalFeatures)| {
        let half = |values: &[f32]| values.iter().map(|&value| f16::from_f32(value)).collect();
        // A dataset of many images counts more than one of few, though not in proportion.
        let weight = (counts[&(case.modality.as_str(), case.dataset.as_str())] as f64).powf(-0.5);
        Example { map: half(&features.map), truth: half(&features.truth), weight }
    };
    match all.is_empty() {
        true => Err(Error::InvalidOption("no case has a structure with a box".into())),
        false => Ok(all.into_iter().map(example).collect()),
    }
}

/// The boxes of a case's structures as the file brings them, and each once looser.
fn decode(
    segmenter: &Segmenter,
    case: &CasePath,
    settings: &LocalScalingSettings,
    embeddings: &EmbeddingCache,
) -> Result<Vec<LocalFeatures>> {
    let mut data = read_npz(&case.path)?;
    data.keep_boxes(settings.boxes_per_image);
    let ChallengeCase { width, height, .. } = data;
    let (CaseBoxes::Image(boxes), Some(gts)) = (&data.boxes, data.gts.as_ref()) else { return Ok(Vec::new()) };
    let view = ImageView::new(Pixels::U8(&data.imgs), width, height, data.channels)?;
    let preprocessed = segmenter.preprocess(&view, Window::Auto)?;
    let image = embeddings.encode_preprocessed(segmenter, &preprocessed, &Default::default())?;
    let seed = sha256(case.relative.as_bytes()).first_chunk().copied().expect("a hash has 32 bytes");
    let mut random = SplitMix64::new(u64::from_le_bytes(seed) ^ settings.seed);
    let mut found = Vec::new();
    for (index, &corners) in boxes.iter().enumerate() {
        let Ok(tight) = BoundingBox::checked(corners, width, height) else { continue };
        let truth = low_res_truth(gts, index + 1, &image, segmenter.metadata().config.low_res_size());
        if truth.iter().all(|&inside| inside == 0.0) {
            continue;
        }
        let [x0, y0, x1, y1] = tight.0;
        let [dx, dy] = [x1 - x0, y1 - y0].map(|length| LOOSEST * unit(&mut random) * length);
        let loose = BoundingBox([
            (x0 - dx).max(0.0),
            (y0 - dy).max(0.0),
            (x1 + dx).min(width as f64),
            (y1 + dy).min(height as f64),
        ]);
        for bounding_box in [tight, loose] {
            let prompt = PlacedPrompt::of_box(bounding_box, &image.geometry);
            let learned = segmenter.local_features(&image, &prompt, settings.config.side, &truth);
            found.push(pollster::block_on(learned)?);
        }
    }
    Ok(found)
}

/// A label on the grid of the low-res mask, by the nearest pixel.
fn low_res_truth(gts: &[u8], label: usize, image: &EncodedImage, low_res_size: usize) -> Vec<f32> {
    let Geometry { width, height, input_size } = image.geometry;
    let pixels = input_size as f64 / low_res_size as f64 / image.geometry.scale();
    let inside = |index: usize| {
        let [x, y] = [index % low_res_size, index / low_res_size].map(|place| ((place as f64 + 0.5) * pixels) as usize);
        f32::from(u8::from(x < width && y < height && usize::from(gts[y * width + x]) == label))
    };
    (0..low_res_size * low_res_size).map(inside).collect()
}

/// Mean and standard deviation of each feature.
fn moments<'a>(maps: impl Iterator<Item = &'a [f16]>) -> ([f32; FEATURES], [f32; FEATURES]) {
    let (mut count, mut sums, mut squares) = (0.0, [0.0f64; FEATURES], [0.0f64; FEATURES]);
    for place in maps.flat_map(|map| map.as_chunks::<FEATURES>().0) {
        count += 1.0;
        for (channel, value) in place.iter().enumerate() {
            sums[channel] += value.to_f64();
            squares[channel] += value.to_f64().powi(2);
        }
    }
    let mean = sums.map(|sum| sum / count);
    let variance: [f64; FEATURES] = std::array::from_fn(|channel| squares[channel] / count - mean[channel].powi(2));
    (mean.map(|mean| mean as f32), variance.map(|variance| variance.max(0.0).sqrt() as f32 + SMALLEST_DEVIATION))
}

/// The network that does the normalization of its input itself.
fn folded(mut network: LocalScaling, mean: [f32; FEATURES], deviation: [f32; FEATURES]) -> LocalScaling {
    let device = Device::flex();
    let row = |values: [f32; FEATURES]| Tensor::<2>::from_data([values], &device);
    let [out, ..] = network.input.weight.dims();
    let weight = network.input.weight.val().reshape([out, FEATURES]) * row(deviation.map(f32::recip));
    let shift: Tensor<1> = (weight.clone() * row(mean)).sum_dim(1).reshape([out]);
    let bias = network.input.bias.as_ref().expect("it has a bias").val() - shift;
    network.input.weight = Param::from_tensor(weight.reshape([out, FEATURES, 1, 1]));
    network.input.bias = Some(Param::from_tensor(bias));
    network
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tolerance;

    use super::*;

    #[test]
    fn a_folded_network_normalizes_by_itself() {
        let device = Device::flex();
        let network = seeded(LocalScalingConfig { side: 8, channels: 8, blocks: 1 }.init(&device), 3);
        let (mean, deviation) = ([0.3, -2.0, 1.0], [0.5, 4.0, 1.5]);
        let map: Vec<f32> = (0..64 * FEATURES).map(|index| (index as f32).sin()).collect();
        let places = map.as_chunks::<FEATURES>().0.iter();
        let normalized =
            places.flat_map(|place| (0..FEATURES).map(|channel| (place[channel] - mean[channel]) / deviation[channel]));
        let normalized = normalized.collect();
        let run = |network: &LocalScaling, map: Vec<f32>| {
            network.forward(Tensor::from_data(TensorData::new(map, [1, 8, 8, FEATURES]), &device)).into_data()
        };
        let expected = run(&network, normalized);
        let actual = run(&folded(network, mean, deviation), map);
        actual.assert_approx_eq::<f32>(&expected, Tolerance::rel_abs(1e-3, 1e-4));
    }

    #[test]
    fn moments_by_hand() {
        let values: Vec<f16> = [1.0, 10.0, 0.0, 3.0, 10.0, 0.0].map(f16::from_f32).to_vec();
        let (mean, deviation) = moments(std::iter::once(&values[..]));
        assert_eq!(mean, [2.0, 10.0, 0.0]);
        assert!((deviation[0] - 1.001).abs() < 1e-6 && (deviation[1] - 0.001).abs() < 1e-6);
    }
}
