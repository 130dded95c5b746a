//! What can go wrong with a picture.

use thiserror::Error;

/// Shorthand for results of this library.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong; the messages say what was found and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// A buffer's size, channels, length or values cannot be used.
    #[error("{0}")]
    InvalidImage(String),
    /// The intensity window cannot be used.
    #[error("{0}")]
    InvalidWindow(String),
    /// A file cannot be read as a picture.
    #[error("{0}")]
    File(String),
}
