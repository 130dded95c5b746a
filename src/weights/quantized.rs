//! Matrices in 8 bits.
//!
//! A row of a matrix is whole numbers from −127 to 127 times a scale of its own, which lies beside it in the file under the matrix's name and `.scale`. Small matrices
//! stay in 16 bits, among them an image encoder's first and depthwise layers, which weigh little and would lose most.

use half::f16;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors, serialize};

use super::WeightsError;
use super::save::LOCAL_SCALING;

/// The end of a scale's name.
const SCALE: &str = ".scale";
/// Matrices of at least this many values are stored in 8 bits,
const LEAST: usize = 2048;
/// and in the image encoder those of at least this many.
const LEAST_IN_IMAGE_ENCODER: usize = 16_384;
/// The largest whole number; −128 is not used, so that both signs have the same range.
const LARGEST: f32 = 127.0;

fn malformed(error: SafeTensorError) -> WeightsError {
    WeightsError::Malformed(error.to_string())
}

/// A tensor to be written.
type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

/// A file of 16 or 32 bits with its large matrices in 8.
///
/// # Errors
/// [`WeightsError::Malformed`] if the bytes are not a safetensors file of floats.
pub fn quantized(bytes: &[u8]) -> Result<Vec<u8>, WeightsError> {
    let file = SafeTensors::deserialize(bytes).map_err(malformed)?;
    let mut stored = Vec::new();
    for (name, tensor) in file.tensors() {
        let shape = tensor.shape().to_vec();
        let least = if name.starts_with("image_encoder.") { LEAST_IN_IMAGE_ENCODER } else { LEAST };
        let is_small = shape.len() < 2 || shape.iter().product::<usize>() < least;
        if is_small || name.starts_with(LOCAL_SCALING) {
            stored.push((name, tensor.dtype(), shape, tensor.data().to_vec()));
            continue;
        }
        let values = floats(&name, &tensor)?;
        let (mut numbers, mut scales) = (Vec::with_capacity(values.len()), Vec::new());
        for row in values.chunks_exact(values.len() / shape[0]) {
            let scale = row.iter().fold(0.0f32, |largest, value| largest.max(value.abs())) / LARGEST;
            let number = |value: &f32| if scale > 0.0 { (value / scale).round() as i8 } else { 0 };
            numbers.extend(row.iter().map(|value| number(value) as u8));
            scales.extend(scale.to_le_bytes());
        }
        stored.push((format!("{name}{SCALE}"), Dtype::F32, vec![shape[0]], scales));
        stored.push((name, Dtype::I8, shape, numbers));
    }
    written(&stored, bytes)
}

/// The same file with 16 bits in place of 8; unchanged if it has no matrices of 8.
///
/// # Errors
/// [`WeightsError::Malformed`] if the bytes are not a safetensors file, or a matrix has not one scale for each row.
pub fn in_floats(bytes: Vec<u8>) -> Result<Vec<u8>, WeightsError> {
    let file = SafeTensors::deserialize(&bytes).map_err(malformed)?;
    let tensors = file.tensors();
    let is_quantized = |name: &str| tensors.iter().any(|(other, tensor)| other == name && tensor.dtype() == Dtype::I8);
    if !tensors.iter().any(|(_, tensor)| tensor.dtype() == Dtype::I8) {
        return Ok(bytes);
    }
    let mut stored = Vec::new();
    for (name, tensor) in &tensors {
        if name.strip_suffix(SCALE).is_some_and(is_quantized) {
            continue;
        }
        let shape = tensor.shape().to_vec();
        let (dtype, data) = match tensor.dtype() {
            Dtype::I8 => (Dtype::F16, in_16_bits(name, tensor, &file)?),
            other => (other, tensor.data().to_vec()),
        };
        stored.push((name.clone(), dtype, shape, data));
    }
    written(&stored, &bytes)
}

fn in_16_bits(name: &str, tensor: &TensorView, file: &SafeTensors) -> Result<Vec<u8>, WeightsError> {
    let scale = format!("{name}{SCALE}");
    let scales = file.tensor(&scale).ok().map(|scales| floats(&scale, &scales)).transpose()?.unwrap_or_default();
    let rows = tensor.shape().first().copied().unwrap_or(0);
    let numbers = tensor.data();
    if rows == 0 || scales.len() != rows || !numbers.len().is_multiple_of(rows) {
        return Err(WeightsError::Malformed(format!("{name} has {rows} rows and {} scales", scales.len())));
    }
    let row = |(numbers, scale): (&[u8], &f32)| -> Vec<u8> {
        let value = |&number: &u8| f16::from_f32(f32::from(number as i8) * scale).to_le_bytes();
        numbers.iter().flat_map(value).collect()
    };
    Ok(numbers.chunks_exact((numbers.len() / rows).max(1)).zip(&scales).flat_map(row).collect())
}

fn written(stored: &[Stored], like: &[u8]) -> Result<Vec<u8>, WeightsError> {
    let (_, header) = SafeTensors::read_metadata(like).map_err(malformed)?;
    let views = stored
        .iter()
        .map(|(name, dtype, shape, data)| Ok((name, TensorView::new(*dtype, shape.clone(), data)?)))
        .collect::<Result<Vec<_>, SafeTensorError>>()
        .map_err(malformed)?;
    serialize(views, header.metadata().clone()).map_err(malformed)
}

/// The values of a tensor of 16 or 32 bits.
///
/// # Errors
/// [`WeightsError::Malformed`] if it is of another type.
pub fn floats(name: &str, tensor: &TensorView) -> Result<Vec<f32>, WeightsError> {
    let bytes = tensor.data();
    match tensor.dtype() {
        Dtype::F32 => Ok(bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()),
        Dtype::F16 => Ok(bytes.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect()),
        other => Err(WeightsError::Malformed(format!("{name} is of type {other:?}, not F16 or F32"))),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::model::Config;
    use crate::weights::{Metadata, Precision, load, to_bytes};

    fn file(precision: Precision) -> Vec<u8> {
        let config = Config { corrections: true, ..Config::tiny_student() };
        let network = config.init_seeded(4, &Device::flex());
        let metadata = Metadata {
            architecture: "tiny".into(),
            config,
            precision,
            licence: "Apache-2.0".into(),
            source: "seed 4".into(),
            source_sha256: String::new(),
            umedsam_version: "test".into(),
            calibration: None,
            training: None,
        };
        to_bytes(&network, &metadata).unwrap()
    }

    fn all(bytes: &[u8]) -> Vec<(String, Dtype, Vec<f32>)> {
        let bytes = in_floats(bytes.to_vec()).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut all: Vec<_> = file
            .tensors()
            .into_iter()
            .map(|(name, tensor)| (name.clone(), tensor.dtype(), floats(&name, &tensor).unwrap()))
            .collect();
        all.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        all
    }

    #[test]
    fn every_value_is_within_half_a_step_of_its_row() {
        let (before, small) = (file(Precision::F32), file(Precision::I8));
        assert!(small.len() < file(Precision::F16).len(), "{} bytes became {}", before.len(), small.len());
        let types = SafeTensors::deserialize(&small).unwrap();
        let types: Vec<Dtype> = types.tensors().iter().map(|(_, tensor)| tensor.dtype()).collect();
        assert!(types.contains(&Dtype::I8));
        let (before, after) = (all(&before), all(&small));
        assert_eq!(before.len(), after.len());
        for ((name, _, before), (other, dtype, after)) in before.iter().zip(&after) {
            assert_eq!(name, other);
            // The largest of the whole tensor bounds the step of every row; 16 bits round once more.
            let largest = before.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            let tolerance = if *dtype == Dtype::F32 { 0.0 } else { largest * (0.51 / LARGEST + 1e-3) };
            assert!(before.iter().zip(after).all(|(a, b)| (a - b).abs() <= tolerance), "{name}");
        }
        let (network, metadata) = load(small, &Device::flex()).unwrap();
        assert!(metadata.precision == Precision::I8 && network.corrections.is_some());
    }

    #[test]
    fn a_row_of_zeros_and_a_file_without_8_bits_stay() {
        let before = file(Precision::F16);
        assert!(in_floats(before.clone()).unwrap() == before);
        let zeros = vec![0u8; 4 * LEAST];
        let view = TensorView::new(Dtype::F32, vec![LEAST / 64, 64], &zeros).unwrap();
        let small = quantized(&serialize([("a", view)], None).unwrap()).unwrap();
        assert!(all(&small)[0].2.iter().all(|value| *value == 0.0));
    }

    #[test]
    fn a_matrix_without_its_scales_is_an_error() {
        let numbers = vec![1u8; 8];
        let view = |shape: [usize; 2]| TensorView::new(Dtype::I8, shape.to_vec(), &numbers).unwrap();
        let error = in_floats(serialize([("a", view([2, 4]))], None).unwrap()).unwrap_err();
        assert!(error.to_string().contains("a has 2 rows and 0 scales"), "{error}");
        let scales = vec![0u8; 12];
        let scales = TensorView::new(Dtype::F32, vec![3], &scales).unwrap();
        let error = in_floats(serialize([("a", view([2, 4])), ("a.scale", scales)], None).unwrap()).unwrap_err();
        assert!(error.to_string().contains("a has 2 rows and 3 scales"), "{error}");
    }
}
