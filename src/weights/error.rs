//! What can be wrong with weights.

use thiserror::Error;

/// Why a weight file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// A web page instead of weights.
    #[error("the weights are an HTML page; check their URL (a server may answer a missing file with a page)")]
    Html,
    /// A PyTorch checkpoint instead of safetensors.
    #[error("the weights are a PyTorch checkpoint; convert them with `umedsam convert`")]
    PytorchCheckpoint,
    /// The file ends early.
    #[error("the weights are truncated: {actual} of {expected} bytes; load them again")]
    Truncated {
        /// Bytes that the header announces.
        expected: usize,
        /// Bytes there are.
        actual: usize,
    },
    /// Not a safetensors file, or a broken one.
    #[error("the weights are not a valid safetensors file: {0}")]
    Malformed(String),
    /// A safetensors file of something else.
    #[error("the weights are not for umedsam: {0}; convert a LiteMedSAM checkpoint with `umedsam convert`")]
    Foreign(String),
    /// The hash is not the expected one.
    #[error("the weights have sha256 {actual}, expected {expected}")]
    Hash {
        /// What was asked for.
        expected: String,
        /// What the bytes have.
        actual: String,
    },
    /// Tensors do not fit the network.
    #[error(
        "the weights do not fit the network:{}{}{}",
        list("missing", missing),
        list("unexpected", unexpected),
        list("unusable", unusable)
    )]
    Tensors {
        /// Tensors the network needs and the file lacks.
        missing: Vec<String>,
        /// Tensors the file has and the network does not.
        unexpected: Vec<String>,
        /// Tensors of a wrong shape or type, with what is wrong.
        unusable: Vec<String>,
    },
}

/// The first few names and how many more there are.
fn list(label: &str, names: &[String]) -> String {
    const SHOWN: usize = 3;
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match names {
        [] => String::new(),
        _ => format!(" {label} {}{more};", names[..names.len().min(SHOWN)].join(", ")),
    }
}
