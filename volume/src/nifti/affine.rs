//! Where a header says that the voxels are.

use super::Reader;

/// The header's affine in LPS; of sform, qform and voxel sizes the first that can be used, as nibabel takes them.
pub(super) fn affine(reader: &Reader, problems: &mut Vec<String>) -> [[f64; 4]; 3] {
    // To mm; what has no unit is taken for mm.
    let unit = match reader.units() & 7 {
        1 => 1000.0,
        3 => 0.001,
        _ => 1.0,
    };
    let sizes: [f64; 3] = std::array::from_fn(|axis| {
        let length = reader.pixdim(axis + 1).abs();
        if length.is_finite() && length > 0.0 { length } else { 1.0 }
    });
    let [qform, sform] = reader.codes();
    let rows = |line: usize| std::array::from_fn(|column| reader.float(280, 400, 4 * line + column));
    let candidates = [("sform", sform, [rows(0), rows(1), rows(2)]), ("qform", qform, quaternion(reader, sizes))];
    for (name, code, rows) in candidates {
        if code <= 0 {
            continue;
        }
        if is_usable(&rows) {
            return in_lps(rows, unit);
        }
        problems.push(format!("the {name} maps the volume onto a plane or a line; it was left out"));
    }
    problems.push("the file does not say how it lies in space; left and right may be the other way round".into());
    // As nibabel has it: mirrored in x, the middle of the volume at the origin.
    let middle: [f64; 3] = std::array::from_fn(|axis| (reader.dim(axis + 1).max(1) - 1) as f64 / 2.0);
    let [x, y, z] = sizes;
    in_lps([[-x, 0.0, 0.0, x * middle[0]], [0.0, y, 0.0, -y * middle[1]], [0.0, 0.0, z, -z * middle[2]]], unit)
}

fn is_usable(rows: &[[f64; 4]; 3]) -> bool {
    let [a, b, c] = rows;
    let determinant =
        a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0]);
    let lengths = (0..3).map(|column| rows.iter().map(|row| row[column] * row[column]).sum::<f64>().sqrt());
    rows.iter().flatten().all(|value| value.is_finite()) && determinant.abs() > 1e-6 * lengths.product::<f64>()
}

/// From RAS to LPS, in mm.
fn in_lps(rows: [[f64; 4]; 3], unit: f64) -> [[f64; 4]; 3] {
    let [x, y, z] = rows;
    [x.map(|value| -value * unit), y.map(|value| -value * unit), z.map(|value| value * unit)]
}

fn quaternion(reader: &Reader, [x, y, z]: [f64; 3]) -> [[f64; 4]; 3] {
    let value = |index: usize| reader.float(256, 352, index);
    let [b, c, d] = [value(0), value(1), value(2)];
    let a = (1.0 - b * b - c * c - d * d).max(0.0).sqrt();
    // qfac: whether the third axis is mirrored.
    let z = if reader.pixdim(0) < 0.0 { -z } else { z };
    [
        [(a * a + b * b - c * c - d * d) * x, 2.0 * (b * c - a * d) * y, 2.0 * (b * d + a * c) * z, value(3)],
        [2.0 * (b * c + a * d) * x, (a * a + c * c - b * b - d * d) * y, 2.0 * (c * d - a * b) * z, value(4)],
        [2.0 * (b * d - a * c) * x, 2.0 * (c * d + a * b) * y, (a * a + d * d - c * c - b * b) * z, value(5)],
    ]
}
