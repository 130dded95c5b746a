//! Weight files: safetensors whose tensor names are the checkpoint's keys, with metadata that says what they are.

#[cfg(feature = "cli")]
mod average;
#[cfg(feature = "cli")]
mod convert;
mod error;
mod metadata;
mod quantized;
mod save;

#[cfg(feature = "cli")]
pub use average::average;
#[cfg(feature = "cli")]
pub use convert::{Architecture, Converted, convert, write_whole};
pub use error::WeightsError;
pub use metadata::{FORMAT, FORMAT_VERSION, Metadata, Precision};
pub use save::{to_bytes, with_local_scaling, with_metadata};

use burn::tensor::{DType, Device};
use burn_store::{
    ApplyError, ApplyResult, FloatCastAdapter, ModuleAdapter, ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore,
};
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};

use crate::model::Umedsam;

/// The SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The lower-case hexadecimal SHA-256 of some bytes.
pub fn sha256_hex(bytes: &[u8]) -> String {
    sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a weight file's metadata, having checked that the file is whole.
///
/// # Errors
/// A [`WeightsError`] that says what the bytes are instead: an HTML page, a PyTorch checkpoint, a truncated file, a
/// safetensors file of something else.
pub fn read_metadata(bytes: &[u8]) -> Result<Metadata, WeightsError> {
    reject_other_formats(bytes)?;
    check_length(bytes)?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| WeightsError::Malformed(error.to_string()))?;
    Metadata::from_entries(header.metadata().iter().flatten())
}

/// Reads a weight file into the network it describes, on `device`.
///
/// # Errors
/// As [`read_metadata`]; [`WeightsError::Tensors`] names missing, extra and misshapen tensors.
pub fn load(bytes: Vec<u8>, device: &Device) -> Result<(Umedsam, Metadata), WeightsError> {
    let metadata = read_metadata(&bytes)?;
    let mut network = metadata.config.init(device);
    let mut store = SafetensorsStore::from_bytes(Some(quantized::in_floats(bytes)?))
        .with_from_adapter(PyTorchToBurnAdapter.chain(FloatCastAdapter::to(DType::F32)))
        .skip_enum_variants(true)
        .allow_partial(true)
        .validate(false);
    let result = network.load_from(&mut store).map_err(|error| WeightsError::Malformed(error.to_string()))?;
    check_applied(&result)?;
    Ok((network, metadata))
}

fn reject_other_formats(bytes: &[u8]) -> Result<(), WeightsError> {
    let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(bytes.len());
    if bytes[start..].starts_with(b"<") {
        return Err(WeightsError::Html);
    }
    // PyTorch checkpoints are zip archives, before 1.6 pickles.
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&[0x80, 0x02]) {
        return Err(WeightsError::PytorchCheckpoint);
    }
    Ok(())
}

/// The longest header that safetensors allows, in bytes.
const LONGEST_HEADER: usize = 100_000_000;

/// Compares the file's length with what its header announces: 8 bytes of header length, the header, the tensors.
fn check_length(bytes: &[u8]) -> Result<(), WeightsError> {
    let not_safetensors = || WeightsError::Malformed("there is no safetensors header".into());
    let (length, rest) = bytes.split_first_chunk().ok_or_else(not_safetensors)?;
    if rest.first().is_some_and(|&first| first != b'{') {
        return Err(not_safetensors());
    }
    let header_len = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| not_safetensors())?;
    if header_len > LONGEST_HEADER {
        return Err(not_safetensors());
    }
    let truncated = |expected: usize| WeightsError::Truncated { expected, actual: bytes.len() };
    let header = rest.get(..header_len).ok_or_else(|| truncated(header_len.saturating_add(8)))?;
    let header: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(header).map_err(|error| WeightsError::Malformed(error.to_string()))?;
    let ends = header.values().filter_map(|tensor| tensor.get("data_offsets")?.get(1)?.as_u64());
    let data_len = usize::try_from(ends.max().unwrap_or(0)).unwrap_or(usize::MAX);
    let expected = data_len.saturating_add(header_len + 8);
    match bytes.len() < expected {
        true => Err(truncated(expected)),
        false => Ok(()),
    }
}

/// Checks that every tensor of the network was found with its shape, and that the file holds no other.
fn check_applied(result: &ApplyResult) -> Result<(), WeightsError> {
    let missing = result.missing.iter().map(|(path, containers)| checkpoint_key(path, containers)).collect::<Vec<_>>();
    // PyTorch counts the batches of every batch norm; inference and our training do without.
    let unexpected: Vec<String> =
        result.unused.iter().filter(|name| !name.ends_with(".num_batches_tracked")).cloned().collect();
    let unusable = result
        .errors
        .iter()
        .map(|error| match error {
            ApplyError::ShapeMismatch { path, expected, found } => {
                format!("{path} (shape {:?}, expected {:?})", found.to_vec(), expected.to_vec())
            }
            error => error.to_string(),
        })
        .collect::<Vec<_>>();
    if missing.is_empty() && unexpected.is_empty() && unusable.is_empty() {
        return Ok(());
    }
    Err(WeightsError::Tensors { missing, unexpected, unusable })
}

/// burn names the parameters of norms `gamma` and `beta`, checkpoints `weight` and `bias`.
fn checkpoint_key(path: &str, containers: &str) -> String {
    let is_norm = containers.ends_with("Struct:LayerNorm") || containers.ends_with("Struct:BatchNorm");
    match path.rsplit_once('.') {
        Some((module, "gamma")) if is_norm => format!("{module}.weight"),
        Some((module, "beta")) if is_norm => format!("{module}.bias"),
        _ => path.to_string(),
    }
}
