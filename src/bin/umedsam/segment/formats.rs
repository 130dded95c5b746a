//! The files that others read.

use std::io::Write;
use std::path::Path;

use chrono::Local;
use flate2::Compression;
use flate2::write::GzEncoder;
use umedsam::segment::Segmenter;
use umedsam::{Error, Result};
use umedsam_export::{Algorithm, Masks, NamedMask, Quantity, Source, Voxels, Writing};

use super::export::Exported;
use super::input::{Input, OpenVolume};
use super::{Arguments, Format};

/// What NIfTI files say of themselves.
const DESCRIPTION: &str = concat!("umedsam ", env!("CARGO_PKG_VERSION"));

/// The formats that were asked for, each once.
pub fn wanted(arguments: &Arguments) -> Vec<Format> {
    let mut wanted = arguments.formats.clone();
    if wanted.is_empty() && !arguments.propagate {
        wanted.push(Format::Png);
    }
    wanted.sort();
    wanted.dedup();
    wanted
}

/// Whether labels and maps of the whole source are needed.
pub fn needs_maps(wanted: &[Format]) -> bool {
    wanted.iter().any(|&format| format != Format::Png)
}

/// Whether maps of uncertainty are.
pub fn needs_uncertainty(wanted: &[Format]) -> bool {
    wanted.iter().any(|format| matches!(format, Format::Nifti | Format::ParametricMap))
}

/// Refuses formats that cannot be written of what is open, before any work.
pub fn check(arguments: &Arguments, input: &Input) -> Result<()> {
    let volume = match input {
        Input::Picture(_) => None,
        Input::Volume(volume) => Some(&**volume),
    };
    let is_placed = volume.is_some_and(|volume| volume.grid().is_some());
    let source = volume.map(OpenVolume::source).transpose()?.flatten();
    // DICOM's frames lie across the third axis.
    let is_across_others = arguments.axis != 2;
    for format in wanted(arguments) {
        let needed = match format {
            Format::Png | Format::CocoRle | Format::Geojson => None,
            Format::Nifti | Format::SegNrrd => (!is_placed).then_some("a volume that says where it lies"),
            _ if source.is_none() => Some("a DICOM series, to whose frames it refers"),
            _ => is_across_others.then_some("slices across axis 2, DICOM's frames"),
        };
        let name = clap::ValueEnum::to_possible_value(&format).expect("every format has a name");
        let fail = |message: String| {
            let (name, path) = (name.get_name(), arguments.image.display());
            Err(Error::InvalidOption(format!("{path}: --format {name} {message}")))
        };
        match (needed, &source) {
            (Some(needed), _) => return fail(format!("needs {needed}; leave it out")),
            (None, Some(source)) if is_dicom(format) => {
                if let Err(error) = source.check() {
                    return fail(format!("cannot be written: {error}"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_dicom(format: Format) -> bool {
    matches!(format, Format::Seg | Format::LabelmapSeg | Format::FractionalSeg | Format::ParametricMap)
}

/// Writes every format but pictures, and the labels of what was propagated; returns the files' names.
pub fn write(
    arguments: &Arguments,
    exported: &Exported,
    segmenter: &Segmenter,
    weights_sha256: &str,
) -> Result<Vec<String>> {
    let wanted = wanted(arguments);
    let mut files = Files { folder: &arguments.out_dir, is_volume: arguments.propagate, names: Vec::new() };
    let source = exported.source()?;
    let writing = writing(segmenter, weights_sha256);
    // Images without a place have no grid.
    let placed = exported.volume.filter(|volume| volume.grid().is_some());
    if let Some(volume) = placed.filter(|_| arguments.propagate || wanted.contains(&Format::Nifti)) {
        files.put_packed("labelmap.nii.gz", &volume.nifti(Voxels::U8(exported.labels.labels()), DESCRIPTION)?)?;
    }
    for format in wanted {
        match (format, placed, &source) {
            (Format::Nifti, Some(volume), _) => nifti_maps(exported, volume, &mut files)?,
            (Format::SegNrrd, Some(volume), _) => seg_nrrd(exported, volume, &mut files)?,
            (Format::CocoRle | Format::Geojson, ..) => text(format, exported, &mut files)?,
            (_, _, Some(source)) if is_dicom(format) => dicom(format, exported, source, &writing, &mut files)?,
            _ => {}
        }
    }
    Ok(files.names)
}

fn writing(segmenter: &Segmenter, weights_sha256: &str) -> Writing {
    let now = Local::now();
    Writing {
        date: now.format("%Y%m%d").to_string(),
        time: now.format("%H%M%S").to_string(),
        series_number: 1000,
        series_description: "umedsam segmentation".into(),
        algorithm: Algorithm {
            name: segmenter.metadata().architecture.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            weights_sha256: weights_sha256.into(),
        },
        seed: String::new(),
    }
}

struct Files<'a> {
    folder: &'a Path,
    /// Whether slices have folders of their own.
    is_volume: bool,
    names: Vec<String>,
}

impl Files<'_> {
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        let folder = path.parent().expect("it is in the folder");
        std::fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
        std::fs::write(&path, bytes).map_err(|error| Error::file(&path, error))?;
        self.names.push(name.into());
        Ok(())
    }

    fn put_packed(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        let packed = packed.write_all(bytes).and_then(|()| packed.finish());
        self.put(name, &packed.map_err(|error| Error::file(Path::new(name), error))?)
    }
}

fn explained<T>(result: umedsam_export::Result<T>) -> Result<T> {
    result.map_err(|error| Error::InvalidOption(error.to_string()))
}

fn nifti_maps(exported: &Exported, volume: &OpenVolume, files: &mut Files) -> Result<()> {
    for index in 0..exported.objects.len() {
        for (name, values) in exported.maps(index) {
            files.put_packed(&format!("{name}_{index}.nii.gz"), &volume.nifti(Voxels::F32(&values), DESCRIPTION)?)?;
        }
    }
    Ok(())
}

fn seg_nrrd(exported: &Exported, volume: &OpenVolume, files: &mut Files) -> Result<()> {
    let Some(grid) = volume.grid() else { return Ok(()) };
    let bytes = explained(umedsam_export::seg_nrrd(&grid, exported.labels.labels(), &exported.segments()))?;
    files.put("segmentation.seg.nrrd", &bytes)
}

/// One file of a picture or of one slice; of a volume one for each of its slices.
fn text(format: Format, exported: &Exported, files: &mut Files) -> Result<()> {
    let segments = exported.segments();
    for &slice in &exported.slices {
        let labels = exported.labels_of(slice);
        let mask = |index: usize| labels.iter().map(|&label| u8::from(usize::from(label) == index + 1)).collect();
        let masks: Vec<Vec<u8>> = (0..segments.len()).map(mask).collect();
        let named: Vec<NamedMask> = masks
            .iter()
            .zip(&segments)
            .map(|(mask, segment)| NamedMask { mask, label: &segment.label, color: segment.color })
            .collect();
        let (name, text) = match format {
            Format::CocoRle => ("coco.json", umedsam_export::coco(&named, exported.stored)),
            _ => ("geojson", umedsam_export::geojson(&named, exported.stored)),
        };
        let name = match files.is_volume {
            false => format!("masks.{name}"),
            true => format!("{}/masks.{name}", slice_folder(slice)),
        };
        files.put(&name, explained(text)?.as_bytes())?;
    }
    Ok(())
}

/// The folder of a slice's files.
pub fn slice_folder(slice: usize) -> String {
    format!("slice_{slice:04}")
}

fn dicom(format: Format, exported: &Exported, source: &Source, writing: &Writing, files: &mut Files) -> Result<()> {
    let segments = exported.segments();
    let labels = exported.labels.labels();
    let write = |masks: Masks| explained(umedsam_export::segmentation(source, &segments, masks, writing));
    match format {
        Format::Seg => files.put("segmentation.dcm", &write(Masks::Binary(labels))?),
        Format::LabelmapSeg => files.put("segmentation_labelmap.dcm", &write(Masks::Labelmap(labels))?),
        Format::FractionalSeg => {
            let all: Vec<Vec<u8>> = exported.objects.iter().map(|maps| exported.dense(&maps.probability)).collect();
            let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
            files.put("segmentation_fractional.dcm", &write(Masks::Fractional(&all))?)
        }
        _ => {
            let quantities = [Quantity::Probability, Quantity::TotalUncertainty];
            for index in 0..exported.objects.len() {
                for ((name, values), quantity) in exported.maps(index).into_iter().zip(quantities) {
                    let seed = format!("object {index}");
                    let writing = Writing { seed, series_description: format!("umedsam {name}"), ..writing.clone() };
                    let bytes = explained(umedsam_export::parametric_map(source, &values, quantity, &writing))?;
                    files.put(&format!("{name}_{index}.dcm"), &bytes)?;
                }
            }
            Ok(())
        }
    }
}
