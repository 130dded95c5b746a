//! The alarm as it is stored with the weights.

use serde::{Deserialize, Serialize};

use super::numbers::Numbers;

/// The alarm goes off at a p-value of at most this. Other patients' images are a little less alike than the calibration's are to one another: with 0.05, 5.3 % of `val`
/// had an alarm.
pub const SHIFT_LEVEL: f64 = 0.04;

/// How far a feature may lie from its mean, in standard deviations, before it counts as that far.
const FARTHEST: f32 = 8.0;

/// How unlike the calibration's images an image is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shift {
    /// Of images like those of the calibration, at most this share is as unlike them, 0–1.
    pub p_value: f64,
    /// Whether it is so small that nothing is promised of the image: at most [`SHIFT_LEVEL`].
    pub alarm: bool,
}

/// What the calibration's images look like to the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftAlarm {
    /// How many images it was learned on.
    pub familiar: usize,
    /// How many made-up images it was learned on.
    pub unlike: usize,
    /// Mean of every feature.
    pub(super) mean: Numbers,
    /// Standard deviation of every feature.
    pub(super) deviation: Numbers,
    /// Principal axes, each divided by the root of its own deviation, so that the first ones do not count for all: `[axes, features]`.
    pub(super) axes: Numbers,
    /// Typical images along the axes: `[typical, axes]`.
    pub(super) typical: Numbers,
    /// A classifier's weights of features, of their squares, and its constant term.
    pub(super) classifier: Numbers,
    /// How far the calibration's images are from the nearest typical one, rising.
    pub(super) distances: Numbers,
    /// What the classifier says of them, rising.
    pub(super) margins: Numbers,
}

impl ShiftAlarm {
    /// Number of features.
    pub fn features(&self) -> usize {
        self.mean.len()
    }

    /// How unlike the calibration's images one is; features that are no numbers are unlike all.
    ///
    /// # Shapes
    /// - `features`: `[features]`, see [`features`](super::features())
    ///
    /// # Panics
    /// If there are not as many features as were learned.
    pub fn shift(&self, features: &[f32]) -> Shift {
        let standard = self.standard(features);
        let scores = [(self.distance(&standard), &self.distances), (self.margin(&standard), &self.margins)];
        // As many as two were looked at (Bonferroni).
        let p_value =
            scores.map(|(score, calibration)| 2.0 * p_value(score, calibration)).into_iter().fold(1.0, f64::min);
        Shift { p_value, alarm: p_value <= SHIFT_LEVEL }
    }

    /// Features with mean 0 and deviation 1 for familiar images.
    pub(super) fn standard(&self, features: &[f32]) -> Vec<f32> {
        assert_eq!(features.len(), self.features(), "features as learned");
        let of = features.iter().zip(self.mean.iter()).zip(self.deviation.iter());
        of.map(|((value, mean), deviation)| ((value - mean) / deviation).clamp(-FARTHEST, FARTHEST)).collect()
    }

    /// Where an image lies along the axes.
    pub(super) fn place(&self, standard: &[f32]) -> Vec<f32> {
        self.axes.chunks_exact(standard.len()).map(|axis| product(axis, standard)).collect()
    }

    /// The squared distance to the nearest typical image.
    pub(super) fn distance(&self, standard: &[f32]) -> f32 {
        let place = self.place(standard);
        let squared = |typical: &[f32]| typical.iter().zip(&place).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        self.typical.chunks_exact(place.len()).map(squared).fold(f32::INFINITY, f32::min)
    }

    /// What the classifier says: the larger, the more unlike.
    pub(super) fn margin(&self, standard: &[f32]) -> f32 {
        let (linear, rest) = self.classifier.split_at(standard.len());
        let (quadratic, constant) = rest.split_at(standard.len());
        let squares: Vec<f32> = standard.iter().map(square).collect();
        product(linear, standard) + product(quadratic, &squares) + constant[0]
    }

    /// What is wrong with the values, if anything.
    ///
    /// # Errors
    /// A message that names the value.
    pub fn check(&self) -> Result<(), String> {
        let features = self.features();
        let axes = self.axes.len().checked_div(features).unwrap_or(0);
        let sizes = [
            ("deviation", self.deviation.len(), features),
            ("axes", self.axes.len(), axes * features),
            ("typical", self.typical.len(), self.typical.len().checked_div(axes).unwrap_or(0).max(1) * axes.max(1)),
            ("classifier", self.classifier.len(), 2 * features + 1),
            ("margins", self.margins.len(), self.distances.len().max(1)),
        ];
        if let Some((name, found, wanted)) = sizes.into_iter().find(|(_, found, wanted)| found != wanted) {
            return Err(format!("the shift alarm's {name} are {found} numbers, not {wanted}"));
        }
        let all =
            [&self.mean, &self.deviation, &self.axes, &self.typical, &self.classifier, &self.distances, &self.margins];
        if let Some(value) = all.into_iter().flat_map(|numbers| numbers.iter()).find(|value| !value.is_finite()) {
            return Err(format!("the shift alarm has {value}"));
        }
        if let Some(deviation) = self.deviation.iter().find(|&&deviation| deviation <= 0.0) {
            return Err(format!("a deviation of the shift alarm is {deviation}"));
        }
        match self.distances.is_sorted() && self.margins.is_sorted() {
            true => Ok(()),
            false => Err("the shift alarm's scores are not sorted".into()),
        }
    }
}

/// A square, in size beside the feature's own.
pub(super) fn square(value: &f32) -> f32 {
    value * value / 4.0
}

pub(super) fn product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The share of the calibration's images, this one counted among them, whose score is at least as large.
fn p_value(score: f32, calibration: &[f32]) -> f64 {
    let below = calibration.partition_point(|&other| other < score);
    let at_least = if score.is_nan() { 0 } else { calibration.len() - below };
    (1 + at_least) as f64 / (1 + calibration.len()) as f64
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Two features, one axis along the first, typical at 0 and 4; the classifier minds the second's square.
    pub fn alarm() -> ShiftAlarm {
        ShiftAlarm {
            familiar: 3,
            unlike: 1,
            mean: Numbers::new([1.0, 0.0]),
            deviation: Numbers::new([2.0, 1.0]),
            axes: Numbers::new([1.0, 0.0]),
            typical: Numbers::new([0.0, 4.0]),
            classifier: Numbers::new([0.0, 0.0, 0.0, 4.0, -1.0]),
            distances: Numbers::new((0..99).map(|at| at as f32 / 100.0)),
            margins: Numbers::new((0..99).map(|at| at as f32 / 100.0 - 1.0)),
        }
    }

    #[test]
    fn scores_by_hand() {
        let alarm = alarm();
        let standard = alarm.standard(&[3.0, 0.5]);
        assert_eq!(standard, [1.0, 0.5]);
        assert_eq!((alarm.distance(&standard), alarm.margin(&standard)), (1.0, -0.75));
        // Of 99 images none is as far: 2 · 1 / 100.
        assert_eq!(alarm.shift(&[3.0, 0.5]), Shift { p_value: 0.02, alarm: true });
        // At a typical image, and all margins at least as large.
        assert_eq!(alarm.shift(&[9.0, 0.0]), Shift { p_value: 1.0, alarm: false });
        // The margin alone, of which one other is as large.
        assert_eq!(alarm.shift(&[1.0, 0.98f32.sqrt() + 1e-3]).p_value, 0.02);
        assert!(alarm.shift(&[1.0, 0.9]).p_value > SHIFT_LEVEL);
    }

    #[test]
    fn what_is_no_number_or_infinite_is_unlike_all() {
        for features in [[f32::NAN, 0.0], [0.0, f32::INFINITY], [f32::NEG_INFINITY, 0.0]] {
            assert_eq!(alarm().shift(&features), Shift { p_value: 0.02, alarm: true }, "{features:?}");
        }
    }

    #[test]
    fn impossible_values_are_refused() {
        assert_eq!(alarm().check(), Ok(()));
        let broken = |change: fn(&mut ShiftAlarm)| {
            let mut alarm = alarm();
            change(&mut alarm);
            alarm.check().unwrap_err()
        };
        assert!(broken(|alarm| alarm.mean = Numbers::new([1.0])).contains("deviation"));
        assert!(broken(|alarm| alarm.mean = Numbers::new([])).contains("deviation"));
        assert!(broken(|alarm| alarm.axes = Numbers::new([1.0; 3])).contains("axes are 3 numbers"));
        assert!(broken(|alarm| alarm.axes = Numbers::new([])).contains("typical"));
        assert!(broken(|alarm| alarm.typical = Numbers::new([])).contains("typical"));
        assert!(broken(|alarm| alarm.classifier = Numbers::new([0.0; 4])).contains("classifier are 4 numbers, not 5"));
        assert!(broken(|alarm| alarm.distances = Numbers::new([])).contains("margins"));
        assert!(broken(|alarm| alarm.deviation = Numbers::new([1.0, 0.0])).contains("deviation"));
        assert!(broken(|alarm| alarm.mean = Numbers::new([f32::NAN, 0.0])).contains("NaN"));
        assert!(broken(|alarm| alarm.margins = Numbers::new((0..99).map(|at| -at as f32))).contains("sorted"));
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let text = serde_json::to_string(&alarm()).unwrap();
        assert_eq!(serde_json::from_str::<ShiftAlarm>(&text).unwrap(), alarm());
    }
}
