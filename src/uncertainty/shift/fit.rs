//! Learning what is familiar.

use super::alarm::{ShiftAlarm, product, square};
use super::numbers::Numbers;
use crate::random::SplitMix64;

/// Principal axes that are kept; more follow the familiar images' own chance.
const AXES: usize = 24;
/// Typical images at most; with more, each familiar image is one, and new patients' are unlike.
const TYPICAL: usize = 128;
/// Familiar images for each typical one, at least.
const IMAGES_PER_TYPICAL: usize = 4;
const RESTARTS: u64 = 6;
const ROUNDS: usize = 30;
/// Weight of the classifier's squared weights.
const PENALTY: f64 = 0.01;
const STEPS: usize = 2000;

/// Features of the images that an alarm is learned from, an image each.
#[derive(Debug, Clone, Copy)]
pub struct ShiftImages<'a> {
    /// Images like those of the calibration, but not the same.
    pub familiar: &'a [Vec<f32>],
    /// Images that are unlike them, made up for this.
    pub unlike: &'a [Vec<f32>],
    /// The calibration's images.
    pub calibration: &'a [Vec<f32>],
}

/// Learns an alarm.
///
/// # Errors
/// A message if there are too few images: the p-value of n calibration images is 2 / (n + 1) at least.
pub fn fit_shift_alarm(images: ShiftImages) -> Result<ShiftAlarm, String> {
    let ShiftImages { familiar, unlike, calibration } = images;
    let least = (2.0 / super::SHIFT_LEVEL) as usize;
    for (name, count, least) in [
        ("familiar", familiar.len(), 2 * IMAGES_PER_TYPICAL),
        ("made-up", unlike.len(), 1),
        ("calibration", calibration.len(), least),
    ] {
        if count < least {
            return Err(format!("{count} {name} images are too few; at least {least}"));
        }
    }
    let (mean, deviation) = moments(familiar);
    let mut alarm = ShiftAlarm {
        familiar: familiar.len(),
        unlike: unlike.len(),
        mean: Numbers::new(mean),
        deviation: Numbers::new(deviation),
        axes: Numbers::default(),
        typical: Numbers::default(),
        classifier: Numbers::default(),
        distances: Numbers::default(),
        margins: Numbers::default(),
    };
    // One after the other, each with the numbers before as they are stored.
    let standard = |images: &[Vec<f32>], alarm: &ShiftAlarm| -> Vec<Vec<f32>> {
        images.iter().map(|features| alarm.standard(features)).collect()
    };
    let known = standard(familiar, &alarm);
    alarm.axes = Numbers::new(principal_axes(&known).concat());
    let places: Vec<Vec<f32>> = known.iter().map(|features| alarm.place(features)).collect();
    alarm.typical = Numbers::new(typical(&places).concat());
    alarm.classifier = Numbers::new(classifier(&known, &standard(unlike, &alarm)));
    let held_out = standard(calibration, &alarm);
    let scores = |score: &dyn Fn(&[f32]) -> f32| {
        let mut scores: Vec<f32> = held_out.iter().map(|features| score(features)).collect();
        scores.sort_by(f32::total_cmp);
        Numbers::new(scores)
    };
    (alarm.distances, alarm.margins) =
        (scores(&|features| alarm.distance(features)), scores(&|features| alarm.margin(features)));
    alarm.check().map(|()| alarm)
}

/// Mean and standard deviation of every feature; one that never changes has a deviation that makes any change large.
fn moments(images: &[Vec<f32>]) -> (Vec<f32>, Vec<f32>) {
    let count = images.len() as f64;
    let of = |feature: usize| {
        let mean = images.iter().map(|image| f64::from(image[feature])).sum::<f64>() / count;
        let variance = images.iter().map(|image| (f64::from(image[feature]) - mean).powi(2)).sum::<f64>() / count;
        (mean as f32, variance.sqrt().max(1e-3) as f32)
    };
    (0..images[0].len()).map(of).unzip()
}

/// Eigenvectors of the covariance, by iteration of a subspace; each divided by the root of the deviation along it.
fn principal_axes(images: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let features = images[0].len();
    let count = AXES.min(features).min(images.len() - 1);
    let mut random = SplitMix64::new(0);
    let mut axes: Vec<Vec<f32>> =
        (0..count).map(|_| (0..features).map(|_| uniform(&mut random) - 0.5).collect()).collect();
    for _ in 0..60 {
        orthonormalise(&mut axes);
        for axis in &mut axes {
            let mut next = vec![0.0; features];
            for image in images {
                let along = product(axis, image);
                next.iter_mut().zip(image).for_each(|(next, value)| *next += along * value);
            }
            *axis = next;
        }
    }
    orthonormalise(&mut axes);
    for axis in &mut axes {
        let squares = images.iter().map(|image| f64::from(product(axis, image)).powi(2)).sum::<f64>();
        let deviation = (squares / images.len() as f64).sqrt().max(1e-3) as f32;
        axis.iter_mut().for_each(|value| *value /= deviation.sqrt());
    }
    axes
}

/// Gram and Schmidt's, in the axes' order.
fn orthonormalise(axes: &mut [Vec<f32>]) {
    for at in 0..axes.len() {
        let (before, rest) = axes.split_at_mut(at);
        let axis = &mut rest[0];
        for other in before {
            let along = product(other, axis);
            axis.iter_mut().zip(&*other).for_each(|(value, other)| *value -= along * other);
        }
        let length = product(axis, axis).sqrt().max(f32::MIN_POSITIVE);
        axis.iter_mut().for_each(|value| *value /= length);
    }
}

/// Means of clusters (Lloyd's algorithm), of several beginnings the best.
fn typical(places: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let count = TYPICAL.min(places.len() / IMAGES_PER_TYPICAL);
    let all = (0..RESTARTS).map(|seed| clusters(places, count, seed));
    all.min_by(|a, b| a.0.total_cmp(&b.0)).expect("there are beginnings").1
}

/// The sum of squared distances to the nearest mean, and the means.
fn clusters(places: &[Vec<f32>], count: usize, seed: u64) -> (f64, Vec<Vec<f32>>) {
    let mut random = SplitMix64::new(seed);
    let mut order: Vec<usize> = (0..places.len()).collect();
    for at in 0..count {
        order.swap(at, at + (random.next() % (places.len() - at) as u64) as usize);
    }
    let mut means: Vec<Vec<f32>> = order[..count].iter().map(|&at| places[at].clone()).collect();
    let mut all = f64::INFINITY;
    for _ in 0..ROUNDS {
        let mut sums = vec![(0.0f32, vec![0.0f32; means[0].len()]); count];
        all = 0.0;
        for place in places {
            let squared = |mean: &Vec<f32>| mean.iter().zip(place).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
            let (nearest, distance) =
                means.iter().map(squared).enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).expect("there are means");
            all += f64::from(distance);
            sums[nearest].0 += 1.0;
            sums[nearest].1.iter_mut().zip(place).for_each(|(sum, value)| *sum += value);
        }
        for (mean, (members, sum)) in means.iter_mut().zip(sums).filter(|(_, (members, _))| *members > 0.0) {
            *mean = sum.into_iter().map(|sum| sum / members).collect();
        }
    }
    (all, means)
}

/// Logistic regression on features and their squares, both kinds of images counting the same in all; by Nesterov's gradient descent.
fn classifier(familiar: &[Vec<f32>], unlike: &[Vec<f32>]) -> Vec<f32> {
    let row = |features: &Vec<f32>| -> Vec<f32> {
        features.iter().copied().chain(features.iter().map(square)).chain([1.0]).collect()
    };
    let rows: Vec<Vec<f32>> = familiar.iter().chain(unlike).map(row).collect();
    let is_unlike = |at: usize| at >= familiar.len();
    let share = |at: usize| 1.0 / if is_unlike(at) { unlike.len() } else { familiar.len() } as f64;
    let size = rows[0].len();
    let step = 1.0 / (0.25 * largest_eigenvalue(&rows, &share) + 2.0 * PENALTY);
    let (mut weights, mut ahead) = (vec![0.0f64; size], vec![0.0f64; size]);
    for round in 0..STEPS {
        let in_32: Vec<f32> = ahead.iter().map(|&weight| weight as f32).collect();
        let mut gradient: Vec<f64> = ahead
            .iter()
            .enumerate()
            .map(|(at, weight)| if at + 1 < size { 2.0 * PENALTY * weight } else { 0.0 })
            .collect();
        for (at, row) in rows.iter().enumerate() {
            let probability = 1.0 / (1.0 + (-f64::from(product(&in_32, row))).exp());
            let error = share(at) * (probability - f64::from(u8::from(is_unlike(at))));
            gradient.iter_mut().zip(row).for_each(|(gradient, &value)| *gradient += error * f64::from(value));
        }
        let next: Vec<f64> = ahead.iter().zip(&gradient).map(|(weight, gradient)| weight - step * gradient).collect();
        let momentum = round as f64 / (round as f64 + 3.0);
        ahead = next.iter().zip(&weights).map(|(next, before)| next + momentum * (next - before)).collect();
        weights = next;
    }
    weights.into_iter().map(|weight| weight as f32).collect()
}

/// Of the rows' weighted second moments, by the power method.
fn largest_eigenvalue(rows: &[Vec<f32>], share: &impl Fn(usize) -> f64) -> f64 {
    let mut vector = vec![1.0f32; rows[0].len()];
    let mut value = 0.0;
    for _ in 0..50 {
        let length = product(&vector, &vector).sqrt();
        vector.iter_mut().for_each(|entry| *entry /= length);
        let mut next = vec![0.0f32; vector.len()];
        for (at, row) in rows.iter().enumerate() {
            let along = share(at) as f32 * product(&vector, row);
            next.iter_mut().zip(row).for_each(|(next, entry)| *next += along * entry);
        }
        value = f64::from(product(&vector, &next));
        vector = next;
    }
    value
}

/// 0–1.
fn uniform(random: &mut SplitMix64) -> f32 {
    (random.next() >> 40) as f32 / (1u64 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images of three kinds with some chance, moved by `shift` along the last of eight features.
    fn images(count: usize, seed: u64, shift: f32) -> Vec<Vec<f32>> {
        let mut random = SplitMix64::new(seed);
        let image = |at: usize, random: &mut SplitMix64| {
            let mut features: Vec<f32> = (0..8).map(|_| (0..12).map(|_| uniform(random)).sum::<f32>() - 6.0).collect();
            features[at % 3] += 20.0;
            features[7] += shift;
            features
        };
        (0..count).map(|at| image(at, &mut random)).collect()
    }

    fn alarms(alarm: &ShiftAlarm, images: &[Vec<f32>]) -> f64 {
        images.iter().filter(|features| alarm.shift(features).alarm).count() as f64 / images.len() as f64
    }

    #[test]
    fn it_is_quiet_on_what_is_alike_and_goes_off_on_what_is_not() {
        let (familiar, calibration) = (images(600, 1, 0.0), images(400, 2, 0.0));
        let made_up = images(200, 3, 9.0);
        let alarm =
            fit_shift_alarm(ShiftImages { familiar: &familiar, unlike: &made_up, calibration: &calibration }).unwrap();
        let quiet = alarms(&alarm, &images(2000, 4, 0.0));
        assert!((0.01..0.05).contains(&quiet), "{quiet} false alarms");
        // What was shown, and what nobody showed.
        assert_eq!(alarms(&alarm, &images(500, 5, 9.0)), 1.0);
        assert!(alarms(&alarm, &images(500, 6, -9.0)) > 0.9);
        // The order of the p-values is that of the shifts.
        let p_value =
            |shift: f32| images(200, 7, shift).iter().map(|features| alarm.shift(features).p_value).sum::<f64>();
        assert!(p_value(0.0) > p_value(2.0) && p_value(2.0) > p_value(4.0));
    }

    #[test]
    fn axes_are_those_of_the_largest_variance() {
        let images: Vec<Vec<f32>> = images(300, 1, 0.0)
            .iter()
            .map(|image| {
                image.iter().zip([9.0, 0.1, 3.0, 1.0, 0.1, 0.1, 0.1, 0.1]).map(|(a, b)| (a - 3.0) * b).collect()
            })
            .collect();
        let axes = principal_axes(&images);
        assert_eq!(axes.len(), 8);
        let largest = |axis: &[f32]| {
            axis.iter().map(|value| value.abs()).enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0
        };
        assert_eq!([largest(&axes[0]), largest(&axes[1])], [0, 2]);
        assert!(product(&axes[0], &axes[1]).abs() < 1e-3 * product(&axes[0], &axes[0]).sqrt());
    }

    #[test]
    fn too_few_images_are_refused() {
        let [few, some] = [images(20, 1, 0.0), images(60, 2, 0.0)];
        let fit = |familiar, unlike, calibration| fit_shift_alarm(ShiftImages { familiar, unlike, calibration });
        assert!(fit(&some, &few, &few).unwrap_err().contains("20 calibration images are too few; at least 50"));
        assert!(fit(&some, &[], &some).unwrap_err().contains("made-up"));
        assert!(fit(&few[..5], &few, &some).unwrap_err().contains("familiar"));
        assert!(fit(&few, &few, &some).is_ok());
    }
}
