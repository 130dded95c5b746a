//! Calibration from a folder of cases.

use std::collections::BTreeMap;
use std::sync::Mutex;

use rayon::prelude::*;

use super::case::region_of_interest;
use super::dataset::CasePath;
use super::embeddings::EmbeddingCache;
use super::person::Person;
use crate::data::{CaseBoxes, ChallengeCase, read_npz};
use crate::error::{Error, Result};
use crate::image::{BoundingBox, Geometry, ImageView, Pixels, Window};
use crate::metrics::dsc;
use crate::segment::{Answer, Crop, EncodedImage, PlacedPrompt, SegmentOptions, Segmenter};
use crate::uncertainty::fit::{
    BoxSamples, DscSample, RiskCurves, conformal_thresholds, fit_expected_dsc, fit_review, fit_scaling, threshold_grid,
};
use crate::uncertainty::fit_objects::{ObjectScores, fit_objects};
use crate::uncertainty::{
    Calibration, CalibrationData, ConformalThresholds, ExpectedDsc, PromptKind, ReviewRule, Setting, UncertaintyOptions,
};

/// Pixels of a box's region that the scaling is fitted to.
const PIXELS_PER_BOX: usize = 1500;

/// How to calibrate.
#[derive(Debug, Clone)]
pub struct CalibrateSettings {
    /// What the data is, in words.
    pub description: String,
    /// The kinds of ensembles to calibrate.
    pub options: Vec<UncertaintyOptions>,
    /// Whether small boxes are calibrated in crops of their own as well.
    pub zoom: bool,
    /// Whether clicks and corrected masks are calibrated as well.
    pub corrections: bool,
    /// Whether every structure has a box that is drawn too large beside that of the file.
    pub drawn_boxes: bool,
    /// At most this many boxes of an image, evenly spread.
    pub boxes_per_image: usize,
    /// Masks with a DSC below this are poor.
    pub poor_dsc: f64,
    /// Share of the poor masks to flag.
    pub sensitivity: f64,
}

/// Gets how many cases are done, and the one that was done last with what went wrong with it.
pub type CalibrationProgress<'a> = dyn Fn(usize, &CasePath, Option<&Error>) + Sync + 'a;

/// The bounds whose thresholds are stored.
fn alphas() -> Vec<f64> {
    (1..=100).map(|step| f64::from(step) / 200.0).collect()
}

/// What is calibrated apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    prompt: PromptKind,
    zoom: bool,
}

/// One prompt with its truth and the answers of each kind of ensemble.
struct Prompted {
    /// What is around the structure.
    region: BoundingBox,
    /// Of the image, or of the crop around the box.
    geometry: Geometry,
    truth: Vec<bool>,
    /// By kind of ensemble.
    answers: Vec<Vec<Answer>>,
}

struct Image {
    modality: String,
    prompted: Vec<Prompted>,
}

/// Learns a calibration: of boxes as the files bring them and, if wanted, as many drawn up to a quarter too large; of boxes in crops; of clicks; of masks that were
/// corrected. Files that cannot be used are told to `progress` and left out.
///
/// # Errors
/// [`Error::InvalidOption`] without ensembles; the first failure if every case failed.
pub fn calibrate(
    segmenter: &Segmenter,
    cases: &[CasePath],
    embeddings: &EmbeddingCache,
    settings: &CalibrateSettings,
    jobs: usize,
    progress: &CalibrationProgress,
) -> Result<Calibration> {
    if settings.options.is_empty() {
        return Err(Error::InvalidOption("no kind of ensemble to calibrate".into()));
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(jobs)
        .build()
        .map_err(|error| Error::InvalidOption(format!("jobs is {jobs}: {error}")))?;
    let mut calibration = Calibration {
        source_sha256: segmenter.metadata().source_sha256.clone(),
        data: CalibrationData {
            description: settings.description.clone(),
            cases: 0,
            boxes: 0,
            modalities: BTreeMap::new(),
        },
        settings: Vec::new(),
        shift: None,
    };
    let done = Mutex::new(0);
    // One after the other, since the answers of one take gigabytes.
    for group in settings.groups() {
        let decode_case = |case: &CasePath| {
            let image =
                read_npz(&case.path).and_then(|data| decode(segmenter, data, case, embeddings, settings, group));
            let mut done = done.lock().expect("no panics while counting");
            *done += 1;
            progress(*done, case, image.as_ref().err());
            image
        };
        let (images, errors): (Vec<_>, Vec<_>) =
            pool.install(|| cases.par_iter().map(decode_case).collect::<Vec<_>>()).into_iter().partition(Result::is_ok);
        let images: Vec<Image> = images.into_iter().flatten().collect();
        if let (true, Some(Err(error))) = (images.is_empty(), errors.into_iter().next()) {
            return Err(error);
        }
        if calibration.settings.is_empty() {
            let data = &mut calibration.data;
            data.cases = images.len();
            let of_structure = if settings.drawn_boxes { 2 } else { 1 };
            data.boxes = images.iter().map(|image| image.prompted.len() / of_structure).sum();
            images.iter().for_each(|image| *data.modalities.entry(image.modality.clone()).or_insert(0) += 1);
        }
        let prompted: Vec<&[Prompted]> =
            images.iter().map(|image| &image.prompted[..]).filter(|prompted| !prompted.is_empty()).collect();
        for (kind, options) in settings.options_of(group).iter().enumerate().filter(|_| !prompted.is_empty()) {
            let setting = pool.install(|| fit_setting(segmenter, &prompted, kind, options, settings))?;
            calibration.settings.push(Setting { zoom: group.zoom, prompt: group.prompt, ..setting });
        }
    }
    Ok(calibration)
}

impl CalibrateSettings {
    fn groups(&self) -> Vec<Group> {
        let group = |prompt, zoom| Group { prompt, zoom };
        let mut groups = vec![group(PromptKind::Box, false)];
        if self.zoom {
            groups.push(group(PromptKind::Box, true));
        }
        if self.corrections {
            groups.extend([group(PromptKind::Points, false), group(PromptKind::Corrected, false)]);
        }
        groups
    }

    /// Mirrored images are for boxes alone: what is corrected is to be answered at once.
    fn options_of(&self, group: Group) -> Vec<UncertaintyOptions> {
        let is_wanted = |options: &&UncertaintyOptions| group.prompt == PromptKind::Box || !options.flips;
        self.options.iter().filter(is_wanted).copied().collect()
    }

    /// How many cases are decoded in all.
    pub fn steps(&self, cases: usize) -> usize {
        cases * self.groups().len()
    }
}

/// Decodes some structures of a case with every kind of ensemble.
fn decode(
    segmenter: &Segmenter,
    mut data: ChallengeCase,
    case: &CasePath,
    embeddings: &EmbeddingCache,
    settings: &CalibrateSettings,
    group: Group,
) -> Result<Image> {
    data.keep_boxes(settings.boxes_per_image);
    let CaseBoxes::Image(boxes) = &data.boxes else {
        return Err(Error::InvalidImage("volumes cannot calibrate; use images".into()));
    };
    let gts = data.gts.as_ref().ok_or_else(|| Error::InvalidImage("the case has no gts to learn from".into()))?;
    let labels = usize::from(gts.iter().copied().max().unwrap_or(0)).min(boxes.len());
    if labels == 0 {
        return Err(Error::InvalidImage("the case has no label with a box".into()));
    }
    let all_options = settings.options_of(group);
    let flips = all_options.iter().find(|options| options.flips).copied().unwrap_or_default();
    let view = ImageView::new(Pixels::U8(&data.imgs), data.width, data.height, data.channels)?;
    let preprocessed = segmenter.preprocess(&view, Window::Auto)?;
    let mut encoded = embeddings.encode_preprocessed(segmenter, &preprocessed, &flips)?;
    let mut image = Image { modality: case.modality.clone(), prompted: Vec::new() };
    for (index, &corners) in boxes[..labels].iter().enumerate() {
        let Ok(bounding_box) = BoundingBox::checked(corners, data.width, data.height) else { continue };
        let truth: Vec<u8> = gts.iter().map(|&label| u8::from(usize::from(label) == index + 1)).collect();
        if truth.iter().all(|&inside| inside == 0) {
            continue;
        }
        let mut person = Person::new(&format!("{} {index}", case.relative), &truth, data.width);
        let mut push =
            |encoded: &EncodedImage, prompt: PlacedPrompt, region: BoundingBox, truth: Vec<u8>| -> Result<()> {
                let mut answers = Vec::new();
                for options in &all_options {
                    let mut found = Vec::new();
                    let prompts = std::slice::from_ref(&prompt);
                    pollster::block_on(segmenter.answers(encoded, prompts, options, |_, answer| found.push(answer)))?;
                    answers.push(found);
                }
                let truth = truth.iter().map(|&inside| inside != 0).collect();
                image.prompted.push(Prompted { region, geometry: encoded.geometry, truth, answers });
                Ok(())
            };
        match (group.prompt, group.zoom) {
            (PromptKind::Box, false) => {
                let packed = PlacedPrompt::of_box(bounding_box, &encoded.geometry);
                push(&encoded, packed, bounding_box, truth.clone())?;
                if settings.drawn_boxes {
                    let drawn = person.drawn_box(data.width, data.height);
                    push(&encoded, PlacedPrompt::of_box(drawn, &encoded.geometry), drawn, truth.clone())?;
                }
            }
            (PromptKind::Box, true) => {
                let Some(crop) = Crop::around(&bounding_box, data.width, data.height) else { continue };
                let pixels = crop.cut(&preprocessed.windowed);
                let view = ImageView::new(Pixels::U8(&pixels.data), pixels.width, pixels.height, pixels.channels)?;
                let closer = segmenter.preprocess(&view, Window::Auto)?;
                let encoded = embeddings.encode_preprocessed(segmenter, &closer, &flips)?;
                let seen = crop.box_within(&bounding_box);
                let prompt = PlacedPrompt::of_box(seen, &encoded.geometry);
                push(&encoded, prompt, seen, crop.cut_values(&truth, data.width))?;
            }
            (kind, _) => {
                let prompt = match kind {
                    PromptKind::Points => person.click(),
                    _ => person.corrected(segmenter, &mut encoded, corners)?,
                };
                let placed = segmenter.place(&prompt, &encoded)?;
                push(&encoded, placed, person.tight_box(), truth.clone())?;
            }
        }
    }
    Ok(image)
}

fn fit_setting(
    segmenter: &Segmenter,
    images: &[&[Prompted]],
    kind: usize,
    options: &UncertaintyOptions,
    settings: &CalibrateSettings,
) -> Result<Setting> {
    let samples: Vec<BoxSamples> = images
        .par_iter()
        .flat_map_iter(|boxes| {
            let weight = 1.0 / boxes.len() as f64;
            boxes.iter().map(move |found| sample_pixels(segmenter, found, weight, kind, options))
        })
        .collect();
    let scaling = fit_scaling(&samples);
    drop(samples);

    let mut setting = Setting {
        options: UncertaintyOptions { seed: 0, ..*options },
        zoom: false,
        prompt: PromptKind::Box,
        scaling,
        conformal: Vec::new(),
        expected_dsc: ExpectedDsc::default(),
        review: ReviewRule {
            poor_dsc: settings.poor_dsc,
            threshold: 0.0,
            sensitivity: settings.sensitivity,
            flagged: 0.0,
        },
        per_object: Vec::new(),
        area: Vec::new(),
    };
    let calibrated = segmenter.with_calibration(Calibration {
        source_sha256: String::new(),
        data: CalibrationData { description: String::new(), cases: 0, boxes: 0, modalities: BTreeMap::new() },
        settings: vec![setting.clone()],
        shift: None,
    });
    let segment_options = SegmentOptions { uncertainty: *options, ..Default::default() };
    let grid = threshold_grid();
    let judged: Vec<(RiskCurves, Vec<ObjectScores>, Vec<DscSample>)> = images
        .par_iter()
        .enumerate()
        .map(|(number, boxes)| {
            let (mut curves, mut objects, mut samples) = (Vec::new(), Vec::new(), Vec::new());
            for found in *boxes {
                let answers = found.answers[kind].iter();
                let result = calibrated.combine(answers, found.geometry, found.region, &segment_options)?;
                let risks = RiskCurves::of_box(&result.probability, &result.mask, &found.truth, &grid);
                let area = found.truth.iter().filter(|&&inside| inside).count();
                objects.push(ObjectScores::new(&risks, &result.probability, area, &grid));
                curves.push(risks);
                let truth: Vec<u8> = found.truth.iter().map(|&inside| u8::from(inside)).collect();
                let weight = 1.0 / boxes.len() as f64;
                let dsc = dsc(&result.mask, &truth);
                samples.push(DscSample { image: number, weight, agreement: result.agreement, dsc });
            }
            Ok((RiskCurves::mean(&curves), objects, samples))
        })
        .collect::<Result<_>>()?;
    let (mut curves, mut objects, mut samples) = (Vec::new(), Vec::new(), Vec::new());
    for (of_image, of_objects, of_boxes) in judged {
        curves.push(of_image);
        objects.push(of_objects);
        samples.extend(of_boxes);
    }
    fit_objects(&mut setting, &objects, &grid);
    setting.conformal = conformal_rows(&curves, &grid);
    setting.expected_dsc = fit_expected_dsc(&samples);
    setting.review = fit_review(&samples, &setting.expected_dsc, settings.poor_dsc, settings.sensitivity);
    Ok(setting)
}

fn conformal_rows(curves: &[RiskCurves], grid: &[f32]) -> Vec<ConformalThresholds> {
    let curves: Vec<RiskCurves> = curves.iter().filter(|image| !image.fnr.is_empty()).cloned().collect();
    let rows = conformal_thresholds(&curves, grid, &alphas());
    rows.into_iter().filter(|row| row.outer.is_some() || row.inner.is_some()).collect()
}

/// Evenly spread pixels of a box's region, with every member's logits.
fn sample_pixels(
    segmenter: &Segmenter,
    found: &Prompted,
    weight: f64,
    kind: usize,
    options: &UncertaintyOptions,
) -> BoxSamples {
    let Geometry { width, height, .. } = found.geometry;
    let [columns, rows] = region_of_interest(&found.region, width, height);
    let pixels: Vec<usize> = rows.flat_map(|y| columns.clone().map(move |x| y * width + x)).collect();
    let count = pixels.len().min(PIXELS_PER_BOX);
    let pixels: Vec<usize> = (0..count).map(|position| pixels[position * pixels.len() / count]).collect();
    let members: Vec<(f32, Vec<f32>)> = found.answers[kind]
        .iter()
        .flat_map(|answer| segmenter.weighted_logits(answer, &found.geometry, options.multimask))
        .collect();
    BoxSamples {
        weight,
        member_weights: members.iter().map(|(weight, _)| *weight).collect(),
        logits: pixels.iter().flat_map(|&pixel| members.iter().map(move |(_, logits)| logits[pixel])).collect(),
        inside: pixels.iter().map(|&pixel| found.truth[pixel]).collect(),
    }
}
