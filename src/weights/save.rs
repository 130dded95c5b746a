//! Networks to weight files.

use burn::tensor::DType;
use burn_store::burn_pack::Tensor as PackTensor;
use burn_store::{
    BurnToPyTorchAdapter, FloatCastAdapter, ModuleAdapter, ModuleContext, ModuleSnapshot, SafetensorsStore,
};

use safetensors::SafeTensors;

use super::quantized::quantized;
use super::{Metadata, Precision, WeightsError};
use crate::model::Umedsam;
use crate::model::image_encoder::ImageEncoderConfig;
use crate::model::local_scaling::LocalScaling;

/// The bytes of a weight file for a network on the CPU that is not folded.
///
/// # Errors
/// [`WeightsError::Malformed`] if the network's tensors cannot be read.
pub fn to_bytes(network: &Umedsam, metadata: &Metadata) -> Result<Vec<u8>, WeightsError> {
    let mut store = SafetensorsStore::from_bytes(None).skip_enum_variants(true);
    for (key, value) in metadata.to_entries() {
        store = store.metadata(key, value);
    }
    store = match metadata.precision {
        Precision::F32 => store.with_to_adapter(BurnToPyTorchAdapter),
        Precision::F16 | Precision::I8 => {
            let least = match metadata.config.image_encoder {
                ImageEncoderConfig::TinyVit(_) => LARGE_IN_TINY_VIT,
                _ => LARGE,
            };
            store.with_to_adapter(BurnToPyTorchAdapter.chain(LargeTensorsToF16 { least }))
        }
    };
    let malformed = |error: burn_store::SafetensorsStoreError| WeightsError::Malformed(error.to_string());
    network.save_into(&mut store).map_err(malformed)?;
    let bytes = store.get_bytes().map_err(malformed)?;
    match metadata.precision {
        Precision::I8 => quantized(&bytes),
        Precision::F32 | Precision::F16 => Ok(bytes),
    }
}

/// The bytes of a weight file with other metadata and the same tensors.
///
/// # Errors
/// [`WeightsError::Malformed`] if the bytes are not a safetensors file.
pub fn with_metadata(bytes: &[u8], metadata: &Metadata) -> Result<Vec<u8>, WeightsError> {
    let malformed = |error: safetensors::SafeTensorError| WeightsError::Malformed(error.to_string());
    let tensors = SafeTensors::deserialize(bytes).map_err(malformed)?;
    safetensors::serialize(tensors.tensors(), Some(metadata.to_entries().into_iter().collect())).map_err(malformed)
}

/// The bytes of a weight file with a local scaling in 32 bits, in place of the one it had, and metadata that tell of it.
///
/// # Errors
/// [`WeightsError::Malformed`] if the bytes are not a safetensors file, or the network's tensors cannot be read.
pub fn with_local_scaling(bytes: &[u8], network: &LocalScaling, metadata: &Metadata) -> Result<Vec<u8>, WeightsError> {
    let malformed = |error: safetensors::SafeTensorError| WeightsError::Malformed(error.to_string());
    let stored = |error: burn_store::SafetensorsStoreError| WeightsError::Malformed(error.to_string());
    let mut store = SafetensorsStore::from_bytes(None).with_to_adapter(BurnToPyTorchAdapter);
    network.save_into(&mut store).map_err(stored)?;
    let added = store.get_bytes().map_err(stored)?;
    let added = SafeTensors::deserialize(&added).map_err(malformed)?;
    let before = SafeTensors::deserialize(bytes).map_err(malformed)?;
    let kept = before.tensors().into_iter().filter(|(name, _)| !name.starts_with(LOCAL_SCALING));
    let added = added.tensors().into_iter().map(|(name, tensor)| (format!("{LOCAL_SCALING}{name}"), tensor));
    safetensors::serialize(kept.chain(added), Some(metadata.to_entries().into_iter().collect())).map_err(malformed)
}

/// What the names of a local scaling's tensors begin with. They weigh too little to be stored in fewer bits.
pub(super) const LOCAL_SCALING: &str = "local_scaling.";

/// Stores large tensors in 16 bits. Small ones, norms among them, stay in 32.
#[derive(Debug, Clone)]
struct LargeTensorsToF16 {
    least: usize,
}

/// Tensors of at least this many values become 16-bit.
const LARGE: usize = 1024;

/// The same with LiteMedSAM's encoder: its depthwise kernels and first layers weigh little in the file, and most of the rounding error comes from them.
const LARGE_IN_TINY_VIT: usize = 32_768;

impl ModuleAdapter for LargeTensorsToF16 {
    fn adapt(&self, tensor: PackTensor, context: ModuleContext<'_>) -> PackTensor {
        match tensor.shape.iter().product::<usize>() >= self.least {
            true => FloatCastAdapter::to(DType::F16).adapt(tensor, context),
            false => tensor,
        }
    }

    fn clone_box(&self) -> Box<dyn ModuleAdapter> {
        Box::new(self.clone())
    }
}
