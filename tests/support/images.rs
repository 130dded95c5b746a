//! Synthetic images and what preprocessing makes of them, the same natively and in the browser.

use umedsam::image::{ImageView, Pixels, Window, preprocess};
use umedsam::weights::sha256_hex;

/// A phantom's intensity: an ellipse on a gradient with a fine texture.
pub fn phantom(width: usize, height: usize) -> Vec<u8> {
    let (w, h) = (width as i64, height as i64);
    let pixel = |index: usize| {
        let (x, y) = (index as i64 % w, index as i64 / w);
        let (dx, dy) = ((2 * x - w) * h, (2 * y - h) * w);
        let inside = 4 * (dx * dx + dy * dy) < w * w * h * h;
        (40 + 60 * x / w + if inside { 110 } else { 0 } + (x * 7 + y * 13) % 11) as u8
    };
    (0..width * height).map(pixel).collect()
}

/// SHA-256 of the network inputs of images of every type, size class and window.
pub fn preprocessing_digest() -> String {
    let mut bytes = Vec::new();
    let mut add = |pixels: Pixels, width: usize, height: usize, channels: usize, window: Window| {
        let view = ImageView::new(pixels, width, height, channels).unwrap();
        let input = preprocess(&view, window, 256).unwrap().input;
        bytes.extend(input.iter().flat_map(|value| value.to_le_bytes()));
    };
    for (width, height) in [(1, 1), (300, 200), (120, 200), (512, 512), (1000, 3)] {
        let grey = phantom(width, height);
        let wide: Vec<i16> = grey.iter().map(|&value| i16::from(value) * 13 - 1000).collect();
        let unsigned: Vec<u16> = grey.iter().map(|&value| u16::from(value) * 251).collect();
        let float: Vec<f32> = grey.iter().map(|&value| f32::from(value) * 0.37 - 20.0).collect();
        let rgb: Vec<u8> = grey.iter().flat_map(|&value| [value, value / 2, 255 - value]).collect();
        add(Pixels::U8(&grey), width, height, 1, Window::Auto);
        add(Pixels::U8(&rgb), width, height, 3, Window::Auto);
        add(Pixels::I16(&wide), width, height, 1, Window::Level { center: 40.0, width: 400.0 });
        add(Pixels::U16(&unsigned), width, height, 1, Window::Auto);
        add(Pixels::F32(&float), width, height, 1, Window::MinMax);
        add(Pixels::F32(&float), width, height, 1, Window::Percentiles { low: 2.0, high: 90.0 });
    }
    sha256_hex(&bytes)
}

/// What [`preprocessing_digest`] is natively; the browser must agree bit for bit.
pub const PREPROCESSING_DIGEST: &str = "d45c61d92504cf86de185b71e28fc4864865ecb8ba81f12ddf3f7d31685a571e";
