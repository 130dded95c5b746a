//! A student and its teacher.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;
use tempfile::TempDir;
use umedsam::model::Config;
use umedsam::train::config::{Part, TrainConfig};
use umedsam::train::log::Record;
use umedsam::train::objective::LossValues;
use umedsam::train::sharp_min::SharpMin;
use umedsam::train::{BEST, Event, Outcome, TrainSettings, train};
use umedsam::weights::Metadata;
use umedsam::{Result, weights};

use super::runs::{data, log, settings, squares, tiny_weights, values};

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
