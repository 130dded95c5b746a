//! JavaScript values to ours and back.

use std::sync::Arc;

use js_sys::{Array, Float32Array, Object, Reflect, Uint8Array};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use crate::error::{Error, Result};
use crate::segment::{Crop, LowResMask, Previous, Prompt, SegmentOptions, Segmentation};

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
    check(&value, &["uncertainty", "alpha", "delta", "calibrated", "mask", "zoom"])?;
    let uncertainty = Reflect::get(&value, &"uncertainty".into()).unwrap_or(JsValue::UNDEFINED);
    check(&uncertainty, &["samples", "jitter", "multimask", "flips", "seed"])?;
    from_js::<SegmentOptions>(value, Error::InvalidOption)?.checked()
}

/// Prompts: objects with `box`, `points`, `scribbles` and `previous`, which is `{ logits, crop }` or `{ mask }`.
pub fn prompts(list: &Array) -> Result<Vec<Prompt>> {
    list.iter().map(|value| prompt(&value)).collect()
}

fn prompt(value: &JsValue) -> Result<Prompt> {
    let invalid = |cause: &dyn std::fmt::Display| Error::InvalidPrompt(cause.to_string());
    let mut prompt: Prompt = serde_wasm_bindgen::from_value(value.clone()).map_err(|cause| invalid(&cause))?;
    let of = |object: &JsValue, key: &str| Reflect::get(object, &key.into()).unwrap_or(JsValue::UNDEFINED);
    let previous = of(value, "previous");
    if previous.is_undefined() || previous.is_null() {
        return Ok(prompt);
    }
    let (logits, mask) = (of(&previous, "logits"), of(&previous, "mask"));
    prompt.previous = Some(match (logits.dyn_into::<Float32Array>(), mask.dyn_into::<Uint8Array>()) {
        (Ok(logits), _) => {
            let crop = from_js::<Option<Crop>>(of(&previous, "crop"), |cause| invalid(&cause))?;
            Previous::LowRes(LowResMask { logits: Arc::new(logits.to_vec()), crop })
        }
        (_, Ok(mask)) => Previous::Mask(Arc::new(mask.to_vec())),
        _ => return Err(invalid(&"previous has no logits (Float32Array) and no mask (Uint8Array)")),
    });
    Ok(prompt)
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
    let low_res = Object::new();
    set(&low_res, "logits", &Float32Array::from(result.low_res.logits.as_slice()));
    set(&low_res, "crop", &to_js(&result.low_res.crop));
    set(&object, "lowRes", &low_res);
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
