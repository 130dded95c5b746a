//! A DICOM series of the site's sample volume, byte by byte; one file a slice.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use umedsam_webdriver::dicom::{self, element};

const COLUMNS: usize = 128;
const ROWS: usize = 128;
/// Slices of the sample that are written.
const SLICES: std::ops::Range<usize> = 16..25;

/// Writes the series into a folder; its files in the order of their positions.
pub fn write(sample: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(sample)?).read_to_end(&mut bytes)?;
    let short = |at: usize| i16::from_le_bytes([bytes[at], bytes[at + 1]]);
    ensure!((short(42), short(44), short(70)) == (128, 128, 4), "the sample is another one");
    let float = |at: usize| f32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let begin = float(108) as usize;
    // Its columns run to the patient's right, its rows to the front: NIfTI's axes, the reverse of two of DICOM's.
    let origin = [-float(292), -float(308), float(324)];
    SLICES
        .map(|slice| {
            let length = 2 * COLUMNS * ROWS;
            let pixels = &bytes[begin + slice * length..][..length];
            let position = [origin[0], origin[1], origin[2] + slice as f32 * float(88)];
            let path = folder.join(format!("{slice}.dcm"));
            std::fs::write(&path, image(slice, position, [float(84), float(80)], pixels))?;
            Ok(path)
        })
        .collect::<Result<_>>()
        .context("writing the series")
}

fn image(slice: usize, position: [f32; 3], spacing: [f32; 2], pixels: &[u8]) -> Vec<u8> {
    let class = b"1.2.840.10008.5.1.4.1.1.2";
    let name = format!("2.25.7{slice}");
    let meta = [
        element(2, 2, b"UI", class),
        element(2, 3, b"UI", name.as_bytes()),
        element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1"),
    ]
    .concat();
    let number = |value: usize| (value as u16).to_le_bytes();
    let numbers = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join("\\");
    let dataset = [
        element(8, 5, b"CS", b"ISO_IR 192"),
        element(8, 0x16, b"UI", class),
        element(8, 0x18, b"UI", name.as_bytes()),
        element(8, 0x20, b"DA", b"20260102"),
        element(8, 0x30, b"TM", b"101112"),
        element(8, 0x50, b"SH", b"ACC1"),
        element(8, 0x60, b"CS", b"CT"),
        element(8, 0x1030, b"LO", b"Chest"),
        element(8, 0x103e, b"LO", b"Chest sample"),
        element(0x10, 0x10, b"PN", "M\u{fc}ller^Anna".as_bytes()),
        element(0x10, 0x20, b"LO", b"SAMPLE"),
        element(0x18, 0x50, b"DS", b"10"),
        element(0x20, 0xd, b"UI", b"2.25.71"),
        element(0x20, 0xe, b"UI", b"2.25.72"),
        element(0x20, 0x11, b"IS", b"3"),
        element(0x20, 0x13, b"IS", (slice + 1).to_string().as_bytes()),
        element(0x20, 0x32, b"DS", numbers(&position).as_bytes()),
        element(0x20, 0x37, b"DS", b"-1\\0\\0\\0\\-1\\0"),
        element(0x20, 0x52, b"UI", b"2.25.73"),
        element(0x28, 2, b"US", &number(1)),
        element(0x28, 4, b"CS", b"MONOCHROME2"),
        element(0x28, 0x10, b"US", &number(ROWS)),
        element(0x28, 0x11, b"US", &number(COLUMNS)),
        element(0x28, 0x30, b"DS", numbers(&spacing).as_bytes()),
        element(0x28, 0x100, b"US", &number(16)),
        element(0x28, 0x101, b"US", &number(16)),
        element(0x28, 0x102, b"US", &number(15)),
        element(0x28, 0x103, b"US", &number(1)),
        element(0x28, 0x1050, b"DS", b"40"),
        element(0x28, 0x1051, b"DS", b"400"),
        element(0x28, 0x1052, b"DS", b"0"),
        element(0x28, 0x1053, b"DS", b"1"),
        element(0x7fe0, 0x10, b"OW", pixels),
    ];
    dicom::file(&meta, &dataset.concat())
}
