//! Boxes as people draw them, instead of those that a file brings.

use serde::{Deserialize, Serialize};

use crate::data::{CaseBoxes, ChallengeCase};
use crate::error::{Error, Result};
use crate::random::SplitMix64;
use crate::weights::sha256;

/// How boxes are drawn around the structures of a case, in shares of the tight box's width and height.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DrawnBoxes {
    /// How far every side lies outside of the tight box, −0.4–2.
    pub loosen: f64,
    /// How far every side lies further out or in at most, each side by its own even chance, 0–1.
    pub jitter: f64,
}

impl DrawnBoxes {
    /// Refuses values out of range.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] that names the value and its range.
    pub fn checked(self) -> Result<Self> {
        match self {
            Self { loosen, .. } if !(-0.4..=2.0).contains(&loosen) => {
                Err(Error::InvalidOption(format!("loosen is {loosen}; use −0.4–2 of the box's side")))
            }
            Self { jitter, .. } if !(0.0..=1.0).contains(&jitter) => {
                Err(Error::InvalidOption(format!("jitter is {jitter}; use 0–1 of the box's side")))
            }
            good => Ok(good),
        }
    }

    /// Replaces the boxes of an image: one around each label, the same every time for the same file name. Labels that are not there get an empty box, as the whole
    /// case is then 0 for them in any case. Volumes keep theirs.
    pub fn apply(&self, case: &mut ChallengeCase, name: &str) {
        let (CaseBoxes::Image(_), Some(gts)) = (&case.boxes, &case.gts) else { return };
        let labels = usize::from(gts.iter().copied().max().unwrap_or(0));
        let mut tight: Vec<Option<[usize; 4]>> = vec![None; labels];
        for (pixel, &label) in gts.iter().enumerate().filter(|(_, label)| **label > 0) {
            let (x, y) = (pixel % case.width, pixel / case.width);
            let corners = tight[usize::from(label) - 1].get_or_insert([x, y, x, y]);
            *corners = [corners[0].min(x), corners[1].min(y), corners[2].max(x), corners[3].max(y)];
        }
        let seed = sha256(name.as_bytes()).first_chunk().copied().expect("a hash has 32 bytes");
        let mut random = SplitMix64::new(u64::from_le_bytes(seed));
        let mut share = || {
            let even = (random.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
            self.loosen + self.jitter * even
        };
        let ends = [case.width as f64, case.height as f64];
        let boxes = tight.into_iter().map(|corners| {
            let shares: [f64; 4] = std::array::from_fn(|_| share());
            let [x0, y0, x1, y1] = corners.unwrap_or_default().map(|corner| corner as f64);
            let size = [x1 - x0 + 1.0, y1 - y0 + 1.0];
            let moved = [x0, y0, x1, y1].into_iter().zip(shares).enumerate();
            let mut moved = moved.map(|(side, (corner, share))| {
                let out = share * size[side % 2];
                if side < 2 { corner - out } else { corner + out }.clamp(0.0, ends[side % 2])
            });
            std::array::from_fn(|_| moved.next().expect("a box has four sides"))
        });
        case.boxes = CaseBoxes::Image(boxes.collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case() -> ChallengeCase {
        let inside = |pixel: usize| (10..20).contains(&(pixel % 40)) && (5..10).contains(&(pixel / 40));
        ChallengeCase {
            imgs: vec![0; 1200],
            depth: 1,
            height: 30,
            width: 40,
            channels: 1,
            boxes: CaseBoxes::Image(vec![[0.0; 4]; 2]),
            gts: Some((0..1200).map(|pixel| if inside(pixel) { 2 } else { 0 }).collect()),
            raters: Vec::new(),
            spacing: [1.0; 3],
        }
    }

    #[test]
    fn sides_move_by_shares_of_the_tight_box() {
        let drawn = |loosen, jitter, name| {
            let mut case = case();
            DrawnBoxes { loosen, jitter }.apply(&mut case, name);
            let CaseBoxes::Image(boxes) = case.boxes else { unreachable!("it is an image") };
            boxes[1]
        };
        assert_eq!(drawn(0.0, 0.0, "a"), [10.0, 5.0, 19.0, 9.0]);
        assert_eq!(drawn(0.2, 0.0, "a"), [8.0, 4.0, 21.0, 10.0]);
        assert_eq!(drawn(2.0, 0.0, "a"), [0.0, 0.0, 39.0, 19.0]);
        let jittered = drawn(0.0, 0.1, "a");
        assert_eq!(jittered, drawn(0.0, 0.1, "a"));
        assert_ne!(jittered, drawn(0.0, 0.1, "b"));
        for (side, (moved, tight)) in jittered.into_iter().zip([10.0, 5.0, 19.0, 9.0]).enumerate() {
            assert!((moved - tight).abs() <= [1.0, 0.5][side % 2], "{jittered:?}");
        }
    }

    #[test]
    fn values_out_of_range_are_named() {
        for (loosen, jitter, part) in [(3.0, 0.0, "loosen is 3"), (0.0, -1.0, "jitter is -1"), (f64::NAN, 0.0, "NaN")] {
            assert!(DrawnBoxes { loosen, jitter }.checked().unwrap_err().to_string().contains(part));
        }
    }
}
