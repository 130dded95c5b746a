//! Learning a calibration from images with masks (native only).

use rayon::prelude::*;

use super::agreement::Agreement;
use super::calibration::{ConformalThresholds, ExpectedDsc, ReviewRule, Scaling};
use super::entropy::{LogitTable, sigmoid};

/// Pixels of one box with every member's logits.
#[derive(Debug, Clone, Default)]
pub struct BoxSamples {
    /// How much the box's mean counts.
    pub weight: f64,
    /// Weight of each member.
    pub member_weights: Vec<f32>,
    /// `pixels · members` logits, members of a pixel side by side.
    pub logits: Vec<f32>,
    /// Whether each pixel is inside the truth.
    pub inside: Vec<bool>,
}

/// Smallest likelihood in the NLL: keeps a few mislabelled pixels from deciding.
const SMALLEST_LIKELIHOOD: f32 = 1e-6;

/// Temperature and bias with the smallest mean negative log-likelihood of the ensemble's mean probability.
pub fn fit_scaling(samples: &[BoxSamples]) -> Scaling {
    let scaling = |[log_temperature, bias]: [f64; 2]| Scaling {
        temperature: log_temperature.clamp(-3.0, 3.0).exp() as f32,
        bias: bias as f32,
    };
    scaling(minimize([0.0, 0.0], 0.3, |point| negative_log_likelihood(samples, scaling(point))))
}

/// Mean over pixels of each box, weighted by box, in nats.
pub fn negative_log_likelihood(samples: &[BoxSamples], scaling: Scaling) -> f64 {
    let table = LogitTable::get();
    let of_box = |found: &BoxSamples| {
        let total: f32 = found.member_weights.iter().sum();
        let members = found.member_weights.len();
        let loss = |(logits, &inside): (&[f32], &bool)| {
            let weighted = logits.iter().zip(&found.member_weights);
            let sum: f32 = weighted.map(|(&logit, weight)| weight * table.look_up(scaling.apply(logit))[0]).sum();
            let probability = sum / total;
            let likelihood = if inside { probability } else { 1.0 - probability };
            f64::from(-likelihood.max(SMALLEST_LIKELIHOOD).ln())
        };
        let sum: f64 = found.logits.chunks_exact(members).zip(&found.inside).map(loss).sum();
        found.weight * sum / found.inside.len().max(1) as f64
    };
    // Summed in order, so that the fit is the same on any number of threads.
    let losses: Vec<f64> = samples.par_iter().map(of_box).collect();
    losses.iter().sum::<f64>() / samples.iter().map(|found| found.weight).sum::<f64>()
}

/// Nelder and Mead 1965, in the plane.
fn minimize(start: [f64; 2], step: f64, function: impl Fn([f64; 2]) -> f64) -> [f64; 2] {
    const STEPS: usize = 120;
    const SMALL: f64 = 1e-5;
    let evaluated = |point: [f64; 2]| (function(point), point);
    let mut simplex = [start, [start[0] + step, start[1]], [start[0], start[1] + step]].map(evaluated);
    for _ in 0..STEPS {
        simplex.sort_by(|a, b| a.0.total_cmp(&b.0));
        let [(best, p), (middle, q), (worst, r)] = simplex;
        if (0..2).all(|axis| (r[axis] - p[axis]).abs().max((q[axis] - p[axis]).abs()) < SMALL) {
            break;
        }
        let centre = [0, 1].map(|axis| (p[axis] + q[axis]) / 2.0);
        let along = |share: f64| evaluated([0, 1].map(|axis| centre[axis] + share * (r[axis] - centre[axis])));
        let reflected = along(-1.0);
        simplex[2] = if reflected.0 < best {
            let expanded = along(-2.0);
            if expanded.0 < reflected.0 { expanded } else { reflected }
        } else if reflected.0 < middle {
            reflected
        } else {
            let contracted = if reflected.0 < worst { along(-0.5) } else { along(0.5) };
            if contracted.0 < worst.min(reflected.0) {
                contracted
            } else {
                simplex[1] = evaluated([0, 1].map(|axis| (p[axis] + q[axis]) / 2.0));
                evaluated([0, 1].map(|axis| (p[axis] + r[axis]) / 2.0))
            }
        };
    }
    simplex.sort_by(|a, b| a.0.total_cmp(&b.0));
    simplex[0].1
}

/// The thresholds that are tried: equally spaced logits.
pub fn threshold_grid() -> Vec<f32> {
    (-280..=280).map(|step| sigmoid(step as f32 * 0.05)).collect()
}

/// Risks of one image at every threshold of the grid.
#[derive(Debug, Clone, PartialEq)]
pub struct RiskCurves {
    /// Share of the truth that {probability ≥ threshold} ∪ mask misses; rises with the threshold.
    pub fnr: Vec<f64>,
    /// Share of {probability ≥ threshold} ∩ mask that is outside the truth, 0 where it is empty.
    pub fpr: Vec<f64>,
}

impl RiskCurves {
    /// Of one box.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn of_box(probability: &[f32], mask: &[u8], truth: &[bool], grid: &[f32]) -> Self {
        assert!(probability.len() == mask.len() && mask.len() == truth.len());
        // Pixels outside and inside the truth by how many thresholds they reach, outside and inside the mask.
        let mut counts = vec![[[0usize; 2]; 2]; grid.len() + 1];
        for ((&probability, &mask), &inside) in probability.iter().zip(mask).zip(truth) {
            let reached = grid.partition_point(|&threshold| threshold <= probability);
            counts[reached][usize::from(mask != 0)][usize::from(inside)] += 1;
        }
        let right_in_mask: usize = counts.iter().map(|count| count[1][1]).sum();
        let actual = right_in_mask + counts.iter().map(|count| count[0][1]).sum::<usize>();
        let (mut right_beyond, mut outside, mut inside) = (0, 0, 0);
        let (mut fnr, mut fpr) = (vec![0.0; grid.len()], vec![0.0; grid.len()]);
        for index in (0..grid.len()).rev() {
            let [beyond, within] = counts[index + 1];
            right_beyond += beyond[1];
            outside += within[0];
            inside += within[1];
            let found = right_in_mask + right_beyond;
            fnr[index] = if actual == 0 { 0.0 } else { (actual - found) as f64 / actual as f64 };
            fpr[index] = if outside + inside == 0 { 0.0 } else { outside as f64 / (outside + inside) as f64 };
        }
        Self { fnr, fpr }
    }

    /// The mean over an image's boxes.
    pub fn mean(boxes: &[Self]) -> Self {
        let mean = |curve: fn(&Self) -> &Vec<f64>| {
            let length = boxes.first().map_or(0, |found| curve(found).len());
            let at = |index: usize| boxes.iter().map(|found| curve(found)[index]).sum::<f64>() / boxes.len() as f64;
            (0..length).map(at).collect()
        };
        Self { fnr: mean(|found| &found.fnr), fpr: mean(|found| &found.fpr) }
    }
}

/// Conformal risk control: for each α the smallest outer and the largest inner mask whose risk on `n` images, with the correction
/// `n / (n + 1) · risk + 1 / (n + 1) ≤ α`, is bounded. The expected risk of a further image is then at most α if it is exchangeable with
/// these.
///
/// Source: Angelopoulos et al., *Conformal Risk Control*, 2022, theorem 1. It needs risks that are monotone in the threshold; the
/// false-positive share is not, so that each image's largest share at this or any higher threshold takes its place, which bounds it.
pub fn conformal_thresholds(images: &[RiskCurves], grid: &[f32], alphas: &[f64]) -> Vec<ConformalThresholds> {
    let count = images.len() as f64;
    let bound = |risk: f64| count / (count + 1.0) * risk + 1.0 / (count + 1.0);
    let mean = |curves: &[Vec<f64>], index: usize| curves.iter().map(|curve| curve[index]).sum::<f64>() / count;
    let fnr: Vec<Vec<f64>> = images.iter().map(|image| image.fnr.clone()).collect();
    let fpr: Vec<Vec<f64>> = images.iter().map(|image| largest_from_here(&image.fpr)).collect();
    let fnr: Vec<f64> = (0..grid.len()).map(|index| bound(mean(&fnr, index))).collect();
    let fpr: Vec<f64> = (0..grid.len()).map(|index| bound(mean(&fpr, index))).collect();
    let thresholds = |&alpha: &f64| ConformalThresholds {
        alpha,
        outer: (0..grid.len()).rev().find(|&index| fnr[index] <= alpha).map(|index| grid[index]),
        inner: (0..grid.len()).find(|&index| fpr[index] <= alpha).map(|index| grid[index]),
    };
    alphas.iter().map(thresholds).collect()
}

fn largest_from_here(curve: &[f64]) -> Vec<f64> {
    let mut largest = curve.to_vec();
    for index in (0..largest.len().saturating_sub(1)).rev() {
        largest[index] = largest[index].max(largest[index + 1]);
    }
    largest
}

/// One box for the fit of the expected DSC.
#[derive(Debug, Clone, Copy)]
pub struct DscSample {
    /// Number of its image, which decides its fold.
    pub image: usize,
    /// How much it counts.
    pub weight: f64,
    /// What the DSC is predicted from.
    pub agreement: Agreement,
    /// The true DSC.
    pub dsc: f64,
}

/// Folds of the cross-validation.
const FOLDS: usize = 5;

/// The linear model with the smallest mean absolute error, with that error by five-fold cross-validation over images.
pub fn fit_expected_dsc(samples: &[DscSample]) -> ExpectedDsc {
    let mut model = least_absolute(samples);
    let (mut error, mut weight) = (0.0, 0.0);
    for fold in 0..FOLDS {
        let (test, train): (Vec<DscSample>, Vec<DscSample>) =
            samples.iter().partition(|sample| sample.image % FOLDS == fold);
        let other = least_absolute(&train);
        for sample in test {
            error += sample.weight * (other.predict(&sample.agreement) - sample.dsc).abs();
            weight += sample.weight;
        }
    }
    model.mean_absolute_error = if weight > 0.0 { error / weight } else { 0.0 };
    model
}

/// Least absolute deviations, by least squares that are weighted anew by the residuals.
fn least_absolute(samples: &[DscSample]) -> ExpectedDsc {
    const ROUNDS: usize = 30;
    const SMALLEST_RESIDUAL: f64 = 0.005;
    const RIDGE: f64 = 1e-6;
    let features = |agreement: &Agreement| [1.0, agreement.soft_dice, agreement.member_dice, agreement.predicted_dice];
    let mut weights: Vec<f64> = samples.iter().map(|sample| sample.weight).collect();
    let mut solution = [0.0, 1.0, 0.0, 0.0];
    for _ in 0..ROUNDS {
        let mut matrix = [[0.0; 5]; 4];
        for (sample, weight) in samples.iter().zip(&weights) {
            let x = features(&sample.agreement);
            for row in 0..4 {
                (0..4).for_each(|column| matrix[row][column] += weight * x[row] * x[column]);
                matrix[row][4] += weight * x[row] * sample.dsc;
            }
        }
        let scale = samples.iter().map(|sample| sample.weight).sum::<f64>().max(1e-12);
        (0..4).for_each(|row| matrix[row][row] += RIDGE * scale);
        solution = solve(matrix);
        for (sample, weight) in samples.iter().zip(&mut weights) {
            let predicted: f64 = features(&sample.agreement).iter().zip(&solution).map(|(x, w)| x * w).sum();
            *weight = sample.weight / (predicted - sample.dsc).abs().max(SMALLEST_RESIDUAL);
        }
    }
    let [intercept, soft_dice, member_dice, predicted_dice] = solution;
    ExpectedDsc { intercept, soft_dice, member_dice, predicted_dice, mean_absolute_error: 0.0 }
}

/// Gauss's elimination with pivots; the ridge keeps the matrix regular.
fn solve(mut matrix: [[f64; 5]; 4]) -> [f64; 4] {
    for column in 0..4 {
        let pivot = (column..4).max_by(|&a, &b| matrix[a][column].abs().total_cmp(&matrix[b][column].abs()));
        matrix.swap(column, pivot.unwrap_or(column));
        for row in (0..4).filter(|&row| row != column) {
            let factor = matrix[row][column] / matrix[column][column];
            (column..5).for_each(|index| matrix[row][index] -= factor * matrix[column][index]);
        }
    }
    std::array::from_fn(|row| matrix[row][4] / matrix[row][row])
}

/// The lowest threshold that flags a further poor mask with probability `sensitivity`, if it is exchangeable with the poor masks here:
/// the quantile of conformal prediction.
pub fn fit_review(samples: &[DscSample], model: &ExpectedDsc, poor_dsc: f64, sensitivity: f64) -> ReviewRule {
    let expected = |sample: &DscSample| model.predict(&sample.agreement);
    let mut poor: Vec<f64> = samples.iter().filter(|sample| sample.dsc < poor_dsc).map(expected).collect();
    poor.sort_by(f64::total_cmp);
    let rank = ((poor.len() + 1) as f64 * sensitivity).ceil() as usize;
    // Above 1, everything is flagged: there are too few poor masks to promise anything else.
    let threshold = poor.get(rank.max(1) - 1).map_or(1.01, |value| value + 1e-9);
    let flagged: f64 = samples.iter().filter(|sample| expected(sample) < threshold).map(|sample| sample.weight).sum();
    let total: f64 = samples.iter().map(|sample| sample.weight).sum();
    ReviewRule { poor_dsc, threshold, sensitivity, flagged: flagged / total.max(1e-12) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Repeatable values in 0–1.
    fn noise(index: usize) -> f64 {
        let mixed = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed >> 40) as f64 / (1u64 << 24) as f64
    }

    #[test]
    fn the_scaling_that_made_the_data_is_found() {
        // Truth drawn from σ(z / 2 − 0.5).
        let logits: Vec<f32> = (0..20_000).map(|index| (noise(index) * 16.0 - 8.0) as f32).collect();
        let inside = logits
            .iter()
            .enumerate()
            .map(|(index, logit)| noise(index + 1_000_000) < f64::from(sigmoid(logit / 2.0 - 0.5)));
        let inside = inside.collect();
        let samples = [BoxSamples { weight: 1.0, member_weights: vec![1.0], logits, inside }];
        let scaling = fit_scaling(&samples);
        assert!((scaling.temperature - 2.0).abs() < 0.1 && (scaling.bias + 0.5).abs() < 0.05, "{scaling:?}");
        assert!(negative_log_likelihood(&samples, scaling) < negative_log_likelihood(&samples, Scaling::default()));
    }

    #[test]
    fn risk_curves_by_hand() {
        let truth = [false, true, false, true];
        let grid = [0.05, 0.4, 0.5, 0.95];
        let curves = RiskCurves::of_box(&[0.1, 0.4, 0.6, 0.9], &[0, 1, 1, 1], &truth, &grid);
        assert_eq!(curves.fnr, [0.0; 4]);
        assert_eq!(curves.fpr, [1.0 / 3.0, 1.0 / 3.0, 0.5, 0.0]);
        let curves = RiskCurves::of_box(&[0.1, 0.4, 0.6, 0.9], &[1, 0, 1, 1], &truth, &grid);
        assert_eq!(curves.fnr, [0.0, 0.0, 0.5, 0.5]);
        assert_eq!(curves.fpr, [2.0 / 3.0, 0.5, 0.5, 0.0]);
        assert_eq!(largest_from_here(&[0.2, 0.5, 0.3, 0.0]), [0.5, 0.5, 0.3, 0.0]);
        let mean = RiskCurves::mean(&[curves.clone(), RiskCurves { fnr: vec![1.0; 4], fpr: vec![0.0; 4] }]);
        assert_eq!(mean.fnr, [0.5, 0.5, 0.75, 0.75]);
        let nothing = RiskCurves::of_box(&[0.1], &[0], &[false], &[0.5]);
        assert_eq!((nothing.fnr, nothing.fpr), (vec![0.0], vec![0.0]));
    }

    #[test]
    fn conformal_risk_is_bounded_on_new_images() {
        let grid = threshold_grid();
        // Images whose probability is miscalibrated by an amount of their own.
        let image = |number: usize| {
            let shift = (noise(number) - 0.5) as f32 * 4.0;
            let pixels = (0..400).map(|pixel| {
                let logit = (noise(number * 1000 + pixel) * 12.0 - 6.0) as f32;
                let inside = noise(number * 1000 + pixel + 500) < f64::from(sigmoid(logit));
                (sigmoid(logit + shift), inside)
            });
            let (probability, truth): (Vec<f32>, Vec<bool>) = pixels.unzip();
            // A mask of its own, as the network's is beside the ensemble's probability; stricter than any outer one.
            let mask: Vec<u8> = probability.iter().map(|&p| u8::from(p > 0.8)).collect();
            RiskCurves::of_box(&probability, &mask, &truth, &grid)
        };
        let learned: Vec<RiskCurves> = (0..200).map(image).collect();
        let fresh: Vec<RiskCurves> = (1000..1400).map(image).collect();
        for row in conformal_thresholds(&learned, &grid, &[0.05, 0.1, 0.2]) {
            let at = |threshold: f32| grid.iter().position(|&value| value == threshold).unwrap();
            let (outer, inner) = (at(row.outer.unwrap()), at(row.inner.unwrap()));
            let mean = |risk: &dyn Fn(&RiskCurves) -> f64| fresh.iter().map(risk).sum::<f64>() / fresh.len() as f64;
            let (fnr, fpr) = (mean(&|image| image.fnr[outer]), mean(&|image| image.fpr[inner]));
            assert!(fnr <= row.alpha + 0.015 && fnr >= row.alpha - 0.03, "{} {fnr}", row.alpha);
            assert!(fpr <= row.alpha + 0.015, "{} {fpr}", row.alpha);
        }
    }

    #[test]
    fn too_few_images_promise_nothing() {
        let grid = [0.5];
        let curves = vec![RiskCurves { fnr: vec![0.0], fpr: vec![0.0] }; 5];
        let rows = conformal_thresholds(&curves, &grid, &[0.1, 0.2]);
        assert_eq!((rows[0].outer, rows[0].inner), (None, None));
        assert_eq!((rows[1].outer, rows[1].inner), (Some(0.5), Some(0.5)));
    }

    #[test]
    fn the_expected_dsc_follows_its_features_despite_outliers() {
        let sample = |image: usize| {
            let agreement = Agreement {
                soft_dice: noise(image),
                member_dice: noise(image + 7000),
                predicted_dice: noise(image + 9000),
            };
            let dsc = 0.1 + 0.5 * agreement.soft_dice + 0.3 * agreement.predicted_dice;
            let dsc = if image.is_multiple_of(10) { 0.0 } else { dsc };
            DscSample { image, weight: 1.0, agreement, dsc }
        };
        let samples: Vec<DscSample> = (0..300).map(sample).collect();
        let model = fit_expected_dsc(&samples);
        assert!((model.soft_dice - 0.5).abs() < 0.02 && (model.predicted_dice - 0.3).abs() < 0.02, "{model:?}");
        assert!(model.member_dice.abs() < 0.02);
        assert!((0.03..0.08).contains(&model.mean_absolute_error), "{model:?}");
        let review = fit_review(&samples, &model, 0.01, 0.9);
        let poor: Vec<_> = samples.iter().filter(|sample| sample.dsc < 0.01).collect();
        let caught = poor.iter().filter(|sample| model.predict(&sample.agreement) < review.threshold).count();
        assert!(caught as f64 >= 0.9 * poor.len() as f64 && review.flagged > 0.5);
    }

    #[test]
    fn without_poor_masks_everything_is_flagged() {
        let rule = fit_review(&[], &ExpectedDsc::default(), 0.7, 0.9);
        assert!(rule.threshold > 1.0);
    }
}
