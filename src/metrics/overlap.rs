//! Agreement of areas.

/// Dice similarity coefficient of two binary masks of the same size, non-zero meaning inside; 1 if both are empty.
///
/// `DSC = 2 |A ∩ B| / (|A| + |B|)`
///
/// # Panics
/// If the lengths differ.
pub fn dsc(a: &[u8], b: &[u8]) -> f64 {
    let counts = Confusion::of(a, b);
    match counts.predicted + counts.actual {
        0 => 1.0,
        total => 2.0 * counts.both as f64 / total as f64,
    }
}

/// Pixel counts of a predicted mask and the true one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confusion {
    /// Pixels of the prediction.
    pub predicted: usize,
    /// Pixels of the truth.
    pub actual: usize,
    /// Pixels of both.
    pub both: usize,
}

impl Confusion {
    /// Counts, non-zero meaning inside.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn of(predicted: &[u8], actual: &[u8]) -> Self {
        assert_eq!(predicted.len(), actual.len(), "masks of one image have one size");
        let count = |mask: &[u8]| mask.iter().filter(|&&value| value != 0).count();
        let both = predicted.iter().zip(actual).filter(|&(&a, &b)| a != 0 && b != 0).count();
        Self { predicted: count(predicted), actual: count(actual), both }
    }

    /// Share of the truth that the prediction misses, 0–1; 0 if there is nothing to miss.
    pub fn false_negative_rate(&self) -> f64 {
        share(self.actual - self.both, self.actual)
    }

    /// Share of the prediction that is wrong, 0–1; 0 if it is empty.
    pub fn false_positive_share(&self) -> f64 {
        share(self.predicted - self.both, self.predicted)
    }
}

fn share(part: usize, whole: usize) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 / whole as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dsc_of_hand_counted_masks() {
        assert_eq!(dsc(&[1, 1, 0, 0], &[0, 255, 255, 0]), 0.5);
        assert_eq!(dsc(&[0, 0], &[0, 0]), 1.0);
        assert_eq!(dsc(&[1, 0], &[0, 1]), 0.0);
        assert_eq!(dsc(&[1, 1, 1, 0], &[1, 0, 0, 0]), 0.5);
    }

    #[test]
    fn misses_and_false_alarms_are_shares_of_their_own_mask() {
        let counts = Confusion::of(&[1, 1, 1, 0, 0], &[0, 0, 1, 1, 0]);
        assert_eq!(counts.false_negative_rate(), 0.5);
        assert_eq!(counts.false_positive_share(), 2.0 / 3.0);
        let empty = Confusion::of(&[0, 0], &[0, 0]);
        assert_eq!((empty.false_negative_rate(), empty.false_positive_share()), (0.0, 0.0));
    }
}
