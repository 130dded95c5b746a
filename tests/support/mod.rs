//! What the integration tests share: where the weights and the reference are, and how results are compared.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;
use umedsam::segment::Segmenter;

/// Evaluates to the value, or says why the test is skipped and returns from it.
#[macro_export]
macro_rules! or_skip {
    ($option:expr, $what:expr) => {
        match $option {
            Some(value) => value,
            None => {
                eprintln!("SKIPPED: {} is not here", $what);
                return;
            }
        }
    };
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A path beside the checkout that CI has and a user has not.
pub fn shared(path: &str) -> Option<PathBuf> {
    let path = root().join("../shared").join(path);
    path.exists().then_some(path)
}

/// Converted weights, made by `cargo xtask weights`.
pub fn weights(precision: &str) -> Option<Vec<u8>> {
    std::fs::read(root().join(format!("weights/litemedsam-{precision}.safetensors"))).ok()
}

pub fn segmenter(precision: &str) -> Option<Segmenter> {
    let bytes = weights(precision)?;
    Some(Segmenter::from_weights(bytes, &Device::flex()).expect("converted weights load"))
}

/// A file of named reference tensors.
pub struct Reference {
    bytes: Vec<u8>,
}

impl Reference {
    pub fn litemedsam(case: &str) -> Option<Self> {
        let path = shared(&format!("reference/litemedsam/{case}.safetensors"))?;
        Some(Self { bytes: std::fs::read(path).expect("the reference is readable") })
    }

    pub fn efficient_vit(size: &str) -> Option<Self> {
        let path = shared(&format!("reference/efficientvit/{size}.safetensors"))?;
        Some(Self { bytes: std::fs::read(path).expect("the reference is readable") })
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("the reference is valid")
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors().tensor(name).is_ok()
    }

    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.tensors().tensor(name).expect(name).shape().to_vec()
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        self.tensors().tensor(name).expect(name).data().to_vec()
    }

    pub fn floats(&self, name: &str) -> Vec<f32> {
        self.bytes(name).chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    }

    pub fn boxes(&self) -> Vec<[f64; 4]> {
        self.floats("boxes").chunks_exact(4).map(|corners| std::array::from_fn(|i| f64::from(corners[i]))).collect()
    }

    /// A channels-first tensor as values in channels-last order.
    pub fn channels_last(&self, name: &str) -> Vec<f32> {
        let shape = self.shape(name);
        let shape: [usize; 4] = shape.try_into().expect("a 4D tensor");
        let tensor = Tensor::<4>::from_data(TensorData::new(self.floats(name), shape), &Device::flex());
        values(tensor.permute([0, 2, 3, 1]))
    }
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("f32 values")
}

/// ‖actual − expected‖ / ‖expected‖
pub fn relative_l2(actual: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(actual.len(), expected.len(), "sizes differ");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let difference = norm(&mut actual.iter().zip(expected).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    difference / norm(&mut expected.iter().map(|&value| f64::from(value)))
}

#[track_caller]
pub fn assert_close(name: &str, actual: &[f32], expected: &[f32], tolerance: f64) {
    let error = relative_l2(actual, expected);
    eprintln!("{name}: relative L2 error {error:.2e}");
    assert!(error <= tolerance, "{name}: relative L2 error {error:.3e} is over {tolerance:.0e}");
}
