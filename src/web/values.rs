//! JavaScript values to ours and back.

use js_sys::{Float32Array, Float64Array, Int16Array, Object, Reflect, Uint8Array, Uint8ClampedArray, Uint16Array};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use crate::error::{Error, Result};
use crate::image::{ImageView, Pixels};
use crate::segment::{SegmentOptions, Segmentation};

/// A JavaScript `Error` with our code.
pub fn to_js_error(error: &Error) -> JsValue {
    let js_error = js_sys::Error::new(&error.to_string());
    js_error.set_name("UmedsamError");
    set(&js_error, "code", &error.code().into());
    js_error.into()
}

/// Sets a property of an object of ours, which cannot fail.
pub fn set(object: &JsValue, key: &str, value: &JsValue) {
    let _ = Reflect::set(object, &key.into(), value);
}

/// Plain data to a JavaScript value.
pub fn to_js(value: &impl Serialize) -> JsValue {
    value.serialize(&serde_wasm_bindgen::Serializer::json_compatible()).unwrap_or(JsValue::UNDEFINED)
}

/// An options object to ours; `undefined` gives the default.
pub fn from_js<T: DeserializeOwned + Default>(value: JsValue, error: impl Fn(String) -> Error) -> Result<T> {
    if value.is_undefined() || value.is_null() {
        return Ok(T::default());
    }
    serde_wasm_bindgen::from_value(value).map_err(|cause| error(cause.to_string()))
}

/// What is asked for beside the mask. serde-wasm-bindgen overlooks unknown keys, which are mostly misspelt ones.
pub fn segment_options(value: JsValue) -> Result<SegmentOptions> {
    let check = |object: &JsValue, known: &[&str]| {
        let keys = object.dyn_ref::<Object>().map(Object::keys).unwrap_or_default();
        let unknown = keys.iter().filter_map(|key| key.as_string()).find(|key| !known.contains(&key.as_str()));
        match unknown {
            Some(key) => Err(Error::InvalidOption(format!("{key:?} is not known; use {}", known.join(", ")))),
            None => Ok(()),
        }
    };
    check(&value, &["uncertainty", "alpha", "calibrated", "mask", "zoom"])?;
    let uncertainty = Reflect::get(&value, &"uncertainty".into()).unwrap_or(JsValue::UNDEFINED);
    check(&uncertainty, &["samples", "jitter", "multimask", "flips", "seed"])?;
    from_js::<SegmentOptions>(value, Error::InvalidOption)?.checked()
}

/// Pixels copied out of a typed array.
pub enum JsPixels {
    U8(Vec<u8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    F32(Vec<f32>),
}

impl JsPixels {
    pub fn copy_from(data: &JsValue) -> Result<Self> {
        if let Some(array) = data.dyn_ref::<Uint8Array>() {
            Ok(Self::U8(array.to_vec()))
        } else if let Some(array) = data.dyn_ref::<Uint8ClampedArray>() {
            Ok(Self::U8(array.to_vec()))
        } else if let Some(array) = data.dyn_ref::<Uint16Array>() {
            Ok(Self::U16(array.to_vec()))
        } else if let Some(array) = data.dyn_ref::<Int16Array>() {
            Ok(Self::I16(array.to_vec()))
        } else if let Some(array) = data.dyn_ref::<Float32Array>() {
            Ok(Self::F32(array.to_vec()))
        } else {
            let name = data.dyn_ref::<Object>().map_or_else(
                || data.js_typeof().as_string().unwrap_or_default(),
                |object| String::from(object.constructor().name()),
            );
            Err(Error::InvalidImage(format!(
                "data is {name}; use Uint8Array, Uint8ClampedArray, Uint16Array, Int16Array or Float32Array"
            )))
        }
    }

    pub fn view(&self, width: f64, height: f64, channels: f64) -> Result<ImageView<'_>> {
        let whole = |name: &str, value: f64| match value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value)
        {
            true => Ok(value as usize),
            false => Err(Error::InvalidImage(format!("{name} is {value}; use a whole number"))),
        };
        let pixels = match self {
            Self::U8(values) => Pixels::U8(values),
            Self::U16(values) => Pixels::U16(values),
            Self::I16(values) => Pixels::I16(values),
            Self::F32(values) => Pixels::F32(values),
        };
        ImageView::new(pixels, whole("width", width)?, whole("height", height)?, whole("channels", channels)?)
    }
}

/// Boxes as four numbers each, one after the other.
pub fn boxes(corners: &Float64Array) -> Result<Vec<[f64; 4]>> {
    let corners = corners.to_vec();
    let (boxes, rest) = corners.as_chunks::<4>();
    match rest {
        [] => Ok(boxes.to_vec()),
        _ => Err(Error::InvalidBox(format!("{} numbers; each box is [x0, y0, x1, y1]", corners.len()))),
    }
}

/// Which uncertainty maps to give back.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct WantedMaps(Vec<MapName>);

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MapName {
    Total,
    Aleatoric,
    Epistemic,
}

impl Default for WantedMaps {
    fn default() -> Self {
        Self(vec![MapName::Total, MapName::Aleatoric, MapName::Epistemic])
    }
}

/// A result with its masks and maps as typed arrays, `null` where there is none.
pub fn segmentation(result: &Segmentation, maps: &WantedMaps) -> JsValue {
    let object = to_js(result);
    let mask =
        |mask: &Option<Vec<u8>>| mask.as_ref().map_or(JsValue::NULL, |mask| Uint8Array::from(mask.as_slice()).into());
    set(&object, "mask", &Uint8Array::from(result.mask.as_slice()));
    set(&object, "probability", &Float32Array::from(result.probability.as_slice()));
    set(&object, "outer", &mask(&result.outer));
    set(&object, "inner", &mask(&result.inner));
    let uncertainty = Object::new();
    for (name, key, map) in [
        (MapName::Total, "total", &result.uncertainty.total),
        (MapName::Aleatoric, "aleatoric", &result.uncertainty.aleatoric),
        (MapName::Epistemic, "epistemic", &result.uncertainty.epistemic),
    ] {
        let value = match maps.0.contains(&name) {
            true => Float32Array::from(map.as_slice()).into(),
            false => JsValue::NULL,
        };
        set(&uncertainty, key, &value);
    }
    set(&object, "uncertainty", &uncertainty);
    object
}
