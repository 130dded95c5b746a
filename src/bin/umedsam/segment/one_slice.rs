//! Objects of a picture, or of one slice of a volume.

use std::sync::Arc;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use umedsam::image::{Image8, Window};
use umedsam::segment::{Prompt, SegmentOptions, Unpaced};
use umedsam::uncertainty::Shift;
use umedsam::volume::{Turn, Turned};
use umedsam::{Error, Result};
use umedsam_picture::Picture;

use super::export::{Exported, ObjectMaps};
use super::input::Input;
use super::{Arguments, BoxArgument, Format, Loaded, elapsed_ms, formats};
use crate::pictures;

pub fn run(arguments: &Arguments, options: &SegmentOptions, input: Input) -> Result<()> {
    let (slice, picture, file_boxes, volume) = match input {
        Input::Picture(file) => (0, file.picture, file.boxes, None),
        Input::Volume(volume) => {
            let slice = volume.chosen(arguments)?;
            (slice, volume.slice(slice)?, Vec::new(), Some(volume))
        }
    };
    let turn = volume.as_ref().map(|volume| volume.turn());
    let Picture { width, height, channels, .. } = picture;
    // Of the stored slice, where prompts and results count.
    let stored = turn.map_or([width, height], |turn| turn.stored);
    let prompts = prompts(arguments, &file_boxes, stored)?;

    let Loaded { segmenter, sha256, load_ms } = Loaded::new(arguments)?;
    let low_res_size = segmenter.metadata().config.low_res_size();
    let prompts = prompts
        .into_iter()
        .map(|prompt| {
            let checked = prompt.checked(stored[0], stored[1], low_res_size)?;
            Ok(match turn {
                Some(turn) => turn.upright_prompt(&checked),
                None => checked,
            })
        })
        .collect::<Result<Vec<Prompt>>>()?;

    let start = Instant::now();
    let (window, invert) = match &volume {
        None => (Window::Auto, false),
        Some(volume) => (volume.window(slice), volume.volume().is_inverted()),
    };
    let window = arguments.window.unwrap_or(window);
    let invert = arguments.invert || invert;
    let preprocessed = segmenter.preprocess(&picture.view()?.inverted(invert), window)?;
    drop(picture);
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
    let wanted = formats::wanted(arguments);
    let mut exported = formats::needs_maps(&wanted).then(|| match &volume {
        None => Exported::of_picture(stored),
        Some(volume) => Exported::of_volume(volume),
    });
    let mut results = Vec::new();
    let mut segment_ms = 0.0;
    for (index, prompt) in prompts.iter().enumerate() {
        let start = Instant::now();
        let found = pollster::block_on(segmenter.segment_prompts(&mut image, std::slice::from_ref(prompt), options))?;
        segment_ms += elapsed_ms(start);
        std::fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
        for segmentation in found {
            let check = match (segmentation.needs_review, segmentation.shift) {
                (Some(true), Some(Shift { alarm: true, .. })) => {
                    " (check this one: the image is unlike the calibration's, and nothing is promised of it)"
                }
                (Some(true), _) => " (check this one)",
                _ => "",
            };
            let said = format!("{} pixels, expected DSC {:.3}{check}", segmentation.area, segmentation.expected_dsc);
            let segmentation = match turn {
                Some(turn) => turn.stored_segmentation(segmentation),
                None => segmentation,
            };
            if let Some(exported) = &mut exported {
                let mut maps = ObjectMaps::default();
                maps.add(slice, &segmentation, formats::needs_uncertainty(&wanted));
                exported.add(index, slice, &segmentation);
                exported.objects.push(maps);
            }
            let with_pictures = wanted.contains(&Format::Png).then_some(&*shown);
            results.push(pictures::write(segmentation, index, stored, with_pictures, folder)?);
            println!("object {index}: {said} → {}", folder.display());
        }
    }
    let mut files = Vec::new();
    if let Some(exported) = exported {
        files = formats::write(arguments, &exported, &segmenter, &sha256)?;
    }
    let report = json!({
        "image": {
            "path": pictures::name_of(&arguments.image), "width": stored[0], "height": stored[1], "channels": channels,
            "slice": turn.map(|_| slice), "axis": turn.map(|_| arguments.axis),
        },
        "weights": super::weights_of(&segmenter),
        "window": window,
        "invert": invert,
        "options": options,
        "results": results,
        "files": files,
        "timings_ms": {
            "load": load_ms, "preprocess": preprocess_ms, "encode": encode_ms, "segment": segment_ms,
        },
    });
    let path = folder.join("result.json");
    std::fs::write(&path, format!("{report:#}\n")).map_err(|error| Error::file(&path, error))
}

/// What was said on the command line, or the file's boxes, in pixels of the stored slice.
pub fn prompts(arguments: &Arguments, file_boxes: &[[f64; 4]], [width, height]: [usize; 2]) -> Result<Vec<Prompt>> {
    let mut prompts: Vec<Prompt> = Vec::new();
    if !arguments.has_prompts() {
        prompts.extend(file_boxes.iter().map(|&corners| Prompt::from(corners)));
    }
    for corners in &arguments.boxes {
        match *corners {
            BoxArgument::Slice(corners) => prompts.push(corners.into()),
            BoxArgument::Volume(corners) => {
                let message = format!("{corners:?} is a box of a volume; use --propagate with it, or x0,y0,x1,y1");
                return Err(Error::InvalidBox(message));
            }
        }
    }
    for argument in &arguments.prompts {
        prompts.push(argument.clone().read(width, height)?);
    }
    match prompts.is_empty() {
        true => Err(no_prompts(arguments)),
        false => Ok(prompts),
    }
}

pub fn no_prompts(arguments: &Arguments) -> Error {
    let path = arguments.image.display();
    Error::InvalidBox(format!("{path} brings no boxes; give --box x0,y0,x1,y1 or --prompt \"point=+x,y\""))
}

/// The picture that the network saw, as the slice is stored.
pub fn stored_picture(turn: &Turn, picture: &Image8) -> Image8 {
    let [width, height] = turn.stored;
    Image8 { width, height, channels: picture.channels, data: turn.turned_back(&picture.data, picture.channels) }
}
