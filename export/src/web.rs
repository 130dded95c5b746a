//! What JavaScript calls.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;

use crate::{Grid, Masks, NamedMask, Quantity, Segment, Source, Voxels, Writing};

fn js_error(error: crate::Error) -> JsError {
    JsError::new(&error.0)
}

/// A description of JavaScript.
fn read<T: DeserializeOwned>(what: &str, value: JsValue) -> Result<T, JsError> {
    serde_wasm_bindgen::from_value(value).map_err(|error| JsError::new(&format!("{what}: {error}")))
}

/// A DICOM Segmentation of numbers of segments, `frames · rows · columns`; `kind` is `"BINARY"` or `"LABELMAP"`.
#[wasm_bindgen(js_name = segmentation)]
pub fn segmentation(
    source: JsValue,
    segments: JsValue,
    labels: &[u8],
    kind: &str,
    writing: JsValue,
) -> Result<Vec<u8>, JsError> {
    let (source, segments, writing): (Source, Vec<Segment>, Writing) =
        (read("source", source)?, read("segments", segments)?, read("writing", writing)?);
    let masks = if kind == "LABELMAP" { Masks::Labelmap(labels) } else { Masks::Binary(labels) };
    crate::segmentation(&source, &segments, masks, &writing).map_err(js_error)
}

/// A DICOM Segmentation of probabilities 0–255: for each segment `frames · rows · columns`, one after the other.
#[wasm_bindgen(js_name = fractionalSegmentation)]
pub fn fractional(
    source: JsValue,
    segments: JsValue,
    probabilities: &[u8],
    writing: JsValue,
) -> Result<Vec<u8>, JsError> {
    let (source, segments, writing): (Source, Vec<Segment>, Writing) =
        (read("source", source)?, read("segments", segments)?, read("writing", writing)?);
    let each = (probabilities.len() / segments.len().max(1)).max(1);
    let all: Vec<&[u8]> = probabilities.chunks(each).collect();
    crate::segmentation(&source, &segments, Masks::Fractional(&all), &writing).map_err(js_error)
}

/// A DICOM Parametric Map of `frames · rows · columns` values.
#[wasm_bindgen(js_name = parametricMap)]
pub fn parametric_map(
    source: JsValue,
    values: &[f32],
    quantity: JsValue,
    writing: JsValue,
) -> Result<Vec<u8>, JsError> {
    let (source, quantity, writing): (Source, Quantity, Writing) =
        (read("source", source)?, read("quantity", quantity)?, read("writing", writing)?);
    crate::parametric_map(&source, values, quantity, &writing).map_err(js_error)
}

/// A NIfTI-1 file of numbers of segments.
#[wasm_bindgen(js_name = niftiLabels)]
pub fn nifti_labels(grid: JsValue, labels: &[u8], description: &str) -> Result<Vec<u8>, JsError> {
    crate::nifti(&read::<Grid>("geometry", grid)?, Voxels::U8(labels), description).map_err(js_error)
}

/// A NIfTI-1 file of floats.
#[wasm_bindgen(js_name = niftiMap)]
pub fn nifti_map(grid: JsValue, values: &[f32], description: &str) -> Result<Vec<u8>, JsError> {
    crate::nifti(&read::<Grid>("geometry", grid)?, Voxels::F32(values), description).map_err(js_error)
}

/// A `.seg.nrrd` file.
#[wasm_bindgen(js_name = segNrrd)]
pub fn seg_nrrd(grid: JsValue, labels: &[u8], segments: JsValue) -> Result<Vec<u8>, JsError> {
    let segments: Vec<Segment> = read("segments", segments)?;
    crate::seg_nrrd(&read::<Grid>("geometry", grid)?, labels, &segments).map_err(js_error)
}

#[derive(Deserialize)]
struct Named {
    label: String,
    #[serde(default)]
    color: Option<[u8; 3]>,
}

/// Masks of `width · height` values, one after the other, as GeoJSON (`"geojson"`) or COCO's run lengths (`"coco"`).
#[wasm_bindgen(js_name = masksAsText)]
pub fn masks_as_text(masks: &[u8], names: JsValue, width: usize, height: usize, kind: &str) -> Result<String, JsError> {
    let names: Vec<Named> = read("names", names)?;
    if masks.len() != names.len() * width * height {
        return Err(JsError::new(&format!(
            "there are {} values for {} masks of {width}×{height}",
            masks.len(),
            names.len()
        )));
    }
    let named: Vec<NamedMask> = masks
        .chunks((width * height).max(1))
        .zip(&names)
        .map(|(mask, named)| NamedMask { mask, label: &named.label, color: named.color })
        .collect();
    match kind {
        "coco" => crate::coco(&named, [width, height]),
        _ => crate::geojson(&named, [width, height]),
    }
    .map_err(js_error)
}
