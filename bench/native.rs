//! Times the library natively: `cargo bench --profile dev --bench native`, or `cargo xtask bench --native` beside PyTorch.
//!
//! `RAYON_NUM_THREADS` sets the threads, `UMEDSAM_BENCH_WEIGHTS` the weight file, by default our own. With `UMEDSAM_BENCH_MEDIANS` it prints the medians of encode and decode in ms as JSON instead.

use std::time::Instant;

use burn::tensor::Device;
use divan::{Bencher, black_box};
use umedsam::image::{Geometry, ImageView, Pixels, Preprocessed, Window, upsample_logits};
use umedsam::segment::{EncodedImage, SegmentOptions, Segmenter};
use umedsam::uncertainty::UncertaintyOptions;

/// Of a CT slice.
const SIDE: usize = 512;
const BOX: [f64; 4] = [150.0, 140.0, 350.0, 380.0];

fn main() {
    if std::env::var_os("UMEDSAM_BENCH_MEDIANS").is_some() {
        medians();
    } else {
        divan::main();
    }
}

fn segmenter() -> Segmenter {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/umedsam-student-i8.safetensors");
    let path = std::env::var_os("UMEDSAM_BENCH_WEIGHTS").unwrap_or_else(|| own.into());
    let bytes = std::fs::read(path).expect("the weights are there; our own are part of the repository");
    Segmenter::from_weights(bytes, &Device::flex()).expect("the weights can be read")
}

/// A bright disc on textured ground, in Hounsfield units.
fn pixels() -> Vec<i16> {
    let value = |index: usize| {
        let (x, y) = ((index % SIDE) as f64, (index / SIDE) as f64);
        let texture = ((index * 7919) % 101) as i16 - 50;
        if (x - 250.0).hypot(y - 260.0) < 100.0 { 120 + texture / 4 } else { -400 + 6 * texture }
    };
    (0..SIDE * SIDE).map(value).collect()
}

fn preprocessed(segmenter: &Segmenter) -> Preprocessed {
    let pixels = pixels();
    let view = ImageView::new(Pixels::I16(&pixels), SIDE, SIDE, 1).expect("the image is whole");
    segmenter.preprocess(&view, Window::Auto).expect("the image can be used")
}

fn encoded() -> (Segmenter, EncodedImage) {
    let segmenter = segmenter();
    let image = segmenter.encode(&preprocessed(&segmenter), |_| ());
    (segmenter, image)
}

fn segment(segmenter: &Segmenter, image: &EncodedImage, boxes: &[[f64; 4]], uncertainty: UncertaintyOptions) {
    let options = SegmentOptions { uncertainty, ..Default::default() };
    black_box(
        pollster::block_on(segmenter.segment(&mut image.clone(), boxes, &options)).expect("the boxes can be used"),
    );
}

/// Window, resize and scaling of a CT slice.
#[divan::bench]
fn preprocess(bencher: Bencher) {
    let (segmenter, pixels) = (segmenter(), pixels());
    let view = ImageView::new(Pixels::I16(&pixels), SIDE, SIDE, 1).expect("the image is whole");
    bencher.bench_local(|| segmenter.preprocess(&view, Window::Auto));
}

#[divan::bench(sample_count = 10)]
fn encode(bencher: Bencher) {
    let segmenter = segmenter();
    let preprocessed = preprocessed(&segmenter);
    bencher.bench_local(|| segmenter.encode(&preprocessed, |_| ()));
}

/// Decoder and postprocessing of some boxes, a single pass each.
#[divan::bench(args = [1, 16], sample_count = 20)]
fn decode(bencher: Bencher, boxes: usize) {
    let (segmenter, image) = encoded();
    bencher.bench_local(|| segment(&segmenter, &image, &vec![BOX; boxes], UncertaintyOptions::single_pass()));
}

/// The default ensemble of one box, with its maps.
#[divan::bench(sample_count = 20)]
fn uncertainty(bencher: Bencher) {
    let (segmenter, image) = encoded();
    bencher.bench_local(|| segment(&segmenter, &image, &[BOX], UncertaintyOptions::default()));
}

/// Low-res logits to the image's size.
#[divan::bench]
fn upsample(bencher: Bencher) {
    let logits: Vec<f32> = (0..256 * 256).map(|index| ((index % 256) as f32 - 128.0) / 16.0).collect();
    let geometry = Geometry { width: SIDE, height: SIDE, input_size: 256 };
    bencher.bench_local(|| upsample_logits(&logits, 256, &geometry));
}

fn medians() {
    let segmenter = segmenter();
    let preprocessed = preprocessed(&segmenter);
    let image = segmenter.encode(&preprocessed, |_| ());
    let encode = median(9, || {
        black_box(segmenter.encode(&preprocessed, |_| ()));
    });
    let decode = median(15, || segment(&segmenter, &image, &[BOX], UncertaintyOptions::single_pass()));
    println!("{{\"encode\": {encode}, \"decode\": {decode}}}");
}

fn median(rounds: usize, mut action: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            action();
            start.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[rounds / 2]
}
