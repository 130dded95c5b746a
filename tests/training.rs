//! Training runs of the small network on images made here: exact resumption, what is trained, and everything that can go wrong.

#[path = "training/command_line.rs"]
mod command_line;
#[path = "training/distillation.rs"]
mod distillation;
#[path = "training/runs.rs"]
mod runs;
mod support;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use tempfile::TempDir;
use umedsam::eval::EmbeddingCache;
use umedsam::segment::Segmenter;
use umedsam::train::config::{Interaction, Part, Schedule, TrainConfig};
use umedsam::train::data::Examples;
use umedsam::train::log::Record;
use umedsam::train::objective::{Goal, Trainee};
use umedsam::train::set::TrainingSet;
use umedsam::train::sharp_min::SharpMin;
use umedsam::train::{BEST, CHECKPOINT, Event, LAST, LOG, TrainSettings, train};
use umedsam::weights::Precision;
use umedsam::{Error, weights};

use runs::{config, data, log, run, settings, squares, tiny_weights, values, write_npz};

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
