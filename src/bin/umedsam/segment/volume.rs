//! Objects followed through the slices of a volume.

use std::collections::BTreeMap;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use umedsam::propagation::{
    EncodedSlices, PropagatedSlice, Propagation, PropagationOptions, VoxelCounts, in_eight_bits, propagate,
};
use umedsam::segment::{Prompt, SegmentOptions, Unpaced};
use umedsam::volume::{Turn, Turned};
use umedsam::{Error, Result};
use umedsam_picture::{OwnedPixels, Picture};

use super::export::{Exported, ObjectMaps};
use super::input::OpenVolume;
use super::one_slice::{no_prompts, stored_picture};
use super::{Arguments, BoxArgument, Format, Loaded, elapsed_ms, formats};
use crate::pictures;

/// Encodings that are kept, 4 to 12 MB each.
const ENCODINGS_KEPT: usize = 24;

pub fn run(arguments: &Arguments, options: &SegmentOptions, volume: &OpenVolume) -> Result<()> {
    if !arguments.has_prompts() {
        return Err(no_prompts(arguments));
    }
    let Loaded { segmenter, sha256, load_ms } = Loaded::new(arguments)?;
    let mut objects = objects(arguments, volume, segmenter.metadata().config.low_res_size())?;
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
    // What pictures are painted over, as the network saw it.
    let shown = std::cell::RefCell::new(BTreeMap::new());
    let with_pictures = wanted.contains(&Format::Png);
    let turn = volume.turn();
    let start = Instant::now();
    let encode = async |slice: usize| {
        let started = Instant::now();
        let picture = volume.slice(slice)?;
        let picture = if has_values(&picture) { picture } else { black(&picture) };
        let window = arguments.window.unwrap_or_else(|| volume.window(slice));
        let invert = arguments.invert || volume.volume().is_inverted();
        let preprocessed = segmenter.preprocess(&picture.view()?.inverted(invert), window)?;
        let mut image = segmenter.encode(&preprocessed, |_| ());
        segmenter.encode_flips(&preprocessed, &options.uncertainty, &mut image, &mut Unpaced(|_| ())).await?;
        if with_pictures {
            shown.borrow_mut().insert(slice, preprocessed.windowed.clone());
        }
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
        exported.add(index, slice, &segmentation);
        if with_maps {
            exported.objects[index].add(slice, &segmentation, with_uncertainty);
        }
        if let Some(picture) = shown.borrow().get(&slice) {
            let folder = folder.join(formats::slice_folder(slice));
            std::fs::create_dir_all(&folder).map_err(|error| Error::file(&folder, error))?;
            let picture = stored_picture(&turn, picture);
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
    let files = formats::write(arguments, &exported, &segmenter, &sha256)?;
    let voxel_mm3 = volume.volume().is_placed().then(|| volume.geometry().voxel_mm3());
    let voxels =
        |index: usize| exported.labels.labels().iter().filter(|&&label| usize::from(label) == index + 1).count();
    let objects: Vec<Value> =
        reports.into_iter().enumerate().map(|(index, report)| report.finish(voxel_mm3, voxels(index))).collect();
    for (index, object) in objects.iter().enumerate() {
        println!("object {index}: {} → {}", sentence(object), folder.display());
    }
    let report = json!({
        "image": {
            "path": pictures::name_of(&arguments.image), "size": volume.geometry().size, "axis": arguments.axis,
            "spacing_mm": volume.volume().is_placed().then(|| volume.geometry().spacing()),
            "problems": volume.volume().problems(),
        },
        "weights": super::weights_of(&segmenter),
        "propagation": { "range": arguments.range, "stop": arguments.stop },
        "window": arguments.window.unwrap_or_else(|| volume.window(0)),
        "options": options,
        "objects": objects,
        "files": files,
        "timings_ms": { "load": load_ms, "encode": encode_ms.get(), "all": all_ms },
    });
    let path = folder.join("result.json");
    std::fs::write(&path, format!("{report:#}\n")).map_err(|error| Error::file(&path, error))
}

/// Whether any value is a number: slices beside a registered or masked image have none.
fn has_values(picture: &Picture) -> bool {
    match &picture.pixels {
        OwnedPixels::F32(values) => values.iter().any(|value| value.is_finite()),
        _ => true,
    }
}

fn black(picture: &Picture) -> Picture {
    let Picture { width, height, channels, .. } = *picture;
    Picture { pixels: OwnedPixels::U8(vec![0; width * height * channels]), width, height, channels }
}

/// The objects in the order of the boxes, then of the prompts.
fn objects(arguments: &Arguments, volume: &OpenVolume, low_res_size: usize) -> Result<Vec<Propagation>> {
    let (depth, turn) = (volume.slices(), volume.turn());
    let [width, height] = volume.stored();
    let options = PropagationOptions { range: arguments.range, stop: arguments.stop };
    let mut objects = Vec::new();
    for corners in &arguments.boxes {
        objects.push(match *corners {
            BoxArgument::Slice(corners) => {
                let slice = volume.chosen(arguments)?;
                let prompt = Prompt::from(corners).checked(width, height, low_res_size)?;
                Propagation::new(turn.upright_prompt(&prompt), slice, depth, &options)?
            }
            BoxArgument::Volume(corners) if arguments.range.is_some() || arguments.stop.is_some() => {
                let message = format!("{corners:?} says where the object ends; leave --range and --stop out");
                return Err(Error::InvalidOption(message));
            }
            BoxArgument::Volume(corners) => of_box(corners, &turn, [width, height, depth])?,
        });
    }
    for argument in &arguments.prompts {
        let prompt = argument.clone().read(width, height)?.checked(width, height, low_res_size)?;
        objects.push(Propagation::new(turn.upright_prompt(&prompt), volume.chosen(arguments)?, depth, &options)?);
    }
    let most = usize::from(u8::MAX);
    match objects.len() > most {
        true => Err(Error::InvalidOption(format!("{} objects; a labelmap holds at most {most}", objects.len()))),
        false => Ok(objects),
    }
}

/// A box around an object, put in order and within the volume as those of slices are.
fn of_box(corners: [f64; 6], turn: &Turn, [width, height, depth]: [usize; 3]) -> Result<Propagation> {
    let [x0, y0, z0, x1, y1, z1] = corners;
    let (low, high) = (z0.min(z1), z0.max(z1));
    if !(low.is_finite() && high.is_finite() && high >= 0.0 && low <= (depth - 1) as f64) {
        let last = depth - 1;
        return Err(Error::InvalidBox(format!(
            "{corners:?} has none of the slices 0 to {last}; use x0,y0,z0,x1,y1,z1"
        )));
    }
    let [x0, y0, x1, y1] = turn.upright_box(umedsam::image::BoundingBox::checked([x0, y0, x1, y1], width, height)?.0);
    Propagation::of_box([x0, y0, low.max(0.0), x1, y1, high.min((depth - 1) as f64)], depth)
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
            "shift": found.shift.map(pictures::shift),
            "calibration": found.calibration,
            "mean_uncertainty_bits": mean,
            "end": end,
        }));
    }

    fn finish(mut self, voxel_mm3: Option<f64>, labelmap_voxels: usize) -> Value {
        self.slices.sort_by_key(|slice| slice["slice"].as_u64());
        self.to_review.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        let to_review: Vec<usize> = self.to_review.iter().map(|&(_, slice)| slice).collect();
        json!({
            "prompted_slice": self.prompted,
            "slices": self.slices,
            "slices_to_review": to_review,
            // Unknown of images without a place.
            "volume": voxel_mm3.map(|voxel_mm3| self.counts.volume(voxel_mm3)),
            // Fewer where another object is more probable.
            "labelmap_voxels": labelmap_voxels,
        })
    }
}

fn sentence(object: &Value) -> String {
    let inside =
        object["slices"].as_array().map_or(0, |slices| slices.iter().filter(|slice| slice["end"].is_null()).count());
    let volume = &object["volume"];
    let review = object["slices_to_review"].as_array().map_or(0, Vec::len);
    let lost = match (object["labelmap_voxels"].as_u64(), inside) {
        (Some(0), 1..) => ", all of it more probably another object's",
        _ => "",
    };
    let size = match (volume["ml"].as_f64(), &volume["interval_ml"]) {
        (Some(ml), interval) => {
            let end = |index: usize| interval[index].as_f64().unwrap_or(0.0);
            format!("{ml:.2} ml ({:.2} to {:.2})", end(0), end(1))
        }
        _ => format!("{} voxels", object["labelmap_voxels"]),
    };
    format!("slices found, from slice {}: {inside}; {size}{lost}; slices to check: {review}", object["prompted_slice"])
}
