//! Outlines of masks along the edges of pixels, with holes, as GeoJSON.
//!
//! Filling an outline gives the mask back. Pixels that touch at a corner only are apart; where a region touches itself at a corner, a hole touches the outline there, so that every
//! polygon is valid (OGC Simple Features).

use std::fmt::Write;

use crate::error::{Result, fail};

/// A closed line through corners of pixels, without the repeated last one.
pub type Ring = Vec<[u32; 2]>;

/// A region: its outline, then its holes. In pixel coordinates (y down) outlines run clockwise on the screen, holes the other way.
pub type Polygon = Vec<Ring>;

/// A mask of a picture, row by row, and what it is called.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NamedMask<'a> {
    /// What is not 0 is inside.
    pub mask: &'a [u8],
    /// What people call it.
    pub label: &'a str,
    /// Its colour, sRGB.
    pub color: Option<[u8; 3]>,
}

/// The regions of a mask.
///
/// # Errors
/// If the mask has another size.
pub fn polygons(mask: &[u8], [width, height]: [usize; 2]) -> Result<Vec<Polygon>> {
    if mask.len() != width * height {
        return fail(format!("the mask has {} values for {width}×{height} pixels", mask.len()));
    }
    let regions = regions(mask, width);
    let grid = Grid { regions: &regions, width, height };
    let mut done = vec![false; (width + 1) * (height + 1) * 4];
    let mut found: Vec<Polygon> = vec![Vec::new(); regions.iter().copied().max().unwrap_or(0) as usize];
    for y in 0..height {
        for x in 0..width {
            let region = regions[y * width + x];
            // Every ring has an edge along the top of one of its pixels, which runs to the right.
            if region == 0 || grid.at(x as i64, y as i64 - 1) == region || done[((y * (width + 1)) + x) * 4] {
                continue;
            }
            let ring = grid.ring(x, y, region, &mut done);
            let polygon = &mut found[region as usize - 1];
            // The first of a region's rings from above is its outline.
            polygon.push(ring);
        }
    }
    Ok(found)
}

/// Numbers of the regions of pixels that share edges, from 1; 0 outside.
fn regions(mask: &[u8], width: usize) -> Vec<u32> {
    let mut regions = vec![0u32; mask.len()];
    let mut count = 0;
    let mut waiting = Vec::new();
    for start in 0..mask.len() {
        if mask[start] == 0 || regions[start] != 0 {
            continue;
        }
        count += 1;
        regions[start] = count;
        waiting.push(start);
        while let Some(pixel) = waiting.pop() {
            let x = pixel % width;
            let neighbours = [
                (x > 0).then(|| pixel - 1),
                (x + 1 < width).then_some(pixel + 1),
                pixel.checked_sub(width),
                Some(pixel + width).filter(|&below| below < mask.len()),
            ];
            for neighbour in neighbours.into_iter().flatten() {
                if mask[neighbour] != 0 && regions[neighbour] == 0 {
                    regions[neighbour] = count;
                    waiting.push(neighbour);
                }
            }
        }
    }
    regions
}

struct Grid<'a> {
    regions: &'a [u32],
    width: usize,
    height: usize,
}

/// Steps to the right, down, left, up.
const STEPS: [[i64; 2]; 4] = [[1, 0], [0, 1], [-1, 0], [0, -1]];

impl Grid<'_> {
    fn at(&self, x: i64, y: i64) -> u32 {
        let is_inside = x >= 0 && y >= 0 && x < self.width as i64 && y < self.height as i64;
        if is_inside { self.regions[y as usize * self.width + x as usize] } else { 0 }
    }

    /// Whether an edge from a corner has the region on its right and something else on its left.
    fn is_edge(&self, [x, y]: [i64; 2], direction: usize, region: u32) -> bool {
        let [right, left] = match direction {
            0 => [[x, y], [x, y - 1]],
            1 => [[x - 1, y], [x, y]],
            2 => [[x - 1, y - 1], [x - 1, y]],
            _ => [[x, y - 1], [x - 1, y - 1]],
        };
        self.at(right[0], right[1]) == region && self.at(left[0], left[1]) != region
    }

    fn ring(&self, x: usize, y: usize, region: u32, done: &mut [bool]) -> Ring {
        let (mut corner, mut direction) = ([x as i64, y as i64], 0);
        let mut ring: Ring = Vec::new();
        let start = corner;
        loop {
            done[((corner[1] as usize * (self.width + 1)) + corner[0] as usize) * 4 + direction] = true;
            corner = [corner[0] + STEPS[direction][0], corner[1] + STEPS[direction][1]];
            // To the left first: where the region touches itself, around what is outside.
            let turns = [direction + 3, direction, direction + 1].map(|turned| turned % 4);
            let next = turns.into_iter().find(|&next| self.is_edge(corner, next, region)).expect("edges are closed");
            if next != direction {
                ring.push([corner[0] as u32, corner[1] as u32]);
            }
            direction = next;
            if corner == start && direction == 0 {
                return ring;
            }
        }
    }
}

/// A GeoJSON `FeatureCollection`, as QuPath reads it: a feature for each mask, in pixels from the outer corner of the first one.
///
/// # Errors
/// If a mask has another size.
pub fn geojson(masks: &[NamedMask], size: [usize; 2]) -> Result<String> {
    let mut text = String::from("{\"type\":\"FeatureCollection\",\"features\":[");
    for (index, named) in masks.iter().enumerate() {
        let coordinates: Vec<String> = polygons(named.mask, size)?.iter().map(rings).collect();
        let color = named.color.map_or(String::new(), |[r, g, b]| format!(",\"color\":[{r},{g},{b}]"));
        let _ = write!(
            text,
            "{}{{\"type\":\"Feature\",\"id\":\"{}\",\"properties\":{{\"objectType\":\"annotation\",\"name\":{label},\"classification\":{{\"name\":{label}{color}}}}},\"geometry\":{{\"type\":\"MultiPolygon\",\"coordinates\":[{}]}}}}",
            if index > 0 { "," } else { "" },
            index + 1,
            coordinates.join(","),
            label = quoted(named.label),
        );
    }
    text.push_str("]}\n");
    Ok(text)
}

fn rings(polygon: &Polygon) -> String {
    let ring = |ring: &Ring| {
        let closed = ring.iter().chain(ring.first()).map(|[x, y]| format!("[{x},{y}]"));
        format!("[{}]", closed.collect::<Vec<_>>().join(","))
    };
    format!("[{}]", polygon.iter().map(ring).collect::<Vec<_>>().join(","))
}

/// A JSON string.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            letter if (letter as u32) < 0x20 => {
                let _ = write!(quoted, "\\u{:04x}", letter as u32);
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask(rows: &[&str]) -> (Vec<u8>, [usize; 2]) {
        let mask = rows.iter().flat_map(|row| row.bytes().map(|letter| u8::from(letter == b'#'))).collect();
        (mask, [rows[0].len(), rows.len()])
    }

    /// Whether a pixel's middle lies in a ring: how often a line to the left of it is crossed.
    fn holds(ring: &Ring, x: u32, y: u32) -> bool {
        let crossings = ring
            .iter()
            .zip(ring.iter().cycle().skip(1))
            .filter(|(a, b)| a[0] == b[0] && a[0] <= x && a[1].min(b[1]) <= y && y < a[1].max(b[1]));
        crossings.count() % 2 == 1
    }

    fn filled(polygons: &[Polygon], [width, height]: [usize; 2]) -> Vec<u8> {
        let inside = |x, y| {
            let within =
                |polygon: &Polygon| holds(&polygon[0], x, y) && !polygon[1..].iter().any(|hole| holds(hole, x, y));
            u8::from(polygons.iter().any(within))
        };
        (0..width * height).map(|pixel| inside((pixel % width) as u32, (pixel / width) as u32)).collect()
    }

    fn area(ring: &Ring) -> i64 {
        let pairs = ring.iter().zip(ring.iter().cycle().skip(1));
        pairs.map(|(a, b)| i64::from(a[0]) * i64::from(b[1]) - i64::from(b[0]) * i64::from(a[1])).sum::<i64>() / 2
    }

    #[test]
    fn a_square_with_a_hole_and_a_neighbour_at_its_corner() {
        let (mask, size) = mask(&["####.", "#..#.", "####.", "....#"]);
        let found = polygons(&mask, size).unwrap();
        assert_eq!(found.len(), 2, "pixels that touch at a corner are apart");
        assert_eq!(found[0], vec![vec![[4, 0], [4, 3], [0, 3], [0, 0]], vec![[3, 2], [3, 1], [1, 1], [1, 2]]]);
        assert_eq!(found[1], vec![vec![[5, 3], [5, 4], [4, 4], [4, 3]]]);
    }

    #[test]
    fn a_region_that_touches_itself_has_a_hole_that_touches_its_outline() {
        let (mask, size) = mask(&["###", "#.#", "##."]);
        let found = polygons(&mask, size).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].len(), 2, "{found:?}");
        let visits = |ring: &Ring| ring.iter().filter(|corner| **corner == [2, 2]).count();
        assert_eq!((visits(&found[0][0]), visits(&found[0][1])), (1, 1));
    }

    #[test]
    fn names_are_quoted() {
        let text =
            geojson(&[NamedMask { mask: &[1], label: "a \"b\" \\ \n", color: Some([1, 2, 3]) }], [1, 1]).unwrap();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["features"][0]["properties"]["name"], "a \"b\" \\ \n");
        assert_eq!(read["features"][0]["geometry"]["coordinates"][0][0].as_array().unwrap().len(), 5);
        assert!(polygons(&[0; 5], [2, 2]).unwrap_err().0.contains("5 values for 2×2"));
    }

    proptest! {
        #[test]
        fn filling_gives_the_mask_back(width in 1usize..14, bits in prop::collection::vec(0u8..2, 1..140)) {
            let height = bits.len().div_ceil(width);
            let mut mask = bits;
            mask.resize(width * height, 0);
            let found = polygons(&mask, [width, height]).unwrap();
            prop_assert_eq!(filled(&found, [width, height]), &mask[..]);
            let pixels: i64 = mask.iter().map(|&value| i64::from(value)).sum();
            let areas: i64 = found.iter().flatten().map(area).sum();
            prop_assert_eq!(areas, pixels);
            for polygon in &found {
                prop_assert!(area(&polygon[0]) > 0 && polygon[1..].iter().all(|hole| area(hole) < 0));
                for ring in polygon {
                    let mut corners = ring.clone();
                    corners.sort_unstable();
                    corners.dedup();
                    prop_assert_eq!(corners.len(), ring.len(), "a ring touches itself");
                }
            }
        }
    }
}
