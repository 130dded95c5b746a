//! Resizing of 8-bit images as OpenCV's `INTER_AREA` does it.
//!
//! Our own because the network was trained on this filter and no crate has it: box filters of other libraries sample at pixel
//! centres, this one weighs pixels by the area they cover, and enlarges with its own bilinear weights.

use umedsam_picture::Image8;

/// One source pixel's share in one destination pixel.
struct Tap {
    source: usize,
    weight: f32,
}

/// The source pixels of every destination pixel along one axis.
struct Axis {
    taps: Vec<Tap>,
    ends: Vec<usize>,
}

impl Axis {
    /// Weights by covered area.
    fn shrink(source: usize, destination: usize) -> Self {
        let scale = source as f64 / destination as f64;
        Self::new(destination, |index, taps| {
            let start = index as f64 * scale;
            let end = start + scale;
            let cell = scale.min(source as f64 - start);
            let last = (end.floor() as usize).min(source - 1);
            let first = (start.ceil() as usize).min(last);
            if first as f64 - start > 1e-3 {
                taps.push(Tap { source: first - 1, weight: ((first as f64 - start) / cell) as f32 });
            }
            taps.extend((first..last).map(|source| Tap { source, weight: (1.0 / cell) as f32 }));
            if end - last as f64 > 1e-3 {
                let covered = (end - last as f64).min(1.0).min(cell);
                taps.push(Tap { source: last, weight: (covered / cell) as f32 });
            }
        })
    }

    fn new(destination: usize, mut push: impl FnMut(usize, &mut Vec<Tap>)) -> Self {
        let mut taps = Vec::new();
        let ends = (0..destination)
            .map(|index| {
                push(index, &mut taps);
                taps.len()
            })
            .collect();
        Self { taps, ends }
    }

    fn cells(&self) -> impl Iterator<Item = &[Tap]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let cell = &self.taps[start..end];
            start = end;
            cell
        })
    }
}

/// Fraction bits of the weights when enlarging.
const WEIGHT_BITS: u32 = 11;

/// Two neighbours and their weights in 1 / 2048, for one destination pixel.
struct Pair {
    below: usize,
    above: usize,
    weights: [i32; 2],
}

/// Bilinear weights of `INTER_AREA` when it enlarges.
fn enlarge_pairs(source: usize, destination: usize) -> Vec<Pair> {
    // Where source and destination pixels end together, the last bit of these decides between two pixels: same order of operations and
    // same types as OpenCV.
    let inverse = destination as f64 / source as f64;
    let scale = 1.0 / inverse;
    let pair = |index: usize| {
        let below = ((index as f64 * scale).floor() as usize).min(source - 1);
        let fraction = ((index + 1) as f64 - (below + 1) as f64 * inverse) as f32;
        let fraction = if fraction <= 0.0 || below + 1 >= source { 0.0 } else { fraction - fraction.floor() };
        let fixed = |weight: f32| (weight * (1 << WEIGHT_BITS) as f32).round_ties_even() as i32;
        Pair { below, above: (below + 1).min(source - 1), weights: [fixed(1.0 - fraction), fixed(fraction)] }
    };
    (0..destination).map(pair).collect()
}

/// Enlarges in whole numbers, with the bits that OpenCV drops dropped where it drops them.
fn enlarge(image: &Image8, width: usize, height: usize) -> Vec<u8> {
    let channels = image.channels;
    let columns = enlarge_pairs(image.width, width);
    let widened: Vec<i32> = image
        .data
        .chunks_exact(image.width * channels)
        .flat_map(|row| {
            let value = |pixel: usize, channel: usize| i32::from(row[pixel * channels + channel]);
            columns.iter().flat_map(move |pair| {
                let [low, high] = pair.weights;
                (0..channels).map(move |channel| low * value(pair.below, channel) + high * value(pair.above, channel))
            })
        })
        .collect();
    let row = |index: usize| &widened[index * width * channels..][..width * channels];
    enlarge_pairs(image.height, height)
        .iter()
        .flat_map(|pair| {
            let [low, high] = pair.weights;
            let part = |weight: i32, value: i32| (weight * (value >> 4)) >> 16;
            let values = row(pair.below).iter().zip(row(pair.above));
            values.map(move |(&below, &above)| ((part(low, below) + part(high, above) + 2) >> 2) as u8)
        })
        .collect()
}

/// Resizes an image to `width × height` pixels.
pub fn resize_area(image: &Image8, width: usize, height: usize) -> Image8 {
    let channels = image.channels;
    if (width, height) == (image.width, image.height) {
        return image.clone();
    }
    if width > image.width || height > image.height {
        return Image8 { width, height, channels, data: enlarge(image, width, height) };
    }
    let (columns, rows) = (Axis::shrink(image.width, width), Axis::shrink(image.height, height));
    // OpenCV averages blocks of 2×2 in integers, which rounds halves up.
    let round = match (width * 2, height * 2) == (image.width, image.height) {
        true => |value: f32| (value + 0.5).floor(),
        false => f32::round_ties_even,
    };
    let source_stride = image.width * channels;
    let stride = width * channels;

    let mut data = Vec::with_capacity(height * stride);
    let mut sum = vec![0f32; source_stride];
    for row in rows.cells() {
        sum.fill(0.0);
        for tap in row {
            let source = &image.data[tap.source * source_stride..][..source_stride];
            for (sum, &value) in sum.iter_mut().zip(source) {
                *sum += tap.weight * f32::from(value);
            }
        }
        for column in columns.cells() {
            for channel in 0..channels {
                let value: f32 = column.iter().map(|tap| tap.weight * sum[tap.source * channels + channel]).sum();
                data.push(round(value) as u8);
            }
        }
    }
    Image8 { width, height, channels, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: usize, height: usize, data: Vec<u8>) -> Image8 {
        Image8 { width, height, channels: 1, data }
    }

    #[test]
    fn whole_cells_are_averaged() {
        let image = grey(4, 2, vec![0, 10, 20, 30, 2, 12, 22, 32]);
        assert_eq!(resize_area(&image, 2, 1).data, [6, 26]);
    }

    #[test]
    fn fractional_cells_weigh_by_area() {
        // Each destination pixel covers one and a half source pixels.
        let image = grey(3, 1, vec![0, 90, 240]);
        assert_eq!(resize_area(&image, 2, 1).data, [30, 190]);
    }

    #[test]
    fn enlarging_by_two_keeps_ends() {
        // cv2.resize(np.uint8([[0, 100]]), (4, 1), interpolation=cv2.INTER_AREA) is [0, 0, 100, 100]: whole factors repeat pixels.
        let image = grey(2, 1, vec![0, 100]);
        assert_eq!(resize_area(&image, 4, 1).data, [0, 0, 100, 100]);
    }

    #[test]
    fn enlarging_equals_opencv() {
        // cv2.resize(np.uint8([[3, 250, 17], [90, 41, 200]]), (5, 4), interpolation=cv2.INTER_AREA)
        let image = grey(3, 2, vec![3, 250, 17, 90, 41, 200]);
        assert_eq!(
            resize_area(&image, 5, 4).data,
            [3, 85, 250, 95, 17, 3, 85, 250, 95, 17, 90, 74, 41, 147, 200, 90, 74, 41, 147, 200]
        );
    }

    #[test]
    fn one_pixel_fills_everything() {
        assert_eq!(resize_area(&grey(1, 1, vec![7]), 5, 3).data, [7; 15]);
    }

    #[test]
    fn constants_stay_constant() {
        let image = grey(301, 77, vec![200; 301 * 77]);
        assert!(resize_area(&image, 256, 65).data.iter().all(|&value| value == 200));
    }
}
