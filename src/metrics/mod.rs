//! How well a mask agrees with a reference.

/// Dice similarity coefficient of two binary masks of the same size, non-zero meaning inside; 1 if both are empty.
///
/// `DSC = 2 |A ∩ B| / (|A| + |B|)`
///
/// # Panics
/// If the lengths differ.
pub fn dsc(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len(), "masks of one image have one size");
    let count = |mask: &[u8]| mask.iter().filter(|&&value| value != 0).count();
    let both = a.iter().zip(b).filter(|&(&a, &b)| a != 0 && b != 0).count();
    match count(a) + count(b) {
        0 => 1.0,
        total => 2.0 * both as f64 / total as f64,
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
}
