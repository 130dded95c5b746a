//! Prompts on the command line: `--prompt "box=… point=+x,y point=-x,y scribble=+x,y;x,y mask=FILE"`, one per object.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use umedsam::data::read_image;
use umedsam::model::prompt_encoder::PointLabel;
use umedsam::segment::{Point, Previous, Prompt, Scribble};
use umedsam::{Error, Result};
use umedsam_picture::OwnedPixels;

/// How a prompt is written.
const SHAPE: &str = "box=x0,y0,x1,y1, point=+x,y (inside), point=-x,y (outside), scribble=+x,y;x,y;… and mask=FILE (no spaces in its name), separated by spaces";

/// A prompt with the file of the mask that it corrects.
#[derive(Debug, Clone, Default)]
pub struct PromptArgument {
    pub prompt: Prompt,
    mask: Option<PathBuf>,
}

impl PromptArgument {
    /// Reads the mask, for an image of `width · height` pixels.
    ///
    /// # Errors
    /// Those of [`read_image`]; [`Error::InvalidPrompt`] if the mask has another size.
    pub fn read(self, width: usize, height: usize) -> Result<Prompt> {
        let Some(path) = self.mask else { return Ok(self.prompt) };
        let previous = Some(Previous::Mask(Arc::new(read_mask(&path, width, height)?)));
        Ok(Prompt { previous, ..self.prompt })
    }
}

fn read_mask(path: &Path, width: usize, height: usize) -> Result<Vec<u8>> {
    let picture = read_image(path, false)?.picture;
    if [picture.width, picture.height] != [width, height] {
        return Err(Error::InvalidPrompt(format!(
            "the mask {} has {}×{} pixels, the image {width}×{height}",
            path.display(),
            picture.width,
            picture.height
        )));
    }
    let channels = picture.channels;
    Ok(match &picture.pixels {
        OwnedPixels::U8(values) => inside(values.iter().map(|&value| f32::from(value)), channels),
        OwnedPixels::U16(values) => inside(values.iter().map(|&value| f32::from(value)), channels),
        OwnedPixels::F32(values) => inside(values.iter().copied(), channels),
    })
}

/// Inside is what is brighter than half of the brightest: labels of 1, 255, and JPEG's noise around black.
fn inside(values: impl Iterator<Item = f32> + Clone, channels: usize) -> Vec<u8> {
    let brightest = values.clone().fold(0.0f32, f32::max);
    let bright: Vec<bool> = values.map(|value| value > brightest / 2.0).collect();
    bright.chunks_exact(channels).map(|pixel| u8::from(pixel.contains(&true))).collect()
}

/// Reads what a person wrote.
pub fn parse(text: &str) -> std::result::Result<PromptArgument, String> {
    let mut found = PromptArgument::default();
    for part in text.split_whitespace() {
        let (key, value) = part.split_once('=').ok_or_else(|| format!("{part:?}; use {SHAPE}"))?;
        match key {
            "box" => found.prompt.bounding_box = Some(numbers(value)?),
            "point" => {
                let (label, place) = signed(value)?;
                let [x, y] = numbers(place)?;
                found.prompt.points.push(Point { x, y, label });
            }
            "scribble" => {
                let (label, line) = signed(value)?;
                let points = line.split(';').map(numbers).collect::<std::result::Result<Vec<[f64; 2]>, _>>()?;
                found.prompt.scribbles.push(Scribble { points, label });
            }
            "mask" => found.mask = Some(value.into()),
            _ => return Err(format!("{part:?}; use {SHAPE}")),
        }
    }
    match text.trim().is_empty() {
        true => Err(format!("a prompt is empty; use {SHAPE}")),
        false => Ok(found),
    }
}

fn signed(text: &str) -> std::result::Result<(PointLabel, &str), String> {
    match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(rest), _) => Ok((PointLabel::Foreground, rest)),
        (_, Some(rest)) => Ok((PointLabel::Background, rest)),
        _ => Err(format!("{text:?} says neither + (inside) nor - (outside); use {SHAPE}")),
    }
}

/// Numbers separated by commas.
pub fn numbers<const N: usize>(text: &str) -> std::result::Result<[f64; N], String> {
    let parse = |part: &str| part.trim().parse::<f64>().map_err(|_| format!("{part:?} is not a number"));
    let numbers = text.split(',').map(parse).collect::<std::result::Result<Vec<_>, _>>()?;
    let count = numbers.len();
    numbers.try_into().map_err(|_| format!("{N} numbers separated by commas are expected, got {count}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_in_any_order() {
        let found = parse("point=-3,4.5 box=1,2,30,40 point=+10,11 scribble=+1,2;3,4;5,6 mask=a.png").unwrap();
        assert_eq!(found.prompt.bounding_box, Some([1.0, 2.0, 30.0, 40.0]));
        let labels: Vec<PointLabel> = found.prompt.points.iter().map(|point| point.label).collect();
        assert_eq!(labels, [PointLabel::Background, PointLabel::Foreground]);
        assert_eq!(found.prompt.scribbles[0].points, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]);
        assert_eq!(found.mask, Some("a.png".into()));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, part) in [
            ("", "empty"),
            ("point=3,4", "neither"),
            ("point=+3", "2 numbers"),
            ("point=+a,4", "\"a\""),
            ("box=1,2,3", "4 numbers"),
            ("circle=1,2", "circle"),
            ("box", "\"box\""),
            ("scribble=+1,2;3", "2 numbers"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(part), "{text:?}: {message}");
        }
    }
}
