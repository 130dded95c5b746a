//! Volumes of the challenge: objects are followed from the middle slice of their box to both ends.

use super::embeddings::EmbeddingCache;
use crate::data::ChallengeCase;
use crate::error::Result;
use crate::propagation::{EncodedSlices, Propagation, propagate};
use crate::segment::{SegmentOptions, Segmentation, Segmenter, Unpaced};

/// The slices of a volume, each encoded once.
pub struct Slices<'a> {
    segmenter: &'a Segmenter,
    case: &'a ChallengeCase,
    embeddings: &'a EmbeddingCache,
    options: &'a SegmentOptions,
    encoded: EncodedSlices,
}

impl<'a> Slices<'a> {
    pub fn new(
        segmenter: &'a Segmenter,
        case: &'a ChallengeCase,
        embeddings: &'a EmbeddingCache,
        options: &'a SegmentOptions,
    ) -> Self {
        Self { segmenter, case, embeddings, options, encoded: EncodedSlices::new(case.depth) }
    }
}

/// Segments box `index`. `visit` gets each slice's number and result.
pub fn segment(
    slices: &mut Slices,
    corners: &[f64; 6],
    index: usize,
    mut visit: impl FnMut(usize, &Segmentation),
) -> Result<()> {
    let Slices { segmenter, case, embeddings, options, encoded } = slices;
    let mut object = [Propagation::of_box(*corners, case.depth)?.with_label((index + 1) as u8)];
    let encode = async |z: usize| {
        let shape = [case.width, case.height, case.channels];
        let mut image = embeddings.encode(segmenter, case.slice(z), shape, &options.uncertainty)?;
        image.without_alarm();
        Ok(image)
    };
    let visit = |_, found: crate::propagation::PropagatedSlice| {
        visit(found.slice, &found.segmentation);
        Ok(())
    };
    pollster::block_on(propagate(&mut object, segmenter, options, encoded, encode, visit, &mut Unpaced(|_| ())))
}
