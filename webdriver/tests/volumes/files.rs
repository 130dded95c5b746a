//! Files that nobody has to ship, byte by byte.

use umedsam_webdriver::dicom::{self, element};

/// A cine of three frames without a place, whose patient has a name.
pub fn cine() -> Vec<u8> {
    let number = |value: u16| value.to_le_bytes();
    let class = b"1.2.840.10008.5.1.4.1.1.3.1";
    let meta = [
        element(2, 2, b"UI", class),
        element(2, 3, b"UI", b"1.2.3.4"),
        element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1"),
    ]
    .concat();
    let pixels: Vec<u8> = (0..3 * 48 * 64u32).map(|pixel| (pixel * (1 + pixel / 3072) % 251) as u8).collect();
    let dataset = [
        element(8, 0x16, b"UI", class),
        element(8, 0x18, b"UI", b"1.2.3.4"),
        element(8, 0x60, b"CS", b"US"),
        element(8, 0x103e, b"LO", b"Liver of Jane Doe"),
        element(0x10, 0x10, b"PN", b"Doe^Jane"),
        element(0x10, 0x20, b"LO", b"4711-0815"),
        element(0x20, 0xd, b"UI", b"1.2.3"),
        element(0x20, 0xe, b"UI", b"1.2.3.5"),
        element(0x28, 2, b"US", &number(1)),
        element(0x28, 4, b"CS", b"MONOCHROME2"),
        element(0x28, 8, b"IS", b"3"),
        element(0x28, 0x10, b"US", &number(48)),
        element(0x28, 0x11, b"US", &number(64)),
        element(0x28, 0x100, b"US", &number(8)),
        element(0x28, 0x101, b"US", &number(8)),
        element(0x28, 0x102, b"US", &number(7)),
        element(0x28, 0x103, b"US", &number(0)),
        element(0x7fe0, 0x10, b"OB", &pixels),
    ];
    dicom::file(&meta, &dataset.concat())
}

/// A NIfTI file of floats whose first slices have no values, over three times.
pub fn gaps() -> Vec<u8> {
    let mut bytes = vec![0; 352];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &348i32.to_le_bytes());
    for (index, length) in [4i16, 30, 20, 6, 3, 1, 1, 1].into_iter().enumerate() {
        put(40 + 2 * index, &length.to_le_bytes());
        put(76 + 4 * index, &1f32.to_le_bytes());
    }
    put(70, &16i16.to_le_bytes());
    put(72, &32i16.to_le_bytes());
    put(108, &352f32.to_le_bytes());
    put(344, b"n+1\0");
    for voxel in 0..30 * 20 * 6 * 3 {
        let value = if voxel / 600 % 6 < 2 { f32::NAN } else { (voxel % 97) as f32 + (voxel / 3600 * 40) as f32 };
        bytes.extend(value.to_le_bytes());
    }
    bytes
}
