//! Connected parts of a set of pixels, and how deep their pixels lie in them.

use super::squared_distance_transform;

/// A connected part of a set of pixels; pixels that touch at a corner are connected.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// Its pixels, row by row.
    pub pixels: Vec<usize>,
}

/// The connected parts of a set of pixels in rows of `width`, in the order of their first pixels.
pub fn regions(width: usize, count: usize, is_in: impl Fn(usize) -> bool) -> Vec<Region> {
    let height = count.checked_div(width).unwrap_or(0);
    let mut seen = vec![false; count];
    let (mut all, mut open) = (Vec::new(), Vec::new());
    for start in 0..count {
        if seen[start] || !is_in(start) {
            continue;
        }
        seen[start] = true;
        open.push(start);
        let mut pixels = Vec::new();
        while let Some(pixel) = open.pop() {
            pixels.push(pixel);
            let [x, y] = [pixel % width, pixel / width];
            let [columns, rows] = [around(x, width), around(y, height)];
            for next in rows.flat_map(|y| columns.clone().map(move |x| y * width + x)) {
                if !seen[next] && is_in(next) {
                    seen[next] = true;
                    open.push(next);
                }
            }
        }
        pixels.sort_unstable();
        all.push(Region { pixels });
    }
    all
}

/// A place, the one before and the one after, below an end.
fn around(place: usize, end: usize) -> std::ops::Range<usize> {
    place.saturating_sub(1)..(place + 2).min(end)
}

impl Region {
    /// Every pixel's distance to the nearest pixel that is not of the region; what is outside of the image is not.
    pub fn depths(&self, width: usize) -> Vec<f64> {
        let (Some(&first), Some(&last)) = (self.pixels.first(), self.pixels.last()) else { return Vec::new() };
        let (first, last) = (first / width, last / width);
        let left = self.pixels.iter().map(|pixel| pixel % width).min().unwrap_or(0);
        let right = self.pixels.iter().map(|pixel| pixel % width).max().unwrap_or(0);
        // Only the part around the region, with a border that is not of it.
        let shape = [1, last - first + 3, right - left + 3];
        let place = |pixel: usize| (pixel / width - first + 1) * shape[2] + pixel % width - left + 1;
        let mut outside = vec![true; shape[1] * shape[2]];
        self.pixels.iter().for_each(|&pixel| outside[place(pixel)] = false);
        let squared = squared_distance_transform(&outside, shape, [1.0; 3]);
        self.pixels.iter().map(|&pixel| squared[place(pixel)].sqrt()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_connected_at_corners_and_not_across_the_edge() {
        let picture = "#...#.#..#....#.#..#";
        let found = regions(5, 20, |pixel| picture.as_bytes()[pixel] == b'#');
        let pixels: Vec<Vec<usize>> = found.into_iter().map(|region| region.pixels).collect();
        assert_eq!(pixels, [vec![0, 6], vec![4, 9, 14, 19], vec![16]].map(|region| region.to_vec()));
    }

    #[test]
    fn depths_count_from_the_nearest_pixel_outside() {
        let region = Region { pixels: vec![0, 1, 2, 5, 6, 7, 10, 11, 12] };
        assert_eq!(region.depths(5), [1.0, 1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0]);
        assert!(Region { pixels: vec![] }.depths(5).is_empty());
    }
}
