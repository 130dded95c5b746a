//! Weight files that are wrong in ten thousand ways: each loads or is refused with a typed error, in little time and memory.

#[path = "support/alarm.rs"]
mod alarm;
#[path = "damaged_weights/allocations.rs"]
mod allocations;
#[path = "damaged_weights/mutations.rs"]
mod mutations;
#[path = "support/tiny.rs"]
mod tiny;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use burn::tensor::Device;
use mutations::{File, Random};
use umedsam::Error;
use umedsam::image::{ImageView, Pixels, Window};
use umedsam::model::Config;
use umedsam::model::efficient_vit_sam::EfficientVitSamConfig;
use umedsam::model::image_encoder::ImageEncoderConfig;
use umedsam::model::prompt_encoder::PointLabel;
use umedsam::segment::{Point, Prompt, SegmentOptions, Segmenter};
use umedsam::uncertainty::{Calibration, UncertaintyOptions};
use umedsam::weights::Precision;

#[global_allocator]
static ALLOCATOR: allocations::Watched = allocations::Watched;

const CASES: u64 = 10_000;
/// The most bytes that loading a damaged file of 100 to 500 kB may take beside itself.
const MOST_BYTES: usize = 64 << 20;
/// The most seconds that one may take, on a machine with other work.
const MOST_SECONDS: f64 = 30.0;

/// Segments with a network, whose answers may be wrong but not impossible.
fn used(segmenter: &Segmenter) -> Result<(), Error> {
    let pixels: Vec<u8> = (0..40 * 30).map(|pixel| (pixel % 40 * 6) as u8).collect();
    let view = ImageView::new(Pixels::U8(&pixels), 40, 30, 1).expect("it is an image");
    let preprocessed = segmenter.preprocess(&view, Window::Auto)?;
    let mut image = segmenter.encode(&preprocessed, |_| ());
    let point = Prompt { points: vec![Point { x: 10.0, y: 9.0, label: PointLabel::Foreground }], ..Default::default() };
    let options = SegmentOptions {
        uncertainty: UncertaintyOptions { samples: 1, ..UncertaintyOptions::single_pass() },
        ..Default::default()
    };
    let prompts = [[4.0, 3.0, 30.0, 22.0].into(), point];
    let found = pollster::block_on(segmenter.segment_prompts(&mut image, &prompts, &options))?;
    for result in &found {
        let is_share = |value: &f32| (0.0..=1.0).contains(value);
        assert!(result.probability.iter().all(is_share), "a probability is not within 0–1");
        assert!((0.0..=1.0).contains(&result.expected_dsc), "the expected DSC is {}", result.expected_dsc);
        let p_value = result.shift.map_or(1.0, |shift| shift.p_value);
        assert!(p_value > 0.0 && p_value <= 1.0, "a p-value is {p_value}");
    }
    Ok(())
}

fn files() -> Vec<File> {
    let corrections = |config| Config { corrections: true, ..config };
    let features = 2 * Config::tiny_student().image_encoder.out_channels();
    let with_alarm = Calibration { shift: Some(alarm::alarm(features, 0.0)), ..tiny::calibration() };
    let file = |config, precision, calibration| File::read(&tiny::weights(config, precision, calibration, 3));
    vec![
        file(Config::tiny(), Precision::F16, None),
        file(corrections(Config::tiny_student()), Precision::I8, Some(tiny::calibration())),
        file(Config::tiny_student(), Precision::F32, Some(with_alarm)),
    ]
}

#[test]
fn ten_thousand_damaged_files_load_or_are_refused_in_words() {
    let files = files();
    let one = std::env::var("UMEDSAM_CASE").ok().map(|case| case.parse::<u64>().expect("UMEDSAM_CASE is a number"));
    let cases = one.map_or(0..CASES, |case| case..case + 1);
    let usual = std::panic::take_hook();
    // Those of the library are told at the end.
    std::panic::set_hook(Box::new(move |panic| {
        if panic.location().is_some_and(|place| place.file().starts_with("tests")) {
            usual(panic);
        }
    }));
    let (mut outcomes, mut problems) = (BTreeMap::<String, usize>::new(), Vec::new());
    let (mut slowest, mut largest) = (0.0f64, 0);
    for case in cases {
        let random = &mut Random::new(case);
        let (what, bytes) = mutations::damaged(random.of(&files), random);
        let length = bytes.len();
        let start = Instant::now();
        let load = || catch_unwind(AssertUnwindSafe(|| Segmenter::from_weights(bytes, &Device::flex())));
        let (loaded, taken) = allocations::watch(case, load);
        let outcome = loaded.and_then(|loaded| match loaded {
            Ok(segmenter) => catch_unwind(AssertUnwindSafe(|| used(&segmenter))),
            Err(error) => Ok(Err(error)),
        });
        let seconds = start.elapsed().as_secs_f64();
        (slowest, largest) = (slowest.max(seconds), largest.max(taken));
        let outcome = match outcome {
            Ok(Ok(())) => "works".to_string(),
            Ok(Err(error)) => error.code().to_string(),
            Err(cause) => {
                let said = cause.downcast_ref::<String>().cloned();
                let said = said.or_else(|| cause.downcast_ref::<&str>().map(|text| text.to_string()));
                problems.push(format!("case {case}, {what}: panics: {}", said.unwrap_or_default()));
                "panics".to_string()
            }
        };
        if taken > MOST_BYTES + length || seconds > MOST_SECONDS {
            problems.push(format!("case {case}, {what}: {outcome} with {taken} bytes in {seconds:.1} s"));
        }
        if one.is_some() {
            println!("case {case}, {what}: {outcome}");
        }
        *outcomes.entry(outcome).or_default() += 1;
    }
    let _ = std::panic::take_hook();
    println!("{outcomes:?}; the slowest took {slowest:.2} s, the largest {largest} bytes");
    let shown = problems.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(problems.is_empty(), "{} problems; UMEDSAM_CASE=N repeats one:\n{shown}", problems.len());
    if one.is_none() {
        assert!(outcomes.len() > 2 && outcomes.get("works") > Some(&100), "the damage is of one kind: {outcomes:?}");
    }
}

/// Networks of any sizes that a file may describe, with all their tensors.
#[test]
fn a_network_of_possible_sizes_answers() {
    let sam = EfficientVitSamConfig {
        widths: vec![4, 4, 8, 8, 8],
        depths: vec![0, 1, 0, 1, 1],
        neck_depth: 1,
        head_dim: 4,
        embedding_size: 16,
        out_channels: 32,
        ..EfficientVitSamConfig::l0(64)
    };
    let sam = Config { image_encoder: ImageEncoderConfig::EfficientVitSam(sam), ..Config::tiny() };
    let configs = [Config::tiny(), Config::tiny_student(), sam].map(|config| serde_json::to_value(config).unwrap());
    let (mut tried, mut problems) = (0, Vec::new());
    for case in 0..3000 {
        let random = &mut Random::new(case);
        let mut value = random.of(&configs).clone();
        for _ in 0..1 + random.below(3) {
            mutations::resize(&mut value, random);
        }
        let Ok(config) = serde_json::from_value::<Config>(value.clone()) else { continue };
        if config.check().is_err() || config.input_size() > 128 {
            continue;
        }
        tried += 1;
        let outcome = catch_unwind(|| {
            let bytes = tiny::weights(config, Precision::F32, None, case);
            used(&Segmenter::from_weights(bytes, &Device::flex())?)
        });
        if outcome.is_err() {
            problems.push(format!("case {case}: {value}"));
        }
        if tried == 300 {
            break;
        }
    }
    assert!(tried > 100, "{tried} networks were possible");
    assert!(problems.is_empty(), "{} of {tried} networks panic:\n{}", problems.len(), problems.join("\n"));
}
