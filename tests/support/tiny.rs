//! Weight files of small networks that know nothing.

use std::collections::BTreeMap;

use burn::tensor::Device;
use umedsam::model::Config;
use umedsam::uncertainty::{
    AreaThresholds, Calibration, CalibrationData, ConformalThresholds, ExpectedDsc, PerObjectThresholds, PromptKind,
    ReviewRule, Scaling, Setting, UncertaintyOptions,
};
use umedsam::weights::{Metadata, Precision, to_bytes};

/// A weight file with weights from a seed.
pub fn weights(config: Config, precision: Precision, calibration: Option<Calibration>, seed: u64) -> Vec<u8> {
    let network = config.init_seeded(seed, &Device::flex());
    let metadata = Metadata {
        architecture: "tiny".into(),
        config,
        precision,
        licence: "Apache-2.0".into(),
        source: format!("seed {seed}"),
        source_sha256: String::new(),
        umedsam_version: "test".into(),
        calibration,
        training: None,
    };
    to_bytes(&network, &metadata).expect("it can be written")
}

/// A calibration that is possible, and was learned on nothing.
pub fn calibration() -> Calibration {
    let row = |alpha, outer, inner| ConformalThresholds { alpha, outer, inner };
    let setting = |options, zoom, prompt| Setting {
        options,
        zoom,
        prompt,
        scaling: Scaling { temperature: 1.5, bias: -0.1 },
        conformal: vec![row(0.05, None, Some(0.9)), row(0.1, Some(0.2), Some(0.7))],
        expected_dsc: ExpectedDsc {
            intercept: 0.1,
            soft_dice: 0.8,
            member_dice: 0.0,
            predicted_dice: 0.1,
            mean_absolute_error: 0.05,
        },
        review: ReviewRule { poor_dsc: 0.7, threshold: 0.8, sensitivity: 0.9, flagged: 0.2 },
        per_object: vec![PerObjectThresholds { alpha: 0.1, delta: 0.1, outer: Some(0.1), inner: Some(0.8) }],
        area: vec![AreaThresholds { coverage: 0.9, smallest: Some(0.8), largest: Some(0.2) }],
    };
    let (single, few) = (UncertaintyOptions::single_pass(), UncertaintyOptions { samples: 2, ..Default::default() });
    Calibration {
        source_sha256: String::new(),
        data: CalibrationData {
            description: "nothing".into(),
            cases: 1,
            boxes: 1,
            modalities: BTreeMap::from([("none".to_string(), 1)]),
        },
        shift: None,
        settings: vec![
            setting(few, false, PromptKind::Box),
            setting(single, false, PromptKind::Box),
            setting(single, true, PromptKind::Box),
            setting(single, false, PromptKind::Points),
            setting(single, false, PromptKind::Corrected),
        ],
    }
}
