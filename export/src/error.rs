//! What can be wrong with what is to be written.

use thiserror::Error;

/// Why something cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Error(pub String);

/// What writers return.
pub type Result<T> = std::result::Result<T, Error>;

/// # Errors
/// Always: the message.
pub(crate) fn fail<T>(message: impl Into<String>) -> Result<T> {
    Err(Error(message.into()))
}
