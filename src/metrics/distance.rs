//! Exact Euclidean distances.

/// The squared distance of every grid point to the nearest marked one, in the units of `spacing`; infinite if none is marked.
///
/// Source: Felzenszwalb and Huttenlocher, *Distance Transforms of Sampled Functions*, 2012: one pass of lower envelopes of
/// parabolas along each axis.
///
/// # Shapes
/// - `marked`: `shape[0] · shape[1] · shape[2]` values, the last axis fastest
/// - `spacing`: distance of neighbours along each axis
///
/// # Panics
/// If the length does not fit the shape.
pub fn squared_distance_transform(marked: &[bool], shape: [usize; 3], spacing: [f64; 3]) -> Vec<f64> {
    assert_eq!(marked.len(), shape.iter().product::<usize>(), "the grid has this shape");
    let mut squared: Vec<f64> = marked.iter().map(|&marked| if marked { 0.0 } else { f64::INFINITY }).collect();
    let strides = [shape[1] * shape[2], shape[2], 1];
    for axis in (0..3).filter(|&axis| shape[axis] > 1) {
        let mut line = vec![0.0; shape[axis]];
        let mut envelope = Envelope::default();
        let starts = (0..marked.len()).filter(|index| (index / strides[axis]).is_multiple_of(shape[axis]));
        for start in starts {
            for (position, value) in line.iter_mut().enumerate() {
                *value = squared[start + position * strides[axis]];
            }
            envelope.rebuild(&line, spacing[axis]);
            envelope.sample(&line, spacing[axis], |position, value| squared[start + position * strides[axis]] = value);
        }
    }
    squared
}

/// The lower envelope of one parabola per finite sample.
#[derive(Default)]
struct Envelope {
    /// Sample whose parabola is lowest, from left to right.
    vertices: Vec<usize>,
    /// Where each of them begins to be lowest, in units of the spacing.
    begins: Vec<f64>,
}

impl Envelope {
    fn rebuild(&mut self, line: &[f64], spacing: f64) {
        self.vertices.clear();
        self.begins.clear();
        let scale = spacing * spacing;
        for (position, &value) in line.iter().enumerate().filter(|(_, value)| value.is_finite()) {
            let mut begin = f64::NEG_INFINITY;
            while let (Some(&vertex), Some(&vertex_begin)) = (self.vertices.last(), self.begins.last()) {
                let (p, v) = (position as f64, vertex as f64);
                begin = ((value - line[vertex]) / scale + p * p - v * v) / (2.0 * (p - v));
                if begin > vertex_begin {
                    break;
                }
                self.vertices.pop();
                self.begins.pop();
                begin = f64::NEG_INFINITY;
            }
            self.vertices.push(position);
            self.begins.push(begin);
        }
    }

    fn sample(&self, line: &[f64], spacing: f64, mut write: impl FnMut(usize, f64)) {
        if self.vertices.is_empty() {
            return;
        }
        let mut lowest = 0;
        for position in 0..line.len() {
            while lowest + 1 < self.vertices.len() && self.begins[lowest + 1] < position as f64 {
                lowest += 1;
            }
            let vertex = self.vertices[lowest];
            let distance = position.abs_diff(vertex) as f64 * spacing;
            write(position, distance * distance + line[vertex]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_every_pair_of_points() {
        let (shape, spacing) = ([4, 5, 6], [2.0, 0.5, 1.25]);
        let marked: Vec<bool> = (0..120usize).map(|index| index.wrapping_mul(2_654_435_761) >> 5 & 15 == 3).collect();
        assert!(marked.iter().any(|&marked| marked));
        let place = |index: usize| [index / 30, index / 6 % 5, index % 6];
        let squared = |a: usize, b: usize| -> f64 {
            let (a, b) = (place(a), place(b));
            (0..3).map(|axis| (a[axis] as f64 - b[axis] as f64) * spacing[axis]).map(|d| d * d).sum()
        };
        let actual = squared_distance_transform(&marked, shape, spacing);
        for (index, &actual) in actual.iter().enumerate() {
            let nearest = (0..120).filter(|&other| marked[other]).map(|other| squared(index, other));
            let expected = nearest.fold(f64::INFINITY, f64::min);
            assert!((actual - expected).abs() < 1e-9, "{index}: {actual} is not {expected}");
        }
    }

    #[test]
    fn nothing_marked_is_infinitely_far() {
        assert!(squared_distance_transform(&[false; 6], [1, 2, 3], [1.0; 3]).iter().all(|value| value.is_infinite()));
    }
}
