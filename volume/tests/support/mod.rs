//! What the tests share.
#![allow(dead_code)]

use std::path::PathBuf;

use serde_json::Value;
use umedsam_volume::{Axis, SliceValues, Volume};

/// A folder that the environment names, and its `expected.json`; without it a test says that it is skipped.
pub fn folder(variable: &str) -> Option<(PathBuf, Vec<Value>)> {
    let Some(folder) = std::env::var_os(variable).map(PathBuf::from) else {
        eprintln!("SKIPPED: {variable} is not set; cargo xtask test sets it");
        return None;
    };
    let expected = serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    Some((folder, expected))
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

pub fn floats(values: SliceValues) -> Vec<f64> {
    match values {
        SliceValues::U8(values) => values.into_iter().map(f64::from).collect(),
        SliceValues::F32(values) => values.into_iter().map(f64::from).collect(),
    }
}

/// All voxels as they are stored.
pub fn stored(volume: &dyn Volume) -> Vec<f64> {
    (0..volume.geometry().size[2]).flat_map(|index| floats(volume.read(Axis::Slices, index).unwrap())).collect()
}

pub fn assert_close(name: &str, actual: &[f64], expected: &[f64]) {
    assert_eq!(actual.len(), expected.len(), "{name}");
    let differs = |(a, b): (&f64, &f64)| (a - b).abs() > 1e-5 * b.abs().max(1.0);
    let place = actual.iter().zip(expected).position(differs);
    assert!(place.is_none(), "{name}: {actual:?}, not {expected:?}");
}

/// Numbers that are the same every time (xorshift64*).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }
}

/// Cuts bytes off at 200 places, and changes some of them in 400 ways, half of these near the begin.
pub fn damage(bytes: &[u8], mut read: impl FnMut(&[u8])) {
    for cut in 0..200 {
        read(&bytes[..bytes.len() * cut / 200]);
    }
    let mut random = Random(7);
    for case in 0..400 {
        let mut copy = bytes.to_vec();
        let end = if case % 2 == 0 { copy.len() } else { copy.len().min(2000) };
        for _ in 0..1 + random.below(6) {
            let place = random.below(end);
            copy[place] = random.below(256) as u8;
        }
        read(&copy);
    }
}
