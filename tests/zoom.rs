//! Small boxes in crops of their own, with the small network.

use burn::tensor::Device;
use umedsam::image::{ImageView, Pixels, Window};
use umedsam::model::Config;
use umedsam::segment::{Crop, EncodedImage, SegmentOptions, Segmentation, Segmenter, Zoom};
use umedsam::uncertainty::{
    Calibration, CalibrationData, CalibrationUse, ConformalThresholds, ExpectedDsc, PromptKind, ReviewRule, Scaling,
    Setting, UncertaintyOptions,
};
use umedsam::weights::Metadata;

const WIDTH: usize = 300;
const HEIGHT: usize = 200;
const SMALL: [f64; 4] = [180.0, 90.0, 206.0, 121.0];
const LARGE: [f64; 4] = [20.0, 30.0, 260.0, 170.0];

fn pixels() -> Vec<u8> {
    (0..WIDTH * HEIGHT).map(|pixel| ((pixel % WIDTH) * 3 % 200 + (pixel / WIDTH) * 5 % 50) as u8).collect()
}

fn setting(zoom: bool, outer: Option<f32>) -> Setting {
    Setting {
        options: UncertaintyOptions::single_pass(),
        zoom,
        prompt: PromptKind::Box,
        scaling: Scaling { temperature: if zoom { 2.0 } else { 1.0 }, bias: 0.0 },
        conformal: vec![ConformalThresholds { alpha: 0.1, outer, inner: Some(0.6) }],
        expected_dsc: ExpectedDsc::default(),
        review: ReviewRule { poor_dsc: 0.7, threshold: 0.5, sensitivity: 0.9, flagged: 0.3 },
        per_object: Vec::new(),
        area: Vec::new(),
    }
}

fn calibration(settings: Vec<Setting>) -> Calibration {
    let data = CalibrationData { description: String::new(), cases: 1, boxes: 1, modalities: Default::default() };
    Calibration { source_sha256: String::new(), data, settings, shift: None }
}

fn segmenter(calibration: Option<Calibration>) -> Segmenter {
    let device = Device::flex();
    let config = Config::tiny_student();
    let metadata = Metadata {
        architecture: "tiny".into(),
        config: config.clone(),
        precision: umedsam::weights::Precision::F32,
        licence: "MIT".into(),
        source: "random".into(),
        source_sha256: String::new(),
        umedsam_version: String::new(),
        calibration,
        training: None,
    };
    Segmenter::new(config.init_seeded(5, &device).into_inference(), metadata, &device)
}

fn encode(segmenter: &Segmenter, pixels: &[u8], [width, height]: [usize; 2]) -> EncodedImage {
    let view = ImageView::new(Pixels::U8(pixels), width, height, 1).unwrap();
    segmenter.encode(&segmenter.preprocess(&view, Window::Auto).unwrap(), |_| ())
}

fn options(zoom: Zoom) -> SegmentOptions {
    SegmentOptions { uncertainty: UncertaintyOptions::single_pass(), zoom, ..Default::default() }
}

fn segment(segmenter: &Segmenter, image: &mut EncodedImage, boxes: &[[f64; 4]], zoom: Zoom) -> Vec<Segmentation> {
    pollster::block_on(segmenter.segment(image, boxes, &options(zoom))).unwrap()
}

#[test]
fn a_small_box_is_what_the_crop_as_an_image_says() {
    let segmenter = segmenter(None);
    let mut image = encode(&segmenter, &pixels(), [WIDTH, HEIGHT]);
    let found = segment(&segmenter, &mut image, &[SMALL, LARGE, SMALL], Zoom::On);
    let crop = found[0].zoom.expect("it is a crop");
    assert_eq!(found[1].zoom, None);
    assert_eq!((&found[0].mask, &found[0].probability), (&found[2].mask, &found[2].probability));

    let part: Vec<u8> = crop.cut_values(&pixels(), WIDTH);
    let mut alone = encode(&segmenter, &part, [crop.width, crop.height]);
    let corners = [0, 1, 2, 3].map(|side| SMALL[side] - [crop.x, crop.y][side % 2] as f64);
    let expected = segment(&segmenter, &mut alone, &[corners], Zoom::Off).remove(0);
    assert_eq!(found[0].probability, crop.paste(&expected.probability, 0.0, WIDTH, HEIGHT));
    assert_eq!(found[0].mask, crop.paste(&expected.mask, 0, WIDTH, HEIGHT));
    assert_eq!(found[0].uncertainty.total, crop.paste(&expected.uncertainty.total, 0.0, WIDTH, HEIGHT));
    assert_eq!((found[0].area, found[0].bounding_box.unwrap().0), (expected.area, SMALL));

    // Without it everything is as in the whole image, and nothing but the small box changes.
    let off = segment(&segmenter, &mut image, &[SMALL, LARGE], Zoom::Off);
    assert_eq!((off[0].zoom, &off[1].probability), (None, &found[1].probability));
    assert_ne!(off[0].probability, found[0].probability);
}

#[test]
fn weights_that_were_calibrated_for_it_zoom_by_themselves() {
    let zoomed = |settings: Vec<Setting>| {
        let segmenter = segmenter(Some(calibration(settings)));
        let mut image = encode(&segmenter, &pixels(), [WIDTH, HEIGHT]);
        segment(&segmenter, &mut image, &[SMALL], Zoom::Auto).remove(0)
    };
    assert_eq!(zoomed(vec![setting(false, Some(0.3))]).zoom, None);
    let found = zoomed(vec![setting(false, Some(0.3)), setting(true, Some(0.4))]);
    let crop = found.zoom.unwrap();
    assert_eq!(found.calibration, CalibrationUse::Fitted);
    let outside = |pixel: usize| {
        let (x, y) = (pixel % WIDTH, pixel / WIDTH);
        !(crop.x..crop.x + crop.width).contains(&x) || !(crop.y..crop.y + crop.height).contains(&y)
    };
    let (outer, inner) = (found.outer.unwrap(), found.inner.unwrap());
    assert!((0..outer.len()).all(|pixel| !outside(pixel) || (outer[pixel], inner[pixel]) == (0, 0)));
    assert!((0..outer.len()).all(|pixel| outside(pixel) || outer[pixel] == u8::from(found.probability[pixel] >= 0.4)));
    // Where no threshold bounds the misses, the outer mask is the whole image, not the whole crop.
    let unbounded = zoomed(vec![setting(true, None)]);
    assert!(unbounded.outer.unwrap().iter().all(|&inside| inside == 1));
}

#[test]
fn bad_boxes_change_nothing_and_moved_boxes_keep_their_crop() {
    let segmenter = segmenter(None);
    let mut image = encode(&segmenter, &pixels(), [WIDTH, HEIGHT]);
    let bad = pollster::block_on(segmenter.segment(&mut image, &[SMALL, [5.0, 5.0, 5.0, 9.0]], &options(Zoom::On)));
    assert_eq!(bad.unwrap_err().code(), "invalid-box");
    // More crops than are kept, and back again.
    let boxes: Vec<[f64; 4]> = (0..7).map(|step| f64::from(step) * 35.0).map(|x| [x, 70.0, x + 20.0, 85.0]).collect();
    let first = segment(&segmenter, &mut image, &boxes, Zoom::On);
    let again = segment(&segmenter, &mut image, &boxes, Zoom::On);
    for (first, again) in first.iter().zip(&again) {
        assert_eq!((first.zoom, &first.mask), (again.zoom, &again.mask));
    }
    let crop = |corners| Crop::around(&umedsam::image::BoundingBox(corners), WIDTH, HEIGHT);
    assert!(crop([150.0, 100.0, 151.0, 101.0]).is_some());
    let mut tiny = encode(&segmenter, &[7], [1, 1]);
    assert_eq!(segment(&segmenter, &mut tiny, &[[0.0, 0.0, 1.0, 1.0]], Zoom::On)[0].zoom, None);
}
