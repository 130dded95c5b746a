//! Agreement of soft masks.

/// Thresholds of [`threshold_dice`]: 0.1, 0.2, … 0.9.
const THRESHOLDS: usize = 9;
/// Shares such as 3 of 10 raters reach 0.3, whatever their last bit.
const ROUNDING: f64 = 1e-6;

/// Mean Dice of two soft masks that are cut at 0.1, 0.2, … 0.9 (a pixel that reaches the threshold is inside); where both are empty it is 1.
///
/// Source: QUBIQ, *Quantification of Uncertainties in Biomedical Image Quantification*, 2020 and 2021 (Li et al. 2024, arXiv:2405.18435): the probability and the mean
/// of the raters' masks are cut at the same levels and compared by Dice, which is averaged.
///
/// # Panics
/// If the lengths differ.
pub fn threshold_dice(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "masks of one image have one size");
    // Pixels by how many thresholds they reach.
    let reached = |value: f64| (((value + ROUNDING) * (THRESHOLDS + 1) as f64) as usize).min(THRESHOLDS);
    let (mut of_a, mut of_b, mut of_both) = ([0usize; THRESHOLDS + 1], [0; THRESHOLDS + 1], [0; THRESHOLDS + 1]);
    for (a, b) in a.iter().zip(b).map(|(&a, &b)| (reached(a), reached(b))) {
        of_a[a] += 1;
        of_b[b] += 1;
        of_both[a.min(b)] += 1;
    }
    let dice = |level: usize| {
        let inside = |counts: &[usize]| counts[level..].iter().sum::<usize>();
        match inside(&of_a) + inside(&of_b) {
            0 => 1.0,
            total => 2.0 * inside(&of_both) as f64 / total as f64,
        }
    };
    (1..=THRESHOLDS).map(dice).sum::<f64>() / THRESHOLDS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_by_hand() {
        // At 0.1–0.3 both are inside, at 0.4–0.5 only the first: (3 · 1 + 2 · 0 + 4 · 1) / 9.
        assert!((threshold_dice(&[0.5], &[0.3]) - 7.0 / 9.0).abs() < 1e-12);
        // At 0.1–0.5 the pixels are {0, 1} and {0}: 2/3; at 0.6–0.9 {0} and {0}: 1.
        assert!((threshold_dice(&[1.0, 0.5], &[1.0, 0.0]) - (5.0 * 2.0 / 3.0 + 4.0) / 9.0).abs() < 1e-12);
        // Shares of ten raters reach their own threshold.
        let shares: Vec<f64> = (0..=10).map(|raters| f64::from(raters) / 10.0).collect();
        assert_eq!(threshold_dice(&shares, &shares.iter().map(|share| share - 1e-9).collect::<Vec<_>>()), 1.0);
    }

    #[test]
    fn empty_masks_agree() {
        assert_eq!(threshold_dice(&[0.0, 0.05], &[0.0, 0.0]), 1.0);
        assert_eq!(threshold_dice(&[], &[]), 1.0);
        assert_eq!(threshold_dice(&[1.0, 0.0], &[0.0, 1.0]), 0.0);
    }
}
