//! The metadata of a weight file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::WeightsError;
use crate::model::Config;
use crate::uncertainty::{Calibration, ShiftAlarm};

/// Value of the metadata entry `umedsam.format`.
pub const FORMAT: &str = "umedsam-weights";
/// Version of the format this library writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// How weights are stored; they are computed with in f32 in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// 16-bit floats for matrices; norms and statistics stay in 32 bits.
    F16,
    /// As [`Precision::F16`], but 8-bit integers with a scale for each row for large matrices: half the size, and no difference in DSC with the light encoder.
    I8,
}

impl Precision {
    /// `f32`, `f16` or `i8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::I8 => "i8",
        }
    }
}

/// What a weight file says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// Name of the network, such as `litemedsam`.
    pub architecture: String,
    /// Sizes of the network.
    pub config: Config,
    /// How the weights are stored.
    pub precision: Precision,
    /// SPDX identifier of the weights' licence.
    pub licence: String,
    /// Where the weights come from.
    pub source: String,
    /// SHA-256 of the file they were converted from.
    pub source_sha256: String,
    /// Version of umedsam that wrote the file.
    pub umedsam_version: String,
    /// What was learned on images with masks, if it was.
    pub calibration: Option<Calibration>,
    /// What the weights were trained on and how, if umedsam trained them: configuration, data, steps, commit.
    pub training: Option<serde_json::Value>,
}

impl Metadata {
    /// Reads the entries of a safetensors header.
    ///
    /// # Errors
    /// [`WeightsError::Foreign`] if they are not ours, are of a newer format, or describe an impossible network.
    pub fn from_entries<'a>(entries: impl IntoIterator<Item = (&'a String, &'a String)>) -> Result<Self, WeightsError> {
        let foreign = |message: String| WeightsError::Foreign(message);
        let entries: BTreeMap<&str, &String> = entries.into_iter().map(|(key, value)| (key.as_str(), value)).collect();
        let entry = |key: &str| {
            let key = format!("umedsam.{key}");
            entries
                .get(key.as_str())
                .map(|&value| value.clone())
                .ok_or_else(|| foreign(format!("the metadata has no {key}")))
        };
        let format = entry("format")?;
        let version = entry("format_version")?;
        if format != FORMAT || version != FORMAT_VERSION.to_string() {
            return Err(foreign(format!(
                "the format is {format} {version}, this version reads {FORMAT} {FORMAT_VERSION}"
            )));
        }
        let config: Config = serde_json::from_str(&entry("config")?)
            .map_err(|error| foreign(format!("unknown architecture ({error})")))?;
        config.check().map_err(|message| foreign(format!("impossible architecture ({message})")))?;
        let calibration =
            entry("calibration").ok().map(|text| read_calibration(&text, &config)).transpose().map_err(foreign)?;
        Ok(Self {
            architecture: entry("architecture")?,
            config,
            precision: match entry("precision")?.as_str() {
                "f32" => Precision::F32,
                "f16" => Precision::F16,
                "i8" => Precision::I8,
                other => return Err(foreign(format!("unknown precision {other}"))),
            },
            licence: entry("licence")?,
            source: entry("source")?,
            source_sha256: entry("source_sha256")?,
            umedsam_version: entry("version")?,
            calibration,
            training: entry("training")
                .ok()
                .map(|text| serde_json::from_str(&text))
                .transpose()
                .map_err(|error| foreign(format!("unreadable training record ({error})")))?,
        })
    }

    /// The entries of a safetensors header.
    pub fn to_entries(&self) -> Vec<(String, String)> {
        let config = serde_json::to_string(&self.config).expect("a configuration is plain data");
        let calibration = self.calibration.as_ref().map(|calibration| {
            let text = serde_json::to_string(calibration).expect("a calibration is plain data");
            ("umedsam.calibration".to_string(), text)
        });
        let entries = [
            ("format", FORMAT.to_string()),
            ("format_version", FORMAT_VERSION.to_string()),
            ("architecture", self.architecture.clone()),
            ("config", config),
            ("input_size", self.config.input_size().to_string()),
            ("precision", self.precision.name().to_string()),
            ("licence", self.licence.clone()),
            ("source", self.source.clone()),
            ("source_sha256", self.source_sha256.clone()),
            ("version", self.umedsam_version.clone()),
        ]
        .map(|(key, value)| (format!("umedsam.{key}"), value));
        let training = self.training.as_ref().map(|training| ("umedsam.training".to_string(), training.to_string()));
        entries.into_iter().chain(calibration).chain(training).collect()
    }
}

fn read_calibration(text: &str, config: &Config) -> Result<Calibration, String> {
    let calibration: Calibration =
        serde_json::from_str(text).map_err(|error| format!("unreadable calibration ({error})"))?;
    calibration.check().map_err(|message| format!("impossible calibration ({message})"))?;
    let (learned, features) =
        (calibration.shift.as_ref().map(ShiftAlarm::features), 2 * config.image_encoder.out_channels());
    if let Some(learned) = learned.filter(|&learned| learned != features) {
        return Err(format!(
            "the calibration's shift alarm has {learned} features, the network's embeddings have {features}"
        ));
    }
    Ok(calibration)
}
