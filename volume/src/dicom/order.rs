//! Frames by their position along their normal, and where their voxels are. As in the package (`pkg-template/src/dicom-series.ts`).

use super::header::Triple;
use super::series::Frame;
use crate::geometry::SpaceGeometry;

/// Share of the spacing by which slices may be off before that is said.
const UNEQUAL: f64 = 0.02;
/// The least angle of a gantry that is said, in degrees.
const TILT: f64 = 0.1;
/// Slices that are less apart, in mm, lie at the same place.
const SAME: f64 = 1e-3;

/// Frames in their order.
pub(super) struct Ordered {
    pub frames: Vec<Frame>,
    pub geometry: SpaceGeometry,
    /// Whether the geometry says where they are; without, they are by instance number.
    pub is_placed: bool,
    pub problems: Vec<String>,
}

fn dot(a: Triple, b: Triple) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: Triple, b: Triple) -> Triple {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn minus(a: Triple, b: Triple) -> Triple {
    std::array::from_fn(|axis| a[axis] - b[axis])
}

fn length(a: Triple) -> f64 {
    dot(a, a).sqrt()
}

fn or_one(value: f64) -> f64 {
    if value == 0.0 { 1.0 } else { value }
}

/// Puts frames of one size and one orientation in order; there is one at least.
pub(super) fn in_order(mut frames: Vec<Frame>) -> Ordered {
    let first = frames[0].info();
    let (orientation, spacing) = (first.orientation, first.spacing);
    let thickness = first.between.or(first.thickness).unwrap_or(1.0);
    let (columns, rows) = (frames[0].file.info.columns, frames[0].file.info.rows);
    let size = [columns, rows, frames.len()];
    let [row_distance, column_distance] = spacing.unwrap_or([1.0, 1.0]);
    let mut positions: Vec<(Triple, Frame)> =
        frames.iter().filter_map(|frame| Some((frame.info().position?, frame.clone()))).collect();
    let are_placed = positions.len() == frames.len() && frames.iter().all(is_placed_apart);
    let Some([right, down]) = orientation.filter(|_| are_placed) else {
        frames.sort_by_key(|frame| (frame.file.info.instance_number.unwrap_or(0), frame.number));
        // Upright as they are stored.
        let affine = [[column_distance, 0.0, 0.0, 0.0], [0.0, row_distance, 0.0, 0.0], [0.0, 0.0, thickness, 0.0]];
        let geometry = SpaceGeometry { size, affine };
        return Ordered { frames, geometry, is_placed: false, problems: Vec::new() };
    };
    let normal = cross(right, down);
    let along = |position: Triple| dot(position, normal) / or_one(length(normal));
    positions.sort_by(|(a, _), (b, _)| along(*a).total_cmp(&along(*b)));
    let mut problems = Vec::new();
    if spacing.is_none() {
        problems.push("the files do not say how far pixels are apart; 1 mm was taken".into());
    }
    let (begin, end) = (positions[0].0, positions[positions.len() - 1].0);
    let step = if positions.len() > 1 {
        let step = minus(end, begin).map(|value| value / (positions.len() - 1) as f64);
        let places: Vec<f64> = positions.iter().map(|(position, _)| along(*position)).collect();
        check_spacing(&places, &mut problems);
        let cosine = dot(step, normal).abs() / or_one(length(step) * length(normal));
        let tilt = cosine.min(1.0).acos().to_degrees();
        if tilt > TILT {
            problems.push(format!(
                "the slices lie askew, as of a gantry tilted by {tilt:.1}°; distances along them are of the skewed grid"
            ));
        }
        step
    } else {
        normal.map(|value| value * thickness / or_one(length(normal)))
    };
    let line = |axis: usize| [right[axis] * column_distance, down[axis] * row_distance, step[axis], begin[axis]];
    let geometry = SpaceGeometry { size, affine: [line(0), line(1), line(2)] };
    Ordered { frames: positions.into_iter().map(|(_, frame)| frame).collect(), geometry, is_placed: true, problems }
}

/// Whether frames of one file have positions of their own.
fn is_placed_apart(frame: &Frame) -> bool {
    match &frame.file.frames[..] {
        [a, b, ..] => a.position.zip(b.position).is_some_and(|(a, b)| length(minus(a, b)) > 0.0),
        _ => true,
    }
}

/// Says what is wrong with distances.
fn check_spacing(places: &[f64], problems: &mut Vec<String>) {
    let gaps = places.windows(2).map(|pair| pair[1] - pair[0]);
    let mut apart: Vec<f64> = gaps.filter(|&gap| gap > SAME).collect();
    let repeated = places.len() - 1 - apart.len();
    if repeated > 0 {
        problems.push(format!(
            "{repeated} of {} slices lie where others do: the series may hold several phases, echoes or copies",
            places.len()
        ));
    }
    apart.sort_by(f64::total_cmp);
    let (Some(&least), Some(&most)) = (apart.first(), apart.last()) else { return };
    let usual = apart[apart.len() / 2];
    let missing: f64 =
        apart.iter().map(|gap| gap / usual).filter(|&ratio| is_multiple(ratio)).map(|ratio| ratio.round() - 1.0).sum();
    if missing > 0.0 {
        problems.push(format!("{missing} slices are missing: gaps of more than {}", millimetres(usual)));
    } else if most - least > UNEQUAL * usual {
        problems.push(format!(
            "the slices are {} to {} apart; one distance was taken for all, so that places and volumes are not exact",
            millimetres(least),
            millimetres(most)
        ));
    }
}

fn is_multiple(ratio: f64) -> bool {
    ratio > 1.5 && (ratio - ratio.round()).abs() < 0.1
}

fn millimetres(value: f64) -> String {
    format!("{} mm", (value * 1000.0).round() / 1000.0)
}
