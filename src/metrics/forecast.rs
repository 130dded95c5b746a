//! How well a sample of values foretells a number.

/// Continuous ranked probability score of a sample as a forecast, in the values' unit; 0 is best, and a single value's score is its distance.
///
/// `CRPS = E|X − y| − ½ E|X − X'|` (Gneiting and Raftery 2007, equation 21).
///
/// # Panics
/// If there is no sample.
pub fn crps(sample: &[f64], actual: f64) -> f64 {
    assert!(!sample.is_empty(), "a forecast has values");
    let count = sample.len() as f64;
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let distance = sorted.iter().map(|value| (value - actual).abs()).sum::<f64>() / count;
    // Σ over pairs of |x_i − x_j|: every value by how many are below it, less how many are above.
    let place = |index: usize| 2.0 * index as f64 + 1.0 - count;
    let spread = sorted.iter().enumerate().map(|(index, value)| value * place(index)).sum::<f64>();
    (distance - spread / (count * count)).max(0.0)
}

/// The quantile of a sample at a share 0–1, between two values by interpolation.
///
/// # Panics
/// If there is no sample.
pub fn quantile(sample: &[f64], share: f64) -> f64 {
    assert!(!sample.is_empty(), "a sample has values");
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = share.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_by_hand() {
        // A point forecast's is its distance.
        assert_eq!(crps(&[7.0], 4.0), 3.0);
        // E|X − 3| = (2 + 1) / 2, E|X − X'| = (0 + 3 + 3 + 0) / 4.
        assert!((crps(&[4.0, 1.0], 3.0) - (1.5 - 0.75)).abs() < 1e-12);
        // E|X − 0| = 2, pairs 2 · (1 + 2 + 1) / 9.
        assert!((crps(&[3.0, 1.0, 2.0], 0.0) - (2.0 - 4.0 / 9.0)).abs() < 1e-12);
        assert_eq!(crps(&[5.0, 5.0], 5.0), 0.0);
    }

    #[test]
    fn quantiles_lie_between_values() {
        let sample = [4.0, 1.0, 3.0];
        let found = [0.0, 0.25, 0.5, 0.95, 1.0].map(|share| quantile(&sample, share));
        for (found, expected) in found.into_iter().zip([1.0, 2.0, 3.0, 3.9, 4.0]) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert_eq!(quantile(&[2.0], 0.3), 2.0);
    }
}
