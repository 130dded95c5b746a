//! Where an image lies in the network's input.

/// Where an image lies in the network's square input: at its top left, scaled so that its longer side fills it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Width of the image, in pixels.
    pub width: usize,
    /// Height of the image, in pixels.
    pub height: usize,
    /// Side of the network's input, in pixels.
    pub input_size: usize,
}

impl Geometry {
    /// Width and height of the image within the input, in pixels, at least 1.
    pub fn resized(&self) -> (usize, usize) {
        let resized = |side: usize| ((side as f64 * self.scale() + 0.5) as usize).max(1);
        (resized(self.width), resized(self.height))
    }

    /// Input pixels per image pixel.
    pub fn scale(&self) -> f64 {
        self.input_size as f64 / self.width.max(self.height) as f64
    }
}
