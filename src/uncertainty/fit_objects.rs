//! Learning thresholds that hold for single objects (native only).
//!
//! Objects of one image are alike, so that the images are exchangeable but the objects of all images together are not. Source: Lee, Barber and Willett,
//! *Distribution-free inference with hierarchical data*, 2023 (hierarchical conformal prediction): of `n` images with `n_i` objects each, an object's score weighs
//! 1 / ((n + 1) · n_i), and 1 / (n + 1) is at the worst. The quantile bounds the score of a random object of a further image, over that image, its object and the
//! images here.

use super::calibration::Setting;
use super::fit::RiskCurves;
use super::guarantee::{AreaThresholds, PerObjectThresholds};

/// Bounds that thresholds are learned for.
pub const OBJECT_ALPHAS: [f64; 6] = [0.05, 0.1, 0.15, 0.2, 0.3, 0.5];
/// How often they may fail.
pub const OBJECT_DELTAS: [f64; 3] = [0.05, 0.1, 0.2];
/// Coverages of the area's interval.
pub const AREA_COVERAGES: [f64; 3] = [0.8, 0.9, 0.95];

/// Which thresholds of the grid are good enough for one object, by their index; `None` where none is.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectScores {
    /// The largest whose outer mask misses at most α, for each of [`OBJECT_ALPHAS`].
    outer: [Option<usize>; OBJECT_ALPHAS.len()],
    /// The smallest from which on at most α of every inner mask is wrong.
    inner: [Option<usize>; OBJECT_ALPHAS.len()],
    /// The smallest that at most as many pixels reach as the object has.
    smallest: Option<usize>,
    /// The largest that at least as many pixels reach as the object has.
    largest: Option<usize>,
}

impl ObjectScores {
    /// Of an object of `area` pixels.
    ///
    /// # Panics
    /// If the curves are not on this grid.
    pub fn new(curves: &RiskCurves, probability: &[f32], area: usize, grid: &[f32]) -> Self {
        assert!(curves.fnr.len() == grid.len() && curves.fpr.len() == grid.len());
        let outer = |alpha: f64| curves.fnr.partition_point(|&share| share <= alpha).checked_sub(1);
        let inner = |alpha: f64| {
            let good = curves.fpr.iter().rev().take_while(|&&share| share <= alpha).count();
            (good > 0).then(|| grid.len() - good)
        };
        let mut falling = probability.to_vec();
        // How many thresholds the pixel reaches that is at this place, most probable first.
        let mut reached = |place: usize| {
            let (_, probability, _) = falling.select_nth_unstable_by(place, |a, b| b.total_cmp(a));
            grid.partition_point(|threshold| threshold <= probability)
        };
        let smallest = if area < probability.len() { reached(area) } else { 0 };
        Self {
            outer: OBJECT_ALPHAS.map(outer),
            inner: OBJECT_ALPHAS.map(inner),
            smallest: (smallest < grid.len()).then_some(smallest),
            largest: if area == 0 { grid.len() } else { reached(area - 1) }.checked_sub(1),
        }
    }
}

/// Learns what a setting says of single objects from the objects of each image.
pub fn fit_objects(setting: &mut Setting, images: &[Vec<ObjectScores>], grid: &[f32]) {
    setting.per_object = per_object(images, grid);
    setting.area = area(images, grid);
}

fn per_object(images: &[Vec<ObjectScores>], grid: &[f32]) -> Vec<PerObjectThresholds> {
    let pairs = (0..OBJECT_ALPHAS.len()).flat_map(|index| OBJECT_DELTAS.map(|delta| (index, delta)));
    let row = |(index, delta): (usize, f64)| PerObjectThresholds {
        alpha: OBJECT_ALPHAS[index],
        delta,
        outer: lowest(images, delta, grid, |object| object.outer[index]),
        inner: highest(images, delta, grid, |object| object.inner[index]),
    };
    pairs.map(row).collect()
}

/// Each end may fail half as often as both.
fn area(images: &[Vec<ObjectScores>], grid: &[f32]) -> Vec<AreaThresholds> {
    let row = |coverage: f64| AreaThresholds {
        coverage,
        smallest: highest(images, (1.0 - coverage) / 2.0, grid, |object| object.smallest),
        largest: lowest(images, (1.0 - coverage) / 2.0, grid, |object| object.largest),
    };
    AREA_COVERAGES.map(row).to_vec()
}

/// The largest threshold that is not above a new object's with probability 1 − `delta`.
fn lowest(
    images: &[Vec<ObjectScores>],
    delta: f64,
    grid: &[f32],
    score: impl Fn(&ObjectScores) -> Option<usize>,
) -> Option<f32> {
    let from_the_end = |object: &ObjectScores| score(object).map(|index| grid.len() - 1 - index);
    quantile(images, 1.0 - delta, from_the_end).map(|index| grid[grid.len() - 1 - index])
}

/// The smallest threshold that is not below a new object's with probability 1 − `delta`.
fn highest(
    images: &[Vec<ObjectScores>],
    delta: f64,
    grid: &[f32],
    score: impl Fn(&ObjectScores) -> Option<usize>,
) -> Option<f32> {
    quantile(images, 1.0 - delta, score).map(|index| grid[index])
}

/// The smallest score that at least `level` of the mass is not above, of which `None` is at the worst.
fn quantile(images: &[Vec<ObjectScores>], level: f64, score: impl Fn(&ObjectScores) -> Option<usize>) -> Option<usize> {
    /// Less than the smallest weight.
    const ROUNDING: f64 = 1e-9;
    let of_image = 1.0 / (images.len() + 1) as f64;
    let weighted = |objects: &[ObjectScores]| {
        let weight = of_image / objects.len() as f64;
        objects.iter().filter_map(|object| Some((score(object)?, weight))).collect::<Vec<_>>()
    };
    let mut scores: Vec<(usize, f64)> = images.iter().flat_map(|objects| weighted(objects)).collect();
    scores.sort_by_key(|(score, _)| *score);
    let mut mass = 0.0;
    let is_enough = |(_, weight): &(usize, f64)| {
        mass += weight;
        mass >= level - ROUNDING
    };
    scores.into_iter().find(is_enough).map(|(score, _)| score)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix64;
    use crate::uncertainty::ConformalThresholds;
    use crate::uncertainty::fit::threshold_grid;
    use crate::uncertainty::sigmoid;

    const GRID: [f32; 4] = [0.1, 0.4, 0.6, 0.9];

    fn scores(fnr: [f64; 4], fpr: [f64; 4], probability: &[f32], area: usize) -> ObjectScores {
        ObjectScores::new(&RiskCurves { fnr: fnr.to_vec(), fpr: fpr.to_vec() }, probability, area, &GRID)
    }

    #[test]
    fn scores_by_hand() {
        // OBJECT_ALPHAS are 0.05, 0.1, 0.15, 0.2, 0.3 and 0.5.
        let object = scores([0.0, 0.1, 0.4, 0.5], [0.4, 0.1, 0.2, 0.0], &[0.05, 0.3, 0.4, 0.7, 0.95], 3);
        assert_eq!(object.outer, [Some(0), Some(1), Some(1), Some(1), Some(1), Some(3)]);
        // The smallest from which on: 0.1 at the second threshold does not count where 0.2 at the third is too much.
        assert_eq!(object.inner, [Some(3), Some(3), Some(3), Some(1), Some(1), Some(0)]);
        // Reached by 4, 3, 2, 1 pixels; the object has 3.
        assert_eq!((object.smallest, object.largest), (Some(1), Some(1)));
        let areas = |area| {
            let object = scores([0.0; 4], [0.0; 4], &[0.05, 0.3, 0.4, 0.7, 0.95], area);
            (object.smallest, object.largest)
        };
        assert_eq!([areas(0), areas(1)], [(None, Some(3)), (Some(3), Some(3))]);
        assert_eq!([areas(4), areas(5)], [(Some(0), Some(0)), (Some(0), None)]);
        let worst = scores([0.6, 0.6, 0.7, 1.0], [0.9; 4], &[0.5], 1);
        assert_eq!((worst.outer, worst.inner), ([None; 6], [None; 6]));
    }

    /// An object whose outer mask is good up to this threshold and whose inner one from it, whatever α.
    fn object(index: Option<usize>) -> ObjectScores {
        ObjectScores { outer: [index; 6], inner: [index; 6], smallest: index, largest: index }
    }

    #[test]
    fn quantiles_by_hand() {
        // Three images: 1/4 at the worst, two objects of 1/8 each, one of 1/4, one of 1/4.
        let images = [vec![object(Some(3)), object(Some(0))], vec![object(Some(2))], vec![object(Some(1))]];
        let low = |delta| lowest(&images, delta, &GRID, |object| object.outer[0]);
        // Not above 3: 1/8; 2: 3/8; 1: 5/8; 0: 6/8.
        assert_eq!(
            [0.24, 0.25, 0.375, 0.5, 0.625, 0.875].map(low),
            [None, Some(0.1), Some(0.4), Some(0.4), Some(0.6), Some(0.9)]
        );
        let high = |delta| highest(&images, delta, &GRID, |object| object.inner[0]);
        assert_eq!([0.24, 0.25, 0.375, 0.625, 0.875].map(high), [None, Some(0.9), Some(0.6), Some(0.4), Some(0.1)]);
        // An object without a threshold is at the worst, too.
        let images = [vec![object(None), object(Some(3))]];
        assert_eq!(lowest(&images, 0.7, &GRID, |object| object.outer[0]), None);
        assert_eq!(lowest(&images, 0.75, &GRID, |object| object.outer[0]), Some(0.9));
        assert_eq!(lowest(&[], 0.5, &GRID, |object| object.outer[0]), None);
    }

    /// Repeatable values in 0–1.
    fn noise(random: &mut SplitMix64) -> f64 {
        (random.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    struct Object {
        probability: Vec<f32>,
        mask: Vec<u8>,
        truth: Vec<bool>,
        scores: ObjectScores,
    }

    /// An image with 1 to 3 objects, whose probabilities are wrong by an amount of the image and one of the object.
    fn image(number: u64, grid: &[f32]) -> Vec<Object> {
        let mut random = SplitMix64::new(number);
        let of_image = noise(&mut random) * 3.0 - 1.5;
        let object = |_| {
            let shift = of_image + noise(&mut random) * 2.0 - 1.0;
            let pixels = (0..120).map(|_| {
                let logit = noise(&mut random) * 12.0 - 6.0;
                let inside = noise(&mut random) < f64::from(sigmoid(logit as f32));
                (sigmoid((logit + shift) as f32), inside)
            });
            let (probability, truth): (Vec<f32>, Vec<bool>) = pixels.unzip();
            // Stricter than any outer mask that is asked for.
            let mask: Vec<u8> = probability.iter().map(|&p| u8::from(p > 0.9)).collect();
            let area = truth.iter().filter(|&&inside| inside).count();
            let curves = RiskCurves::of_box(&probability, &mask, &truth, grid);
            let scores = ObjectScores::new(&curves, &probability, area, grid);
            Object { probability, mask, truth, scores }
        };
        (0..1 + number % 3).map(object).collect()
    }

    #[test]
    fn scores_are_where_masks_begin_to_hold() {
        let grid = threshold_grid();
        let share = |part: usize, of: usize| if of == 0 { 0.0 } else { part as f64 / of as f64 };
        for Object { probability, mask, truth, scores } in (0..20).flat_map(|number| image(number, &grid)) {
            let actual = truth.iter().filter(|&&inside| inside).count();
            for (index, alpha) in OBJECT_ALPHAS.into_iter().enumerate() {
                let thresholds =
                    |threshold| ConformalThresholds { alpha, outer: Some(threshold), inner: Some(threshold) };
                for (place, &threshold) in grid.iter().enumerate() {
                    let outer = thresholds(threshold).outer_mask(&probability, &mask);
                    let missed = truth.iter().zip(&outer).filter(|&(&inside, &outer)| inside && outer == 0).count();
                    let holds = share(missed, actual) <= alpha;
                    assert_eq!(holds, scores.outer[index].is_some_and(|score| place <= score));
                    let inner = thresholds(threshold).inner_mask(&probability, &mask);
                    let wrong = truth.iter().zip(&inner).filter(|&(&inside, &inner)| !inside && inner != 0).count();
                    let holds = share(wrong, inner.iter().filter(|&&inner| inner != 0).count()) <= alpha;
                    assert!(holds || scores.inner[index].is_none_or(|score| place < score));
                    assert!(
                        outer
                            .iter()
                            .zip(&mask)
                            .zip(&inner)
                            .all(|((outer, mask), inner)| outer >= mask && mask >= inner)
                    );
                }
            }
            for (place, &threshold) in grid.iter().enumerate() {
                let area = probability.iter().filter(|&&p| p >= threshold).count();
                assert_eq!(area >= actual, scores.largest.is_some_and(|score| place <= score));
                assert_eq!(area <= actual, scores.smallest.is_some_and(|score| place >= score));
            }
        }
    }

    #[test]
    fn exchangeable_objects_are_covered_and_stricter_bounds_never_give_less() {
        /// Images of each calibration, and how many calibrations.
        const IMAGES: usize = 100;
        const TIMES: usize = 20;
        let grid = threshold_grid();
        let images: Vec<Vec<ObjectScores>> = (0..(IMAGES * TIMES) as u64)
            .map(|number| image(1000 + number, &grid).into_iter().map(|object| object.scores).collect())
            .collect();
        let covered = |range: std::ops::Range<usize>, holds: &dyn Fn(&ObjectScores) -> bool| {
            let others = images.iter().enumerate().filter(|(number, _)| !range.contains(number));
            let of_image = |(_, objects): (usize, &Vec<ObjectScores>)| {
                objects.iter().filter(|object| holds(object)).count() as f64 / objects.len() as f64
            };
            others.map(of_image).sum::<f64>() / (images.len() - IMAGES) as f64 / TIMES as f64
        };
        let below = |threshold: Option<f32>, score: Option<usize>| {
            threshold.is_none_or(|threshold| score.is_some_and(|score| threshold <= grid[score]))
        };
        let above = |threshold: Option<f32>, score: Option<usize>| {
            threshold.is_none_or(|threshold| score.is_some_and(|score| threshold >= grid[score]))
        };
        let mut held = vec![[0.0; 2]; OBJECT_ALPHAS.len() * OBJECT_DELTAS.len()];
        let mut areas_held = [0.0; AREA_COVERAGES.len()];
        for time in 0..TIMES {
            let range = time * IMAGES..(time + 1) * IMAGES;
            let rows = per_object(&images[range.clone()], &grid);
            for (row, held) in rows.iter().zip(&mut held) {
                let index = OBJECT_ALPHAS.iter().position(|&alpha| alpha == row.alpha).unwrap();
                held[0] += covered(range.clone(), &|object| below(row.outer, object.outer[index]));
                held[1] += covered(range.clone(), &|object| above(row.inner, object.inner[index]));
                for other in rows.iter().filter(|other| row.alpha <= other.alpha && row.delta <= other.delta) {
                    assert!(row.outer.unwrap_or(0.0) <= other.outer.unwrap_or(0.0), "{row:?} {other:?}");
                    assert!(row.inner.unwrap_or(2.0) >= other.inner.unwrap_or(2.0), "{row:?} {other:?}");
                }
            }
            for (row, held) in area(&images[range.clone()], &grid).iter().zip(&mut areas_held) {
                let is_within =
                    |object: &ObjectScores| below(row.largest, object.largest) && above(row.smallest, object.smallest);
                *held += covered(range.clone(), &is_within);
            }
        }
        for (place, [outer, inner]) in held.into_iter().enumerate() {
            let delta = OBJECT_DELTAS[place % OBJECT_DELTAS.len()];
            let alpha = OBJECT_ALPHAS[place / OBJECT_DELTAS.len()];
            assert!(outer >= 1.0 - delta - 0.015 && inner >= 1.0 - delta - 0.015, "{alpha} {delta} {outer} {inner}");
            // Not for nothing: as tight as thresholds on a grid, and few images, are.
            assert!(alpha > 0.3 || outer <= 1.0 - delta + 0.04, "{alpha} {delta} {outer}");
        }
        for (coverage, held) in AREA_COVERAGES.into_iter().zip(areas_held) {
            assert!((coverage - 0.015..coverage + 0.04).contains(&held), "{coverage} {held}");
        }
    }
}
