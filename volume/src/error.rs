//! What can go wrong with a volume.

use std::path::Path;

use thiserror::Error;

/// Shorthand for results of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong; the messages say what was found and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// A file cannot be used: another format, cut off, damaged, or of a kind that is not read.
    #[error("{0}")]
    Invalid(String),
    /// A slice, frame or series that is not there, or values that do not fit the volume.
    #[error("{0}")]
    Option(String),
    /// A file cannot be read from the disk.
    #[error("{path}: {message}")]
    File {
        /// The file.
        path: String,
        /// What happened.
        message: String,
    },
}

impl Error {
    /// An error about a file.
    pub fn file(path: impl AsRef<Path>, message: impl ToString) -> Self {
        Self::File { path: path.as_ref().display().to_string(), message: message.to_string() }
    }
}

/// Shorthand for [`Error::Invalid`].
pub(crate) fn invalid<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::Invalid(message.into()))
}
