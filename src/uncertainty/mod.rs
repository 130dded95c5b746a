//! Where the model is unsure.

/// The probability of a logit.
pub fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// The entropy of a binary prediction, in bits: 0 where it is certain, 1 where both answers are as likely.
///
/// `H(p) = −p log₂ p − (1 − p) log₂ (1 − p)`; 0 for `p` outside 0–1 and for NaN.
pub fn binary_entropy(probability: f32) -> f32 {
    if !(probability > 0.0 && probability < 1.0) {
        return 0.0;
    }
    let other = 1.0 - probability;
    -(probability * probability.log2() + other * other.log2())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_one_bit_at_one_half_and_zero_at_certainty() {
        assert_eq!(binary_entropy(0.5), 1.0);
        for probability in [0.0, 1.0, -1.0, 2.0, f32::NAN] {
            assert_eq!(binary_entropy(probability), 0.0);
        }
        assert!((binary_entropy(0.11) - 0.499_916).abs() < 1e-5);
        assert!((binary_entropy(0.11) - binary_entropy(0.89)).abs() < 1e-6);
    }

    #[test]
    fn sigmoid_saturates_without_nan() {
        assert_eq!((sigmoid(-200.0), sigmoid(0.0), sigmoid(200.0)), (0.0, 0.5, 1.0));
    }
}
