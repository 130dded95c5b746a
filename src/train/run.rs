//! A training run: data, steps, validation, checkpoints, and the best weights.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use serde_json::json;

use super::checkpoint::{self, Best, Progress, State};
use super::config::{Length, Part, TrainConfig, TrainDevice};
use super::corrections::corrections_of;
use super::data::Examples;
use super::ema::Ema;
use super::example::Example;
use super::identity::{commit, fingerprint, modalities};
use super::log::{Log, Record, StepRecord, ValidationRecord};
use super::objective::{Goal, LossValues, Trainee};
use super::optimizer::clip;
use super::parallel;
use super::set::TrainingSet;
use super::teacher::Teacher;
use crate::error::{Error, Result};
use crate::eval::{EmbeddingCache, Failure};
use crate::model::Umedsam;
use crate::segment::Segmenter;
use crate::weights::{self, Metadata, Precision, sha256_hex, to_bytes, write_whole};

/// What to train, on what, and where it goes.
#[derive(Debug, Clone)]
pub struct TrainSettings {
    /// How.
    pub config: TrainConfig,
    /// The folders of challenge cases to learn from; where only embeddings are learned, also of pictures.
    pub data: Vec<PathBuf>,
    /// The weight file whose image encoder is the teacher of a distillation.
    pub teacher: Option<PathBuf>,
    /// The weight file whose mask decoder gives the teacher's masks; without it, the teacher's own. Its image encoder is not used.
    pub mask_teacher: Option<PathBuf>,
    /// The weight file whose corrections, or else whose prompt encoder and mask decoder of boxes, the corrections begin with, where they are the trained part and the weights
    /// have none; without it, the weights' own.
    pub corrections: Option<PathBuf>,
    /// The folder of challenge cases that the best weights are chosen by; without it, a share of the data is held out.
    pub validation: Option<PathBuf>,
    /// The folder of the run: `checkpoint.safetensors`, `best.safetensors`, `last.safetensors`, `log.jsonl`, `config.toml` and curves.
    pub out: PathBuf,
    /// A folder of embeddings, kept between runs.
    pub embeddings: PathBuf,
    /// How the best weights are stored.
    pub precision: Precision,
    /// SPDX expression of the best weights' licence; without it, that of the weights it begins with.
    pub licence: Option<String>,
}

/// What happens in a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// The data was looked through: images to train on, images to validate with, files that cannot be used.
    Scanned {
        /// Images to train on.
        train: usize,
        /// Images to validate with.
        validation: usize,
        /// Files that cannot be used.
        skipped: &'a [Failure],
    },
    /// The run goes on after some steps of an earlier one.
    Resumed {
        /// Steps that were done.
        step: usize,
    },
    /// A file could not be read in time.
    Unreadable(&'a Failure),
    /// A step was done, of how many if that is known.
    Step(&'a StepRecord, Option<usize>),
    /// The weights were validated.
    Validated(&'a ValidationRecord),
    /// A checkpoint was written after some steps.
    Saved {
        /// Steps done.
        step: usize,
    },
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Steps done.
    pub step: usize,
    /// The best validation.
    pub best: Option<Best>,
    /// Whether the run came to its end, and was not stopped.
    pub is_complete: bool,
}

/// Files of a run.
pub const CHECKPOINT: &str = "checkpoint.safetensors";
/// The best weights.
pub const BEST: &str = "best.safetensors";
/// The weights of the last validation, for a run whose measure is not what it is after, as where only embeddings are learned.
pub const LAST: &str = "last.safetensors";
/// The log.
pub const LOG: &str = "log.jsonl";

/// Batches prepared in advance.
const PREFETCH: usize = 2;

/// Trains from the bytes of a weight file. A folder with a checkpoint of the same run goes on from it, exactly as if it had not been
/// interrupted. Once `stop` is set, the run saves after the current step and returns.
///
/// # Errors
/// [`Error::File`] if there is no usable data, or something cannot be written, the last checkpoint being kept; [`Error::InvalidOption`] and
/// [`Error::DeviceUnavailable`] for settings; [`Error::Computation`] naming the batch if a loss is not finite.
pub fn train(
    weights: Vec<u8>,
    settings: &TrainSettings,
    stop: &AtomicBool,
    observe: &mut dyn FnMut(Event),
) -> Result<Outcome> {
    let config = settings.config.clone().checked()?;
    let device = device(config.device)?;
    let source_sha256 = sha256_hex(&weights);
    let cache = EmbeddingCache::new(Some(settings.embeddings.clone()), &weights).with_precision(Precision::F16);
    let teacher = config.distillation.map(|_| Teacher::read(settings, &device)).transpose()?;
    let (mut network, mut metadata) = weights::load(weights.clone(), &device)?;
    let mut source_key = source_sha256.clone();
    if let Some(path) = &settings.corrections {
        let (corrections, sha256) = corrections_of(path, &metadata, config.part, &device)?;
        network.corrections = Some(corrections);
        source_key += &sha256;
    }
    metadata.config.corrections |= config.part == Part::Corrections;
    // It was learned for the decoder as it was.
    metadata.config.local_scaling = None;
    let segmenter = Segmenter::from_weights(weights, &device.clone().inner())?;
    let input_size = metadata.config.input_size();

    let goal = Goal::of(&config);
    let scan = |folders: &[PathBuf]| TrainingSet::scan(folders, input_size, goal.takes_unlabelled());
    let (train_set, validation_set) = match &settings.validation {
        Some(folder) => (scan(&settings.data)?, TrainingSet::scan(std::slice::from_ref(folder), input_size, false)?),
        None => scan(&settings.data)?.hold_out(config.validation.share),
    };
    observe(Event::Scanned {
        train: train_set.items.len(),
        validation: validation_set.items.len(),
        skipped: &train_set.skipped,
    });
    if train_set.items.is_empty() {
        return Err(Error::InvalidOption("validation.share leaves no image to train on".into()));
    }
    let examples = Examples::new(&train_set.items, &segmenter, &cache, &config).with_teacher(teacher.as_ref());
    let validation =
        Examples::new(&validation_set.items, &segmenter, &cache, &config).validation(&config.validation)?;

    std::fs::create_dir_all(&settings.out).map_err(|error| Error::file(&settings.out, error))?;
    let text = config.to_toml();
    let teacher_key = teacher.as_ref().map_or("", Teacher::key);
    let fingerprint = fingerprint(&format!("{text}{teacher_key}"), &source_key, &train_set, &validation_set);
    let trainee = Trainee::new(network, config.part, &device);
    let progress = Progress {
        ema: config.ema.map(|decay| Ema::new(decay, &trainee, 0)),
        optimizer: config.optimizer.init(),
        trainee,
    };
    let path = settings.out.join(CHECKPOINT);
    let (progress, state) = match path.exists() {
        true => checkpoint::load(&path, progress, config.ema, &fingerprint)?,
        false => (progress, State { step: 0, seconds: 0.0, best: None, fingerprint }),
    };
    let is_resumed = state.step > 0;
    if is_resumed {
        observe(Event::Resumed { step: state.step });
    }
    let config_path = settings.out.join("config.toml");
    std::fs::write(&config_path, &text).map_err(|error| Error::file(&config_path, error))?;
    let training = json!({
        "config": config,
        "data": {
            "folders": settings.data, "images": train_set.items.len(), "modalities": modalities(&train_set),
            "held_out": validation_set.items.len(), "skipped": train_set.skipped.len(),
        },
        "begun_with": { "source": metadata.source, "sha256": source_sha256, "training": metadata.training },
        "commit": commit(),
    });
    let run = Run {
        settings,
        config: &config,
        goal,
        metadata: Metadata {
            architecture: format!("umedsam-{}", metadata.architecture.trim_start_matches("umedsam-")),
            precision: settings.precision,
            licence: settings.licence.clone().unwrap_or_else(|| metadata.licence.clone()),
            source: format!("trained by umedsam, beginning with {}", metadata.source),
            source_sha256,
            umedsam_version: env!("CARGO_PKG_VERSION").into(),
            calibration: None,
            training: Some(training),
            ..metadata
        },
        examples: &examples,
        validation: &validation,
        jobs: match config.device {
            TrainDevice::Cpu => Some(std::thread::available_parallelism().map_or(1, usize::from)),
            _ => None,
        },
    };
    let log = Log::open(&settings.out.join(LOG), is_resumed.then_some(state.step))?;
    run.go_on(progress, state, log, stop, observe)
}

/// What does not change in a run.
struct Run<'a> {
    settings: &'a TrainSettings,
    config: &'a TrainConfig,
    goal: Goal,
    metadata: Metadata,
    examples: &'a Examples<'a>,
    validation: &'a [Example],
    /// Examples worked on at the same time on the CPU; a GPU takes a batch as a whole.
    jobs: Option<usize>,
}

impl Run<'_> {
    fn go_on(
        &self,
        mut progress: Progress,
        mut state: State,
        mut log: Log,
        stop: &AtomicBool,
        observe: &mut dyn FnMut(Event),
    ) -> Result<Outcome> {
        if state.step == 0 {
            self.validate(&progress, &mut state, &mut log, observe)?;
        }
        let steps = self.steps();
        let is_done = |state: &State| self.done(state, steps) >= 1.0 || steps.is_some_and(|steps| state.step >= steps);
        std::thread::scope(|scope| {
            let (sender, batches) = sync_channel(PREFETCH);
            let first = state.step;
            scope.spawn(move || {
                let steps = first..steps.unwrap_or(usize::MAX);
                // Ends when nobody takes batches any more.
                let _ = steps
                    .map(|step| sender.send(self.examples.batch(step, self.config.batch)))
                    .find(|sent| sent.is_err());
            });
            while !is_done(&state) && !stop.load(Ordering::Relaxed) {
                let begin = Instant::now();
                let (batch, failures) = batches.recv().expect("the thread that prepares batches runs")?;
                failures.iter().for_each(|failure| observe(Event::Unreadable(failure)));
                let record = self.step(&mut progress, &mut state, &batch, steps, begin)?;
                observe(Event::Step(&record, steps));
                log.push(Record::Step(record))?;
                let is_last = is_done(&state);
                if is_last || state.step.is_multiple_of(self.config.validation.every) {
                    self.validate(&progress, &mut state, &mut log, observe)?;
                }
                if is_last || stop.load(Ordering::Relaxed) || state.step.is_multiple_of(self.config.checkpoint_every) {
                    checkpoint::save(&self.settings.out.join(CHECKPOINT), &progress, &state)?;
                    log.draw()?;
                    observe(Event::Saved { step: state.step });
                }
            }
            Ok(Outcome { step: state.step, best: state.best, is_complete: is_done(&state) })
        })
    }

    fn steps(&self) -> Option<usize> {
        match self.config.length() {
            Length::Steps(steps) => Some(steps),
            Length::Epochs(epochs) => {
                Some((epochs * self.examples.len() as f64 / self.config.batch as f64).ceil() as usize)
            }
            Length::Minutes(_) => None,
        }
    }

    /// Share of the run that is done.
    fn done(&self, state: &State, steps: Option<usize>) -> f64 {
        match (self.config.length(), steps) {
            (Length::Minutes(minutes), _) => state.seconds / (60.0 * minutes),
            (_, steps) => state.step as f64 / steps.unwrap_or(1).max(1) as f64,
        }
    }

    /// Changes nothing if the loss is not finite.
    fn step(
        &self,
        progress: &mut Progress,
        state: &mut State,
        batch: &[Example],
        steps: Option<usize>,
        begin: Instant,
    ) -> Result<StepRecord> {
        let config = self.config;
        let warmup = ((state.step + 1) as f64 / (config.warmup_steps + 1) as f64).min(1.0);
        let rate = config.optimizer.learning_rate * config.schedule.factor(self.done(state, steps)) * warmup;
        let gradient = |trainee: &Trainee| trainee.gradients(batch, &self.goal, self.jobs);
        let done = self.done(state, steps);
        let (mut gradients, loss) = match config.sharp_min.filter(|sharp_min| done >= sharp_min.begin) {
            Some(sharp_min) => sharp_min.gradient(&progress.trainee, gradient),
            None => gradient(&progress.trainee),
        };
        let gradient_norm = clip(&progress.trainee, &mut gradients, config.clip_norm);
        if !(loss.total.is_finite() && gradient_norm.is_finite()) {
            let names: Vec<&str> = batch.iter().map(|example| example.name.as_str()).collect();
            return Err(Error::Computation(format!(
                "in step {} the loss is {} and its gradient's norm {gradient_norm}, with the batch [{}]; the last checkpoint is kept. \
                 A lower learning rate or clip_norm may help",
                state.step + 1,
                loss.total,
                names.join(", "),
            )));
        }
        progress.trainee = progress.optimizer.step(rate, progress.trainee.clone(), gradients);
        if let Some(ema) = &mut progress.ema {
            ema.update(&progress.trainee);
        }
        state.step += 1;
        state.seconds += begin.elapsed().as_secs_f64();
        Ok(StepRecord {
            step: state.step,
            epoch: (state.step * config.batch) as f64 / self.examples.len() as f64,
            loss,
            sigma: progress.trainee.sigma(),
            gradient_norm,
            learning_rate: rate,
            seconds: state.seconds,
        })
    }

    /// Measures the weights, or their average, and exports them, and once more if they are the best so far; without validation, always.
    fn validate(
        &self,
        progress: &Progress,
        state: &mut State,
        log: &mut Log,
        observe: &mut dyn FnMut(Event),
    ) -> Result<()> {
        let trainee = match &progress.ema {
            Some(ema) => ema.apply(progress.trainee.clone()),
            None => progress.trainee.clone(),
        };
        let trainee = trainee.valid();
        if self.validation.is_empty() {
            self.export(trainee.network.clone(), state, None, LAST)?;
            return self.export(trainee.network, state, None, BEST);
        }
        let jobs = self.jobs.unwrap_or(1);
        let scores = parallel::map(self.validation, jobs, |example| trainee.score(example, &self.goal));
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let mut by_modality: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (example, (dsc, _)) in self.validation.iter().zip(&scores) {
            by_modality.entry(example.modality.clone()).or_default().push(*dsc);
        }
        let (all, losses): (Vec<f64>, Vec<LossValues>) = scores.into_iter().unzip();
        let dsc = mean(&all);
        let is_best = state.best.is_none_or(|best| dsc > best.dsc);
        self.export(trainee.network.clone(), state, Some(dsc), LAST)?;
        if is_best {
            self.export(trainee.network, state, Some(dsc), BEST)?;
            state.best = Some(Best { step: state.step, dsc });
        }
        let record = ValidationRecord {
            step: state.step,
            dsc,
            modalities: by_modality.into_iter().map(|(name, values)| (name, mean(&values))).collect(),
            loss: LossValues::mean(&losses),
            is_best,
        };
        observe(Event::Validated(&record));
        log.push(Record::Validation(record))
    }

    fn export(&self, network: Umedsam, state: &State, validation_dsc: Option<f64>, file: &str) -> Result<()> {
        let mut metadata = self.metadata.clone();
        if let Some(training) = &mut metadata.training {
            training["steps"] = state.step.into();
            training["validation_dsc"] = json!(validation_dsc);
        }
        let path = self.settings.out.join(file);
        let bytes = to_bytes(&network.to_device(&Device::flex()), &metadata)?;
        write_whole(&path, &bytes).map_err(|error| Error::file(&path, error))
    }
}

fn device(device: TrainDevice) -> Result<Device> {
    let device = match device {
        TrainDevice::Cpu => Device::flex(),
        #[cfg(feature = "cuda")]
        TrainDevice::Cuda => Device::cuda(0),
        #[cfg(feature = "vulkan")]
        TrainDevice::Vulkan => Device::vulkan(burn::tensor::DeviceKind::DefaultDevice),
        #[allow(unreachable_patterns)]
        other => {
            let name = format!("{other:?}").to_lowercase();
            let message = format!("{name} is not in this build; build with --features {name}, or use device = \"cpu\"");
            return Err(Error::DeviceUnavailable(message));
        }
    };
    Ok(device.autodiff())
}
