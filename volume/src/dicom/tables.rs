//! Look-up tables: of rescaling and of colours.

use super::parse::{DataSet, Tag};

/// Values for stored values from a first one on; what is outside has the value of the nearest.
#[derive(Debug, Clone)]
pub(super) struct LookUpTable {
    first: i64,
    values: Vec<u16>,
    bits: u16,
}

impl LookUpTable {
    /// Source: PS3.3, C.11.1.
    pub(super) fn of_modality(item: &DataSet, is_signed: bool) -> Option<Self> {
        plain(item, 0x0028_3002, 0x0028_3006, is_signed)
    }

    /// Of red, green or blue: 0, 1 or 2. Source: PS3.3, C.7.6.3.1.5.
    pub(super) fn of_palette(data: &DataSet, channel: u32, is_signed: bool) -> Option<Self> {
        let descriptor = 0x0028_1101 + channel;
        plain(data, descriptor, 0x0028_1201 + channel, is_signed)
            .or_else(|| segmented(data, descriptor, 0x0028_1221 + channel))
    }

    /// The entry for a stored value.
    pub(super) fn entry(&self, value: i64) -> u16 {
        let last = self.values.len().saturating_sub(1);
        let place = value.saturating_sub(self.first).clamp(0, last as i64);
        self.values.get(place as usize).copied().unwrap_or(0)
    }

    /// The entry for a stored value, as 8 bits.
    pub(super) fn entry8(&self, value: i64) -> u8 {
        let entry = self.entry(value);
        if self.bits > 8 { (entry >> 8) as u8 } else { entry as u8 }
    }
}

/// How many entries a descriptor says, and of how many bits.
fn described(data: &DataSet, descriptor: Tag) -> Option<(usize, u16)> {
    let count = data.u16(descriptor, 0)?;
    // 0 stands for 65536.
    let count = if count == 0 { 65_536 } else { usize::from(count) };
    Some((count, data.u16(descriptor, 2).unwrap_or(16)))
}

fn plain(data: &DataSet, descriptor: Tag, entries: Tag, is_signed: bool) -> Option<LookUpTable> {
    let element = data.element(entries)?;
    let (count, bits) = described(data, descriptor)?;
    let is_packed = bits <= 8 && element.bytes.len() < 2 * count;
    let value = |index: usize| match is_packed {
        true => element.bytes.get(index).copied().map(u16::from),
        false => data.u16(entries, index),
    };
    let values = (0..count).map(|index| value(index).unwrap_or(0)).collect();
    Some(LookUpTable { first: data.sample(descriptor, 1, is_signed).unwrap_or(0), values, bits })
}

/// A table of segments, which are values, lines to a value, and repetitions of earlier segments. Source: PS3.3, C.7.9.2.
fn segmented(data: &DataSet, descriptor: Tag, segments: Tag) -> Option<LookUpTable> {
    let element = data.element(segments)?;
    let (count, bits) = described(data, descriptor)?;
    let places: Vec<u16> = match bits <= 8 {
        true => element.bytes.iter().map(|&byte| byte.into()).collect(),
        false => (0..element.bytes.len() / 2).filter_map(|index| data.u16(segments, index)).collect(),
    };
    let mut filling = Filling { places: &places, is_bytes: bits <= 8, values: Vec::with_capacity(count), count };
    let mut place = 0;
    while place < places.len() && filling.values.len() < count {
        place = filling.segment(place);
    }
    filling.values.resize(count, 0);
    Some(LookUpTable { first: data.sample(descriptor, 1, true).unwrap_or(0), values: filling.values, bits })
}

struct Filling<'a> {
    places: &'a [u16],
    is_bytes: bool,
    values: Vec<u16>,
    count: usize,
}

impl Filling<'_> {
    fn at(&self, place: usize) -> u16 {
        self.places.get(place).copied().unwrap_or(0)
    }

    fn put(&mut self, value: u16) {
        if self.values.len() < self.count {
            self.values.push(value);
        }
    }

    /// Takes a segment; returns where the next begins.
    fn segment(&mut self, place: usize) -> usize {
        let (kind, size) = (self.at(place), usize::from(self.at(place + 1)));
        match kind {
            0 => {
                (0..size).for_each(|index| self.put(self.at(place + 2 + index)));
                place + 2 + size
            }
            1 => {
                let begin = f64::from(self.values.last().copied().unwrap_or(0));
                let end = f64::from(self.at(place + 2));
                let step = (end - begin) / size as f64;
                (1..=size).for_each(|index| self.put((begin + step * index as f64).round() as u16));
                place + 3
            }
            _ => {
                let width = if self.is_bytes { 1 } else { 2 };
                // Least significant first; in bytes.
                let offset = (0..4 / width)
                    .rev()
                    .fold(0usize, |sum, part| sum << (8 * width) | usize::from(self.at(place + 2 + part)));
                let mut from = offset / width;
                for _ in 0..size {
                    // A repeated segment repeats none.
                    if from >= self.places.len() || self.at(from) >= 2 {
                        break;
                    }
                    from = self.segment(from);
                }
                place + 2 + 4 / width
            }
        }
    }
}
