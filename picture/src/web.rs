//! What JavaScript calls.

use js_sys::{Float32Array, Object, Reflect, Uint8Array, Uint16Array};
use wasm_bindgen::prelude::*;

use crate::js::{Intensities, JsPixels};
use crate::{Error, OwnedPixels, Picture, read_picture};

fn to_js_error(error: Error) -> JsError {
    JsError::new(&error.to_string())
}

/// Reads a file's bytes. Returns `{ data, width, height, channels }`; throws a message.
#[wasm_bindgen(js_name = readPicture)]
pub fn read(bytes: &[u8]) -> Result<Object, JsError> {
    let Picture { pixels, width, height, channels } = read_picture(bytes).map_err(to_js_error)?;
    let data: JsValue = match pixels {
        OwnedPixels::U8(values) => Uint8Array::from(values.as_slice()).into(),
        OwnedPixels::U16(values) => Uint16Array::from(values.as_slice()).into(),
        OwnedPixels::F32(values) => Float32Array::from(values.as_slice()).into(),
    };
    let object = Object::new();
    let numbers = [("width", width), ("height", height), ("channels", channels)];
    let numbers = numbers.map(|(key, value)| (key, JsValue::from_f64(value as f64)));
    for (key, value) in numbers.into_iter().chain([("data", data)]) {
        let _ = Reflect::set(&object, &key.into(), &value);
    }
    Ok(object)
}

/// The opaque RGBA pixels that the network sees of a typed array of `height · width · channels` values; `intensities` is an [`Intensities`] or undefined.
#[wasm_bindgen(js_name = windowedPixels)]
pub fn windowed(
    data: &JsValue,
    width: f64,
    height: f64,
    channels: f64,
    intensities: JsValue,
) -> Result<Uint8Array, JsError> {
    let Intensities { window, inverted } = match intensities.is_undefined() {
        true => Intensities::default(),
        false => serde_wasm_bindgen::from_value(intensities).map_err(|error| JsError::new(&error.to_string()))?,
    };
    let pixels = JsPixels::copy_from(data).map_err(to_js_error)?;
    let view = pixels.view(width, height, channels).map_err(to_js_error)?.inverted(inverted);
    let image = window.apply(&view).map_err(to_js_error)?;
    let rgba: Vec<u8> = match image.channels {
        1 => image.data.iter().flat_map(|&grey| [grey, grey, grey, u8::MAX]).collect(),
        _ => image.data.as_chunks::<3>().0.iter().flat_map(|&[red, green, blue]| [red, green, blue, u8::MAX]).collect(),
    };
    Ok(Uint8Array::from(rgba.as_slice()))
}

/// A PNG file of RGBA pixels.
#[wasm_bindgen(js_name = encodePng)]
pub fn png(rgba: &[u8], width: u32, height: u32) -> Result<Vec<u8>, JsError> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    image::ImageEncoder::write_image(encoder, rgba, width, height, image::ExtendedColorType::Rgba8)
        .map_err(|error| JsError::new(&error.to_string()))?;
    Ok(bytes)
}
