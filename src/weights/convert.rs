//! PyTorch checkpoints of LiteMedSAM and MedficientSAM to our weight file.

use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use burn_store::{ModuleSnapshot, PytorchStore};

use super::{Metadata, Precision, WeightsError, check_applied, sha256_hex, to_bytes};
use crate::error::{Error, Result};
use crate::model::efficient_vit_sam::EfficientVitSamConfig;
use crate::model::image_encoder::ImageEncoderConfig;
use crate::model::{Config, Umedsam};
use crate::uncertainty::Calibration;

/// What a conversion did.
#[derive(Debug, Clone)]
pub struct Converted {
    /// What the new file says of itself.
    pub metadata: Metadata,
    /// Number of parameters, batch statistics included.
    pub parameters: usize,
    /// SHA-256 of the new file.
    pub sha256: String,
    /// Size of the new file.
    pub bytes: usize,
}

/// The network that a checkpoint holds.
#[derive(Debug, Clone)]
pub struct Architecture {
    /// Its name in the metadata.
    pub name: String,
    /// Its sizes.
    pub config: Config,
}

impl Architecture {
    /// LiteMedSAM's.
    pub fn litemedsam() -> Self {
        Self { name: "litemedsam".into(), config: Config::litemedsam() }
    }

    /// MedficientSAM's: the image encoder of an EfficientViT-SAM with SAM's prompt encoder and mask decoder.
    pub fn medficientsam(size: &str, encoder: EfficientVitSamConfig) -> Self {
        let image_encoder = ImageEncoderConfig::EfficientVitSam(encoder);
        Self { name: format!("medficientsam-{size}"), config: Config { image_encoder, ..Config::litemedsam() } }
    }
}

/// Converts a checkpoint (`lite_medsam.pth`, or a training checkpoint with such a network under `model`) to safetensors.
/// The output is written whole or not at all.
///
/// # Errors
/// [`Error::File`] if a file cannot be read or written; [`WeightsError::Hash`] if `expected_sha256` is given and differs;
/// [`WeightsError::Tensors`] naming missing, extra or misshapen tensors, or values that are not finite; [`Error::InvalidOption`] if the
/// calibration is that of another checkpoint.
#[allow(clippy::too_many_arguments)]
pub fn convert(
    checkpoint: &Path,
    architecture: &Architecture,
    output: &Path,
    precision: Precision,
    source: &str,
    licence: &str,
    expected_sha256: Option<&str>,
    calibration: Option<&Path>,
) -> Result<Converted> {
    let bytes = std::fs::read(checkpoint).map_err(|error| Error::file(checkpoint, error))?;
    let source_sha256 = sha256_hex(&bytes);
    if let Some(expected) = expected_sha256.filter(|expected| !expected.eq_ignore_ascii_case(&source_sha256)) {
        return Err(WeightsError::Hash { expected: expected.to_string(), actual: source_sha256 }.into());
    }
    if bytes.starts_with(b"<") {
        return Err(WeightsError::Html.into());
    }
    drop(bytes);
    let calibration = calibration.map(|path| read_calibration(path, &source_sha256)).transpose()?;

    let config = architecture.config.clone();
    let network = read_checkpoint(checkpoint, &config)?;
    let mut census = Census::default();
    network.visit(&mut census);
    if census.not_finite > 0 {
        let message = format!("{} values are not finite numbers", census.not_finite);
        return Err(WeightsError::Malformed(message).into());
    }

    let metadata = Metadata {
        architecture: architecture.name.clone(),
        config,
        precision,
        licence: licence.into(),
        source: source.into(),
        source_sha256,
        umedsam_version: env!("CARGO_PKG_VERSION").into(),
        calibration,
        training: None,
    };
    let written = to_bytes(&network, &metadata)?;
    write_whole(output, &written).map_err(|error| Error::file(output, error))?;
    Ok(Converted { metadata, parameters: census.parameters, sha256: sha256_hex(&written), bytes: written.len() })
}

fn read_calibration(path: &Path, source_sha256: &str) -> Result<Calibration> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::file(path, error))?;
    let calibration: Calibration = serde_json::from_str(&text).map_err(|error| Error::file(path, error))?;
    calibration.check().map_err(|message| Error::file(path, message))?;
    if calibration.source_sha256 != source_sha256 {
        return Err(Error::InvalidOption(format!(
            "the calibration {} was learned for the checkpoint {}, this one is {source_sha256}",
            path.display(),
            calibration.source_sha256
        )));
    }
    Ok(calibration)
}

fn read_checkpoint(checkpoint: &Path, config: &Config) -> Result<Umedsam> {
    let device = Device::flex();
    let read = |top_level_key: Option<&str>| {
        let mut network = config.init(&device);
        let mut store = PytorchStore::from_file(checkpoint)
            .skip_enum_variants(true)
            .map_indices_contiguous(false)
            .allow_partial(true)
            .validate(false);
        if let Some(key) = top_level_key {
            store = store.with_top_level_key(key);
        }
        let result = network.load_from(&mut store).map_err(|error| WeightsError::Malformed(error.to_string()))?;
        check_applied(&result).map(|()| network)
    };
    match read(None) {
        Err(error @ WeightsError::Tensors { .. }) => Ok(read(Some("model")).map_err(|_| error)?),
        result => Ok(result?),
    }
}

/// Writes beside the file and renames, so that no half-written file is ever there.
///
/// # Errors
/// Whatever the file system says; the file is then as it was.
pub fn write_whole(output: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = output.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut name = output.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    let partial = output.with_file_name(name);
    let written = std::fs::write(&partial, bytes).and_then(|()| std::fs::rename(&partial, output));
    if written.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    written
}

/// Counts parameters and values that are not finite.
#[derive(Default)]
struct Census {
    parameters: usize,
    not_finite: usize,
}

impl ModuleVisitor for Census {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = param.val().into_data();
        self.parameters += data.num_elements();
        self.not_finite += data.iter::<f32>().filter(|value| !value.is_finite()).count();
    }
}
