//! Our weights with the light encoder on images that they were not trained on: with boxes as the files bring them, and as people draw them.

mod support;

use burn::tensor::Device;
use support::{root, shared};
use umedsam::data::read_npz;
use umedsam::eval::{
    Clicks, DrawnBoxes, EmbeddingCache, FirstPrompt, MapKind, Policy, evaluate_case, find_cases, play_case,
};
use umedsam::image::{ImageView, Pixels, Window};
use umedsam::model::image_encoder::ImageEncoderConfig;
use umedsam::segment::{SegmentOptions, Segmenter};
use umedsam::uncertainty::{PromptKind, UncertaintyOptions};

/// Every so many images of `val`, and at most so many boxes of each: half a minute.
const EVERY: usize = 9;
const BOXES: usize = 3;

fn own() -> (Vec<u8>, Segmenter) {
    let bytes =
        std::fs::read(root().join("weights/umedsam-student-i8.safetensors")).expect("they are part of the repository");
    let segmenter = Segmenter::from_weights(bytes.clone(), &Device::flex()).expect("they can be read");
    (bytes, segmenter)
}

#[test]
fn they_are_calibrated_and_say_how_they_were_made() {
    let (bytes, segmenter) = own();
    let metadata = segmenter.metadata();
    assert_eq!(metadata.architecture, "umedsam-student");
    assert!(matches!(metadata.config.image_encoder, ImageEncoderConfig::Student(_)));
    assert!(bytes.len() <= 16_000_000, "{} bytes", bytes.len());
    let calibration = metadata.calibration.as_ref().expect("they are calibrated");
    assert!(calibration.setting(&UncertaintyOptions::default(), false, PromptKind::Box).is_some());
    assert!(calibration.setting(&UncertaintyOptions::single_pass(), false, PromptKind::Box).is_some());
    assert!(
        calibration
            .setting(&UncertaintyOptions::default(), true, PromptKind::Box)
            .is_some_and(|(setting, _)| setting.zoom)
    );
    for kind in [PromptKind::Points, PromptKind::Corrected] {
        let (setting, _) = calibration.setting(&UncertaintyOptions::default(), false, kind).expect("it is calibrated");
        assert_eq!(setting.prompt, kind);
    }
    assert!(metadata.config.corrections, "corrections have a decoder of their own");
    assert!(metadata.training.is_some(), "they say how they were made");
}

#[test]
fn they_have_no_multimask_outputs_and_say_so() {
    let (_, segmenter) = own();
    let pixels: Vec<u8> = (0..64 * 64).map(|pixel| (pixel % 64 * 4) as u8).collect();
    let view = ImageView::new(Pixels::U8(&pixels), 64, 64, 1).unwrap();
    let mut image = segmenter.encode(&segmenter.preprocess(&view, Window::Auto).unwrap(), |_| ());
    let uncertainty = UncertaintyOptions { multimask: 0.5, ..Default::default() };
    let options = SegmentOptions { uncertainty, ..Default::default() };
    let error = pollster::block_on(segmenter.segment(&mut image, &[[8.0, 8.0, 40.0, 40.0]], &options)).unwrap_err();
    assert!(error.code() == "invalid-option" && error.to_string().contains("multimask is 0.5"), "{error}");
}

#[test]
fn they_hold_for_tight_and_for_loose_boxes() {
    let data = or_skip!(shared("data/val"), "../shared/data");
    let (bytes, segmenter) = own();
    let cache = EmbeddingCache::new(None, &bytes);
    let options = SegmentOptions { uncertainty: UncertaintyOptions::single_pass(), ..Default::default() };
    let drawn = |loosen| Some(DrawnBoxes { loosen, jitter: 0.0 });
    let kinds = [("packed", None, 0.885), ("tight", drawn(0.0), 0.885), ("20 % loose", drawn(0.2), 0.79)];
    let cases: Vec<_> = find_cases(&data).unwrap().into_iter().step_by(EVERY).collect();
    let mut sums = [0.0; 3];
    for case in &cases {
        let mut data = read_npz(&case.path).unwrap();
        data.keep_boxes(BOXES);
        for ((_, drawn, _), sum) in kinds.iter().zip(&mut sums) {
            let mut data = data.clone();
            if let Some(drawn) = drawn {
                drawn.apply(&mut data, &case.relative);
            }
            let scores = evaluate_case(&segmenter, &data, &cache, &options, MapKind::Total, &[]).unwrap();
            *sum += scores.dsc;
        }
    }
    for ((name, _, least), sum) in kinds.into_iter().zip(sums) {
        let dsc = sum / cases.len() as f64;
        eprintln!("{name}: DSC {dsc:.4} over {} images", cases.len());
        assert!(dsc >= least, "{name}: DSC {dsc:.4} is below {least}");
    }
}

#[test]
fn every_click_helps() {
    let data = or_skip!(shared("data/val"), "../shared/data");
    let (bytes, segmenter) = own();
    let cache = EmbeddingCache::new(None, &bytes);
    let options = SegmentOptions { uncertainty: UncertaintyOptions::single_pass(), ..Default::default() };
    let cases: Vec<_> = find_cases(&data).unwrap().into_iter().step_by(EVERY).collect();
    // Least DSC of the first answer and after three clicks.
    for (first, least) in [(FirstPrompt::Box, [0.885, 0.9]), (FirstPrompt::Click, [0.7, 0.82])] {
        let clicks = Clicks { count: 3, first, policy: Policy::Error };
        let mut rounds = [0.0; 4];
        for case in &cases {
            let mut data = read_npz(&case.path).unwrap();
            if data.depth > 1 {
                continue;
            }
            data.keep_boxes(1);
            let scores = play_case(&segmenter, &data, &cache, &options, &clicks, MapKind::Total, &[]).unwrap();
            let interaction = scores.interaction.expect("clicks were asked for");
            let structures = interaction.structures.len() as f64;
            for structure in &interaction.structures {
                rounds.iter_mut().zip(structure).for_each(|(sum, round)| *sum += round.dsc / structures);
            }
        }
        let means = rounds.map(|sum| sum / cases.len() as f64);
        eprintln!("{first:?}: DSC {means:.4?}");
        assert!(means[0] >= least[0] && means[3] >= least[1], "{first:?}: {means:?}");
        assert!(
            means.windows(2).all(|pair| pair[1] > pair[0] - 0.002),
            "{first:?}: a click made masks worse: {means:?}"
        );
    }
}
