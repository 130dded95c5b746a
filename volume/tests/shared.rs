//! Real DICOM series against their NIfTI files, in `../shared/volumes` beside the repository.

mod support;

use std::path::PathBuf;

use support::floats;
use umedsam_volume::{Axis, Nifti, Volume, read_dicom, read_folder};

/// The folder of real volumes; without it a test says that it is skipped.
fn shared() -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let places = [std::env::var_os("UMEDSAM_SHARED").map(PathBuf::from), Some(root.join("../shared"))];
    let found = places.into_iter().flatten().map(|place| place.join("volumes")).find(|place| place.is_dir());
    if found.is_none() {
        eprintln!("SKIPPED: ../shared/volumes is not there");
    }
    found
}

fn listed(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The place of a voxel, mm.
fn place(affine: &[[f64; 4]; 3], voxel: [usize; 3]) -> [f64; 3] {
    affine.map(|row| (0..3).map(|axis| row[axis] * voxel[axis] as f64).sum::<f64>() + row[3])
}

#[test]
fn real_series_have_the_voxels_and_places_of_their_nifti_files() {
    let Some(shared) = shared() else { return };
    let mut count = 0;
    for patient in ["STS_002", "STS_003"] {
        for folder in listed(&shared.join("dicom").join(patient)) {
            let modality = folder.file_name().unwrap().to_str().unwrap().to_owned();
            let found = read_folder(&folder.join("image")).unwrap();
            assert_eq!((found.series.len(), found.rejected.len()), (1, 0), "{modality}");
            let series = &found.series[0];
            let is_twin = |path: &PathBuf| {
                let name = path.file_name().unwrap().to_str().unwrap();
                name.starts_with(&modality) && name.contains("_image")
            };
            let twin = listed(&shared.join("nifti").join(patient)).into_iter().find(is_twin).unwrap();
            let nifti = Nifti::new(std::fs::read(twin).unwrap()).unwrap();
            let (a, b) = (series.geometry(), nifti.geometry());
            assert_eq!(a.size, b.size, "{patient} {modality}");
            // Slices and rows may be stored the other way round: whichever way voxels lie at the same places, they have the same values.
            let flips = (0..8).map(|number| [number & 1 != 0, number & 2 != 0, number & 4 != 0]);
            let flipped = |flip: [bool; 3], voxel: [usize; 3]| -> [usize; 3] {
                std::array::from_fn(|axis| if flip[axis] { a.size[axis] - 1 - voxel[axis] } else { voxel[axis] })
            };
            let last = a.size.map(|length| length - 1);
            let corners = [[0, 0, 0], [last[0], 0, 0], [0, last[1], 0], [0, 0, last[2]], last];
            let is_same = |flip: &[bool; 3]| {
                corners.iter().all(|&corner| {
                    let (a, b) = (place(&a.affine, corner), place(&b.affine, flipped(*flip, corner)));
                    a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.05)
                })
            };
            let Some(flip) = flips.into_iter().find(is_same) else {
                panic!("{patient} {modality}: {:?} lies elsewhere than {:?}", a.affine, b.affine);
            };
            for slice in 0..a.size[2] {
                let ours = floats(series.read(Axis::Slices, slice).unwrap());
                let [_, _, other] = flipped(flip, [0, 0, slice]);
                let twin = floats(nifti.read(Axis::Slices, other).unwrap());
                for (index, value) in ours.iter().enumerate() {
                    let [x, y, _] = flipped(flip, [index % a.size[0], index / a.size[0], slice]);
                    let wanted = twin[y * a.size[0] + x];
                    assert!(
                        (value - wanted).abs() <= 1e-2 * value.abs().max(1.0),
                        "{patient} {modality} {slice}: {value}, not {wanted}"
                    );
                }
            }
            assert!(series.source().unwrap().is_placed() && series.source().unwrap().check().is_ok());
            let masks = listed(&folder.join("mask"));
            let refused = read_dicom(&masks).unwrap_err().to_string();
            assert!(refused.contains("contours (RTSTRUCT), not an image"), "{refused}");
            count += 1;
        }
    }
    assert_eq!(count, 6);
}
