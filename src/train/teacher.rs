//! The network that a distillation learns from: its embeddings, and its masks of boxes at random places.
//!
//! Source: Zhou et al., *EdgeSAM: Prompt-In-the-Loop Distillation for On-Device Deployment of SAM*, 2023: a student that also meets the teacher's masks keeps more
//! than one that meets embeddings alone. There the prompts are of labelled objects; here boxes are drawn anywhere, so that images without masks teach too.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use rand::RngExt;

use super::run::TrainSettings;
use super::sample::{Target, target};
use crate::error::{Error, Result};
use crate::eval::EmbeddingCache;
use crate::image::Geometry;
use crate::model::prompt_encoder::InputBox;
use crate::segment::{EncodedImage, PlacedPrompt, Segmenter};
use crate::uncertainty::UncertaintyOptions;
use crate::weights::{Precision, sha256_hex};

/// The network that a distillation learns from.
pub struct Teacher {
    segmenter: Segmenter,
    cache: EmbeddingCache,
    /// The network whose mask decoder gives masks, where it is another.
    masks: Option<Segmenter>,
    key: String,
}

/// Boxes that are tried for a mask.
const CANDIDATES: usize = 3;
/// Times that they are drawn anew where no mask is usable.
const ATTEMPTS: usize = 4;
/// Sides of the boxes, as shares of the image's.
const SIDES: [f64; 2] = [0.08, 0.8];
/// The smallest side of a mask that is learned from, as a share of the input's.
const SMALLEST_MASK: f32 = 0.02;

impl Teacher {
    /// Reads what the settings of a distillation name.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if nothing is named, or the mask decoder takes embeddings of another size; [`Error::File`] and [`Error::Weights`] if a
    /// file cannot be used.
    pub(super) fn read(settings: &TrainSettings, device: &Device) -> Result<Self> {
        let path = settings
            .teacher
            .as_ref()
            .ok_or_else(|| Error::InvalidOption("distillation needs a teacher; name its weight file".into()))?;
        let device = device.clone().inner();
        let read = |path: &Path| std::fs::read(path).map_err(|error| Error::file(path, error));
        let weights = read(path)?;
        let cache = EmbeddingCache::new(Some(settings.embeddings.clone()), &weights).with_precision(Precision::F16);
        let segmenter = Segmenter::from_weights(weights, &device)?;
        let mask_weights = settings.mask_teacher.as_deref().map(read).transpose()?;
        let key = format!("{}{}", cache.key(), mask_weights.as_deref().map_or_else(String::new, sha256_hex));
        let masks = mask_weights.map(|weights| Segmenter::from_weights(weights, &device)).transpose()?;
        let sizes = |of: &Segmenter| {
            let encoder = &of.metadata().config.image_encoder;
            [encoder.input_size(), encoder.embedding_size(), encoder.out_channels()]
        };
        if let Some(masks) = masks.as_ref().filter(|masks| sizes(masks) != sizes(&segmenter)) {
            return Err(Error::InvalidOption(format!(
                "the mask teacher's input, embedding and channels are {:?}, the teacher's {:?}; use a network with the same image encoder",
                sizes(masks),
                sizes(&segmenter)
            )));
        }
        Ok(Self { segmenter, cache, masks, key })
    }

    /// What distinguishes this teacher from others.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The embedding of an input, kept between runs.
    ///
    /// # Errors
    /// As [`EmbeddingCache::embed`].
    pub fn embed(&self, input: &[f32]) -> Result<Tensor<4>> {
        self.cache.embed(&self.segmenter, input)
    }

    /// What the teacher sees in a box at a random place: of a few boxes the mask, decoded once more with the tight box around it, that the teacher holds to be the
    /// best. `None` if every mask is a speck.
    ///
    /// # Errors
    /// As [`Segmenter::answers`].
    pub fn structure(
        &self,
        embedding: &Tensor<4>,
        geometry: &Geometry,
        random: &mut impl RngExt,
    ) -> Result<Option<Target>> {
        seen_somewhere(self.masks.as_ref().unwrap_or(&self.segmenter), embedding, geometry, random)
    }
}

/// What a network sees in a box at a random place; see [`Teacher::structure`].
///
/// # Errors
/// As [`Segmenter::answers`].
pub(super) fn seen_somewhere(
    segmenter: &Segmenter,
    embedding: &Tensor<4>,
    geometry: &Geometry,
    random: &mut impl RngExt,
) -> Result<Option<Target>> {
    let image = segmenter.encoded(embedding.clone(), *geometry);
    for _ in 0..ATTEMPTS {
        let drawn: Vec<InputBox> = (0..CANDIDATES).map(|_| random_box(geometry, random)).collect();
        let found = masks(segmenter, &image, &drawn)?;
        let tight: Vec<InputBox> = found.iter().map(|(_, target)| target.tight_box).collect();
        let again = if tight.is_empty() { Vec::new() } else { masks(segmenter, &image, &tight)? };
        let best = again.into_iter().max_by(|(a, _), (b, _)| a.total_cmp(b));
        if let Some((_, target)) = best {
            return Ok(Some(target));
        }
    }
    Ok(None)
}

/// A box of the input at a random place in the image, its sides' logarithms drawn evenly.
fn random_box(geometry: &Geometry, random: &mut impl RngExt) -> InputBox {
    let (width, height) = geometry.resized();
    let [low, high] = SIDES.map(f64::ln);
    let mut side = |length: usize| {
        let side = length as f64 * random.random_range(low..=high).exp();
        let begin = random.random_range(0.0..=length as f64 - side);
        [begin as f32, (begin + side) as f32]
    };
    let [[x0, x1], [y0, y1]] = [side(width), side(height)];
    [x0, y0, x1.max(x0 + 1.0), y1.max(y0 + 1.0)]
}

/// The masks of some boxes that are no specks, each with its predicted IoU.
fn masks(segmenter: &Segmenter, image: &EncodedImage, boxes: &[InputBox]) -> Result<Vec<(f32, Target)>> {
    let prompts: Vec<PlacedPrompt> =
        boxes.iter().map(|&corners| PlacedPrompt::of_input_box(corners, &image.geometry)).collect();
    let size = segmenter.metadata().config.low_res_size();
    let mut found = Vec::new();
    pollster::block_on(segmenter.answers(image, &prompts, &UncertaintyOptions::single_pass(), |_, answer| {
        let target = inside(&answer.logits[0], size, &image.geometry)
            .filter(|target| smallest_side(target) >= SMALLEST_MASK * size as f32);
        found.extend(target.map(|target| (answer.ious[0], target)));
    }))?;
    Ok(found)
}

fn smallest_side(target: &Target) -> f32 {
    let [x0, y0, x1, y1] = target.tight_box;
    (x1 - x0 + 1.0).min(y1 - y0 + 1.0)
}

/// Where logits are positive within the image.
fn inside(logits: &[f32], size: usize, geometry: &Geometry) -> Option<Target> {
    let (width, height) = geometry.resized();
    let label = |pixel: usize| u8::from(logits[pixel] > 0.0 && pixel % size < width && pixel / size < height);
    target(&(0..logits.len()).map(label).collect::<Vec<u8>>(), size, 1)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn boxes_lie_in_the_image() {
        let geometry = Geometry { width: 30, height: 10, input_size: 256 };
        let mut random = StdRng::seed_from_u64(2);
        for _ in 0..500 {
            let [x0, y0, x1, y1] = random_box(&geometry, &mut random);
            assert!(0.0 <= x0 && x0 + 1.0 <= x1 && x1 <= 256.0, "{x0} {x1}");
            assert!(0.0 <= y0 && y0 + 1.0 <= y1 && y1 <= 85.5, "{y0} {y1}");
        }
    }

    #[test]
    fn masks_end_with_the_image() {
        let geometry = Geometry { width: 8, height: 4, input_size: 8 };
        let all = inside(&[1.0; 64], 8, &geometry).unwrap();
        assert_eq!(all.tight_box, [0.0, 0.0, 7.0, 3.0]);
        assert_eq!(inside(&[0.0; 64], 8, &geometry), None);
    }
}
