//! `umedsam segment`

mod arguments;
mod export;
mod formats;
mod input;
mod one_slice;
mod volume;

use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::Device;
use clap::Args;
use umedsam::image::Window;
use umedsam::propagation::Stop;
use umedsam::segment::{SegmentOptions, Segmenter};
use umedsam::uncertainty::UncertaintyOptions;
use umedsam::volume::Axis;
use umedsam::{Error, Result};

pub use arguments::{MaskArgument, ZoomArgument};

use super::prompt::{self, PromptArgument};
use arguments::{BoxArgument, Format};
use input::Input;

#[derive(Args)]
pub struct Arguments {
    /// The weight file; by default umedsam's own weights, which are part of this program
    #[arg(long)]
    weights: Option<PathBuf>,
    /// The image: PNG, JPEG, WebP, TIFF, BMP, GIF (first frame), or a 2D challenge .npz; upright by its Exif orientation, transparent parts over black. Or a volume:
    /// NIfTI (.nii, .nii.gz), a DICOM file, or a folder of them: slices are turned upright for the network, and boxes and results are those of the stored slice
    #[arg(long)]
    image: PathBuf,
    /// The slice of a volume, counted from 0 along the axis; slices of a DICOM series by their position
    #[arg(long)]
    slice: Option<usize>,
    /// The stored axis that slices are taken across: 0 (columns), 1 (rows) or 2 (slices)
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=2))]
    axis: u8,
    /// The volume of a NIfTI file with several, counted from 0
    #[arg(long, default_value_t = 0)]
    frame: usize,
    /// The series of a DICOM folder, counted from 0; by default the one with most frames
    #[arg(long)]
    series: Option<usize>,
    /// A box x0,y0,x1,y1 in pixels; may be repeated, and replaces the boxes of a .npz. With --propagate also x0,y0,z0,x1,y1,z1 around an object, which is followed from
    /// the middle of its slices z0 to z1 to both ends
    #[arg(long = "box", value_parser = arguments::parse_box, allow_hyphen_values = true)]
    boxes: Vec<BoxArgument>,
    /// An object by any of box=x0,y0,x1,y1, point=+x,y (inside), point=-x,y (outside), scribble=+x,y;x,y;… and mask=FILE (an earlier mask of the image's size,
    /// inside brighter than half of the brightest), separated by spaces; may be repeated, and comes after the boxes
    #[arg(long = "prompt", value_parser = prompt::parse)]
    prompts: Vec<PromptArgument>,
    /// How intensities become 8 bits: auto, min-max, percentiles:LOW,HIGH or level:CENTER,WIDTH; by default the window that a DICOM file offers first, or auto
    #[arg(long, value_parser = arguments::parse_window, allow_hyphen_values = true)]
    window: Option<Window>,
    /// High values are dark, as in DICOM's MONOCHROME1; files that say so are inverted without it
    #[arg(long)]
    invert: bool,
    /// How the uncertainty is found: none (a single pass, the default with --propagate), default, or
    /// samples=K,jitter=PIXELS,multimask=SHARE,flips=BOOL,seed=N
    #[arg(long)]
    uncertainty: Option<UncertaintyOptions>,
    /// Bound of the outer mask's expected misses and of the inner mask's expected false alarms, between 0 and 1
    #[arg(long, default_value_t = 0.1)]
    alpha: f64,
    /// How often that bound may fail for an object, between 0 and 1; without it the bound holds in expectation
    #[arg(long)]
    delta: Option<f64>,
    /// What the mask is: the network's for the box, or where the ensemble's calibrated probability is above one half
    #[arg(long, value_enum, default_value = "network")]
    mask: MaskArgument,
    /// Whether small boxes are looked at closer, in a crop around the box: auto where the weights were calibrated for it
    #[arg(long, value_enum, default_value = "off")]
    zoom: ZoomArgument,
    /// Leave probabilities as the network gives them
    #[arg(long)]
    uncalibrated: bool,
    /// Follow the objects through the other slices of the volume, from the prompted one to both ends
    #[arg(long)]
    propagate: bool,
    /// The first and the last slice to look at, FIRST,LAST; by default all. Without --stop nothing but its ends stops
    #[arg(long, requires = "propagate", value_parser = arguments::parse_range)]
    range: Option<[usize; 2]>,
    /// When a direction ends before: never, or any of empty=SLICES (so many in a row without a mask), dsc=X (the expected DSC is lower), area=X (the mask is smaller
    /// than this share of the prompted slice's) and presence=X (a click in the middle of the mask before finds it less, beside the best so far), separated by commas;
    /// what is left out is the default, empty=1,area=0.02,presence=0.85
    #[arg(long, requires = "propagate", value_parser = arguments::parse_stop)]
    stop: Option<Stop>,
    /// What to write, separated by commas; by default png, and with --propagate the labelmap.nii.gz alone, which is always written then
    #[arg(long = "format", value_enum, value_delimiter = ',')]
    formats: Vec<Format>,
    /// The folder for mask_N.png, probability_N.png, uncertainty_N.png, with calibrated weights outer_N.png and inner_N.png (N from 0, one
    /// per object), and result.json
    #[arg(long)]
    out_dir: PathBuf,
}

impl Arguments {
    fn options(&self) -> Result<SegmentOptions> {
        let uncertainty = self.uncertainty.unwrap_or(match self.propagate {
            true => UncertaintyOptions::single_pass(),
            false => UncertaintyOptions::default(),
        });
        SegmentOptions {
            uncertainty,
            alpha: self.alpha,
            delta: self.delta,
            calibrated: !self.uncalibrated,
            mask: self.mask.into(),
            zoom: self.zoom.into(),
        }
        .checked()
    }

    fn axis(&self) -> Axis {
        Axis::ALL[usize::from(self.axis)]
    }

    fn has_prompts(&self) -> bool {
        !self.boxes.is_empty() || !self.prompts.is_empty()
    }
}

/// Weights that are loaded, and what files say of them.
struct Loaded {
    segmenter: Segmenter,
    sha256: String,
    load_ms: f64,
}

impl Loaded {
    fn new(arguments: &Arguments) -> Result<Self> {
        let start = Instant::now();
        let bytes = super::weights::read(arguments.weights.as_ref())?;
        let sha256 = umedsam::weights::sha256_hex(&bytes);
        let segmenter = Segmenter::from_weights(bytes, &Device::flex())?;
        Ok(Self { segmenter, sha256, load_ms: elapsed_ms(start) })
    }
}

/// What weights say of themselves, without the history of their training, which `umedsam info` tells.
fn weights_of(segmenter: &Segmenter) -> serde_json::Value {
    let mut said = serde_json::to_value(segmenter.metadata()).unwrap_or_default();
    if let Some(said) = said.as_object_mut() {
        said.remove("training");
    }
    said
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let options = arguments.options()?;
    let input = Input::open(arguments)?;
    if let Input::Volume(volume) = &input {
        volume.volume().problems().iter().for_each(|problem| eprintln!("note: {problem}"));
    }
    formats::check(arguments, &input)?;
    match (arguments.propagate, input) {
        (false, input) => one_slice::run(arguments, &options, input),
        (true, Input::Volume(volume)) => volume::run(arguments, &options, &volume),
        (true, Input::Picture(_)) => {
            let path = arguments.image.display();
            Err(Error::InvalidOption(format!("{path} is no volume to propagate in; leave --propagate out")))
        }
    }
}

fn elapsed_ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
