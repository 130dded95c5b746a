//! Bytes of a file or of what was unpacked of one, read where they are wanted.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::DeflateDecoder;

use crate::error::{Error, Result};

/// The most bytes that a deflated file may unpack to: what one frame of the largest size that is read takes.
const LARGEST_UNPACKED: u64 = 4 << 30;

/// What can be read from any place.
pub(super) trait Bytes: Read + Seek {}

impl<T: Read + Seek> Bytes for T {}

/// Where a file's data set is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In the file, from its begin.
    File(PathBuf),
    /// Deflated, from this place of the file on; offsets are those of what comes out, after the bytes before.
    Deflated(PathBuf, u64),
}

impl Place {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Deflated(path, _) => path,
        }
    }

    /// Opens it, at its begin; with its length.
    pub(super) fn open(&self) -> Result<(Box<dyn Bytes>, u64)> {
        let wrong = |error: std::io::Error| Error::file(self.path(), error);
        let mut file = File::open(self.path()).map_err(wrong)?;
        match self {
            Self::File(_) => {
                let length = file.metadata().map_err(wrong)?.len();
                Ok((Box::new(BufReader::new(file)), length))
            }
            Self::Deflated(path, begin) => {
                // Offsets count what is before, which is not needed again.
                let mut bytes = vec![0; *begin as usize];
                file.seek(SeekFrom::Start(*begin)).map_err(wrong)?;
                DeflateDecoder::new(BufReader::new(file)).take(LARGEST_UNPACKED).read_to_end(&mut bytes).map_err(
                    |error| Error::file(path, format!("the deflated DICOM file is cut off or damaged ({error})")),
                )?;
                let length = bytes.len() as u64;
                Ok((Box::new(Cursor::new(bytes)), length))
            }
        }
    }

    /// Bytes of ranges of it, one after the other.
    ///
    /// # Errors
    /// [`Error::File`] if they cannot be read, or are no longer there.
    pub(super) fn read(&self, ranges: &[(u64, u64)]) -> Result<Vec<u8>> {
        let changed = |error: std::io::Error| {
            Error::file(
                self.path(),
                format!("it could not be read again ({error}); it may have changed since it was opened"),
            )
        };
        let (mut bytes, length) = self.open()?;
        let mut read = Vec::new();
        for &(begin, end) in ranges {
            if end > length || begin > end {
                return Err(changed(std::io::ErrorKind::UnexpectedEof.into()));
            }
            bytes.seek(SeekFrom::Start(begin)).map_err(changed)?;
            let at = read.len();
            read.resize(at + (end - begin) as usize, 0);
            bytes.read_exact(&mut read[at..]).map_err(changed)?;
        }
        Ok(read)
    }
}
