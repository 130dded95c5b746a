//! Whether what is guaranteed of single objects held.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::report::CaseReport;
use crate::metrics::{Confusion, Proportion};
use crate::segment::{SegmentOptions, Segmentation, Segmenter};
use crate::uncertainty::AREA_COVERAGE;
use crate::weights::sha256;

/// What the cases of all modalities are called.
const ALL: &str = "all";
/// Bounds that are measured.
const ALPHAS: [f64; 4] = [0.05, 0.1, 0.2, 0.3];
/// How often they may fail.
const DELTAS: [f64; 2] = [0.1, 0.2];

/// Whether an object's masks held.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The bound.
    pub alpha: f64,
    /// How often it may fail.
    pub delta: f64,
    /// Whether the outer mask misses at most α of the object.
    pub outer: bool,
    /// Whether at most α of the inner mask is wrong.
    pub inner: bool,
    /// Whether the outer mask is the whole image, since no threshold bounds what it misses.
    pub whole: bool,
}

/// An object's area and its interval, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Area {
    /// The interval's lower end.
    pub low: usize,
    /// Its upper end.
    pub high: usize,
    /// Of the truth.
    pub truth: usize,
}

/// What was guaranteed of an object, and whether it held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectGuarantees {
    /// The masks by α and δ; empty of weights that were not calibrated for single objects.
    pub masks: Vec<Held>,
    /// The area; `None` likewise.
    pub area: Option<Area>,
}

impl ObjectGuarantees {
    /// Of an object of an image; `None` if nothing was guaranteed, or there is no object.
    pub(super) fn of(
        segmenter: &Segmenter,
        options: &SegmentOptions,
        found: &Segmentation,
        truth: &[bool],
    ) -> Option<Self> {
        let truth: Vec<u8> = truth.iter().map(|&inside| u8::from(inside)).collect();
        let area = truth.iter().filter(|&&inside| inside != 0).count();
        if area == 0 {
            return None;
        }
        let held = |(alpha, delta): (f64, f64)| {
            let options = SegmentOptions { delta: Some(delta), ..*options };
            let thresholds = segmenter.thresholds(&options, alpha, found.zoom.is_some(), found.prompt_kind)?;
            let outer = Confusion::of(&thresholds.outer_mask(&found.probability, &found.mask), &truth);
            let inner = Confusion::of(&thresholds.inner_mask(&found.probability, &found.mask), &truth);
            Some(Held {
                alpha,
                delta,
                outer: outer.false_negative_rate() <= alpha,
                inner: inner.false_positive_share() <= alpha,
                whole: thresholds.outer.is_none(),
            })
        };
        let pairs = ALPHAS.iter().flat_map(|&alpha| DELTAS.map(|delta| (alpha, delta)));
        let masks: Vec<Held> = pairs.filter_map(held).collect();
        let area = found.area_interval.map(|[low, high]| Area { low, high, truth: area });
        (!masks.is_empty() || area.is_some()).then_some(Self { masks, area })
    }
}

/// How often masks held with a bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MaskCoverage {
    /// The bound.
    pub alpha: f64,
    /// How often it may fail.
    pub delta: f64,
    /// Outer masks that miss at most α.
    pub outer: Proportion,
    /// Inner masks of which at most α is wrong.
    pub inner: Proportion,
    /// Share of the outer masks that are the whole image.
    pub whole: f64,
}

/// How often areas were in their intervals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AreaCoverage {
    /// The intervals' coverage as it was calibrated.
    pub coverage: f64,
    /// Areas in their interval.
    pub held: Proportion,
    /// Mean of the interval's width as a share of the true area.
    pub mean_relative_width: f64,
    /// Its median.
    pub median_relative_width: f64,
}

/// What was guaranteed of single objects and how often it held, of one object an image, chosen by the image's name: so the trials are as independent as the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuaranteeReport {
    /// The masks by α and δ.
    pub masks: Vec<MaskCoverage>,
    /// The area.
    pub area: Option<AreaCoverage>,
}

impl GuaranteeReport {
    /// Sums up all cases, as `all`, and those of each modality; without what nothing was guaranteed of.
    pub(super) fn by_modality(cases: &[CaseReport]) -> BTreeMap<String, Self> {
        let mut groups: BTreeMap<String, Vec<&CaseReport>> = BTreeMap::new();
        for case in cases {
            groups.entry(ALL.into()).or_default().push(case);
            groups.entry(case.modality.clone()).or_default().push(case);
        }
        groups.into_iter().filter_map(|(name, cases)| Some((name, Self::of(&cases)?))).collect()
    }

    fn of(cases: &[&CaseReport]) -> Option<Self> {
        let objects: Vec<&ObjectGuarantees> = cases.iter().filter_map(|case| chosen(case)).collect();
        let mut masks = Vec::new();
        for (alpha, delta) in ALPHAS.iter().flat_map(|&alpha| DELTAS.map(|delta| (alpha, delta))) {
            let of_object = |object: &&ObjectGuarantees| {
                object.masks.iter().find(|held| (held.alpha, held.delta) == (alpha, delta)).copied()
            };
            let held: Vec<Held> = objects.iter().filter_map(of_object).collect();
            if !held.is_empty() {
                let outer = Proportion::of(held.iter().map(|held| held.outer));
                let inner = Proportion::of(held.iter().map(|held| held.inner));
                let whole = Proportion::of(held.iter().map(|held| held.whole)).share;
                masks.push(MaskCoverage { alpha, delta, outer, inner, whole });
            }
        }
        let areas: Vec<Area> = objects.iter().filter_map(|object| object.area).collect();
        let area = AreaCoverage::of(&areas);
        (!masks.is_empty() || area.is_some()).then_some(Self { masks, area })
    }

    /// What a person reads, a line each.
    pub fn lines(&self) -> Vec<String> {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let counted = |Proportion { held, of, share, ci: [low, high] }: Proportion| {
            format!("{} ({held} of {of}; 95 %: {:.1}–{})", percent(share), 100.0 * low, percent(high))
        };
        let of_masks = self.masks.iter().map(|row| {
            let MaskCoverage { alpha, delta, outer, inner, whole } = *row;
            let [outer, inner, whole] = [counted(outer), counted(inner), percent(whole)];
            format!(
                "α = {alpha}, δ = {delta}, one object an image: outer masks held in {outer}, inner ones in {inner}; {whole} are the whole image"
            )
        });
        let of_area = self.area.iter().map(|area| {
            format!(
                "areas were in their {} interval in {}; its width is {} of the area in the mean, {} in the median",
                percent(area.coverage),
                counted(area.held),
                percent(area.mean_relative_width),
                percent(area.median_relative_width)
            )
        });
        of_masks.chain(of_area).collect()
    }
}

impl AreaCoverage {
    fn of(areas: &[Area]) -> Option<Self> {
        let mut widths: Vec<f64> = areas.iter().map(|area| (area.high - area.low) as f64 / area.truth as f64).collect();
        widths.sort_by(f64::total_cmp);
        let median = widths.get(widths.len() / 2).copied()?;
        Some(Self {
            coverage: AREA_COVERAGE,
            held: Proportion::of(areas.iter().map(|area| (area.low..=area.high).contains(&area.truth))),
            mean_relative_width: widths.iter().sum::<f64>() / widths.len() as f64,
            median_relative_width: median,
        })
    }
}

/// One of an image's objects, by a hash of its name.
fn chosen(case: &CaseReport) -> Option<&ObjectGuarantees> {
    let objects: Vec<&ObjectGuarantees> =
        case.scores.boxes.iter().filter_map(|found| found.guarantees.as_ref()).collect();
    let seed = sha256(case.case.as_bytes()).first_chunk().copied().expect("a hash has 32 bytes");
    let place = u64::from_le_bytes(seed) % objects.len().max(1) as u64;
    objects.get(place as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{BoxScores, CaseScores};
    use crate::metrics::PixelStatistics;

    fn case(name: &str, objects: Vec<Option<ObjectGuarantees>>) -> CaseReport {
        let found = |guarantees| BoxScores {
            share: 0.2,
            dsc: 0.9,
            expected_dsc: 0.9,
            needs_review: None,
            risks: Vec::new(),
            mask: None,
            guarantees,
        };
        CaseReport {
            case: name.into(),
            modality: "CT".into(),
            dataset: "d".into(),
            scores: CaseScores {
                dsc: 0.9,
                nsd: 0.9,
                contour_nsd: None,
                boxes: objects.into_iter().map(found).collect(),
                pixels: PixelStatistics::default(),
                interaction: None,
                raters: Vec::new(),
                shift: None,
            },
        }
    }

    fn object(outer: bool, [low, high]: [usize; 2]) -> Option<ObjectGuarantees> {
        let held = Held { alpha: 0.1, delta: 0.2, outer, inner: true, whole: false };
        Some(ObjectGuarantees { masks: vec![held], area: Some(Area { low, high, truth: 10 }) })
    }

    #[test]
    fn one_object_of_each_image_counts() {
        let cases = [
            case("a", vec![object(true, [8, 12]), None, object(true, [8, 12])]),
            case("b", vec![object(false, [11, 21])]),
            case("c", vec![object(true, [10, 20])]),
            case("d", vec![None]),
        ];
        let report = GuaranteeReport::of(&cases.iter().collect::<Vec<_>>()).unwrap();
        let [masks] = &report.masks[..] else { panic!("{report:?}") };
        assert_eq!((masks.alpha, masks.delta, masks.whole), (0.1, 0.2, 0.0));
        assert_eq!([masks.outer.held, masks.outer.of, masks.inner.held], [2, 3, 3]);
        let area = report.area.unwrap();
        assert_eq!((area.held.held, area.held.of), (2, 3));
        assert!((area.mean_relative_width - 0.8).abs() < 1e-12 && (area.median_relative_width - 1.0).abs() < 1e-12);
        assert_eq!(report.lines().len(), 2);
        assert_eq!(GuaranteeReport::of(&[&cases[3]]), None);
        let groups = GuaranteeReport::by_modality(&cases);
        assert!(groups.len() == 2 && groups["all"] == report && groups["CT"] == report);
        assert!(GuaranteeReport::by_modality(&cases[3..]).is_empty());
    }

    #[test]
    fn the_object_that_counts_goes_by_the_name() {
        let objects = || (0..4).map(|place| object(true, [place, 20])).collect();
        let place = |name: String| chosen(&case(&name, objects())).unwrap().area.unwrap().low;
        let places: Vec<usize> = (0..60).map(|number| place(format!("image {number}"))).collect();
        assert_eq!(places, (0..60).map(|number| place(format!("image {number}"))).collect::<Vec<_>>());
        assert!((0..4).all(|wanted| places.iter().filter(|&&place| place == wanted).count() > 5), "{places:?}");
    }
}
