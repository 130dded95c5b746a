//! What is gained by keeping the results that are surest: risk and coverage over masks or images.

/// One result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Selected {
    /// The higher, the earlier it is kept; NaN comes last.
    pub confidence: f64,
    /// What is lost by keeping it, such as 1 − DSC.
    pub risk: f64,
    /// To whose weight it belongs, in [`Ordered::aurc`].
    pub group: usize,
}

/// Results from the surest to the least sure.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ordered(Vec<Selected>);

impl Ordered {
    /// Sorts.
    pub fn new(mut results: Vec<Selected>) -> Self {
        for result in results.iter_mut().filter(|result| result.confidence.is_nan()) {
            result.confidence = f64::NEG_INFINITY;
        }
        results.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        Self(results)
    }

    /// The best order there is: by the risk itself.
    pub fn ideal(results: &[Selected]) -> Self {
        Self::new(results.iter().map(|result| Selected { confidence: -result.risk, ..*result }).collect())
    }

    /// Area under the risk–coverage curve: the mean over k of the mean risk of the k surest results, every result counted as often as its group says. Equally sure
    /// ones are kept in no order: their mean risk stands for each. `None` without results.
    ///
    /// Source: Geifman and El-Yaniv 2017; over segmentations Zenk et al., *Comparative benchmarking of failure detection methods in medical image segmentation*,
    /// 2025.
    pub fn aurc(&self, copies: impl Fn(usize) -> u32) -> Option<f64> {
        let (mut kept, mut risk, mut area) = (0.0, 0.0, 0.0);
        for equal in self.0.chunk_by(|a, b| a.confidence == b.confidence) {
            let count: u32 = equal.iter().map(|result| copies(result.group)).sum();
            if count == 0 {
                continue;
            }
            let sum: f64 = equal.iter().map(|result| f64::from(copies(result.group)) * result.risk).sum();
            for _ in 0..count {
                kept += 1.0;
                risk += sum / f64::from(count);
                area += risk / kept;
            }
        }
        (kept > 0.0).then(|| area / kept)
    }
}

/// The mean risk, which an order by chance has at every coverage; `None` without results.
pub fn mean_risk(results: &[Selected]) -> Option<f64> {
    let sum: f64 = results.iter().map(|result| result.risk).sum();
    (!results.is_empty()).then(|| sum / results.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(values: &[(f64, f64)]) -> Vec<Selected> {
        let result = |(group, &(confidence, risk)): (usize, &(f64, f64))| Selected { confidence, risk, group };
        values.iter().enumerate().map(result).collect()
    }

    fn aurc(values: &[(f64, f64)]) -> f64 {
        Ordered::new(results(values)).aurc(|_| 1).unwrap()
    }

    #[test]
    fn areas_by_hand() {
        // Mean risks 0.1, 0.3, 0.3; at best 0.1, 0.2, 0.3.
        let values = [(0.7, 0.3), (0.9, 0.1), (0.8, 0.5)];
        assert!((aurc(&values) - 0.7 / 3.0).abs() < 1e-12);
        assert!((Ordered::ideal(&results(&values)).aurc(|_| 1).unwrap() - 0.2).abs() < 1e-12);
        assert!((mean_risk(&results(&values)).unwrap() - 0.3).abs() < 1e-12);
        // All equally sure is no order at all.
        assert!((aurc(&[(0.5, 0.3), (0.5, 0.1), (0.5, 0.5)]) - 0.3).abs() < 1e-12);
        // Nothing is known of the worst: it comes last.
        assert!((aurc(&[(f64::NAN, 1.0), (0.1, 0.0)]) - 0.25).abs() < 1e-12);
    }

    #[test]
    fn copies_are_results_of_their_own() {
        let once = Ordered::new(results(&[(0.9, 0.1), (0.8, 0.5), (0.7, 0.3)]));
        let twice = aurc(&[(0.9, 0.1), (0.7, 0.3), (0.7, 0.3)]);
        assert!((once.aurc(|group| [1, 0, 2][group]).unwrap() - twice).abs() < 1e-12);
        assert_eq!(once.aurc(|_| 0), None);
        assert_eq!((Ordered::default().aurc(|_| 1), mean_risk(&[])), (None, None));
    }
}
