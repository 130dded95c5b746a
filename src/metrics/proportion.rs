//! How far a share that was counted may be from the true one.

use serde::{Deserialize, Serialize};

/// Confidence of [`Proportion::ci`].
const CONFIDENCE: f64 = 0.95;

/// How many of some independent trials held.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Proportion {
    /// How many held.
    pub held: usize,
    /// How many there were.
    pub of: usize,
    /// Their share, 0–1; 0 of none.
    pub share: f64,
    /// The 95 % interval of the true share by Clopper and Pearson.
    pub ci: [f64; 2],
}

impl Proportion {
    /// Counts.
    pub fn of(trials: impl IntoIterator<Item = bool>) -> Self {
        let (held, of) = trials.into_iter().fold((0, 0), |(held, of), trial| (held + usize::from(trial), of + 1));
        let share = if of == 0 { 0.0 } else { held as f64 / of as f64 };
        Self { held, of, share, ci: clopper_pearson(held, of, CONFIDENCE) }
    }
}

/// The interval of a share of which `held` of `of` independent trials held: it contains the true one with at least this confidence.
///
/// Source: Clopper and Pearson, *The use of confidence or fiducial limits illustrated in the case of the binomial*, 1934.
///
/// # Panics
/// If more held than there were.
///
/// ```
/// let [low, high] = umedsam::metrics::clopper_pearson(0, 10, 0.95);
/// assert!(low == 0.0 && (high - 0.3085).abs() < 1e-4);
/// ```
pub fn clopper_pearson(held: usize, of: usize, confidence: f64) -> [f64; 2] {
    assert!(held <= of, "{held} of {of} held");
    let tail = (1.0 - confidence) / 2.0;
    // P(at least `held`) rises with the share, P(at most `held`) falls.
    let low = if held == 0 { 0.0 } else { bisect(|share| binomial(held..=of, of, share) < tail) };
    let high = if held == of { 1.0 } else { bisect(|share| binomial(0..=held, of, share) > tail) };
    [low, high]
}

/// Where something ceases to hold between 0 and 1.
fn bisect(holds: impl Fn(f64) -> bool) -> f64 {
    const STEPS: usize = 50;
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..STEPS {
        let middle = (low + high) / 2.0;
        if holds(middle) { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// Probability that so many of `of` trials hold, each with probability `share`, between 0 and 1.
fn binomial(counts: std::ops::RangeInclusive<usize>, of: usize, share: f64) -> f64 {
    let (yes, no) = (share.ln(), (-share).ln_1p());
    let mut ln_ways = 0.0;
    let mut sum = 0.0;
    for count in 0..=*counts.end() {
        if count > 0 {
            ln_ways += ((of + 1 - count) as f64).ln() - (count as f64).ln();
        }
        if counts.contains(&count) {
            sum += (ln_ways + count as f64 * yes + (of - count) as f64 * no).exp();
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_the_published_ones() {
        for (held, of, expected) in [
            (0, 10, [0.0, 0.3085]),
            (5, 10, [0.1871, 0.8129]),
            (95, 100, [0.8872, 0.9836]),
            (10, 10, [0.6915, 1.0]),
            (0, 0, [0.0, 1.0]),
        ] {
            let found = clopper_pearson(held, of, 0.95);
            let is_near = |side: usize| (found[side] - expected[side]).abs() < 5.1e-5;
            assert!(is_near(0) && is_near(1), "{held} of {of}: {found:?}");
        }
        // Mirrored, and of many.
        let ([low, high], [other_low, other_high]) = (clopper_pearson(7, 30, 0.9), clopper_pearson(23, 30, 0.9));
        assert!((low + other_high - 1.0).abs() < 1e-12 && (high + other_low - 1.0).abs() < 1e-12);
        let [low, high] = clopper_pearson(9000, 10_000, 0.95);
        assert!((low - 0.8940).abs() < 1e-4 && (high - 0.9058).abs() < 1e-4, "{low} {high}");
    }

    #[test]
    fn trials_are_counted() {
        let found = Proportion::of([true, false, true, true]);
        assert_eq!((found.held, found.of, found.share), (3, 4, 0.75));
        assert!(found.ci[0] < 0.75 && found.ci[1] > 0.75);
        assert_eq!(Proportion::of([]).share, 0.0);
    }
}
