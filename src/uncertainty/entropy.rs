//! Probabilities, logits and entropies.

use std::sync::OnceLock;

/// The probability of a logit.
pub fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// The logit of a probability: `ln(p / (1 − p))`, infinite at 0 and 1.
pub fn logit(probability: f64) -> f64 {
    probability.ln() - (-probability).ln_1p()
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

/// The entropy of a logit's prediction, in bits, exact where the probability would round to 0 or 1.
pub fn entropy_of_logit(logit: f32) -> f32 {
    let size = logit.abs();
    let odds = (-size).exp();
    (odds.ln_1p() + size * odds / (1.0 + odds)) * std::f32::consts::LOG2_E
}

/// Probability and entropy of logits, read from a table and interpolated: within 10⁻⁵ of [`sigmoid`] and [`entropy_of_logit`], and
/// some ten times as fast. An ensemble needs them for each member and pixel.
pub(super) struct LogitTable(Vec<[f32; 2]>);

/// Table entries per unit of the logit.
const STEPS_PER_UNIT: f32 = 128.0;
/// Logits beyond this size are as certain as it.
const LARGEST_LOGIT: f32 = 24.0;

impl LogitTable {
    pub fn get() -> &'static Self {
        static TABLE: OnceLock<LogitTable> = OnceLock::new();
        TABLE.get_or_init(|| {
            let entry = |step: usize| {
                let logit = step as f32 / STEPS_PER_UNIT;
                [sigmoid(-logit), entropy_of_logit(logit)]
            };
            Self((0..=(LARGEST_LOGIT * STEPS_PER_UNIT) as usize + 1).map(entry).collect())
        })
    }

    /// Probability and entropy in bits.
    pub fn look_up(&self, logit: f32) -> [f32; 2] {
        let position = logit.abs().min(LARGEST_LOGIT) * STEPS_PER_UNIT;
        let step = position as usize;
        let fraction = position - step as f32;
        let ([p0, h0], [p1, h1]) = (self.0[step], self.0[step + 1]);
        let of_smaller = p0 + (p1 - p0) * fraction;
        [if logit > 0.0 { 1.0 - of_smaller } else { of_smaller }, h0 + (h1 - h0) * fraction]
    }
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
        assert_eq!(logit(0.5), 0.0);
        assert!((logit(f64::from(sigmoid(-3.0))) + 3.0).abs() < 1e-6);
    }

    #[test]
    fn the_table_agrees_with_the_formulas() {
        let table = LogitTable::get();
        for step in -4000..=4000 {
            let logit = step as f32 * 0.007_3;
            let [probability, entropy] = table.look_up(logit);
            assert!((probability - sigmoid(logit)).abs() < 1e-5, "{logit}");
            assert!((entropy - entropy_of_logit(logit)).abs() < 1e-5, "{logit}");
            assert!((entropy_of_logit(logit) - binary_entropy(sigmoid(logit))).abs() < 1e-5, "{logit}");
        }
        assert_eq!(table.look_up(f32::NEG_INFINITY)[0], table.look_up(-LARGEST_LOGIT)[0]);
    }
}
