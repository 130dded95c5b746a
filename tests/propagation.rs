//! An object followed through a volume, with the weights that ship: a ball, and real volumes.

mod support;

use std::sync::Arc;

use burn::tensor::Device;
use support::{root, shared};
use umedsam::Result;
use umedsam::image::{ImageView, Pixels, Window};
use umedsam::metrics::dsc;
use umedsam::model::prompt_encoder::PointLabel;
use umedsam::propagation::{
    EncodedSlices, End, Labelmap, PropagatedSlice, Propagation, PropagationOptions, Stop, in_eight_bits, propagate,
};
use umedsam::segment::{EncodedImage, Point, Previous, Prompt, SegmentOptions, Segmenter, Unpaced};
use umedsam::uncertainty::{Calibration, CalibrationUse, UncertaintyOptions};
use umedsam::volume::{Axis, Choice, SliceValues, Turned, open};

const WIDTH: usize = 96;
const HEIGHT: usize = 80;
const SLICES: usize = 25;
const MIDDLE: usize = 12;
/// Radius in pixels; slices are three pixels apart.
const RADIUS: f64 = 22.0;

/// Without their alarm, which is right about a ball: it is no patient.
fn own() -> Segmenter {
    let bytes = std::fs::read(root().join("weights/umedsam-student-i8.safetensors")).expect("they are here");
    let segmenter = Segmenter::from_weights(bytes, &Device::flex()).expect("they can be read");
    let calibration = segmenter.metadata().calibration.clone().expect("they are calibrated");
    segmenter.with_calibration(Calibration { shift: None, ..calibration })
}

fn is_inside(pixel: usize, slice: usize) -> bool {
    let [x, y] = [pixel % WIDTH, pixel / WIDTH].map(|place| place as f64 + 0.5);
    let z = (slice as f64 - MIDDLE as f64) * 3.0;
    (x - 50.0).powi(2) + (y - 38.0).powi(2) + z * z < RADIUS * RADIUS
}

/// A bright ball on a ground that is nowhere quite the same.
fn slice(slice: usize) -> Vec<u8> {
    let ground = |pixel: usize| (50 + (pixel * 7919 + slice * 104_729) % 23 + pixel % WIDTH / 4) as u8;
    (0..WIDTH * HEIGHT).map(|pixel| if is_inside(pixel, slice) { 190 } else { ground(pixel) }).collect()
}

fn encode(segmenter: &Segmenter, pixels: &[u8], width: usize, height: usize) -> Result<EncodedImage> {
    let view = ImageView::new(Pixels::U8(pixels), width, height, 1)?;
    Ok(segmenter.encode(&segmenter.preprocess(&view, Window::Auto)?, |_| ()))
}

fn single_pass() -> SegmentOptions {
    SegmentOptions { uncertainty: UncertaintyOptions::single_pass(), ..Default::default() }
}

/// Follows objects through the ball's volume; how many slices were encoded, and what was found.
fn follow(segmenter: &Segmenter, objects: Vec<Propagation>, kept: usize) -> (usize, Vec<(usize, PropagatedSlice)>) {
    follow_through(slice, segmenter, objects, kept)
}

fn follow_through(
    slice: fn(usize) -> Vec<u8>,
    segmenter: &Segmenter,
    mut objects: Vec<Propagation>,
    kept: usize,
) -> (usize, Vec<(usize, PropagatedSlice)>) {
    let (mut found, encodes) = (Vec::new(), std::cell::Cell::new(0));
    let visit = |object, slice| {
        found.push((object, slice));
        Ok(())
    };
    let encode = async |z| {
        encodes.set(encodes.get() + 1);
        encode(segmenter, &slice(z), WIDTH, HEIGHT)
    };
    let mut encoded = EncodedSlices::new(kept);
    let pace = &mut Unpaced(|_| ());
    pollster::block_on(propagate(&mut objects, segmenter, &single_pass(), &mut encoded, encode, visit, pace)).unwrap();
    (encodes.get(), found)
}

const BOX: [f64; 4] = [28.0, 16.0, 72.0, 60.0];

fn ball(range: Option<[usize; 2]>, stop: Option<Stop>) -> Propagation {
    Propagation::new(BOX.into(), MIDDLE, SLICES, &PropagationOptions { range, stop }).unwrap()
}

#[test]
fn a_ball_is_followed_to_its_ends_and_no_further() {
    let segmenter = own();
    let (encodes, found) = follow(&segmenter, vec![ball(None, None)], 1);
    assert_eq!(encodes, found.len(), "each slice is encoded once");
    let order: Vec<usize> = found.iter().map(|(_, found)| found.slice).collect();
    let top = *order.iter().max().unwrap();
    let expected: Vec<usize> = (MIDDLE..=top).chain((order.iter().copied().min().unwrap()..MIDDLE).rev()).collect();
    assert_eq!(order, expected, "up, then down");
    let mut labels = Labelmap::new(WIDTH * HEIGHT * SLICES);
    for (_, PropagatedSlice { slice, segmentation, end }) in &found {
        // The ball has slices 5 to 19.
        let is_last = *slice == top || *slice == *order.last().unwrap();
        assert_eq!(end.is_some(), is_last, "slice {slice}: {end:?}");
        assert!(end.is_none() || slice.abs_diff(MIDDLE) >= 6, "it ended at slice {slice}");
        if end.is_none() {
            let places = (0..).map(|pixel| slice * WIDTH * HEIGHT + pixel);
            labels.put(1, &segmentation.mask, &in_eight_bits(&segmentation.probability), places);
        }
    }
    let truth: Vec<u8> =
        (0..SLICES).flat_map(|slice| (0..WIDTH * HEIGHT).map(move |pixel| u8::from(is_inside(pixel, slice)))).collect();
    let score = dsc(labels.labels(), &truth);
    assert!(score > 0.9, "DSC {score}");
}

#[test]
fn what_is_expected_compounds_and_nothing_is_guaranteed_beyond_the_prompt() {
    let segmenter = own();
    let (_, found) = follow(&segmenter, vec![ball(Some([MIDDLE - 3, MIDDLE + 3]), None)], 1);
    assert_eq!(found.len(), 7);
    for (_, PropagatedSlice { slice, segmentation, .. }) in &found {
        let is_prompted = *slice == MIDDLE;
        assert_eq!(segmentation.outer.is_some(), is_prompted);
        assert_eq!(segmentation.guarantee.is_some(), is_prompted);
        assert!(is_prompted || segmentation.area_interval.is_none());
        assert_eq!(segmentation.calibration == CalibrationUse::Fitted, is_prompted);
    }
    let expected = |at: usize| found.iter().find(|(_, found)| found.slice == at).unwrap().1.segmentation.expected_dsc;
    for distance in 1..3 {
        assert!(expected(MIDDLE + distance + 1) < expected(MIDDLE + distance));
        assert!(expected(MIDDLE - distance - 1) < expected(MIDDLE - distance));
    }
}

#[test]
fn ranges_and_rules_hold() {
    let segmenter = own();
    let slices = |range, stop| {
        let (_, found) = follow(&segmenter, vec![ball(range, stop)], 1);
        found.iter().map(|(_, found)| found.slice).collect::<Vec<_>>()
    };
    // A range that ends at the prompted slice goes one way.
    assert_eq!(slices(Some([MIDDLE - 2, MIDDLE]), None), [12, 11, 10]);
    assert_eq!(slices(Some([MIDDLE, MIDDLE + 1]), None), [12, 13]);
    assert_eq!(slices(Some([MIDDLE, MIDDLE]), None), [12]);
    assert_eq!(slices(None, Some(Stop::NEVER)).len(), SLICES);
    // Nothing is expected to be perfect.
    assert_eq!(slices(None, Some(Stop { expected_dsc: 1.0, ..Stop::NEVER })), [12, 13, 11]);
    let (_, found) = follow(&segmenter, vec![ball(None, Some(Stop { area: 0.9, ..Stop::NEVER }))], 1);
    let ends: Vec<Option<End>> = found.iter().map(|(_, found)| found.end).filter(Option::is_some).collect();
    assert_eq!(ends, [Some(End::Area); 2]);
    let object = ball(Some([MIDDLE - 2, MIDDLE + 4]), None);
    assert_eq!((object.next_slice(), object.most_left()), (Some(MIDDLE), 7));
}

#[test]
fn nothing_is_expected_where_nothing_can_be_seen() {
    let segmenter = own();
    // Slices from 15 on have one value.
    let cut = |z: usize| if z < 15 { slice(z) } else { vec![77; WIDTH * HEIGHT] };
    let (_, found) = follow_through(cut, &segmenter, vec![ball(None, None)], 1);
    let (_, last) = found.iter().find(|(_, found)| found.slice == 15).expect("it got that far");
    assert_eq!(last.end, Some(End::Presence));
    assert!(found.iter().all(|(_, found)| found.slice <= 15));
    // Where nobody asks for an end, the slice is to be looked at.
    let (_, found) = follow_through(cut, &segmenter, vec![ball(Some([MIDDLE, 16]), None)], 1);
    let flat = &found.iter().find(|(_, found)| found.slice == 16).unwrap().1.segmentation;
    assert!(flat.area == 0 || (flat.expected_dsc == 0.0 && flat.needs_review == Some(true)), "{flat:?}");
    // A box in a corner without an edge, of an image that has some elsewhere.
    let mut pixels = slice(MIDDLE);
    (0..40).for_each(|y| pixels[y * WIDTH..y * WIDTH + 26].fill(60));
    let mut image = encode(&segmenter, &pixels, WIDTH, HEIGHT).unwrap();
    let found =
        pollster::block_on(segmenter.segment(&mut image, &[[5.0, 5.0, 18.0, 25.0], BOX], &single_pass())).unwrap();
    assert!(found[0].area == 0 || (found[0].expected_dsc == 0.0 && found[0].needs_review == Some(true)));
    assert!(found[1].expected_dsc > 0.8 && found[1].needs_review == Some(false));
}

#[test]
fn a_predicted_iou_alone_is_that_of_the_mask() {
    let segmenter = own();
    let image = encode(&segmenter, &slice(MIDDLE), WIDTH, HEIGHT).unwrap();
    let inside = (0..WIDTH * HEIGHT).map(|pixel| u8::from(is_inside(pixel, MIDDLE + 2))).collect();
    let previous = Some(Previous::Mask(Arc::new(inside)));
    let points = vec![Point { x: 50.0, y: 38.0, label: PointLabel::Foreground }];
    for prompt in [
        Prompt::from(BOX),
        Prompt { points: points.clone(), ..Prompt::default() },
        Prompt { points, previous, ..Prompt::default() },
    ] {
        let placed = segmenter.place(&prompt, &image).unwrap();
        let alone = pollster::block_on(segmenter.predicted_iou(&image, &placed)).unwrap();
        let found = pollster::block_on(segmenter.segment_placed(&image, &[placed], &single_pass())).unwrap();
        assert_eq!(alone, found[0].predicted_iou);
    }
}

#[test]
fn objects_that_want_the_same_slice_share_its_encoding() {
    let segmenter = own();
    let range = Some([MIDDLE - 2, MIDDLE + 2]);
    let other =
        Propagation::new([60.0, 2.0, 90.0, 20.0].into(), MIDDLE, SLICES, &PropagationOptions { range, stop: None });
    let (encodes, found) = follow(&segmenter, vec![ball(range, None), other.unwrap()], 1);
    assert_eq!((encodes, found.len()), (5, 10));
    // A box around the ball begins in its middle, and finds the same.
    let whole = Propagation::of_box([28.0, 16.0, 10.0, 72.0, 60.0, 14.0], SLICES).unwrap();
    let (_, boxed) = follow(&segmenter, vec![whole], 1);
    let area = |found: &[(usize, PropagatedSlice)], object: usize| -> usize {
        found.iter().filter(|(other, _)| *other == object).map(|(_, found)| found.segmentation.area).sum()
    };
    assert_eq!((boxed.len(), area(&boxed, 0)), (5, area(&found, 0)));
}

#[test]
fn what_cannot_be_followed_is_named_and_changes_nothing() {
    let begin = |slice, range, stop| {
        Propagation::new(BOX.into(), slice, SLICES, &PropagationOptions { range, stop }).unwrap_err().to_string()
    };
    let wrong = Stop { presence: f64::NAN, ..Stop::default() };
    for (message, part) in [
        (begin(25, None, None), "slice is 25; the volume has slices 0 to 24"),
        (begin(3, Some([4, 9]), None), "range is 4 to 9"),
        (begin(3, Some([0, 25]), None), "range is 0 to 25"),
        (begin(3, None, Some(wrong)), "stop.presence is NaN"),
        (Propagation::of_box([0.0, 0.0, 30.0, 9.0, 9.0, 31.0], SLICES).unwrap_err().to_string(), "25 slices"),
        (Propagation::of_box([0.0, f64::NAN, 1.0, 9.0, 9.0, 3.0], SLICES).unwrap_err().to_string(), "NaN"),
        (Propagation::new(BOX.into(), 0, 0, &PropagationOptions::default()).unwrap_err().to_string(), "slice is 0"),
    ] {
        assert!(message.contains(part), "{message}");
    }
    let segmenter = own();
    let step = |object: &mut Propagation, image: &mut EncodedImage| {
        pollster::block_on(object.segment(&segmenter, image, &single_pass(), &mut Unpaced(|_| ())))
    };
    let mut image = encode(&segmenter, &slice(MIDDLE), WIDTH, HEIGHT).unwrap();
    let mut outside =
        Propagation::new([500.0, 0.0, 600.0, 9.0].into(), MIDDLE, SLICES, &PropagationOptions::default()).unwrap();
    assert_eq!(step(&mut outside, &mut image).unwrap_err().code(), "invalid-box");
    assert_eq!(outside.next_slice(), Some(MIDDLE));
    // A slice of another size is refused, and the right one is taken afterwards.
    let mut object = ball(Some([MIDDLE, MIDDLE + 1]), None);
    step(&mut object, &mut image).unwrap();
    let mut other = encode(&segmenter, &[7; 48], 8, 6).unwrap();
    let error = step(&mut object, &mut other).unwrap_err();
    assert!(error.code() == "invalid-image" && error.to_string().contains("8×6"), "{error}");
    step(&mut object, &mut image).unwrap();
    assert_eq!(object.next_slice(), None);
    assert_eq!(step(&mut object, &mut image).unwrap_err().code(), "invalid-option");
}

/// From one box on the middle slice of a sarcoma in MR, to its ends: DSC of the volume. A bound, so that a change for the worse is seen.
#[test]
fn a_tumour_is_followed_through_a_real_volume() {
    let folder = or_skip!(shared("volumes/nifti/STS_002"), "../shared/volumes");
    let read = |name: &str| open(&folder.join(name), Choice::default()).unwrap().unwrap();
    let (volume, truth) = (read("MR_T1_image.nii.gz"), read("MR_T1_mask.nii.gz"));
    let (volume, truth) = (volume.volume(), truth.volume());
    let [width, height, depth] = volume.geometry().size;
    let inside = |index: usize| match truth.read(Axis::Slices, index).unwrap() {
        SliceValues::U8(values) => values.into_iter().map(|value| u8::from(value > 0)).collect::<Vec<u8>>(),
        SliceValues::F32(values) => values.into_iter().map(|value| u8::from(value > 0.0)).collect(),
    };
    let truth: Vec<Vec<u8>> = (0..depth).map(inside).collect();
    let spanned: Vec<usize> = (0..depth).filter(|&slice| truth[slice].contains(&1)).collect();
    let middle = spanned[spanned.len() / 2];
    let pixels = || (0..width * height).filter(|&pixel| truth[middle][pixel] != 0);
    let [columns, rows] = [|pixel: usize, width: usize| pixel % width, |pixel, width| pixel / width];
    let low = |side: fn(usize, usize) -> usize| pixels().map(|pixel| side(pixel, width)).min().unwrap() as f64;
    let high = |side: fn(usize, usize) -> usize| pixels().map(|pixel| side(pixel, width)).max().unwrap() as f64 + 1.0;
    let turn = volume.slice(Axis::Slices, 0).unwrap().turn;
    let corners = turn.upright_box([low(columns), low(rows), high(columns), high(rows)]);

    let segmenter = own();
    let mut objects = [Propagation::new(corners.into(), middle, depth, &PropagationOptions::default()).unwrap()];
    let mut labels = Labelmap::new(width * height * depth);
    let encode = async |index| {
        let slice = volume.slice(Axis::Slices, index)?;
        let SliceValues::F32(values) = slice.values else { panic!("MR is no bytes") };
        let [width, height] = slice.size;
        let view = ImageView::new(Pixels::F32(&values), width, height, 1)?;
        Ok(segmenter.encode(&segmenter.preprocess(&view, Window::Auto)?, |_| ()))
    };
    let visit = |_, PropagatedSlice { slice, segmentation, end }: PropagatedSlice| {
        let found = turn.stored_segmentation(segmentation);
        if end.is_none() {
            let places = volume.geometry().places(Axis::Slices, slice);
            labels.put(1, &found.mask, &in_eight_bits(&found.probability), places);
        }
        Ok(())
    };
    let mut encoded = EncodedSlices::new(4);
    let pace = &mut Unpaced(|_| ());
    pollster::block_on(propagate(&mut objects, &segmenter, &single_pass(), &mut encoded, encode, visit, pace)).unwrap();
    let score = dsc(labels.labels(), &truth.concat());
    eprintln!("DSC {score:.3} from one box on slice {middle} of {depth}");
    assert!(score > 0.78, "DSC {score:.3}");
}
