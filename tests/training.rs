//! Training runs of the small network on images made here: exact resumption, what is trained, and everything that can go wrong.

mod support;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use assert_cmd::Command;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use npyz::WriterBuilder;
use npyz::npz::NpzWriter;
use tempfile::TempDir;
use umedsam::eval::EmbeddingCache;
use umedsam::model::Config;
use umedsam::segment::Segmenter;
use umedsam::train::config::{Interaction, Part, Schedule, TrainConfig};
use umedsam::train::data::Examples;
use umedsam::train::log::Record;
use umedsam::train::objective::{Goal, LossValues, Trainee};
use umedsam::train::set::TrainingSet;
use umedsam::train::sharp_min::SharpMin;
use umedsam::train::{BEST, CHECKPOINT, Event, LAST, LOG, Outcome, TrainSettings, train};
use umedsam::weights::{self, Metadata, Precision};
use umedsam::{Error, Result};

/// Bytes of a weight file of the small network, the same ones every time: metadata have no order.
fn tiny_weights() -> Vec<u8> {
    static WEIGHTS: OnceLock<Vec<u8>> = OnceLock::new();
    WEIGHTS.get_or_init(make_tiny_weights).clone()
}

fn make_tiny_weights() -> Vec<u8> {
    let config = Config::tiny();
    let network = config.init_seeded(3, &Device::flex());
    let metadata = Metadata {
        architecture: "tiny".into(),
        config,
        precision: Precision::F32,
        licence: "Apache-2.0".into(),
        source: "seed 3".into(),
        source_sha256: String::new(),
        umedsam_version: "test".into(),
        calibration: None,
        training: None,
    };
    weights::to_bytes(&network, &metadata).unwrap()
}

fn write_npz(path: &Path, shape: &[u64], imgs: &[u8], gts: Option<&[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut npz = NpzWriter::create(path).unwrap();
    for (name, values) in [("imgs", Some(imgs)), ("gts", gts)] {
        let Some(values) = values else { continue };
        let mut writer = npz.array(name, Default::default()).unwrap().default_dtype().shape(shape).begin_nd().unwrap();
        writer.extend(values.iter().copied()).unwrap();
        writer.finish().unwrap();
    }
}

/// A bright square, label 1, and a dimmer one, label 2, on a dark ground; values of images of 64×64 pixels.
fn squares(number: usize) -> (Vec<u8>, Vec<u8>) {
    let labels: Vec<u8> = (0..64 * 64)
        .map(|pixel| {
            let (x, y) = (pixel % 64, pixel / 64);
            let inside = |left: usize, top: usize| (left..left + 20).contains(&x) && (top..top + 16).contains(&y);
            match (inside(3 + 2 * number, 8), inside(8, 36 + number)) {
                (true, _) => 1,
                (_, true) => 2,
                _ => 0,
            }
        })
        .collect();
    let imgs = labels.iter().enumerate().map(|(pixel, label)| [20, 220, 140][usize::from(*label)] + (pixel % 7) as u8);
    (imgs.collect(), labels)
}

/// Ten images of two datasets, and a volume whose first slice is empty.
fn data(folder: &Path) -> PathBuf {
    let data = folder.join("data");
    for number in 0..10 {
        let (imgs, gts) = squares(number);
        let dataset = if number % 2 == 0 { "even" } else { "odd" };
        write_npz(&data.join(format!("CT/{dataset}/2DBox_{number}.npz")), &[64, 64], &imgs, Some(&gts));
    }
    let (imgs, gts) = squares(4);
    let (volume, labels) = ([imgs.clone(), imgs].concat(), [vec![0; 64 * 64], gts].concat());
    write_npz(&data.join("MR/volumes/3DBox_0.npz"), &[2, 64, 64], &volume, Some(&labels));
    data
}

fn config(steps: usize) -> TrainConfig {
    let text = format!(
        "steps = {steps}\nbatch = 3\nema = 0.9\nclip_norm = 5.0\ncheckpoint_every = 2\nschedule = \"cosine\"\nwarmup_steps = 1\n\
         [optimizer]\nlearning_rate = 3e-3\nsigma_learning_rate = 1e-2\n\
         [sharp_min]\nrho = 0.05\n[validation]\nevery = 3\nshare = 0.2\n[augmentation]\nbox_shift = 2\n"
    );
    TrainConfig::from_toml(&text).unwrap()
}

fn settings(config: TrainConfig, data: &Path, out: &Path) -> TrainSettings {
    TrainSettings {
        config,
        data: vec![data.into()],
        teacher: None,
        mask_teacher: None,
        corrections: None,
        validation: None,
        out: out.into(),
        embeddings: out.with_file_name("embeddings"),
        precision: Precision::F32,
        licence: None,
    }
}

/// Trains until the end, or until some step is done.
fn run(settings: &TrainSettings, until: Option<usize>) -> Result<Outcome> {
    let stop = AtomicBool::new(false);
    train(tiny_weights(), settings, &stop, &mut |event| {
        if let Event::Step(record, _) = event
            && Some(record.step) == until
        {
            stop.store(true, Ordering::Relaxed);
        }
    })
}

/// The log but for the time that steps took.
fn log(out: &Path) -> Vec<Record> {
    let text = std::fs::read_to_string(out.join(LOG)).unwrap();
    let timeless = |line: &str| match serde_json::from_str(line).unwrap() {
        Record::Step(mut record) => {
            record.seconds = 0.0;
            Record::Step(record)
        }
        record => record,
    };
    text.lines().map(timeless).collect()
}

#[test]
fn an_interrupted_run_ends_exactly_as_one_that_was_not() {
    let folder = TempDir::new().unwrap();
    let data = data(folder.path());
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let expected = run(&settings(config(7), &data, &whole), None).unwrap();
    assert!(expected.is_complete && expected.step == 7);

    let settings = settings(config(7), &data, &parts);
    let stopped = run(&settings, Some(3)).unwrap();
    assert_eq!((stopped.step, stopped.is_complete), (3, false));
    // As after a kill in the middle of the next steps: lines of the log that no checkpoint knows of, and half a line.
    let killed = std::fs::read_to_string(whole.join(LOG)).unwrap();
    std::fs::write(parts.join(LOG), &killed[..killed.len() - 40]).unwrap();
    assert_eq!(run(&settings, None).unwrap(), expected);
    assert_eq!(log(&parts), log(&whole));
    let best = |out: &Path| weights::load(std::fs::read(out.join(BEST)).unwrap(), &Device::flex()).unwrap();
    let ((network, metadata), (expected_network, expected_metadata)) = (best(&parts), best(&whole));
    assert_eq!(values(&network), values(&expected_network));
    assert_eq!(metadata, expected_metadata);
    // Once more changes nothing.
    assert_eq!(run(&settings, None).unwrap(), expected);
    assert_eq!(log(&parts), log(&whole));

    // The folder belongs to this run.
    let other = TrainSettings { config: TrainConfig { seed: 1, ..config(7) }, ..settings.clone() };
    let error = run(&other, None).unwrap_err();
    assert!(error.to_string().contains("another configuration"), "{error}");
    let checkpoint = std::fs::read(parts.join(CHECKPOINT)).unwrap();
    std::fs::write(parts.join(CHECKPOINT), &checkpoint[..checkpoint.len() / 2]).unwrap();
    assert!(run(&settings, None).unwrap_err().to_string().contains("not a whole checkpoint"));
}

#[test]
fn training_lowers_the_loss_and_says_what_it_did() {
    let folder = TempDir::new().unwrap();
    let data = data(folder.path());
    let out = folder.path().join("run");
    let mut config = TrainConfig { sharp_min: None, ..config(40) };
    // Nothing is held out, so that the last weights are exported.
    config.validation.share = 0.0;
    let outcome = run(&settings(config, &data, &out), None).unwrap();
    assert_eq!((outcome.step, outcome.best), (40, None));
    let records = log(&out);
    let [Record::Step(first), .., Record::Step(last)] = &records[..] else { panic!("the log has {records:?}") };
    assert_eq!((first.step, last.step), (1, 40));
    assert!(last.loss.total < first.loss.total / 2.0, "the loss went from {:?} to {:?}", first.loss, last.loss);
    assert!(last.sigma.iter().all(|sigma| *sigma != 1.0 && sigma.is_finite()), "σ are {:?}", last.sigma);
    for curve in ["loss.svg", "sigma.svg", "validation.svg"] {
        assert!(std::fs::read_to_string(out.join(curve)).unwrap().starts_with("<svg"));
    }

    // The export is a weight file like any other, with what was done.
    let (network, metadata) = weights::load(std::fs::read(out.join(BEST)).unwrap(), &Device::flex()).unwrap();
    let training = metadata.training.unwrap();
    assert_eq!((metadata.architecture.as_str(), &training["steps"]), ("umedsam-tiny", &40.into()));
    assert_eq!((&training["data"]["images"], &training["data"]["held_out"]), (&11.into(), &0.into()));
    assert_eq!(training["config"]["loss"]["kind"], "uncertainty-aware");
    // The encoder is as it was, the decoder is not.
    let (before, _) = weights::load(tiny_weights(), &Device::flex()).unwrap();
    assert_eq!(values(&network.image_encoder), values(&before.image_encoder));
    assert_ne!(values(&network.mask_decoder), values(&before.mask_decoder));
}

/// LiteMedSAM on PET images, which it segments less well than most.
#[test]
fn the_real_network_learns_from_real_images() {
    let pet = or_skip!(support::shared("data/train/PET/STS_PET"), "../shared/data");
    let weights = or_skip!(support::weights("f32"), "weights/ (run cargo xtask weights)");
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data/PET");
    std::fs::create_dir_all(&data).unwrap();
    let mut files: Vec<PathBuf> = std::fs::read_dir(pet).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in files.iter().step_by(8) {
        std::fs::copy(file, data.join(file.file_name().unwrap())).unwrap();
    }
    let text = "steps = 12\n[optimizer]\nlearning_rate = 1e-4\n[augmentation]\nflips = false\n[validation]\nshare = 0.3\nevery = 6\n";
    let settings =
        settings(TrainConfig::from_toml(text).unwrap(), &folder.path().join("data"), &folder.path().join("run"));
    let mut dsc = Vec::new();
    let outcome = train(weights, &settings, &AtomicBool::new(false), &mut |event| {
        if let Event::Validated(record) = event {
            dsc.push(record.dsc);
        }
    });
    let best = outcome.unwrap().best.unwrap().dsc;
    assert!(dsc.len() == 3 && best > dsc[0] + 0.01, "DSC by validation: {dsc:?}");
}

/// Every parameter of a module.
fn values<M: Module>(module: &M) -> Vec<f32> {
    struct Collect(Vec<f32>);
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.extend(param.val().into_data().try_into_vec::<f32>().unwrap());
        }
    }
    let mut collect = Collect(Vec::new());
    module.visit(&mut collect);
    collect.0
}

#[test]
fn without_sharp_min_training_is_exactly_the_optimizer() {
    let folder = TempDir::new().unwrap();
    let data = data(folder.path());
    let config = TrainConfig { sharp_min: None, ema: None, clip_norm: None, warmup_steps: 0, ..config(3) };
    let config = TrainConfig { schedule: Schedule::Constant, ..config };
    for (sharp_min, is_same) in [(None, true), (Some(SharpMin::default()), false)] {
        let out = folder.path().join(format!("run-{is_same}"));
        // The last validation exports the weights if they are the best, which they are on a network that knew nothing.
        let settings = settings(TrainConfig { sharp_min, ..config.clone() }, &data, &out);
        run(&settings, None).unwrap();
        let steps: Vec<Record> = log(&out).into_iter().filter(|record| matches!(record, Record::Step(_))).collect();

        let device = Device::flex().autodiff();
        let bytes = tiny_weights();
        let cache = EmbeddingCache::new(Some(settings.embeddings.clone()), &bytes).with_precision(Precision::F16);
        let segmenter = Segmenter::from_weights(bytes.clone(), &Device::flex()).unwrap();
        let (kept, _) = TrainingSet::scan(std::slice::from_ref(&data), 64, false).unwrap().hold_out(0.2);
        let examples = Examples::new(&kept.items, &segmenter, &cache, &config);
        let mut trainee = Trainee::new(weights::load(bytes, &device).unwrap().0, Part::Decoder, &device);
        let mut optimizer = config.optimizer.init();
        let mut losses = Vec::new();
        for step in 0..3 {
            let (batch, _) = examples.batch(step, config.batch).unwrap();
            let (gradients, loss) = trainee.gradients(&batch, &Goal::of(&config), Some(2));
            trainee = optimizer.step(config.optimizer.learning_rate, trainee, gradients);
            losses.push((loss.total as f32, trainee.sigma().map(|sigma| sigma as f32)));
        }
        let logged: Vec<_> = steps
            .iter()
            .map(|record| match record {
                // serde_json may lose the last bit of 64.
                Record::Step(record) => (record.loss.total as f32, record.sigma.map(|sigma| sigma as f32)),
                Record::Validation(_) => unreachable!(),
            })
            .collect();
        assert_eq!(logged == losses, is_same, "{logged:?} against {losses:?}");
    }
}

#[test]
fn every_part_and_augmentation_trains() {
    let folder = TempDir::new().unwrap();
    let data = data(folder.path());
    for (name, text) in [
        ("all", "part = \"all\"\nsteps = 2\n"),
        ("encoder", "part = \"encoder\"\nsteps = 2\n[augmentation.affine]\nprobability = 1.0\n"),
        ("intensity", "epochs = 0.5\n[augmentation.intensity]\nprobability = 1.0\n[loss]\nboundary = 0.1\n"),
        ("boxes", "part = \"all\"\nsteps = 2\nboxes_per_image = 3\n[validation]\nloosen = 0.2\n"),
        ("sgd", "minutes = 0.01\n[optimizer]\nkind = \"sgd\"\n[loss]\nkind = \"sum\"\nregion = \"squared\"\n"),
    ] {
        let out = folder.path().join(name);
        let outcome = run(&settings(TrainConfig::from_toml(text).unwrap(), &data, &out), None);
        let outcome = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(outcome.is_complete && outcome.step > 0, "{name}");
        for file in [BEST, LAST] {
            let (network, metadata) = weights::load(std::fs::read(out.join(file)).unwrap(), &Device::flex()).unwrap();
            assert!(values(&network).iter().all(|value| value.is_finite()));
            let steps = &metadata.training.unwrap()["steps"];
            assert!(file == BEST || *steps == outcome.step, "{name}: {file} is of step {steps}");
        }
    }
}

#[test]
fn bad_files_are_left_out_and_no_data_is_an_error() {
    let folder = TempDir::new().unwrap();
    let data = data(folder.path());
    let (imgs, _) = squares(1);
    write_npz(&data.join("CT/odd/2DBox_unlabelled.npz"), &[64, 64], &imgs, None);
    write_npz(&data.join("CT/odd/2DBox_empty.npz"), &[64, 64], &imgs, Some(&vec![0; 64 * 64]));
    // A pixel of 256 is gone at 64; a pixel of 64 is an object.
    let mut pixel = vec![0; 256 * 256];
    pixel[256 + 1] = 1;
    write_npz(&data.join("CT/odd/2DBox_vanishing.npz"), &[256, 256], &vec![9; 256 * 256], Some(&pixel));
    let mut pixel = vec![0; 64 * 64];
    pixel[100] = 1;
    write_npz(&data.join("CT/odd/2DBox_pixel.npz"), &[64, 64], &imgs, Some(&pixel));
    let whole = std::fs::read(data.join("CT/odd/2DBox_1.npz")).unwrap();
    std::fs::write(data.join("CT/odd/2DBox_truncated.npz"), &whole[..whole.len() / 2]).unwrap();

    let mut skipped = Vec::new();
    let out = folder.path().join("run");
    let settings = settings(config(4), &data, &out);
    let stop = AtomicBool::new(false);
    let outcome = train(tiny_weights(), &settings, &stop, &mut |event| {
        if let Event::Scanned { skipped: files, .. } = event {
            skipped = files.iter().map(|failure| (failure.case.clone(), failure.message.clone())).collect();
        }
    });
    assert!(outcome.unwrap().is_complete);
    let names: Vec<&str> = skipped.iter().map(|(name, _)| name.rsplit('_').next().unwrap()).collect();
    assert_eq!(names, ["empty.npz", "truncated.npz", "unlabelled.npz", "vanishing.npz"]);
    assert!(skipped[2].1.contains("no gts") && skipped[3].1.contains("no label is left"), "{skipped:?}");

    let nothing = folder.path().join("nothing");
    std::fs::create_dir_all(&nothing).unwrap();
    let error = run(&TrainSettings { data: vec![nothing.clone()], ..settings.clone() }, None).unwrap_err();
    assert!(error.to_string().contains("no .npz"), "{error}");
    std::fs::write(nothing.join("bad.npz"), "no archive").unwrap();
    let error = run(&TrainSettings { data: vec![nothing], ..settings.clone() }, None).unwrap_err();
    assert!(error.to_string().contains("nothing to train on"), "{error}");
    let cuda = TrainSettings { config: TrainConfig::from_toml("device = \"cuda\"").unwrap(), ..settings };
    if !cfg!(feature = "cuda") {
        assert_eq!(run(&cuda, None).unwrap_err().code(), "device-unavailable");
    }
}

#[test]
fn a_loss_that_is_not_finite_names_the_batch_and_keeps_the_checkpoint() {
    let folder = TempDir::new().unwrap();
    let data = data(folder.path());
    let out = folder.path().join("run");
    let mut config = TrainConfig { checkpoint_every: 1, ema: None, sharp_min: None, ..config(50) };
    config.validation.every = 1000;
    config.optimizer.learning_rate = 1e30;
    let error = run(&settings(config, &data, &out), None).unwrap_err();
    assert!(matches!(error, Error::Computation(_)), "{error}");
    let message = error.to_string();
    assert!(message.contains("2DBox_") || message.contains("3DBox_"), "{message}");
    assert!(message.contains("label") && message.contains("checkpoint is kept"), "{message}");
    let (_, metadata) = weights::load(std::fs::read(out.join(BEST)).unwrap(), &Device::flex()).unwrap();
    assert_eq!(metadata.training.unwrap()["steps"], 0);
    assert!(out.join(CHECKPOINT).exists());
}

fn umedsam(arguments: &[&str]) -> Output {
    Command::cargo_bin("umedsam").unwrap().args(arguments).output().unwrap()
}

#[test]
fn the_command_line_trains_and_refuses() {
    let folder = TempDir::new().unwrap();
    let data = data(folder.path());
    let text = |path: &Path| path.to_str().unwrap().to_string();
    let (weights, config, out) =
        (folder.path().join("tiny.safetensors"), folder.path().join("config.toml"), folder.path().join("run"));
    std::fs::write(&weights, tiny_weights()).unwrap();
    std::fs::write(&config, "steps = 2\n").unwrap();
    let arguments = [
        "train",
        "--config",
        &text(&config),
        "--weights",
        &text(&weights),
        "--data",
        &text(&data),
        "--out",
        &text(&out),
    ]
    .map(String::from);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = umedsam(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("images to train on") && said.contains("done after 2 steps"), "{said}");
    let info = umedsam(&["info", &text(&out.join(BEST))]);
    assert!(String::from_utf8_lossy(&info.stdout).contains("trained"));

    let defaults = umedsam(&["train", "--print-config"]);
    let printed = String::from_utf8_lossy(&defaults.stdout).into_owned();
    assert_eq!(TrainConfig::from_toml(&printed).unwrap(), TrainConfig::default());

    std::fs::write(&config, "learning_rate = 3\n").unwrap();
    let output = umedsam(&arguments);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && message.contains("learning_rate"), "{message}");
}

/// A disk that is full, played by a limit on the size of files: the checkpoint of the small network is larger.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_leaves_no_half_file() {
    let folder = TempDir::new().unwrap();
    let data = data(folder.path());
    let (weights, out) = (folder.path().join("tiny.safetensors"), folder.path().join("run"));
    std::fs::write(&weights, tiny_weights()).unwrap();
    let program = assert_cmd::cargo::cargo_bin("umedsam");
    let script = format!(
        "trap '' XFSZ; ulimit -f 80; exec '{}' train --weights '{}' --data '{}' --out '{}'",
        program.display(),
        weights.display(),
        data.display(),
        out.display()
    );
    let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && message.contains("error [file]"), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    assert!(!out.join(CHECKPOINT).exists() && !out.join("checkpoint.safetensors.partial").exists());
}

#[cfg(unix)]
#[test]
fn an_interrupt_saves_and_the_same_command_goes_on() {
    let folder = TempDir::new().unwrap();
    let data = data(folder.path());
    let (weights, config, out) =
        (folder.path().join("tiny.safetensors"), folder.path().join("config.toml"), folder.path().join("run"));
    std::fs::write(&weights, tiny_weights()).unwrap();
    std::fs::write(&config, "steps = 1000000\ncheckpoint_every = 1000000\n").unwrap();
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("umedsam"));
    command.arg("train").arg("--config").arg(&config).arg("--weights").arg(&weights);
    command.arg("--data").arg(&data).arg("--out").arg(&out).stdout(std::process::Stdio::piped());
    let interrupted = |command: &mut std::process::Command, lines: usize| {
        let mut child = command.spawn().unwrap();
        let steps = || std::fs::read_to_string(out.join(LOG)).map_or(0, |log| log.lines().count());
        while steps() < lines {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        // SAFETY: it sends a signal to a process of our own that has not been waited for.
        unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let said = interrupted(&mut command, 4);
    assert!(said.contains("stopped after") && out.join(CHECKPOINT).exists(), "{said}");
    let done = log(&out).len();
    let said = interrupted(&mut command, done + 2);
    assert!(said.contains("going on after step") && log(&out).len() > done, "{said}");
}

/// Bytes of a weight file of the small light encoder with the small network's decoder.
fn tiny_student() -> Vec<u8> {
    static WEIGHTS: OnceLock<Vec<u8>> = OnceLock::new();
    let make = || {
        let (_, metadata) = weights::load(tiny_weights(), &Device::flex()).unwrap();
        let config = Config::tiny_student();
        let network = config.init_seeded(4, &Device::flex());
        weights::to_bytes(&network, &Metadata { config, ..metadata }).unwrap()
    };
    WEIGHTS.get_or_init(make).clone()
}

fn distillation(text: &str) -> TrainConfig {
    let text = format!(
        "batch = 2\npart = \"encoder\"\nclip_norm = 5.0\ncheckpoint_every = 2\n{text}\n[optimizer]\nlearning_rate = 2e-3\n\
         [validation]\nevery = 1000\nshare = 0.2\n[augmentation]\nflips = false\n[augmentation.views]\ncount = 2\n"
    );
    TrainConfig::from_toml(&text).unwrap()
}

fn distil(settings: &TrainSettings, until: Option<usize>) -> Result<Outcome> {
    let stop = AtomicBool::new(false);
    train(tiny_student(), settings, &stop, &mut |event| {
        if let Event::Step(record, _) = event
            && Some(record.step) == until
        {
            stop.store(true, Ordering::Relaxed);
        }
    })
}

/// The settings of a distillation whose teacher is the small network.
fn distillation_settings(config: TrainConfig, folder: &Path, name: &str) -> TrainSettings {
    let teacher = folder.join("teacher.safetensors");
    std::fs::write(&teacher, tiny_weights()).unwrap();
    TrainSettings { teacher: Some(teacher), ..settings(config, &data(folder), &folder.join(name)) }
}

fn losses(out: &Path) -> Vec<LossValues> {
    let step = |record| match record {
        Record::Step(record) => Some(record.loss),
        _ => None,
    };
    log(out).into_iter().filter_map(step).collect()
}

#[test]
fn a_student_learns_its_teachers_embeddings() {
    let folder = TempDir::new().unwrap();
    let mut config = distillation("steps = 60\n[distillation]\nweight = 10.0\n");
    // Nothing is held out, so that the last weights are exported: the small decoder knows no masks to choose the best by.
    config.validation.share = 0.0;
    let mut settings = distillation_settings(config, folder.path(), "run");
    // Pictures without masks are learned from too.
    let pictures = folder.path().join("pictures/Photo/set");
    std::fs::create_dir_all(&pictures).unwrap();
    let (pixels, _) = squares(1);
    let picture = image::GrayImage::from_raw(64, 64, pixels).unwrap();
    (0..5).for_each(|number| picture.save(pictures.join(format!("{number}.png"))).unwrap());
    settings.data.push(folder.path().join("pictures"));
    distil(&settings, None).unwrap();
    let losses = losses(&settings.out);
    let mean = |losses: &[LossValues]| losses.iter().map(|loss| loss.embedding).sum::<f64>() / losses.len() as f64;
    let (before, after) = (mean(&losses[..10]), mean(&losses[50..]));
    assert!(after < before / 2.0, "the difference went from {before} to {after}");
    assert!(
        losses.iter().all(|loss| loss.region == 0.0 && (loss.total - 10.0 * loss.embedding).abs() < 1e-4 * loss.total)
    );

    let (network, metadata) = weights::load(std::fs::read(settings.out.join(BEST)).unwrap(), &Device::flex()).unwrap();
    let (before, _) = weights::load(tiny_student(), &Device::flex()).unwrap();
    assert_eq!(metadata.config, Config::tiny_student());
    assert_eq!(metadata.training.unwrap()["data"]["images"], 17, "ten images, two slices and five pictures");
    assert!(values(&network.mask_decoder) == values(&before.mask_decoder), "the mask decoder changed");
    assert!(values(&network.image_encoder) != values(&before.image_encoder), "the image encoder did not");
}

#[test]
fn distillation_goes_on_exactly_where_it_was_and_learns_masks_too() {
    let folder = TempDir::new().unwrap();
    let config = distillation("steps = 5\n[distillation]\nweight = 3.0\nmasks = true\n");
    let mut config = TrainConfig { part: Part::All, sharp_min: Some(SharpMin::default()), ema: Some(0.9), ..config };
    config.augmentation.drawn_boxes = Some(Default::default());
    config.optimizer.decoder_rate = 0.5;
    let whole = distillation_settings(config.clone(), folder.path(), "whole");
    let parts = distillation_settings(config, folder.path(), "parts");
    let expected = distil(&whole, None).unwrap();
    distil(&parts, Some(2)).unwrap();
    assert_eq!(distil(&parts, None).unwrap(), expected);
    assert_eq!(log(&parts.out), log(&whole.out));
    assert!(losses(&whole.out).iter().all(|loss| loss.region > 0.0 && loss.embedding > 0.0));
    // Another teacher is another run.
    std::fs::write(parts.teacher.as_ref().unwrap(), tiny_student()).unwrap();
    assert!(distil(&parts, None).unwrap_err().to_string().contains("another configuration"));
}

#[test]
fn the_teachers_masks_teach_what_has_no_labels() {
    let folder = TempDir::new().unwrap();
    let text = "balance = 0.5\nsteps = 6\n[distillation]\nmasks = true\ntaught_masks = 1.0\ntaught_views = 1\n";
    let config = TrainConfig { part: Part::All, ..distillation(text) };
    let mut settings = distillation_settings(config.clone(), folder.path(), "run");
    let pictures = folder.path().join("pictures/Photo/set");
    std::fs::create_dir_all(&pictures).unwrap();
    let picture = image::GrayImage::from_raw(64, 64, squares(1).0).unwrap();
    (0..6).for_each(|number| picture.save(pictures.join(format!("{number}.png"))).unwrap());
    settings.data = vec![folder.path().join("pictures"), data(folder.path())];
    distil(&settings, None).unwrap();
    // With every mask the teacher's, every example has its embedding too, whatever the view.
    assert!(losses(&settings.out).iter().all(|loss| loss.region > 0.0 && loss.embedding > 0.0));

    // Labels alone: views that the teacher does not see have no embedding to learn.
    let mut labels = config.clone();
    labels.distillation.as_mut().unwrap().taught_masks = 0.0;
    let settings = TrainSettings { mask_teacher: None, ..distillation_settings(labels, folder.path(), "labels") };
    distil(&settings, None).unwrap();
    let half_taught = losses(&settings.out);
    assert!(half_taught.iter().any(|loss| loss.embedding > 0.0) && half_taught.iter().all(|loss| loss.region > 0.0));

    // Another decoder's masks are another run.
    let other = folder.path().join("other.safetensors");
    std::fs::write(&other, tiny_student()).unwrap();
    let settings = distillation_settings(config, folder.path(), "run");
    let masks = TrainSettings { mask_teacher: Some(other), ..settings };
    assert!(distil(&masks, None).unwrap_err().to_string().contains("another configuration"));
    assert!(TrainConfig::from_toml("part = \"encoder\"\n[distillation]\ntaught_masks = 0.5\n").is_err());
}

#[test]
fn distillation_that_cannot_be_is_refused() {
    let folder = TempDir::new().unwrap();
    let config = distillation("steps = 1\n[distillation]\n");
    let settings = TrainSettings { teacher: None, ..distillation_settings(config, folder.path(), "run") };
    assert!(distil(&settings, None).unwrap_err().to_string().contains("needs a teacher"));
    let settings = TrainSettings { teacher: Some(folder.path().join("nothing")), ..settings };
    assert!(distil(&settings, None).unwrap_err().to_string().contains("nothing"));
    for (text, part) in [
        ("part = \"decoder\"\n[distillation]\n", "is for the image encoder"),
        ("part = \"all\"\n[distillation]\n", "without masks"),
        ("part = \"encoder\"\n[distillation]\nweight = -1.0\n", "distillation.weight is -1"),
        ("[augmentation.views]\ncount = 0\n", "views.count is 0"),
        ("[augmentation.drawn_boxes]\noutwards = 2.0\n", "outwards is 2"),
    ] {
        let error = TrainConfig::from_toml(text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn corrections_apart_are_trained_and_boxes_stay() {
    let folder = TempDir::new().unwrap();
    let mut config = config(6);
    config.part = Part::Corrections;
    let error = run(&settings(config.clone(), &data(folder.path()), &folder.path().join("none")), None).unwrap_err();
    assert!(error.to_string().contains("give [interaction]"), "{error}");
    config.interaction = Some(Interaction { corrections: 2, validated: 1, ..Default::default() });

    let whole = settings(config.clone(), &data(folder.path()), &folder.path().join("whole"));
    let parts = settings(config.clone(), &data(folder.path()), &folder.path().join("parts"));
    let expected = run(&whole, None).unwrap();
    run(&parts, Some(2)).unwrap();
    assert_eq!(run(&parts, None).unwrap(), expected);
    assert_eq!(log(&parts.out), log(&whole.out));

    let read = |path: PathBuf| weights::load(std::fs::read(path).unwrap(), &Device::flex()).unwrap();
    let (trained, metadata) = read(whole.out.join(LAST));
    let (before, _) = weights::load(tiny_weights(), &Device::flex()).unwrap();
    assert!(metadata.config.corrections);
    assert!(values(&trained.mask_decoder) == values(&before.mask_decoder), "the mask decoder of boxes changed");
    assert!(values(&trained.prompt_encoder) == values(&before.prompt_encoder), "the prompt encoder of boxes changed");
    let corrections = trained.corrections.unwrap();
    assert!(values(&corrections.mask_decoder) != values(&before.mask_decoder), "nothing was learned");

    // They may begin with those of other weights, whose boxes are not used.
    let prompts = TrainConfig { part: Part::Prompts, ..config.clone() };
    let prompts = settings(prompts, &data(folder.path()), &folder.path().join("prompts"));
    run(&prompts, None).unwrap();
    let (other, _) = read(prompts.out.join(LAST));
    (config.steps, config.ema, config.optimizer.learning_rate) = (Some(1), None, 1e-30);
    let begun = TrainSettings {
        corrections: Some(prompts.out.join(LAST)),
        ..settings(config.clone(), &data(folder.path()), &folder.path().join("begun"))
    };
    run(&begun, None).unwrap();
    let (begun, _) = read(begun.out.join(LAST));
    let corrections = begun.corrections.unwrap();
    assert!(values(&corrections.mask_decoder) == values(&other.mask_decoder));
    assert!(values(&corrections.prompt_encoder) == values(&other.prompt_encoder));
    assert!(values(&begun.mask_decoder) == values(&before.mask_decoder));

    config.part = Part::Decoder;
    let wrong = TrainSettings {
        corrections: Some(prompts.out.join(LAST)),
        ..settings(config, &data(folder.path()), &folder.path().join("wrong"))
    };
    assert!(run(&wrong, None).unwrap_err().to_string().contains("part = \"corrections\""));
}
