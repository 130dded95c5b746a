//! How far the members of an ensemble agree with each other.

/// Binary masks of one image, a bit a pixel.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemberMasks {
    masks: Vec<Vec<u64>>,
}

impl MemberMasks {
    /// Packs masks.
    pub fn new(masks: &[Vec<bool>]) -> Self {
        let pack = |mask: &Vec<bool>| {
            let word = |bits: &[bool]| bits.iter().rev().fold(0, |word, &bit| word << 1 | u64::from(bit));
            mask.chunks(64).map(word).collect()
        };
        Self { masks: masks.iter().map(pack).collect() }
    }

    /// Pixels inside each mask.
    pub fn areas(&self) -> Vec<f64> {
        self.masks.iter().map(|mask| count(mask.iter().copied())).collect()
    }

    /// Mean Dice over all pairs of masks, 0–1; two empty masks agree. `None` with fewer than two masks.
    ///
    /// Source: Roy et al., *Bayesian QuickNAT*, 2019; the baseline of Zenk et al., *Comparative benchmarking of failure detection methods in medical image
    /// segmentation*, 2025.
    pub fn pairwise_dice(&self) -> Option<f64> {
        let areas = self.areas();
        let (mut sum, mut pairs) = (0.0, 0);
        for (a, mask) in self.masks.iter().enumerate() {
            for (b, other) in self.masks.iter().enumerate().take(a) {
                let both = count(mask.iter().zip(other).map(|(a, b)| a & b));
                sum += if areas[a] + areas[b] > 0.0 { 2.0 * both / (areas[a] + areas[b]) } else { 1.0 };
                pairs += 1;
            }
        }
        (pairs > 0).then(|| sum / f64::from(pairs))
    }
}

fn count(words: impl Iterator<Item = u64>) -> f64 {
    f64::from(words.map(u64::count_ones).sum::<u32>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(inside: std::ops::Range<usize>) -> Vec<bool> {
        (0..150).map(|pixel| inside.contains(&pixel)).collect()
    }

    #[test]
    fn pairs_by_hand() {
        // 0–99 and 50–149 share 50 of 100 each; 60–69 lies in both.
        let masks = MemberMasks::new(&[mask(0..100), mask(50..150), mask(60..70)]);
        assert_eq!(masks.areas(), [100.0, 100.0, 10.0]);
        let expected = (0.5 + 20.0 / 110.0 + 20.0 / 110.0) / 3.0;
        assert!((masks.pairwise_dice().unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn empty_masks_agree_and_one_mask_has_no_pair() {
        assert_eq!(MemberMasks::new(&[mask(0..0), mask(0..0)]).pairwise_dice(), Some(1.0));
        assert_eq!(MemberMasks::new(&[mask(0..0), mask(0..9)]).pairwise_dice(), Some(0.0));
        assert_eq!(MemberMasks::new(&[mask(0..9)]).pairwise_dice(), None);
        assert_eq!(MemberMasks::default().pairwise_dice(), None);
    }
}
