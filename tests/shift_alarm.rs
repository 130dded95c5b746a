//! What is promised of images that are unlike the calibration's: nothing.

#[path = "support/alarm.rs"]
mod alarm;
mod support;
#[path = "support/tiny.rs"]
mod tiny;

use std::path::Path;

use assert_cmd::Command;
use burn::tensor::Device;
use npyz::WriterBuilder;
use serde_json::Value;
use support::{root, shared};
use umedsam::data::read_npz;
use umedsam::eval::{EmbeddingCache, find_cases};
use umedsam::image::{ImageView, Pixels, Window};
use umedsam::model::Config;
use umedsam::propagation::{Propagation, PropagationOptions};
use umedsam::segment::{SegmentOptions, Segmentation, Segmenter, Unpaced, Zoom};
use umedsam::uncertainty::{Calibration, SHIFT_LEVEL, UncertaintyOptions};
use umedsam::weights::Precision;

const OWN: &str = "weights/umedsam-student-i8.safetensors";
const SIDE: usize = 256;
const CORNERS: [f64; 4] = [60.0, 50.0, 200.0, 180.0];

fn own() -> Segmenter {
    let bytes = std::fs::read(root().join(OWN)).expect("they are part of the repository");
    Segmenter::from_weights(bytes, &Device::flex()).expect("they can be read")
}

fn options() -> SegmentOptions {
    SegmentOptions { uncertainty: UncertaintyOptions::single_pass(), ..Default::default() }
}

fn segment(
    segmenter: &Segmenter,
    pixels: &[u8],
    [width, height, channels]: [usize; 3],
    options: &SegmentOptions,
) -> Segmentation {
    let view = ImageView::new(Pixels::U8(pixels), width, height, channels).unwrap();
    let mut image = segmenter.encode(&segmenter.preprocess(&view, Window::Auto).unwrap(), |_| ());
    let corners = [0.2 * width as f64, 0.2 * height as f64, 0.8 * width as f64, 0.8 * height as f64];
    pollster::block_on(segmenter.segment(&mut image, &[corners], options)).unwrap().remove(0)
}

/// Pictures of no patient, none of which is among those that the alarm was taught with.
fn pictures() -> Vec<(&'static str, Vec<u8>)> {
    let picture = |value: &dyn Fn(usize, usize) -> f64| -> Vec<u8> {
        (0..SIDE * SIDE).map(|at| value(at % SIDE, at / SIDE).clamp(0.0, 255.0) as u8).collect()
    };
    let mut state = 12345u64;
    let noise: Vec<u8> = (0..SIDE * SIDE)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        })
        .collect();
    // Lines of short strokes, as a page of print has them.
    let print =
        |x: usize, y: usize| if y % 14 < 8 && (x * 7 + y / 14 * 13) % 11 < 6 && x % 40 < 34 { 20.0 } else { 245.0 };
    vec![
        ("noise", noise),
        ("even grey", picture(&|_, _| 128.0)),
        ("a checkerboard", picture(&|x, y| if (x / 16 + y / 16) % 2 == 0 { 30.0 } else { 220.0 })),
        ("print", picture(&print)),
        ("stripes", picture(&|x, y| 127.0 + 120.0 * ((x + 2 * y) as f64 / 5.0).sin())),
    ]
}

#[test]
fn pictures_of_no_patient_have_an_alarm() {
    let segmenter = own();
    for (name, pixels) in pictures() {
        let found = segment(&segmenter, &pixels, [SIDE, SIDE, 1], &options());
        let shift = found.shift.expect("the weights know");
        assert!(shift.alarm && shift.p_value <= SHIFT_LEVEL, "{name}: {shift:?}");
        assert_eq!(
            (found.outer, found.inner, found.guarantee, found.area_interval),
            (None, None, None, None),
            "{name}"
        );
        assert_eq!(found.needs_review, Some(true), "{name}");
        let raw = segment(&segmenter, &pixels, [SIDE, SIDE, 1], &SegmentOptions { calibrated: false, ..options() });
        assert_eq!((raw.shift, raw.needs_review, raw.mask), (None, None, found.mask), "{name}");
    }
}

#[test]
fn other_patients_images_have_none_and_changed_ones_have() {
    let val = or_skip!(shared("data/val"), "../shared/data/val");
    let cells = or_skip!(shared("data/multirater"), "../shared/data/multirater");
    let segmenter = own();
    let share = |folder: &Path, every: usize, change: &dyn Fn(u8) -> u8| {
        let cases = find_cases(folder).unwrap();
        let alarms: Vec<bool> = cases
            .iter()
            .step_by(every)
            .map(|case| {
                let data = read_npz(&case.path).unwrap();
                let pixels: Vec<u8> = data.imgs.iter().map(|&value| change(value)).collect();
                segment(&segmenter, &pixels, [data.width, data.height, data.channels], &options()).shift.unwrap().alarm
            })
            .collect();
        alarms.iter().filter(|&&alarm| alarm).count() as f64 / alarms.len() as f64
    };
    let (quiet, inverted, unseen) = (share(&val, 5, &|v| v), share(&val, 12, &|v| 255 - v), share(&cells, 2, &|v| v));
    eprintln!("alarms: val {quiet:.3}, inverted {inverted:.3}, phase contrast {unseen:.3}");
    assert!(quiet <= 0.08, "{quiet} of 72 images of val have an alarm");
    assert!(inverted >= 0.85, "{inverted} of inverted images");
    assert!(unseen >= 0.5, "{unseen} of cells in phase contrast, which no calibration image shows");
}

/// The small network with a calibration, and perhaps with a typical image at a place.
fn tiny_weights(calibration: Option<Calibration>) -> Vec<u8> {
    tiny::weights(Config::tiny_student(), Precision::F32, calibration, 5)
}

fn tiny_with_alarm(typical: f32) -> Segmenter {
    let features = 2 * Config::tiny_student().image_encoder.out_channels();
    let calibration = Calibration { shift: Some(alarm::alarm(features, typical)), ..tiny::calibration() };
    Segmenter::from_weights(tiny_weights(Some(calibration)), &Device::flex()).unwrap()
}

/// A challenge file with a disc of a place of its own in noise.
fn write_disc(path: &Path, number: usize) {
    let (x, y) = (30.0 + (number * 7 % 20) as f64, 28.0 + (number * 11 % 20) as f64);
    let is_inside = |at: usize| ((at % 80) as f64 - x).hypot((at / 80) as f64 - y) < 14.0;
    let grey = |at: usize| 40 + 130 * u8::from(is_inside(at)) + ((at * 31 + number * 17) % 23) as u8;
    let mut file = npyz::npz::NpzWriter::create(path).unwrap();
    let mut write = |name: &str, values: Vec<u8>| {
        let array = file.array(name, Default::default()).unwrap().default_dtype().shape(&[80, 80]);
        let mut array = array.begin_nd().unwrap();
        array.extend(values).unwrap();
        array.finish().unwrap();
    };
    write("imgs", (0..6400).map(grey).collect());
    write("gts", (0..6400).map(|at| u8::from(is_inside(at))).collect());
    let boxes = file.array("boxes", Default::default()).unwrap().default_dtype().shape(&[1, 4]);
    let mut boxes = boxes.begin_nd().unwrap();
    boxes.extend([x - 14.0, y - 14.0, x + 14.0, y + 14.0]).unwrap();
    boxes.finish().unwrap();
}

#[test]
fn slices_crops_and_kept_embeddings_have_it_too() {
    let (_, pixels) = pictures().remove(4);
    let segmenter = tiny_with_alarm(1000.0);
    // A small box, seen in a crop: the alarm is the whole image's.
    let view = ImageView::new(Pixels::U8(&pixels), SIDE, SIDE, 1).unwrap();
    let preprocessed = segmenter.preprocess(&view, Window::Auto).unwrap();
    let mut image = segmenter.encode(&preprocessed, |_| ());
    let zoomed = SegmentOptions { zoom: Zoom::On, ..options() };
    let found = pollster::block_on(segmenter.segment(&mut image, &[[100.0, 100.0, 120.0, 118.0]], &zoomed)).unwrap();
    assert!(found[0].zoom.is_some() && found[0].shift.unwrap().alarm && found[0].guarantee.is_none());
    // A slice that an object was followed to is to be checked for the alarm alone.
    let mut object = Propagation::new(CORNERS.into(), 0, 3, &PropagationOptions::default()).unwrap();
    for slice in 0..2 {
        let found =
            pollster::block_on(object.segment(&segmenter, &mut image, &options(), &mut Unpaced(|_| ()))).unwrap();
        assert!(found.slice == slice && found.segmentation.shift.unwrap().alarm);
        assert_eq!(found.segmentation.needs_review, Some(true));
    }
    let cache = EmbeddingCache::new(None, b"tiny");
    let mut kept = cache.encode_preprocessed(&segmenter, &preprocessed, &UncertaintyOptions::single_pass()).unwrap();
    let shift = pollster::block_on(segmenter.shift(&kept)).unwrap().unwrap();
    assert_eq!((shift.alarm, shift.p_value), (true, 0.02));
    assert_eq!(pollster::block_on(segmenter.segment(&mut kept, &[CORNERS], &options())).unwrap()[0].shift, Some(shift));
}

#[test]
fn it_is_learned_with_one_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let umedsam = |arguments: &[&str]| Command::cargo_bin("umedsam").unwrap().args(arguments).output().unwrap();
    std::fs::write(path("weights"), tiny_weights(None)).unwrap();
    for (kind, count) in [("familiar", 24), ("data", 60)] {
        std::fs::create_dir_all(path(&format!("{kind}/CT/disc"))).unwrap();
        for number in 0..count {
            let name = format!("{kind}/CT/disc/2DBox_{number}.npz");
            write_disc(&folder.path().join(name), number + 100 * usize::from(kind == "data"));
        }
    }
    let (weights, data, familiar) = (path("weights"), path("data"), path("familiar"));
    let arguments = ["shift-alarm", "--weights", &weights, "--familiar", &familiar, "--data", &data];
    let refused = umedsam(&arguments);
    assert!(!refused.status.success());
    let message = String::from_utf8_lossy(&refused.stderr).to_string();
    assert!(message.contains("no calibration") && message.contains("umedsam calibrate"), "{message}");
    std::fs::write(path("weights"), tiny_weights(Some(tiny::calibration()))).unwrap();
    let few = umedsam(&["shift-alarm", "--weights", &weights, "--familiar", &familiar, "--data", &familiar]);
    assert!(String::from_utf8_lossy(&few.stderr).contains("24 calibration images are too few; at least 50"));
    let learned = umedsam(&arguments);
    assert!(learned.status.success(), "{}", String::from_utf8_lossy(&learned.stderr));
    let info = umedsam(&["info", &weights]);
    assert!(String::from_utf8_lossy(&info.stdout).contains("learned from 24 familiar and"));
    // Images like those are measured as such, and their guarantees whether they would be withdrawn or not.
    let report = path("report.json");
    let measured =
        umedsam(&["eval", "--weights", &weights, "--data", &data, "--uncertainty", "none", "--report", &report]);
    assert!(measured.status.success(), "{}", String::from_utf8_lossy(&measured.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let alarms = &report["overall"]["shift"]["alarms"];
    assert!(alarms["of"] == 60 && alarms["share"].as_f64().unwrap() <= SHIFT_LEVEL, "{alarms}");
    assert!(report["cases"][0]["shift"]["pValue"].as_f64().unwrap() > 0.0);
}
