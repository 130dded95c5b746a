//! The library's errors. Each has a stable [`Error::code`] for programs and a message for people: what was wrong, with the bad
//! value, and what to do.

use thiserror::Error;

use crate::weights::WeightsError;

/// Shorthand for results of this library.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The image's size, channels, buffer length or values cannot be used.
    #[error("invalid image: {0}")]
    InvalidImage(String),
    /// The intensity window cannot be used.
    #[error("invalid window: {0}")]
    InvalidWindow(String),
    /// A box cannot be used.
    #[error("invalid box: {0}")]
    InvalidBox(String),
    /// Points, scribbles or an earlier mask cannot be used, or there is nothing to go by.
    #[error("invalid prompt: {0}")]
    InvalidPrompt(String),
    /// An option is unknown or out of range.
    #[error("invalid option: {0}")]
    InvalidOption(String),
    /// The weights cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The device that was asked for is not there or gives wrong results.
    #[error("device unavailable: {0}")]
    DeviceUnavailable(String),
    /// The GPU device was lost while it was in use.
    #[error("the GPU device was lost ({0}); call again: the model is set up anew on the next call")]
    DeviceLost(String),
    /// The computation failed on the device.
    #[error("the computation failed on the device: {0}")]
    Computation(String),
    /// A file cannot be read or written.
    #[error("{path}: {message}")]
    File {
        /// The file.
        path: String,
        /// What happened.
        message: String,
    },
    /// The caller ended the work before it was done.
    #[error("{0} was aborted")]
    Aborted(&'static str),
    /// The model or image was disposed of.
    #[error("{0} was disposed of; load or encode it again")]
    Disposed(&'static str),
}

impl From<umedsam_picture::Error> for Error {
    fn from(error: umedsam_picture::Error) -> Self {
        match error {
            umedsam_picture::Error::InvalidWindow(message) => Self::InvalidWindow(message),
            umedsam_picture::Error::InvalidImage(message) | umedsam_picture::Error::File(message) => {
                Self::InvalidImage(message)
            }
        }
    }
}

#[cfg(feature = "cli")]
impl From<umedsam_volume::Error> for Error {
    fn from(error: umedsam_volume::Error) -> Self {
        match error {
            umedsam_volume::Error::Invalid(message) => Self::InvalidImage(message),
            umedsam_volume::Error::Option(message) => Self::InvalidOption(message),
            umedsam_volume::Error::File { path, message } => Self::File { path, message },
        }
    }
}

impl Error {
    /// A stable identifier in kebab case, the same in the JS API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidImage(_) => "invalid-image",
            Self::InvalidWindow(_) => "invalid-window",
            Self::InvalidBox(_) => "invalid-box",
            Self::InvalidPrompt(_) => "invalid-prompt",
            Self::InvalidOption(_) => "invalid-option",
            Self::Weights(_) => "invalid-weights",
            Self::DeviceUnavailable(_) => "device-unavailable",
            Self::DeviceLost(_) => "device-lost",
            Self::Computation(_) => "computation-failed",
            Self::File { .. } => "file",
            Self::Aborted(_) => "aborted",
            Self::Disposed(_) => "disposed",
        }
    }

    /// An error about a file.
    pub fn file(path: impl AsRef<std::path::Path>, message: impl ToString) -> Self {
        Self::File { path: path.as_ref().display().to_string(), message: message.to_string() }
    }
}
