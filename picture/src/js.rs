//! Typed arrays to pixel values.

use js_sys::{
    Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Object, Reflect, Uint8Array, Uint16Array,
    Uint32Array,
};
use serde::Deserialize;
use wasm_bindgen::prelude::*;

use crate::{Error, ImageView, Pixels, Result, Window};

/// What an image's values mean.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Intensities {
    /// Values to 8 bits.
    pub window: Window,
    /// High values are dark.
    pub inverted: bool,
}

/// Pixels copied out of a typed array.
#[derive(Debug)]
pub enum JsPixels {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl JsPixels {
    /// Copies a typed array, also of another realm.
    ///
    /// # Errors
    /// [`Error::InvalidImage`] for anything else.
    pub fn copy_from(data: &JsValue) -> Result<Self> {
        // By name: an array of another realm, such as an iframe's, is no instance of this one's class.
        let name = type_name(data);
        let array = || data.clone();
        Ok(match name.as_str() {
            "Uint8Array" | "Uint8ClampedArray" => Self::U8(array().unchecked_into::<Uint8Array>().to_vec()),
            "Int8Array" => Self::I8(array().unchecked_into::<Int8Array>().to_vec()),
            "Uint16Array" => Self::U16(array().unchecked_into::<Uint16Array>().to_vec()),
            "Int16Array" => Self::I16(array().unchecked_into::<Int16Array>().to_vec()),
            "Uint32Array" => Self::U32(array().unchecked_into::<Uint32Array>().to_vec()),
            "Int32Array" => Self::I32(array().unchecked_into::<Int32Array>().to_vec()),
            "Float32Array" => Self::F32(array().unchecked_into::<Float32Array>().to_vec()),
            "Float64Array" => Self::F64(array().unchecked_into::<Float64Array>().to_vec()),
            other => {
                return Err(Error::InvalidImage(format!(
                    "data is {other}; use a typed array of 8-, 16- or 32-bit integers or of floats"
                )));
            }
        })
    }

    /// The values as an image.
    ///
    /// # Errors
    /// As [`ImageView::new`], and if a number is not whole.
    pub fn view(&self, width: f64, height: f64, channels: f64) -> Result<ImageView<'_>> {
        let whole = |name: &str, value: f64| match value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value)
        {
            true => Ok(value as usize),
            false => Err(Error::InvalidImage(format!("{name} is {value}; use a whole number"))),
        };
        let pixels = match self {
            Self::U8(values) => Pixels::U8(values),
            Self::I8(values) => Pixels::I8(values),
            Self::U16(values) => Pixels::U16(values),
            Self::I16(values) => Pixels::I16(values),
            Self::U32(values) => Pixels::U32(values),
            Self::I32(values) => Pixels::I32(values),
            Self::F32(values) => Pixels::F32(values),
            Self::F64(values) => Pixels::F64(values),
        };
        ImageView::new(pixels, whole("width", width)?, whole("height", height)?, whole("channels", channels)?)
    }
}

/// The name of a typed array's type, or of any other value's.
fn type_name(value: &JsValue) -> String {
    let symbol = js_sys::Symbol::to_string_tag();
    let tag = Reflect::get(value, &symbol).ok().and_then(|tag| tag.as_string());
    tag.or_else(|| value.dyn_ref::<Object>().map(|object| object.constructor().name().into()))
        .or_else(|| value.js_typeof().as_string())
        .unwrap_or_default()
}
