//! Strokes as the points that the network takes.

/// Distance of points along a stroke, in pixels of the network's input.
const SPACING: f32 = 12.0;
/// Most points of a stroke, evenly spread along it.
const MOST_POINTS: usize = 8;

/// Points at even distances along a polyline in pixels of the network's input, its ends among them: about every 12 pixels, at most 8. None of an empty line.
///
/// ```
/// use umedsam::image::points_along;
/// assert_eq!(points_along(&[[0.0, 0.0], [12.0, 0.0], [12.0, 12.0]]), [[0.0, 0.0], [12.0, 0.0], [12.0, 12.0]]);
/// assert_eq!(points_along(&[[3.0, 4.0]]), [[3.0, 4.0]]);
/// ```
pub fn points_along(line: &[[f32; 2]]) -> Vec<[f32; 2]> {
    let length = |[a, b]: &[[f32; 2]; 2]| (b[0] - a[0]).hypot(b[1] - a[1]);
    let pieces: Vec<[[f32; 2]; 2]> = line.windows(2).map(|ends| [ends[0], ends[1]]).collect();
    let whole: f32 = pieces.iter().map(length).sum();
    let Some(&last) = line.last() else { return Vec::new() };
    let count = ((whole / SPACING).round() as usize).clamp(1, MOST_POINTS - 1);
    if whole < 1.0 {
        return vec![last];
    }
    let step = whole / count as f32;
    let (mut points, mut before) = (Vec::new(), 0.0);
    for piece in &pieces {
        let here = length(piece);
        while points.len() < count && points.len() as f32 * step <= before + here && here > 0.0 {
            let share = (points.len() as f32 * step - before) / here;
            points.push([0, 1].map(|axis| piece[0][axis] + share * (piece[1][axis] - piece[0][axis])));
        }
        before += here;
    }
    points.push(last);
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_even_and_few() {
        let points = points_along(&[[0.0, 0.0], [100.0, 0.0], [100.0, 140.0]]);
        assert_eq!((points.len(), points[0], points[7]), (8, [0.0, 0.0], [100.0, 140.0]));
        // Corners shorten the straight way between two points.
        assert!(points.windows(2).all(|pair| {
            let way = (pair[1][0] - pair[0][0]).abs() + (pair[1][1] - pair[0][1]).abs();
            (way - 240.0 / 7.0).abs() < 1e-3
        }));
        assert_eq!(points_along(&[[5.0, 5.0], [5.0, 5.0], [5.2, 5.0]]).len(), 1);
        assert!(points_along(&[]).is_empty());
        assert_eq!(points_along(&[[0.0, 0.0], [3.0, 4.0]]), [[0.0, 0.0], [3.0, 4.0]]);
    }
}
