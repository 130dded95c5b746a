//! Volumes of the challenge: objects are followed from the middle slice of their box to both ends.

use std::collections::HashMap;

use super::embeddings::EmbeddingCache;
use crate::data::ChallengeCase;
use crate::error::Result;
use crate::propagation::Propagation;
use crate::segment::{EncodedImage, SegmentOptions, Segmentation, Segmenter, Unpaced};

/// The slices of a volume, each encoded once.
pub struct Slices<'a> {
    segmenter: &'a Segmenter,
    case: &'a ChallengeCase,
    embeddings: &'a EmbeddingCache,
    options: &'a SegmentOptions,
    encoded: HashMap<usize, EncodedImage>,
}

impl<'a> Slices<'a> {
    pub fn new(
        segmenter: &'a Segmenter,
        case: &'a ChallengeCase,
        embeddings: &'a EmbeddingCache,
        options: &'a SegmentOptions,
    ) -> Self {
        Self { segmenter, case, embeddings, options, encoded: HashMap::new() }
    }

    fn encoded(&mut self, z: usize) -> Result<&mut EncodedImage> {
        if !self.encoded.contains_key(&z) {
            let shape = [self.case.width, self.case.height, self.case.channels];
            let uncertainty = &self.options.uncertainty;
            let image = self.embeddings.encode(self.segmenter, self.case.slice(z), shape, uncertainty)?;
            self.encoded.insert(z, image);
        }
        Ok(self.encoded.get_mut(&z).expect("it was inserted"))
    }
}

/// Segments box `index`. `visit` gets each slice's number and result.
pub fn segment(
    slices: &mut Slices,
    corners: &[f64; 6],
    index: usize,
    mut visit: impl FnMut(usize, &Segmentation),
) -> Result<()> {
    let mut object = Propagation::of_box(*corners, slices.case.depth)?.with_label((index + 1) as u8);
    let (segmenter, options) = (slices.segmenter, *slices.options);
    while let Some(z) = object.next_slice() {
        let image = slices.encoded(z)?;
        let found = pollster::block_on(object.segment(segmenter, image, &options, &mut Unpaced(|_| ())))?;
        visit(z, &found.segmentation);
    }
    Ok(())
}
