//! Small runs on images made here.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use npyz::WriterBuilder;
use npyz::npz::NpzWriter;
use umedsam::model::Config;
use umedsam::train::config::TrainConfig;
use umedsam::train::log::Record;
use umedsam::train::{Event, LOG, Outcome, TrainSettings, train};
use umedsam::weights::{Metadata, Precision};
use umedsam::{Result, weights};

/// Bytes of a weight file of the small network, the same ones every time: metadata have no order.
pub fn tiny_weights() -> Vec<u8> {
    static WEIGHTS: OnceLock<Vec<u8>> = OnceLock::new();
    WEIGHTS.get_or_init(make_tiny_weights).clone()
}

pub fn make_tiny_weights() -> Vec<u8> {
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

pub fn write_npz(path: &Path, shape: &[u64], imgs: &[u8], gts: Option<&[u8]>) {
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
pub fn squares(number: usize) -> (Vec<u8>, Vec<u8>) {
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
pub fn data(folder: &Path) -> PathBuf {
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

pub fn config(steps: usize) -> TrainConfig {
    let text = format!(
        "steps = {steps}\nbatch = 3\nema = 0.9\nclip_norm = 5.0\ncheckpoint_every = 2\nschedule = \"cosine\"\nwarmup_steps = 1\n\
         [optimizer]\nlearning_rate = 3e-3\nsigma_learning_rate = 1e-2\n\
         [sharp_min]\nrho = 0.05\n[validation]\nevery = 3\nshare = 0.2\n[augmentation]\nbox_shift = 2\n"
    );
    TrainConfig::from_toml(&text).unwrap()
}

pub fn settings(config: TrainConfig, data: &Path, out: &Path) -> TrainSettings {
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
pub fn run(settings: &TrainSettings, until: Option<usize>) -> Result<Outcome> {
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
pub fn log(out: &Path) -> Vec<Record> {
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

/// Every parameter of a module.
pub fn values<M: Module>(module: &M) -> Vec<f32> {
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
