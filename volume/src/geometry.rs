//! Where the voxels of a volume are, and how its slices are turned for people. As in the package (`pkg-template/src/geometry.ts`).

/// Where voxels are.
#[derive(Debug, Clone, PartialEq)]
pub struct SpaceGeometry {
    /// Voxels along each stored axis: columns, rows, slices.
    pub size: [usize; 3],
    /// From the middle of a voxel (column, row, slice, 1) to mm in DICOM's patient space: x to the left, y to the back, z to the head (LPS). Three rows.
    pub affine: [[f64; 4]; 3],
}

/// A stored axis: slices across it are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Across the columns.
    Columns,
    /// Across the rows.
    Rows,
    /// Across the slices, as files store them.
    Slices,
}

impl Axis {
    /// All, by number.
    pub const ALL: [Self; 3] = [Self::Columns, Self::Rows, Self::Slices];

    /// The axes of a slice across this one: columns and rows of the stored slice.
    pub fn others(self) -> [usize; 2] {
        match self {
            Self::Columns => [1, 2],
            Self::Rows => [0, 2],
            Self::Slices => [0, 1],
        }
    }
}

/// The plane of the body that slices are closest to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// From the feet.
    Axial,
    /// From the front.
    Coronal,
    /// From the left.
    Sagittal,
}

type Vector = [f64; 3];

impl SpaceGeometry {
    /// The step to the next voxel along a stored axis, in mm.
    fn step(&self, axis: usize) -> Vector {
        std::array::from_fn(|line| self.affine[line][axis])
    }

    /// Volume of a voxel, mm³.
    pub fn voxel_mm3(&self) -> f64 {
        let [a, b, c] = self.affine;
        let determinant = a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0])
            + a[2] * (b[0] * c[1] - b[1] * c[0]);
        determinant.abs()
    }

    /// The voxels that the pixels of a stored slice are, row by row; columns of the volume come first.
    pub fn places(&self, axis: Axis, index: usize) -> impl Iterator<Item = usize> + use<> {
        let size = self.size;
        let strides = [1, size[0], size[0] * size[1]];
        let [a, b] = axis.others();
        let begin = index * strides[axis as usize];
        (0..size[b]).flat_map(move |row| (0..size[a]).map(move |column| begin + row * strides[b] + column * strides[a]))
    }

    /// Distance between the middles of neighbours along each axis, in mm.
    pub fn spacing(&self) -> [f64; 3] {
        std::array::from_fn(|axis| length(self.step(axis)))
    }

    /// The plane that slices across an axis are closest to.
    pub fn plane(&self, axis: Axis) -> Plane {
        let [u, v] = axis.others().map(|other| self.step(other));
        let normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
        let [x, y, z] = normal.map(f64::abs);
        if z >= x && z >= y {
            Plane::Axial
        } else if y >= x {
            Plane::Coronal
        } else {
            Plane::Sagittal
        }
    }

    /// How slices across an axis become upright, as radiologists look at them.
    pub fn turn(&self, axis: Axis) -> Turn {
        // Where right and down of the picture point, in LPS.
        let (right, down) = match self.plane(axis) {
            Plane::Axial => ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]),
            Plane::Coronal => ([1.0, 0.0, 0.0], [0.0, 0.0, -1.0]),
            Plane::Sagittal => ([0.0, 1.0, 0.0], [0.0, 0.0, -1.0]),
        };
        let [a, b] = axis.others();
        let along = |stored: usize, direction: Vector| {
            let step = self.step(stored);
            step.iter().zip(direction).map(|(value, direction)| value * direction).sum::<f64>()
                / length(step).max(f64::MIN_POSITIVE)
        };
        let [a_right, a_down, b_right, b_down] = [along(a, right), along(a, down), along(b, right), along(b, down)];
        let is_transposed = a_down.abs() + b_right.abs() > a_right.abs() + b_down.abs();
        let [across, below] = if is_transposed { [b_right, a_down] } else { [a_right, b_down] };
        Turn {
            stored: [self.size[a], self.size[b]],
            is_transposed,
            is_mirrored_x: across < 0.0,
            is_mirrored_y: below < 0.0,
        }
    }
}

fn length(vector: Vector) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// How a stored slice becomes upright: the patient's right on the left of axial and coronal pictures, the front on the left of sagittal ones, head or front above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Columns and rows of the stored slice.
    pub stored: [usize; 2],
    /// Whether the picture's columns are the stored rows.
    pub is_transposed: bool,
    /// Whether the picture is mirrored left to right, after that.
    pub is_mirrored_x: bool,
    /// Whether it is mirrored top to bottom.
    pub is_mirrored_y: bool,
}

impl Turn {
    /// Of pictures that are upright as they are stored.
    pub fn none(size: [usize; 2]) -> Self {
        Self { stored: size, is_transposed: false, is_mirrored_x: false, is_mirrored_y: false }
    }

    /// Columns and rows of the upright picture.
    pub fn size(&self) -> [usize; 2] {
        let [columns, rows] = self.stored;
        if self.is_transposed { [rows, columns] } else { [columns, rows] }
    }

    /// A point of the stored slice, in pixels from its outer corner, in the upright picture.
    pub fn upright_point(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [width, height] = self.size().map(|length| length as f64);
        let [x, y] = if self.is_transposed { [y, x] } else { [x, y] };
        [if self.is_mirrored_x { width - x } else { x }, if self.is_mirrored_y { height - y } else { y }]
    }

    /// A point of the upright picture in the stored slice.
    pub fn stored_point(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [width, height] = self.size().map(|length| length as f64);
        let [x, y] = [if self.is_mirrored_x { width - x } else { x }, if self.is_mirrored_y { height - y } else { y }];
        if self.is_transposed { [y, x] } else { [x, y] }
    }

    /// A box of the stored slice in the upright picture.
    pub fn upright_box(&self, [x0, y0, x1, y1]: [f64; 4]) -> [f64; 4] {
        ordered(self.upright_point([x0, y0]), self.upright_point([x1, y1]))
    }

    /// A box of the upright picture in the stored slice.
    pub fn stored_box(&self, [x0, y0, x1, y1]: [f64; 4]) -> [f64; 4] {
        ordered(self.stored_point([x0, y0]), self.stored_point([x1, y1]))
    }

    /// The place of an upright pixel in the stored slice.
    fn stored_index(&self, x: usize, y: usize) -> usize {
        let [width, height] = self.size();
        let [across, down] =
            [if self.is_mirrored_x { width - 1 - x } else { x }, if self.is_mirrored_y { height - 1 - y } else { y }];
        if self.is_transposed { across * self.stored[0] + down } else { down * self.stored[0] + across }
    }

    /// Values of the stored slice as those of the upright picture.
    pub fn turned<T: Copy>(&self, values: &[T], channels: usize) -> Vec<T> {
        let [width, height] = self.size();
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        pixels.flat_map(|(x, y)| &values[self.stored_index(x, y) * channels..][..channels]).copied().collect()
    }

    /// Values of the upright picture, such as a mask, as those of the stored slice.
    pub fn turned_back<T: Copy>(&self, values: &[T], channels: usize) -> Vec<T> {
        let mut stored = values.to_vec();
        let [width, height] = self.size();
        for y in 0..height {
            for x in 0..width {
                let (from, to) = ((y * width + x) * channels, self.stored_index(x, y) * channels);
                stored[to..to + channels].copy_from_slice(&values[from..from + channels]);
            }
        }
        stored
    }
}

fn ordered([x0, y0]: [f64; 2], [x1, y1]: [f64; 2]) -> [f64; 4] {
    [x0.min(x1), y0.min(y1), x0.max(x1), y0.max(y1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_turned_comes_back() {
        for number in 0..8 {
            let turn = Turn {
                stored: [3, 4],
                is_transposed: number & 1 != 0,
                is_mirrored_x: number & 2 != 0,
                is_mirrored_y: number & 4 != 0,
            };
            let values: Vec<u8> = (0..24).collect();
            let upright = turn.turned(&values, 2);
            assert_eq!(turn.turned_back(&upright, 2), values);
            // The box of a pixel holds the pixel's values, in both.
            let [width, _] = turn.size();
            for pixel in 0..12 {
                let [x, y] = [pixel % 3, pixel / 3].map(|value| value as f64);
                let [u, v, ..] = turn.upright_box([x, y, x + 1.0, y + 1.0]);
                assert_eq!(upright[(v as usize * width + u as usize) * 2], values[pixel * 2]);
                assert_eq!(turn.stored_box(turn.upright_box([x, y, x + 1.0, y + 1.0])), [x, y, x + 1.0, y + 1.0]);
            }
        }
    }
}
