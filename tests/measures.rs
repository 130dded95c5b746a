//! What evaluation says of whole masks and beside several raters.

mod support;

use burn::tensor::Device;
use support::{root, shared};
use tempfile::TempDir;
use umedsam::data::{CaseBoxes, ChallengeCase, read_npz};
use umedsam::eval::{EmbeddingCache, MapKind, MaskScores, evaluate_case};
use umedsam::image::BoundingBox;
use umedsam::model::Config;
use umedsam::segment::{SegmentOptions, Segmenter};
use umedsam::uncertainty::UncertaintyOptions;
use umedsam::weights::{self, Metadata, Precision};

fn tiny() -> Segmenter {
    let config = Config::tiny_student();
    let network = config.init_seeded(5, &Device::flex());
    let metadata = Metadata {
        architecture: "tiny".into(),
        config,
        precision: Precision::F32,
        licence: "MIT".into(),
        source: "random".into(),
        source_sha256: String::new(),
        umedsam_version: String::new(),
        calibration: None,
        training: None,
    };
    Segmenter::from_weights(weights::to_bytes(&network, &metadata).unwrap(), &Device::flex()).unwrap()
}

/// A bright disc that three raters outline, two of them in the same way, and its box.
fn case() -> ChallengeCase {
    let disc = |radius: f64| -> Vec<u8> {
        let is_inside = |pixel: usize| ((pixel % 60) as f64 - 30.0).hypot((pixel / 60) as f64 - 25.0) <= radius;
        (0..60 * 50).map(|pixel| u8::from(is_inside(pixel))).collect()
    };
    ChallengeCase {
        imgs: disc(12.0).iter().enumerate().map(|(pixel, inside)| 60 + 120 * inside + (pixel % 7) as u8).collect(),
        depth: 1,
        height: 50,
        width: 60,
        channels: 1,
        boxes: CaseBoxes::Image(vec![[17.0, 12.0, 43.0, 38.0]]),
        gts: Some(disc(12.0)),
        raters: vec![disc(12.0), disc(10.0), disc(12.0)],
        spacing: [1.0; 3],
    }
}

#[test]
fn members_are_collected_without_changing_the_answer() {
    let (segmenter, case) = (tiny(), case());
    let embeddings = EmbeddingCache::new(None, b"tiny");
    for uncertainty in ["none", "samples=4", "samples=2,flips=true"] {
        let options = SegmentOptions { uncertainty: uncertainty.parse().unwrap(), ..Default::default() };
        let mut image = embeddings.encode(&segmenter, &case.imgs, [60, 50, 1], &options.uncertainty).unwrap();
        let corners = BoundingBox([17.0, 12.0, 43.0, 38.0]);
        let plain = pollster::block_on(segmenter.segment_boxes(&mut image, &[corners], &options)).unwrap().remove(0);
        let (found, members) = pollster::block_on(segmenter.segment_with_members(&image, corners, &options)).unwrap();
        assert_eq!((&found.mask, &found.probability), (&plain.mask, &plain.probability), "{uncertainty}");
        assert_eq!((&found.uncertainty, found.agreement), (&plain.uncertainty, plain.agreement));
        assert_eq!((found.expected_dsc, found.needs_review), (plain.expected_dsc, plain.needs_review));
        let masks = segmenter.member_masks(&image, &members, &options);
        let first: Vec<bool> = found.mask.iter().map(|&inside| inside != 0).collect();
        let expected = [("none", 1), ("samples=4", 5), ("samples=2,flips=true", 9)];
        assert_eq!((masks.len(), &masks[0]), (expected.iter().find(|row| row.0 == uncertainty).unwrap().1, &first));
    }
}

#[test]
fn whole_masks_and_raters_are_measured() {
    let (segmenter, case) = (tiny(), case());
    let embeddings = EmbeddingCache::new(None, b"tiny");
    let scores = |uncertainty: UncertaintyOptions, case: &ChallengeCase| {
        let options = SegmentOptions { uncertainty, ..Default::default() };
        evaluate_case(&segmenter, case, &embeddings, &options, MapKind::Total, &[0.1]).unwrap()
    };
    let found = scores(UncertaintyOptions { samples: 3, ..Default::default() }, &case);
    let MaskScores { area, pairwise_dice, member_dice, doubt, errors, .. } = found.boxes[0].mask.clone().unwrap();
    assert!(pairwise_dice.is_some_and(|dice| (0.0..=1.0).contains(&dice)) && member_dice.is_some());
    assert!(doubt.iter().chain(&errors).all(|value| *value >= 0.0 && value.is_finite()));
    // Wrong pixels along the outline and elsewhere are all there are, and the DSC follows from them.
    let truth = case.gts.as_ref().unwrap().iter().map(|&inside| f64::from(inside)).sum::<f64>();
    let wrong = (errors[0] + errors[1]) * area.max(1.0);
    assert!((found.boxes[0].dsc - (1.0 - wrong / (area + truth))).abs() < 1e-9);
    let raters = &found.raters[0];
    assert_eq!((raters.given, &raters.raters[..]), (3, &[0, 1][..]));
    assert!(raters.human.is_some() && raters.members.is_some());
    assert!((0.0..=1.0).contains(&raters.ours.qubiq));

    let single = scores(UncertaintyOptions::single_pass(), &case);
    let mask = single.boxes[0].mask.as_ref().unwrap();
    assert_eq!((mask.pairwise_dice, mask.member_dice, mask.mean_epistemic), (None, None, None));
    assert_eq!(single.raters[0].members, None);
    let alone = scores(UncertaintyOptions::single_pass(), &ChallengeCase { raters: Vec::new(), ..case });
    assert!(alone.raters.is_empty());
}

/// The command on real images of several raters, with the weights that ship.
#[test]
fn raters_are_reported() {
    let data = or_skip!(shared("data/multirater/Microscopy/BU_BIL_1"), "../shared/data/multirater");
    let folder = TempDir::new().unwrap();
    for name in ["2DBox_Microscopy_B14.npz", "2DBox_Microscopy_B28.npz"] {
        assert_eq!(read_npz(&data.join(name)).unwrap().raters.len(), 10);
        std::fs::copy(data.join(name), folder.path().join(name)).unwrap();
    }
    let report = folder.path().join("report.json");
    let weights = root().join("weights/umedsam-student-i8.safetensors");
    let output = assert_cmd::Command::cargo_bin("umedsam")
        .unwrap()
        .args(["eval", "--uncertainty", "samples=2"])
        .args(["--weights".as_ref(), weights.as_os_str(), "--data".as_ref(), folder.path().as_os_str()])
        .args(["--report".as_ref(), report.as_os_str()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("raters: ECE"));
    let text = std::fs::read_to_string(&report).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let raters = &json["overall"]["raters"];
    // Two of the ten outlines are the same.
    assert_eq!((raters["n"].as_u64(), raters["raters"].as_f64()), (Some(2), Some(9.0)));
    let by_rater = raters["region"]["by_rater"].as_object().unwrap();
    assert!(by_rater.len() == 9 && by_rater.values().all(|ece| (0.0..1.0).contains(&ece.as_f64().unwrap())));
    // People agree with each other.
    assert!(raters["human"]["dsc"].as_f64().unwrap() > 0.8);
    assert!(json["cases"][0]["raters"]["ours"]["area"]["crps"].is_number());
    let selective = &json["overall"]["selective"]["masks"];
    assert_eq!(selective["n"], 2);
    let aurc = |order: &str| selective["orders"][order]["aurc"].as_f64().unwrap();
    assert!(aurc("expected_dsc") >= selective["ideal"].as_f64().unwrap() && aurc("pairwise_dice") <= 1.0);
    assert!(json["overall"]["doubt"]["scattered"]["bits"].is_number());
}
