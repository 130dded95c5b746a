//! `umedsam segment`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Device;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use umedsam::data::{SliceChoice, read_image_or_slice};
use umedsam::image::{Image8, Window};
use umedsam::segment::{MaskSource, Prompt, SegmentOptions, Segmenter, Unpaced, Zoom};
use umedsam::uncertainty::UncertaintyOptions;
use umedsam::volume::{Axis, Turn, Turned};
use umedsam::{Error, Result};
use umedsam_picture::Picture;

use super::pictures;
use super::prompt::{self, PromptArgument, numbers};

#[derive(Args)]
pub struct Arguments {
    /// The weight file; by default umedsam's own weights, which are part of this program
    #[arg(long)]
    weights: Option<PathBuf>,
    /// The image: PNG, JPEG, WebP, TIFF, BMP, GIF (first frame), or a 2D challenge .npz; upright by its Exif orientation, transparent parts over black. Or a NIfTI
    /// volume (.nii, .nii.gz): the slice is turned upright for the network, and boxes and results are those of the stored slice
    #[arg(long)]
    image: PathBuf,
    /// The slice of a volume, counted from 0 along the axis
    #[arg(long)]
    slice: Option<usize>,
    /// The stored axis that slices are taken across: 0 (columns), 1 (rows) or 2 (slices)
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=2))]
    axis: u8,
    /// The volume of a file with several, counted from 0
    #[arg(long, default_value_t = 0)]
    frame: usize,
    /// A box x0,y0,x1,y1 in pixels; may be repeated, and replaces the boxes of a .npz
    #[arg(long = "box", value_parser = parse_box, allow_hyphen_values = true)]
    boxes: Vec<[f64; 4]>,
    /// An object by any of box=x0,y0,x1,y1, point=+x,y (inside), point=-x,y (outside), scribble=+x,y;x,y;… and mask=FILE (an earlier mask of the image's size,
    /// inside brighter than half of the brightest), separated by spaces; may be repeated, and comes after the boxes
    #[arg(long = "prompt", value_parser = prompt::parse)]
    prompts: Vec<PromptArgument>,
    /// How intensities become 8 bits: auto, min-max, percentiles:LOW,HIGH or level:CENTER,WIDTH
    #[arg(long, value_parser = parse_window, default_value = "auto", allow_hyphen_values = true)]
    window: Window,
    /// High values are dark, as in DICOM's MONOCHROME1
    #[arg(long)]
    invert: bool,
    /// How the uncertainty is found: none (a single pass), default, or samples=K,jitter=PIXELS,multimask=SHARE,flips=BOOL,seed=N
    #[arg(long, default_value = "default")]
    uncertainty: UncertaintyOptions,
    /// Bound of the outer mask's expected misses and of the inner mask's expected false alarms, between 0 and 1
    #[arg(long, default_value_t = 0.1)]
    alpha: f64,
    /// What the mask is: the network's for the box, or where the ensemble's calibrated probability is above one half
    #[arg(long, value_enum, default_value = "network")]
    mask: MaskArgument,
    /// Whether small boxes are looked at closer, in a crop around the box: auto where the weights were calibrated for it
    #[arg(long, value_enum, default_value = "off")]
    zoom: ZoomArgument,
    /// Leave probabilities as the network gives them
    #[arg(long)]
    uncalibrated: bool,
    /// The folder for mask_N.png, probability_N.png, uncertainty_N.png, with calibrated weights outer_N.png and inner_N.png (N from 0, one
    /// per object), and result.json
    #[arg(long)]
    out_dir: PathBuf,
}

/// [`MaskSource`] on the command line.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum MaskArgument {
    Network,
    Consensus,
}

impl From<MaskArgument> for MaskSource {
    fn from(argument: MaskArgument) -> Self {
        match argument {
            MaskArgument::Network => Self::Network,
            MaskArgument::Consensus => Self::Consensus,
        }
    }
}

/// [`Zoom`] on the command line.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum ZoomArgument {
    Auto,
    On,
    Off,
}

impl From<ZoomArgument> for Zoom {
    fn from(argument: ZoomArgument) -> Self {
        match argument {
            ZoomArgument::Auto => Self::Auto,
            ZoomArgument::On => Self::On,
            ZoomArgument::Off => Self::Off,
        }
    }
}

fn parse_box(text: &str) -> std::result::Result<[f64; 4], String> {
    numbers(text)
}

fn parse_window(text: &str) -> std::result::Result<Window, String> {
    match text.split_once(':') {
        None if text == "auto" => Ok(Window::Auto),
        None if text == "min-max" => Ok(Window::MinMax),
        Some(("percentiles", text)) => numbers(text).map(|[low, high]| Window::Percentiles { low, high }),
        Some(("level", text)) => numbers(text).map(|[center, width]| Window::Level { center, width }),
        _ => Err("use auto, min-max, percentiles:LOW,HIGH or level:CENTER,WIDTH".into()),
    }
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let wants_boxes = arguments.boxes.is_empty() && arguments.prompts.is_empty();
    let choice =
        SliceChoice { slice: arguments.slice, axis: Axis::ALL[usize::from(arguments.axis)], frame: arguments.frame };
    let file = read_image_or_slice(&arguments.image, wants_boxes, choice)?;
    let turn = file.turn;
    let Picture { width, height, channels, .. } = file.picture;
    // Of the stored slice, where prompts and results count.
    let [stored_width, stored_height] = turn.map_or([width, height], |turn| turn.stored);
    let options = SegmentOptions {
        uncertainty: arguments.uncertainty,
        alpha: arguments.alpha,
        calibrated: !arguments.uncalibrated,
        mask: arguments.mask.into(),
        zoom: arguments.zoom.into(),
    }
    .checked()?;
    let boxes = if wants_boxes { &file.boxes } else { &arguments.boxes };
    let mut prompts: Vec<Prompt> = boxes.iter().map(|&corners| corners.into()).collect();
    for argument in &arguments.prompts {
        prompts.push(argument.clone().read(stored_width, stored_height)?);
    }
    if prompts.is_empty() {
        let message =
            format!("{} brings no boxes; give --box x0,y0,x1,y1 or --prompt \"point=+x,y\"", arguments.image.display());
        return Err(Error::InvalidBox(message));
    }

    let start = Instant::now();
    let bytes = super::weights::read(arguments.weights.as_ref())?;
    let segmenter = Segmenter::from_weights(bytes, &Device::flex())?;
    let low_res_size = segmenter.metadata().config.low_res_size();
    let prompts = prompts
        .into_iter()
        .map(|prompt| {
            let checked = prompt.checked(stored_width, stored_height, low_res_size)?;
            Ok(match turn {
                Some(turn) => turn.upright_prompt(&checked),
                None => checked,
            })
        })
        .collect::<Result<Vec<Prompt>>>()?;
    let load_ms = elapsed_ms(start);

    let start = Instant::now();
    let preprocessed = segmenter.preprocess(&file.view()?.inverted(arguments.invert), arguments.window)?;
    drop(file);
    let preprocess_ms = elapsed_ms(start);

    let bar = ProgressBar::new(100);
    bar.set_style(ProgressStyle::with_template("encoding {bar:40} {percent} %").expect("a constant template"));
    let start = Instant::now();
    let mut image = segmenter.encode(&preprocessed, |share| bar.set_position((share * 100.0) as u64));
    let pace = &mut Unpaced(|_| ());
    pollster::block_on(segmenter.encode_flips(&preprocessed, &options.uncertainty, &mut image, pace))?;
    let encode_ms = elapsed_ms(start);
    bar.finish_and_clear();

    // One at a time: what is known of one takes 19 bytes a pixel.
    let folder = &arguments.out_dir;
    let shown = match turn {
        Some(turn) => Arc::new(stored_picture(&turn, &preprocessed.windowed)),
        None => preprocessed.windowed.clone(),
    };
    let mut results = Vec::new();
    let mut segment_ms = 0.0;
    for (index, prompt) in prompts.iter().enumerate() {
        let start = Instant::now();
        let found = pollster::block_on(segmenter.segment_prompts(&mut image, std::slice::from_ref(prompt), &options))?;
        segment_ms += elapsed_ms(start);
        std::fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
        for segmentation in found {
            let found = format!(
                "{} pixels, expected DSC {:.3}{}",
                segmentation.area,
                segmentation.expected_dsc,
                if segmentation.needs_review == Some(true) { " (check this one)" } else { "" },
            );
            let segmentation = match turn {
                Some(turn) => turn.stored_segmentation(segmentation),
                None => segmentation,
            };
            results.push(pictures::write(segmentation, index, &shown, folder)?);
            println!("object {index}: {found} → {}", folder.join(pictures::name("mask", index)).display());
        }
    }
    let report = json!({
        "image": {
            "path": pictures::name_of(&arguments.image), "width": stored_width, "height": stored_height, "channels": channels,
            "slice": turn.map(|_| arguments.slice.unwrap_or(0)), "axis": turn.map(|_| arguments.axis),
        },
        "weights": segmenter.metadata(),
        "window": arguments.window,
        "invert": arguments.invert,
        "options": options,
        "results": results,
        "timings_ms": {
            "load": load_ms, "preprocess": preprocess_ms, "encode": encode_ms, "segment": segment_ms,
        },
    });
    let path = folder.join("result.json");
    std::fs::write(&path, format!("{report:#}\n")).map_err(|error| Error::file(&path, error))
}

/// The picture that the network saw, as the slice is stored.
fn stored_picture(turn: &Turn, picture: &Image8) -> Image8 {
    let [width, height] = turn.stored;
    Image8 { width, height, channels: picture.channels, data: turn.turned_back(&picture.data, picture.channels) }
}

fn elapsed_ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
