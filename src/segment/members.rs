//! A segmentation together with its ensemble's members, for who measures them (native only).

use super::{Answer, EncodedImage, PlacedPrompt, SegmentOptions, Segmentation, Segmenter};
use crate::error::Result;
use crate::image::BoundingBox;

impl Segmenter {
    /// What [`Segmenter::segment_boxes`] says of one box in the whole image, whatever the options say of zooming, and the members that say it.
    ///
    /// # Errors
    /// As [`Segmenter::segment_boxes`].
    pub async fn segment_with_members(
        &self,
        image: &EncodedImage,
        bounding_box: BoundingBox,
        options: &SegmentOptions,
    ) -> Result<(Segmentation, Vec<Answer>)> {
        let options = options.checked()?;
        let prompt = PlacedPrompt::of_box(bounding_box, &image.geometry);
        let mut members = Vec::new();
        self.answers(image, std::slice::from_ref(&prompt), &options.uncertainty, |_, answer| members.push(answer))
            .await?;
        let mut found = self.combine(members.iter(), image.geometry, bounding_box, &options)?;
        self.judge(image, &options, std::slice::from_mut(&mut found)).await?;
        Ok((found, members))
    }

    /// Every member's mask at the image's size, and how much it counts.
    pub fn member_masks(&self, image: &EncodedImage, members: &[Answer], options: &SegmentOptions) -> Vec<Vec<bool>> {
        let multimask = options.uncertainty.multimask;
        let logits = members.iter().flat_map(|answer| self.weighted_logits(answer, &image.geometry, multimask));
        logits.map(|(_, logits)| logits.into_iter().map(|logit| logit > 0.0).collect()).collect()
    }
}
