//! Means of weights.
//!
//! Source: Wortsman et al., *Robust fine-tuning of zero-shot models*, 2022: the mean of a network's weights before and after fine-tuning keeps more of what it knew of other
//! data than either end.

use burn::tensor::Device;
use half::f16;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde_json::json;

use super::quantized::{floats, in_floats};
use super::{Metadata, Precision, load, read_metadata, sha256_hex, to_bytes};
use crate::error::{Error, Result};

/// The mean of weight files of one network, each with its share; stored in a precision, or as the first one is, without calibration.
///
/// # Errors
/// [`Error::InvalidOption`] if shares are not between 0 and 1 or do not make 1 together, or networks differ; [`Error::Weights`] if a file cannot be used.
pub fn average(files: &[(f64, Vec<u8>)], precision: Option<Precision>) -> Result<Vec<u8>> {
    let sum: f64 = files.iter().map(|(share, _)| share).sum();
    if (sum - 1.0).abs() > 1e-6 || files.iter().any(|(share, _)| !(0.0..=1.0).contains(share)) {
        let shares: Vec<f64> = files.iter().map(|(share, _)| *share).collect();
        return Err(Error::InvalidOption(format!(
            "the shares are {shares:?}; use numbers between 0 and 1 that make 1"
        )));
    }
    let metadata = files.iter().map(|(_, bytes)| Ok(read_metadata(bytes)?)).collect::<Result<Vec<_>>>()?;
    if let Some(other) = metadata.iter().find(|other| other.config != metadata[0].config) {
        return Err(Error::InvalidOption(format!(
            "the files hold other networks ({} and {}, or of other sizes); average files of one",
            metadata[0].architecture, other.architecture
        )));
    }
    let malformed = |error: safetensors::SafeTensorError| super::WeightsError::Malformed(error.to_string());
    let shares_and_floats =
        files.iter().map(|(share, bytes)| Ok((*share, in_floats(bytes.clone())?))).collect::<Result<Vec<_>>>()?;
    let tensors = shares_and_floats
        .iter()
        .map(|(share, bytes)| Ok((*share, SafeTensors::deserialize(bytes).map_err(malformed)?)))
        .collect::<Result<Vec<_>>>()?;
    let mut means = Vec::new();
    for (name, first) in tensors[0].1.tensors() {
        let mut mean = vec![0.0f64; first.shape().iter().product()];
        for (share, file) in &tensors {
            let tensor = file.tensor(&name).map_err(malformed)?;
            for (mean, value) in mean.iter_mut().zip(floats(&name, &tensor)?) {
                *mean += share * f64::from(value);
            }
        }
        let bytes: Vec<u8> = match first.dtype() {
            Dtype::F16 => mean.iter().flat_map(|&value| f16::from_f64(value).to_le_bytes()).collect(),
            _ => mean.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect(),
        };
        means.push((name, first.dtype(), first.shape().to_vec(), bytes));
    }
    let views = means
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((name, TensorView::new(*dtype, shape.clone(), bytes).map_err(malformed)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let mut metadata = metadata.into_iter().next().expect("shares that make 1 are not none");
    metadata.calibration = None;
    let averaged: Vec<_> =
        files.iter().map(|(share, bytes)| json!({ "share": share, "sha256": sha256_hex(bytes) })).collect();
    metadata.training.get_or_insert_with(|| json!({}))["averaged"] = averaged.into();
    let bytes = serialize(views, Some(metadata.to_entries().into_iter().collect())).map_err(malformed)?;
    let wanted = precision.unwrap_or(metadata.precision);
    if wanted == metadata.precision && wanted != Precision::I8 {
        return Ok(bytes);
    }
    let (network, metadata) = load(bytes, &Device::flex())?;
    Ok(to_bytes(&network, &Metadata { precision: wanted, ..metadata })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Config;

    fn file(config: Config, seed: u64, precision: Precision) -> Vec<u8> {
        let network = config.init_seeded(seed, &Device::flex());
        let metadata = Metadata {
            architecture: "tiny".into(),
            config,
            precision,
            licence: "Apache-2.0".into(),
            source: format!("seed {seed}"),
            source_sha256: String::new(),
            umedsam_version: "test".into(),
            calibration: None,
            training: None,
        };
        to_bytes(&network, &metadata).unwrap()
    }

    #[test]
    fn every_value_lies_between_the_files() {
        let files = [(0.25, 1, Precision::F32), (0.75, 2, Precision::F16)]
            .map(|(share, seed, precision)| (share, file(Config::tiny(), seed, precision)));
        let mean = average(&files, None).unwrap();
        let read = |bytes: &[u8]| {
            let tensors = SafeTensors::deserialize(bytes).unwrap();
            let mut tensors: Vec<_> = tensors.tensors().into_iter().collect();
            tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
            tensors.iter().flat_map(|(_, tensor)| floats("", tensor).unwrap()).collect::<Vec<f32>>()
        };
        let [first, second] = [&files[0].1, &files[1].1].map(|bytes| read(bytes));
        let actual = read(&mean);
        assert_eq!(actual.len(), first.len());
        let is_right =
            |((mean, first), second): ((&f32, &f32), &f32)| (mean - (0.25 * first + 0.75 * second)).abs() < 1e-6;
        assert!(actual.iter().zip(&first).zip(&second).all(is_right));
        let (_, metadata) = load(mean, &Device::flex()).unwrap();
        let averaged = &metadata.training.unwrap()["averaged"];
        assert_eq!((&averaged[0]["share"], &averaged[1]["sha256"]), (&json!(0.25), &json!(sha256_hex(&files[1].1))));
    }

    #[test]
    fn a_mean_may_be_stored_in_another_precision() {
        let whole = file(Config::tiny_student(), 1, Precision::F32);
        let small = average(&[(1.0, whole.clone())], Some(Precision::I8)).unwrap();
        assert!(
            small.len() < file(Config::tiny_student(), 1, Precision::F16).len()
                && read_metadata(&small).unwrap().precision == Precision::I8
        );
        // Numbers of 8 bits are read, and stored again where nobody says otherwise.
        let again = average(&[(0.5, small.clone()), (0.5, whole)], None).unwrap();
        assert!(again.len().abs_diff(small.len()) < 1000 && load(again, &Device::flex()).is_ok());
    }

    #[test]
    fn what_is_no_mean_is_refused() {
        let tiny = || file(Config::tiny(), 1, Precision::F32);
        for (files, part) in [
            (vec![(0.5, tiny()), (0.6, tiny())], "[0.5, 0.6]"),
            (vec![(1.5, tiny()), (-0.5, tiny())], "between 0 and 1"),
            (Vec::new(), "[]"),
        ] {
            let error = average(&files, None).unwrap_err();
            assert!(error.code() == "invalid-option" && error.to_string().contains(part), "{error}");
        }
        let mut other = Config::tiny();
        other.mask_decoder.multimask = false;
        let error = average(&[(0.5, tiny()), (0.5, file(other, 1, Precision::F32))], None).unwrap_err();
        assert!(error.to_string().contains("other networks"), "{error}");
        assert_eq!(average(&[(1.0, vec![1, 2, 3])], None).unwrap_err().code(), "invalid-weights");
    }
}
