//! From folders of images to an alarm that tells what is unlike them.

use rayon::prelude::*;

use super::dataset::CasePath;
use super::embeddings::EmbeddingCache;
use super::made_up::{Picture, made_up};
use crate::data::{CaseBoxes, ChallengeCase, read_npz};
use crate::error::{Error, Result};
use crate::image::{ImageView, Pixels, Window};
use crate::segment::Segmenter;
use crate::uncertainty::ShiftAlarm;
use crate::uncertainty::shift::{ShiftImages, features_of_tensor, fit_shift_alarm};

/// Gets every image that is done, with what went wrong with it.
pub type AlarmProgress<'a> = dyn Fn(Option<(&CasePath, &Error)>) + Sync + 'a;

/// Every how many-th familiar image is shown inverted, and another one shuffled.
const CHANGED: usize = 15;

/// Learns an alarm: from `familiar` images what is alike, from made-up ones what is not, and from those of the `calibration`, which are of the same kinds as the
/// familiar ones and no others, how often it may go off. Files that cannot be used are told to `progress` and left out.
///
/// # Errors
/// [`Error::InvalidImage`] if there are too few images.
pub fn learn_shift_alarm(
    segmenter: &Segmenter,
    familiar: &[CasePath],
    calibration: &[CasePath],
    embeddings: &EmbeddingCache,
    jobs: usize,
    progress: &AlarmProgress,
) -> Result<ShiftAlarm> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(jobs)
        .build()
        .map_err(|error| Error::InvalidOption(format!("jobs is {jobs}: {error}")))?;
    let features = |picture: &Picture| -> Result<Vec<f32>> {
        let Picture { pixels, width, height, channels } = picture;
        let view = ImageView::new(Pixels::U8(pixels), *width, *height, *channels)?;
        let input = segmenter.preprocess(&view, Window::Auto)?;
        let embedding = embeddings.embed(segmenter, &input.input)?;
        let features = features_of_tensor(embedding, &input.geometry).into_data();
        Ok(features.try_into_vec().expect("embeddings are f32"))
    };
    let all = |cases: &[CasePath]| -> Vec<(Picture, Vec<f32>)> {
        let one = |case: &CasePath| {
            let found = picture_of(case).and_then(|picture| features(&picture).map(|found| (picture, found)));
            progress(found.as_ref().err().map(|error| (case, error)));
            found.ok()
        };
        pool.install(|| cases.par_iter().filter_map(one).collect())
    };
    let (known, held_out) = (all(familiar), all(calibration));
    let changed = known.iter().enumerate().filter_map(|(at, (picture, _))| match at % CHANGED {
        0 => Some(picture.inverted()),
        1 => Some(picture.shuffled(2 << (at / CHANGED % 3), at as u64)),
        _ => None,
    });
    let unlike: Vec<Picture> = changed.chain(made_up()).filter(|picture| !picture.pixels.is_empty()).collect();
    let unlike = pool.install(|| unlike.par_iter().map(features).collect::<Result<Vec<_>>>())?;
    let only = |found: Vec<(Picture, Vec<f32>)>| found.into_iter().map(|(_, features)| features).collect::<Vec<_>>();
    let (known, held_out) = (only(known), only(held_out));
    fit_shift_alarm(ShiftImages { familiar: &known, unlike: &unlike, calibration: &held_out })
        .map_err(Error::InvalidImage)
}

/// # Errors
/// [`Error::InvalidImage`] of a volume; those of [`read_npz`].
fn picture_of(case: &CasePath) -> Result<Picture> {
    let ChallengeCase { imgs, width, height, channels, boxes, .. } = read_npz(&case.path)?;
    match boxes {
        CaseBoxes::Image(_) => Ok(Picture { pixels: imgs, width, height, channels }),
        CaseBoxes::Volume(_) => Err(Error::InvalidImage("volumes cannot be learned from; use images".into())),
    }
}
