//! Several objects in one volume.

use super::{PropagatedSlice, Propagation};
use crate::error::Result;
use crate::segment::{EncodedImage, Pace, SegmentOptions, Segmenter};

/// Encoded slices, of which the longest unused is dropped when there are too many.
#[derive(Debug)]
pub struct EncodedSlices {
    most: usize,
    /// The last used comes last.
    kept: Vec<(usize, EncodedImage)>,
}

impl EncodedSlices {
    /// Keeps at most so many, at least one.
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), kept: Vec::new() }
    }

    /// A slice, which is encoded unless it is there.
    ///
    /// # Errors
    /// Those of `encode`.
    pub async fn get(
        &mut self,
        slice: usize,
        encode: &mut impl AsyncFnMut(usize) -> Result<EncodedImage>,
    ) -> Result<&mut EncodedImage> {
        match self.kept.iter().position(|(other, _)| *other == slice) {
            Some(place) => {
                let used = self.kept.remove(place);
                self.kept.push(used);
            }
            None => {
                let encoded = encode(slice).await?;
                if self.kept.len() == self.most {
                    self.kept.remove(0);
                }
                self.kept.push((slice, encoded));
            }
        }
        Ok(&mut self.kept.last_mut().expect("it was put there").1)
    }
}

/// Follows objects to their ends; those that want the same slice share its encoding. `visit` gets the object's place in the list and what was found on a slice.
///
/// # Errors
/// Those of [`Propagation::segment`], `encode` and `visit`.
pub async fn propagate(
    objects: &mut [Propagation],
    segmenter: &Segmenter,
    options: &SegmentOptions,
    encoded: &mut EncodedSlices,
    mut encode: impl AsyncFnMut(usize) -> Result<EncodedImage>,
    mut visit: impl FnMut(usize, PropagatedSlice) -> Result<()>,
    pace: &mut impl Pace,
) -> Result<()> {
    while let Some(slice) = objects.iter().find_map(Propagation::next_slice) {
        let image = encoded.get(slice, &mut encode).await?;
        for (index, object) in objects.iter_mut().enumerate() {
            if object.next_slice() == Some(slice) {
                visit(index, object.segment(segmenter, image, options, pace).await?)?;
            }
        }
    }
    Ok(())
}
