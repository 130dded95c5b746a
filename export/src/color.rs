//! Colours as DICOM has them.

/// An sRGB colour in CIELab (D65 to D50), as PS3.3, C.10.7.1.1 stores it: 0–65535 for L\* 0–100 and for a\* and b\* −128–127.
pub fn cielab(rgb: [u8; 3]) -> [u16; 3] {
    let linear = rgb.map(|value| {
        let value = f64::from(value) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    // sRGB to XYZ of D50 (Bradford), divided by its white.
    const ROWS: [[f64; 3]; 3] = [
        [0.436_065_7, 0.385_151_5, 0.143_078_4],
        [0.222_493_2, 0.716_887_0, 0.060_616_9],
        [0.013_923_6, 0.097_081_3, 0.714_101_6],
    ];
    const WHITE: [f64; 3] = [0.964_295_6, 1.0, 0.825_104_6];
    let f = |row: usize| {
        let value = ROWS[row].iter().zip(linear).map(|(weight, value)| weight * value).sum::<f64>() / WHITE[row];
        if value > 216.0 / 24389.0 { value.cbrt() } else { (24389.0 / 27.0 * value + 16.0) / 116.0 }
    };
    let [x, y, z] = [f(0), f(1), f(2)];
    let [l, a, b] = [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)];
    let stored =
        |value: f64, low: f64, high: f64| ((value - low) / (high - low) * 65_535.0).round().clamp(0.0, 65_535.0) as u16;
    [stored(l, 0.0, 100.0), stored(a, -128.0, 127.0), stored(b, -128.0, 127.0)]
}

#[cfg(test)]
mod tests {
    use super::cielab;

    #[test]
    fn known_colours() {
        let near = |actual: [u16; 3], expected: [f64; 3]| {
            let read = [
                f64::from(actual[0]) / 655.35,
                f64::from(actual[1]) / 257.0 - 128.0,
                f64::from(actual[2]) / 257.0 - 128.0,
            ];
            assert!(read.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.1), "{read:?}, not {expected:?}");
        };
        near(cielab([0, 0, 0]), [0.0, 0.0, 0.0]);
        near(cielab([255, 255, 255]), [100.0, 0.0, 0.0]);
        // As colour management has sRGB's red and blue in the D50 space of ICC profiles.
        near(cielab([255, 0, 0]), [54.29, 80.80, 69.89]);
        near(cielab([0, 0, 255]), [29.57, 68.30, -112.03]);
    }
}
