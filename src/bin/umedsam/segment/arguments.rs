//! Values of `umedsam segment`'s arguments.

use umedsam::image::Window;
use umedsam::propagation::Stop;
use umedsam::segment::{MaskSource, Zoom};

use crate::prompt::numbers;

/// A box of a slice, or of a volume.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BoxArgument {
    /// `[x0, y0, x1, y1]`
    Slice([f64; 4]),
    /// `[x0, y0, z0, x1, y1, z1]`
    Volume([f64; 6]),
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Format {
    /// Pictures of masks, probabilities and uncertainty
    Png,
    /// labelmap.nii.gz, probability_N.nii.gz and uncertainty_N.nii.gz on the source's grid
    Nifti,
    /// DICOM Segmentation, BINARY
    Seg,
    /// DICOM Segmentation, LABELMAP (Supplement 243)
    LabelmapSeg,
    /// DICOM Segmentation of probabilities, FRACTIONAL
    FractionalSeg,
    /// DICOM Parametric Maps of probability and of uncertainty in bits, for each object
    ParametricMap,
    /// A segmentation of 3D Slicer
    SegNrrd,
    /// Run lengths as pycocotools has them
    CocoRle,
    /// Outlines with holes, as QuPath reads them
    Geojson,
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

pub fn parse_box(text: &str) -> Result<BoxArgument, String> {
    match text.split(',').count() {
        6 => numbers(text).map(BoxArgument::Volume),
        _ => numbers(text).map(BoxArgument::Slice),
    }
}

pub fn parse_range(text: &str) -> Result<[usize; 2], String> {
    let parsed: Vec<usize> = text.split(',').map_while(|part| part.trim().parse().ok()).collect();
    match (parsed[..].try_into(), text.split(',').count()) {
        (Ok(range), 2) => Ok(range),
        _ => Err(format!("{text:?}; use FIRST,LAST, slices counted from 0")),
    }
}

pub fn parse_stop(text: &str) -> Result<Stop, String> {
    if text == "never" {
        return Ok(Stop::NEVER);
    }
    let mut stop = Stop::default();
    for part in text.split(',') {
        let read = match part.split_once('=') {
            Some(("empty", value)) => value.parse().map(|value| stop.empty_slices = value).ok(),
            Some(("dsc", value)) => value.parse().map(|value| stop.expected_dsc = value).ok(),
            Some(("area", value)) => value.parse().map(|value| stop.area = value).ok(),
            Some(("presence", value)) => value.parse().map(|value| stop.presence = value).ok(),
            _ => None,
        };
        read.ok_or_else(|| format!("{part:?}; use never, or empty=SLICES,dsc=0–1,area=0–1,presence=0–1"))?;
    }
    Ok(stop)
}

pub fn parse_window(text: &str) -> Result<Window, String> {
    match text.split_once(':') {
        None if text == "auto" => Ok(Window::Auto),
        None if text == "min-max" => Ok(Window::MinMax),
        Some(("percentiles", text)) => numbers(text).map(|[low, high]| Window::Percentiles { low, high }),
        Some(("level", text)) => numbers(text).map(|[center, width]| Window::Level { center, width }),
        _ => Err("use auto, min-max, percentiles:LOW,HIGH or level:CENTER,WIDTH".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_ranges_and_rules_are_read_or_named() {
        assert_eq!(parse_box("1,2,3,4"), Ok(BoxArgument::Slice([1.0, 2.0, 3.0, 4.0])));
        assert_eq!(parse_box("1,2,3,4,5,6"), Ok(BoxArgument::Volume([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])));
        assert!(parse_box("1,2,3").unwrap_err().contains("4 numbers"));
        assert_eq!(parse_range("3, 17"), Ok([3, 17]));
        for text in ["3", "3,-1", "3,4,5", "a,b"] {
            assert!(parse_range(text).unwrap_err().contains(text), "{text}");
        }
        assert_eq!(parse_stop("never"), Ok(Stop::NEVER));
        assert_eq!(parse_stop("empty=2,dsc=0.4"), Ok(Stop { empty_slices: 2, expected_dsc: 0.4, ..Stop::default() }));
        assert!(parse_stop("dsc").unwrap_err().contains("dsc"));
    }
}
