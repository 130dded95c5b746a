//! DICOM images and series. Headers are read when files are opened; pixels stay on the disk until a frame is asked for, so that the files must stay as they are.
//!
//! Sources: PS3.3 (attributes), PS3.5 (encoding), PS3.10 (files) of the DICOM standard. As in the package (`pkg-template/src/dicom.ts`).

mod codecs;
mod file;
mod folder;
mod header;
mod order;
mod parse;
mod pixels;
mod series;
mod stream;
mod syntax;
mod tables;
mod values;

pub(crate) use file::is_dicom;
pub use folder::{DicomFiles, read_dicom, read_folder};
pub use series::Series;
