//! What is guaranteed of single objects, with the small network.

use burn::tensor::Device;
use umedsam::image::{ImageView, Pixels, Window};
use umedsam::model::Config;
use umedsam::segment::{EncodedImage, MaskSource, SegmentOptions, Segmentation, Segmenter, Zoom};
use umedsam::uncertainty::{
    AreaThresholds, Calibration, CalibrationData, ConformalThresholds, ExpectedDsc, Guarantee, PerObjectThresholds,
    PromptKind, ReviewRule, Scaling, Setting, UncertaintyOptions,
};
use umedsam::weights::Metadata;

const WIDTH: usize = 300;
const HEIGHT: usize = 200;
const LARGE: [f64; 4] = [20.0, 30.0, 260.0, 170.0];
const SMALL: [f64; 4] = [180.0, 90.0, 206.0, 121.0];

fn setting(zoom: bool) -> Setting {
    let row = |alpha, delta, outer, inner| PerObjectThresholds { alpha, delta, outer, inner };
    Setting {
        options: UncertaintyOptions::single_pass(),
        zoom,
        prompt: PromptKind::Box,
        scaling: Scaling::default(),
        conformal: vec![ConformalThresholds { alpha: 0.1, outer: Some(0.45), inner: Some(0.5) }],
        expected_dsc: ExpectedDsc::default(),
        review: ReviewRule { poor_dsc: 0.7, threshold: 0.5, sensitivity: 0.9, flagged: 0.3 },
        per_object: vec![
            row(0.1, 0.05, None, None),
            row(0.1, 0.1, Some(0.3), Some(0.55)),
            row(0.2, 0.1, Some(0.4), Some(0.52)),
        ],
        area: vec![AreaThresholds { coverage: 0.9, smallest: Some(0.6), largest: (!zoom).then_some(0.4) }],
    }
}

fn segmenter(settings: Vec<Setting>) -> Segmenter {
    let device = Device::flex();
    let config = Config::tiny_student();
    let data = CalibrationData { description: String::new(), cases: 1, boxes: 1, modalities: Default::default() };
    let metadata = Metadata {
        architecture: "tiny".into(),
        config: config.clone(),
        precision: umedsam::weights::Precision::F32,
        licence: "MIT".into(),
        source: "random".into(),
        source_sha256: String::new(),
        umedsam_version: String::new(),
        calibration: Some(Calibration { source_sha256: String::new(), data, settings, shift: None }),
        training: None,
    };
    Segmenter::new(config.init_seeded(5, &device).into_inference(), metadata, &device)
}

fn encode(segmenter: &Segmenter) -> EncodedImage {
    let pixels: Vec<u8> =
        (0..WIDTH * HEIGHT).map(|pixel| ((pixel % WIDTH) * 3 % 200 + (pixel / WIDTH) * 5 % 50) as u8).collect();
    let view = ImageView::new(Pixels::U8(&pixels), WIDTH, HEIGHT, 1).unwrap();
    segmenter.encode(&segmenter.preprocess(&view, Window::Auto).unwrap(), |_| ())
}

fn options(alpha: f64, delta: Option<f64>) -> SegmentOptions {
    SegmentOptions { uncertainty: UncertaintyOptions::single_pass(), alpha, delta, ..Default::default() }
}

fn segment(segmenter: &Segmenter, corners: [f64; 4], options: &SegmentOptions) -> Segmentation {
    pollster::block_on(segmenter.segment(&mut encode(segmenter), &[corners], options)).unwrap().remove(0)
}

fn count(mask: &[u8]) -> usize {
    mask.iter().filter(|&&inside| inside != 0).count()
}

#[test]
fn results_say_what_holds_and_stricter_bounds_never_give_less() {
    let segmenter = segmenter(vec![setting(false)]);
    let found = |alpha, delta| segment(&segmenter, LARGE, &options(alpha, delta));
    let average = found(0.12, None);
    assert_eq!(average.guarantee, Some(Guarantee { alpha: 0.1, delta: None }));
    let mut before: Option<Segmentation> = None;
    for (alpha, delta, holds) in
        [(0.25, 0.3, (0.2, 0.1)), (0.15, 0.1, (0.1, 0.1)), (0.1, 0.06, (0.1, 0.05)), (0.01, 0.01, (0.01, 0.01))]
    {
        let now = found(alpha, Some(delta));
        assert_eq!(now.guarantee, Some(Guarantee { alpha: holds.0, delta: Some(holds.1) }));
        assert_eq!((&now.mask, now.area_interval), (&average.mask, average.area_interval));
        let (outer, inner) = (now.outer.as_ref().unwrap(), now.inner.as_ref().unwrap());
        for (pixel, &mask) in now.mask.iter().enumerate() {
            assert!(outer[pixel] >= mask && mask >= inner[pixel]);
        }
        if let Some(before) = &before {
            assert!(count(outer) >= count(before.outer.as_ref().unwrap()));
            assert!(count(inner) <= count(before.inner.as_ref().unwrap()));
        }
        before = Some(now);
    }
    let strictest = before.unwrap();
    assert_eq!((count(&strictest.outer.unwrap()), count(&strictest.inner.unwrap())), (WIDTH * HEIGHT, 0));
}

#[test]
fn areas_have_an_interval_around_them() {
    let mut probability = segment(&segmenter(vec![setting(false)]), LARGE, &options(0.1, None)).probability;
    probability.sort_by(|a, b| b.total_cmp(a));
    let smallest = Some(probability[probability.len() / 10]);
    let largest = Some(probability[probability.len() / 2]);
    let area = vec![AreaThresholds { coverage: 0.9, smallest, largest }];
    let found = segment(&segmenter(vec![Setting { area, ..setting(false) }]), LARGE, &options(0.1, None));
    let reaching = |threshold: Option<f32>| found.probability.iter().filter(|&&p| Some(p) >= threshold).count();
    let [low, high] = found.area_interval.unwrap();
    assert_eq!((low, high), (reaching(smallest).min(found.area), reaching(largest).max(found.area)));
    assert!(low < high && count(&found.mask) == found.area, "{low} {high} {}", found.area);
    // In a crop: an area that nothing bounds may be that of the whole image.
    let zoom = SegmentOptions { zoom: Zoom::On, ..options(0.1, Some(0.05)) };
    let found = segment(&segmenter(vec![setting(true)]), SMALL, &zoom);
    assert!(found.zoom.is_some());
    assert_eq!(found.area_interval.unwrap()[1], WIDTH * HEIGHT);
    assert_eq!(count(&found.outer.unwrap()), WIDTH * HEIGHT);
}

#[test]
fn nothing_is_guaranteed_that_was_not_calibrated() {
    let with_tables = segmenter(vec![setting(false)]);
    let old = segmenter(vec![Setting { per_object: Vec::new(), area: Vec::new(), ..setting(false) }]);
    let nothing = |found: Segmentation| found.outer.is_none() && found.inner.is_none() && found.guarantee.is_none();
    assert!(nothing(segment(&old, LARGE, &options(0.1, Some(0.1)))));
    let average = segment(&old, LARGE, &options(0.1, None));
    assert!(average.outer.is_some() && average.guarantee.is_some() && average.area_interval.is_none());
    let uncalibrated = SegmentOptions { calibrated: false, ..options(0.1, Some(0.1)) };
    let found = segment(&with_tables, LARGE, &uncalibrated);
    assert!(found.area_interval.is_none() && nothing(found));
    // Another ensemble than the calibrated one.
    let uncertainty = UncertaintyOptions { samples: 2, ..UncertaintyOptions::default() };
    let found = segment(&with_tables, LARGE, &SegmentOptions { uncertainty, ..options(0.1, Some(0.1)) });
    assert!(found.area_interval.is_none() && nothing(found));
    // The inner mask was calibrated within the network's mask.
    let consensus = SegmentOptions { mask: MaskSource::Consensus, ..options(0.1, Some(0.1)) };
    let found = segment(&with_tables, LARGE, &consensus);
    assert!(found.outer.is_some() && found.guarantee.is_none());
    let image = &mut encode(&with_tables);
    let error = pollster::block_on(with_tables.segment(image, &[LARGE], &options(0.1, Some(1.0)))).unwrap_err();
    assert!(error.code() == "invalid-option" && error.to_string().contains("delta is 1;"), "{error}");
}
