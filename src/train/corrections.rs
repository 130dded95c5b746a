//! What corrections begin with.

use std::path::Path;

use burn::tensor::Device;

use super::config::Part;
use crate::error::{Error, Result};
use crate::model::{CorrectionHead, Umedsam};
use crate::weights::{self, Metadata, sha256_hex};

/// The prompt encoder and mask decoder of other weights' corrections, or of their boxes, to begin the corrections with, and the SHA-256 of their file.
pub(super) fn corrections_of(
    path: &Path,
    metadata: &Metadata,
    part: Part,
    device: &Device,
) -> Result<(CorrectionHead, String)> {
    let fail = |message: String| Err(Error::InvalidOption(message));
    if part != Part::Corrections || metadata.config.corrections {
        return fail(format!(
            "weights to begin corrections with are for part = \"corrections\" and weights without corrections; the part is {part:?}, and the weights have {}",
            if metadata.config.corrections { "some" } else { "none" }
        ));
    }
    let bytes = std::fs::read(path).map_err(|error| Error::file(path, error))?;
    let sha256 = sha256_hex(&bytes);
    let (network, other) = weights::load(bytes, device)?;
    if (&other.config.mask_decoder, other.config.mask_in_chans)
        != (&metadata.config.mask_decoder, metadata.config.mask_in_chans)
    {
        return fail(format!(
            "the decoder of {} has other sizes than that of {}",
            other.architecture, metadata.architecture
        ));
    }
    let Umedsam { prompt_encoder, mask_decoder, corrections, .. } = network;
    Ok((corrections.unwrap_or(CorrectionHead { prompt_encoder, mask_decoder }), sha256))
}
