//! Objects followed through the slices of a volume.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use umedsam::propagation::{
    EncodedSlices, PropagatedSlice, Propagation, PropagationOptions, VoxelCounts, in_eight_bits, propagate,
};
use umedsam::segment::{SegmentOptions, Unpaced};
use umedsam::volume::{Turn, Turned};
use umedsam::{Error, Result};

use super::export::{Exported, ObjectMaps};
use super::input::OpenVolume;
use super::one_slice::{no_prompts, stored_picture};
use super::{Arguments, BoxArgument, Format, Loaded, elapsed_ms, formats};
use crate::pictures;

/// Encodings that are kept, 4 to 12 MB each.
const ENCODINGS_KEPT: usize = 24;

pub fn run(arguments: &Arguments, options: &SegmentOptions, volume: &OpenVolume) -> Result<()> {
    let mut objects = objects(arguments, volume)?;
    let Loaded { segmenter, sha256, load_ms } = Loaded::new(arguments)?;
    let wanted = formats::wanted(arguments);
    let (with_uncertainty, with_maps) = (formats::needs_uncertainty(&wanted), formats::needs_maps(&wanted));
    let mut exported = Exported::of_volume(volume);
    exported.objects = objects.iter().map(|_| ObjectMaps::default()).collect();
    let mut reports: Vec<ObjectReport> = objects.iter().map(ObjectReport::new).collect();
    let folder = &arguments.out_dir;
    std::fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;

    let bar = ProgressBar::new(objects.iter().map(Propagation::most_left).max().unwrap_or(0) as u64);
    bar.set_style(ProgressStyle::with_template("slices {bar:40} {pos} of at most {len}").expect("a constant template"));
    let encode_ms = std::cell::Cell::new(0.0);
    let shown = std::cell::RefCell::new(None);
    let turn = volume.slice(0)?.1;
    let start = Instant::now();
    let encode = async |slice: usize| {
        let started = Instant::now();
        let (picture, _) = volume.slice(slice)?;
        let window = arguments.window.unwrap_or_else(|| volume.window(slice));
        let invert = arguments.invert != volume.volume().is_inverted();
        let preprocessed = segmenter.preprocess(&picture.view()?.inverted(invert), window)?;
        let mut image = segmenter.encode(&preprocessed, |_| ());
        segmenter.encode_flips(&preprocessed, &options.uncertainty, &mut image, &mut Unpaced(|_| ())).await?;
        shown.replace(Some((slice, preprocessed.windowed.clone())));
        encode_ms.set(encode_ms.get() + elapsed_ms(started));
        bar.inc(1);
        Ok(image)
    };
    let visit = |index: usize, PropagatedSlice { slice, segmentation, end }: PropagatedSlice| {
        let segmentation = turn.stored_segmentation(segmentation);
        reports[index].add(slice, &segmentation, end.is_some(), json!(end));
        if end.is_some() {
            return Ok(());
        }
        exported.add_of(index, slice, &segmentation);
        if with_maps {
            exported.objects[index].add(slice, &segmentation, with_uncertainty);
        }
        let picture = shown.borrow().as_ref().filter(|(other, _)| *other == slice).map(|(_, picture)| picture.clone());
        if let (true, Some(picture)) = (wanted.contains(&Format::Png), picture) {
            let folder = folder.join(formats::slice_folder(slice));
            std::fs::create_dir_all(&folder).map_err(|error| Error::file(&folder, error))?;
            let picture = stored_picture(&turn, &picture);
            pictures::write(segmentation, index, volume.stored(), Some(&picture), &folder)?;
        }
        Ok(())
    };
    let mut encoded = EncodedSlices::new(ENCODINGS_KEPT);
    let pace = &mut Unpaced(|_| ());
    pollster::block_on(propagate(&mut objects, &segmenter, options, &mut encoded, encode, visit, pace))?;
    let all_ms = elapsed_ms(start);
    bar.finish_and_clear();

    exported.slices.sort_unstable();
    let mut files = vec![formats::write_labelmap(&exported, volume, folder)?];
    files.extend(formats::write(&wanted, &exported, &segmenter, &sha256, folder)?);
    let voxel_mm3 = volume.geometry().voxel_mm3();
    let objects: Vec<Value> = reports.into_iter().map(|report| report.finish(voxel_mm3)).collect();
    for object in &objects {
        println!("{}", sentence(object));
    }
    let report = json!({
        "image": {
            "path": pictures::name_of(&arguments.image), "size": volume.geometry().size, "axis": arguments.axis,
            "spacing_mm": volume.geometry().spacing(),
        },
        "weights": segmenter.metadata(),
        "window": arguments.window.unwrap_or_else(|| volume.window(0)),
        "options": options,
        "objects": objects,
        "files": files,
        "timings_ms": { "load": load_ms, "encode": encode_ms.get(), "all": all_ms },
    });
    let path = folder.join("result.json");
    std::fs::write(&path, format!("{report:#}\n")).map_err(|error| Error::file(&path, error))
}

/// The objects in the order of the boxes, then of the prompts.
fn objects(arguments: &Arguments, volume: &OpenVolume) -> Result<Vec<Propagation>> {
    if !arguments.has_prompts() {
        return Err(no_prompts(arguments));
    }
    let (depth, turn) = (volume.slices(), volume.slice(0)?.1);
    let [width, height] = volume.stored();
    let options = PropagationOptions { range: arguments.range, stop: arguments.stop };
    let mut objects = Vec::new();
    for corners in &arguments.boxes {
        objects.push(match *corners {
            BoxArgument::Slice(corners) => {
                let slice = volume.chosen(arguments)?;
                Propagation::new(turn.upright_prompt(&corners.into()), slice, depth, &options)?
            }
            BoxArgument::Volume(corners) => of_box(corners, &turn, [width, height, depth])?,
        });
    }
    for argument in &arguments.prompts {
        let prompt = argument.clone().read(width, height)?;
        objects.push(Propagation::new(turn.upright_prompt(&prompt), volume.chosen(arguments)?, depth, &options)?);
    }
    let most = usize::from(u8::MAX);
    match objects.len() > most {
        true => Err(Error::InvalidOption(format!("{} objects; a labelmap holds at most {most}", objects.len()))),
        false => Ok(objects),
    }
}

/// A box around an object, whose sides across the slices are checked as those of a slice are.
fn of_box([x0, y0, z0, x1, y1, z1]: [f64; 6], turn: &Turn, [width, height, depth]: [usize; 3]) -> Result<Propagation> {
    let corners = umedsam::image::BoundingBox::checked([x0, y0, x1, y1], width, height)?.0;
    let [x0, y0, x1, y1] = turn.upright_box(corners);
    Propagation::of_box([x0, y0, z0.min(z1), x1, y1, z0.max(z1)], depth)
}

/// What result.json says of an object.
struct ObjectReport {
    prompted: usize,
    slices: Vec<Value>,
    /// Expected DSC of the slices that someone should look at.
    to_review: Vec<(f64, usize)>,
    counts: VoxelCounts,
}

impl ObjectReport {
    fn new(object: &Propagation) -> Self {
        let prompted = object.next_slice().unwrap_or(0);
        Self { prompted, slices: Vec::new(), to_review: Vec::new(), counts: VoxelCounts::default() }
    }

    fn add(&mut self, slice: usize, found: &umedsam::segment::Segmentation, is_end: bool, end: Value) {
        if !is_end {
            self.counts.add(&found.mask, &in_eight_bits(&found.probability));
            if found.needs_review == Some(true) {
                self.to_review.push((found.expected_dsc, slice));
            }
        }
        let total = &found.uncertainty.total;
        let mean = total.iter().map(|&value| f64::from(value)).sum::<f64>() / total.len() as f64;
        self.slices.push(json!({
            "slice": slice,
            "distance": slice.abs_diff(self.prompted),
            "box": found.bounding_box,
            "area_pixels": found.area,
            "predicted_iou": found.predicted_iou,
            "expected_dsc": found.expected_dsc,
            "needs_review": found.needs_review,
            "calibration": found.calibration,
            "mean_uncertainty_bits": mean,
            "end": end,
        }));
    }

    fn finish(mut self, voxel_mm3: f64) -> Value {
        self.slices.sort_by_key(|slice| slice["slice"].as_u64());
        self.to_review.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        let to_review: Vec<usize> = self.to_review.iter().map(|&(_, slice)| slice).collect();
        json!({
            "prompted_slice": self.prompted,
            "slices": self.slices,
            "slices_to_review": to_review,
            "volume": self.counts.volume(voxel_mm3),
        })
    }
}

fn sentence(object: &Value) -> String {
    let inside =
        object["slices"].as_array().map_or(0, |slices| slices.iter().filter(|slice| slice["end"].is_null()).count());
    let volume = &object["volume"];
    let review = object["slices_to_review"].as_array().map_or(0, Vec::len);
    format!(
        "{inside} slices from slice {}, {:.2} ml ({:.2} to {:.2}), {review} slices to check",
        object["prompted_slice"],
        volume["ml"].as_f64().unwrap_or(0.0),
        volume["interval_ml"][0].as_f64().unwrap_or(0.0),
        volume["interval_ml"][1].as_f64().unwrap_or(0.0),
    )
}
