//! The weights that commands use where none are given.

use std::path::PathBuf;

use umedsam::{Error, Result};

/// Our own with the light encoder; `weights/MODEL_CARD-student.md` says what they are.
const OWN: &[u8] = include_bytes!("../../../weights/umedsam-student-i8.safetensors");

/// The bytes of a weight file, or of our own weights.
pub fn read(path: Option<&PathBuf>) -> Result<Vec<u8>> {
    match path {
        Some(path) => std::fs::read(path).map_err(|error| Error::file(path, error)),
        None => Ok(OWN.to_vec()),
    }
}
