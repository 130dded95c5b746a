//! Files of odd grids, byte by byte.

use std::path::PathBuf;

use anyhow::Result;
use umedsam_webdriver::dicom::{self, element};

/// Keeps a file for the page to open.
pub fn written(name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("umedsam-cornerstone-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(name);
    std::fs::write(&path, bytes)?;
    Ok(path)
}

/// Something like an organ: an ellipsoid that is brighter than what is around it, with stripes.
fn value([i, j, k]: [usize; 3], size: [usize; 3]) -> i16 {
    let share = |at: usize, of: usize| (at as f64 + 0.5) / of as f64 - 0.5;
    let (x, y, z) = (share(i, size[0]), share(j, size[1]), share(k, size[2]));
    let radius = ((x + 0.05).powi(2) / 0.06 + (y - 0.03).powi(2) / 0.09 + z.powi(2) / 0.12).sqrt();
    let stripes = ((i * 7 + j * 3 + k * 5) % 11) as i16;
    if radius < 1.0 { 90 + stripes } else { -40 + 2 * stripes }
}

/// A NIfTI file whose columns run down the body, whose rows run to the back and whose slices run from left to right, with voxels of three lengths.
pub fn turned() -> Vec<u8> {
    let size = [30, 44, 26];
    let mut bytes = vec![0; 352];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &348i32.to_le_bytes());
    for (index, length) in [3, 30, 44, 26, 1, 1, 1, 1].into_iter().enumerate() {
        put(40 + 2 * index, &i16::to_le_bytes(length));
        put(76 + 4 * index, &1f32.to_le_bytes());
    }
    put(70, &4i16.to_le_bytes());
    put(72, &16i16.to_le_bytes());
    put(108, &352f32.to_le_bytes());
    put(252, &[0, 0, 1, 0]);
    // sform, RAS: x from the slices, y from the rows, z from the columns.
    let lines = [[0.0, 0.0, 2.5, -30.0], [0.0, -0.9, 0.0, 25.0], [-1.7, 0.0, 0.0, 40.0]];
    for (index, number) in lines.iter().flatten().enumerate() {
        put(280 + 4 * index, &f32::to_le_bytes(*number));
    }
    put(344, b"n+1\0");
    for k in 0..size[2] {
        for j in 0..size[1] {
            for i in 0..size[0] {
                bytes.extend(value([i, j, k], size).to_le_bytes());
            }
        }
    }
    bytes
}

/// A CT series that lies on its head and face, pixels twice as high as wide, signed and rescaled; one file a slice.
pub fn upside_down() -> Vec<Vec<u8>> {
    let size = [48, 32, 10];
    (0..size[2]).map(|slice| image(slice, size)).collect()
}

fn image(slice: usize, size: [usize; 3]) -> Vec<u8> {
    let [columns, rows, _] = size;
    let class = b"1.2.840.10008.5.1.4.1.1.2";
    let name = format!("1.2.3.4.{}", slice + 1);
    let meta = [
        element(2, 2, b"UI", class),
        element(2, 3, b"UI", name.as_bytes()),
        element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1"),
    ]
    .concat();
    // Stored values are half of Hounsfield units, from -1000 on.
    let stored = |pixel: usize| i16::midpoint(value([pixel % columns, pixel / columns, slice], size), 1000);
    let pixels: Vec<u8> = (0..columns * rows).flat_map(|pixel| stored(pixel).to_le_bytes()).collect();
    let number = |value: usize| (value as u16).to_le_bytes();
    let position = format!("20\\30\\{}", -12.0 + 4.0 * slice as f64);
    let dataset = [
        element(8, 0x16, b"UI", class),
        element(8, 0x18, b"UI", name.as_bytes()),
        element(8, 0x60, b"CS", b"CT"),
        element(0x20, 0xd, b"UI", b"1.2.3"),
        element(0x20, 0xe, b"UI", b"1.2.3.5"),
        element(0x20, 0x13, b"IS", (slice + 1).to_string().as_bytes()),
        element(0x20, 0x32, b"DS", position.as_bytes()),
        element(0x20, 0x37, b"DS", b"-1\\0\\0\\0\\-1\\0"),
        element(0x20, 0x52, b"UI", b"1.2.3.6"),
        element(0x28, 2, b"US", &number(1)),
        element(0x28, 4, b"CS", b"MONOCHROME2"),
        element(0x28, 0x10, b"US", &number(rows)),
        element(0x28, 0x11, b"US", &number(columns)),
        element(0x28, 0x30, b"DS", b"2\\1"),
        element(0x28, 0x100, b"US", &number(16)),
        element(0x28, 0x101, b"US", &number(16)),
        element(0x28, 0x102, b"US", &number(15)),
        element(0x28, 0x103, b"US", &number(1)),
        element(0x28, 0x1050, b"DS", b"40"),
        element(0x28, 0x1051, b"DS", b"250"),
        element(0x28, 0x1052, b"DS", b"-1000"),
        element(0x28, 0x1053, b"DS", b"2"),
        element(0x7fe0, 0x10, b"OW", &pixels),
    ];
    dicom::file(&meta, &dataset.concat())
}
