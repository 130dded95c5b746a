//! How far two series rise together.

/// Pearson's correlation, −1–1; `None` where one of them does not vary, or with fewer than two pairs.
///
/// # Panics
/// If the lengths differ.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    assert_eq!(a.len(), b.len(), "each value has its counterpart");
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut both, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b).map(|(x, y)| (x - mean_a, y - mean_b)) {
        both += x * y;
        of_a += x * x;
        of_b += y * y;
    }
    (of_a > 0.0 && of_b > 0.0).then(|| (both / (of_a * of_b).sqrt()).clamp(-1.0, 1.0))
}

/// Spearman's correlation: Pearson's of the ranks, where equal values share their mean rank.
///
/// # Panics
/// If the lengths differ.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    pearson(&ranks(a), &ranks(b))
}

/// The rank of each value, from 0; equal values have their mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = first as f64 + (equal.len() - 1) as f64 / 2.0;
        equal.iter().for_each(|&place| ranks[place] = rank);
        first += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_by_hand() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [2.5, 0.0, 2.5, 1.0]);
        // Deviations (−1, 0, 1) and (−2, 1, 1): 3 / √(2 · 6).
        let value = pearson(&[1.0, 2.0, 3.0], &[0.0, 3.0, 3.0]).unwrap();
        assert!((value - 3.0 / 12f64.sqrt()).abs() < 1e-12);
        // Ranks (0, 1, 2) and (0, 1.5, 1.5): 1.5 / √(2 · 1.5).
        let value = spearman(&[1.0, 20.0, 300.0], &[0.0, 3.0, 3.0]).unwrap();
        assert!((value - 1.5 / 3f64.sqrt()).abs() < 1e-12);
        assert_eq!(spearman(&[1.0, 2.0, 9.0], &[5.0, 4.0, -7.0]), Some(-1.0));
    }

    #[test]
    fn what_does_not_vary_has_no_correlation() {
        for (a, b) in [(vec![], vec![]), (vec![1.0], vec![2.0]), (vec![1.0, 1.0], vec![0.0, 3.0])] {
            assert_eq!((pearson(&a, &b), spearman(&b, &a)), (None, None));
        }
    }
}
