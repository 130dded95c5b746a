//! NIfTI files on the grid of a file that was read. As `writeNifti` of the package (`pkg-template/src/nifti.ts`), but in the file's own byte order.

use umedsam_export::Voxels;

use super::{Fields, Nifti};
use crate::error::{Error, Result};

/// Writes numbers into a header, in its byte order.
struct Writer<'a> {
    bytes: &'a mut [u8],
    is_little: bool,
}

impl Writer<'_> {
    fn put<const N: usize>(&mut self, at: usize, mut little: [u8; N]) {
        if !self.is_little {
            little.reverse();
        }
        self.bytes[at..at + N].copy_from_slice(&little);
    }

    fn i16(&mut self, at: usize, value: i16) {
        self.put(at, value.to_le_bytes());
    }

    fn f32(&mut self, at: usize, value: f32) {
        self.put(at, value.to_le_bytes());
    }

    fn i64(&mut self, at: usize, value: i64) {
        self.put(at, value.to_le_bytes());
    }

    fn f64(&mut self, at: usize, value: f64) {
        self.put(at, value.to_le_bytes());
    }
}

/// What made the file, in its header.
const DESCRIPTION: &[u8] = b"umedsam";

impl Nifti {
    /// A single volume on the same grid, not compressed: sizes, sform, qform and units are the file's, bit for bit, and so is its byte order. Values are stored columns
    /// first, as the file that was read stores them, and mean what they are (`scl_slope` 1). Extensions of the header are left out.
    ///
    /// # Errors
    /// [`Error::Option`] if there is not a value for each voxel.
    pub fn written(&self, voxels: Voxels) -> Result<Vec<u8>> {
        let size = self.geometry.size;
        let (count, code, bits) = match voxels {
            Voxels::U8(values) => (values.len(), 2, 8),
            Voxels::F32(values) => (values.len(), 16, 32),
        };
        let expected = size.iter().product::<usize>();
        if count != expected {
            let [columns, rows, slices] = size;
            return Err(Error::Option(format!(
                "there are {count} values, the volume has {columns}×{rows}×{slices} = {expected} voxels"
            )));
        }
        let (fields, is_little) = (self.header.fields, self.header.is_little);
        let offset = fields.length() + 4;
        let mut bytes = self.bytes[..fields.length()].to_vec();
        bytes.resize(offset, 0);
        let mut writer = Writer { bytes: &mut bytes, is_little };
        let dims: [usize; 8] = [3, size[0], size[1], size[2], 1, 1, 1, 1];
        // Not scaled, and no range to be shown in: scl_slope, scl_inter, cal_max, cal_min.
        let scale = [1.0f32, 0.0, 0.0, 0.0];
        match fields {
            Fields::One => {
                dims.iter().enumerate().for_each(|(index, &length)| writer.i16(40 + 2 * index, length as i16));
                writer.i16(70, code);
                writer.i16(72, bits);
                writer.f32(108, offset as f32);
                [112, 116, 124, 128].into_iter().zip(scale).for_each(|(at, value)| writer.f32(at, value));
                describe(&mut bytes[148..228]);
            }
            Fields::Two => {
                dims.iter().enumerate().for_each(|(index, &length)| writer.i64(16 + 8 * index, length as i64));
                writer.i16(12, code);
                writer.i16(14, bits);
                writer.i64(168, offset as i64);
                [176, 184, 192, 200].into_iter().zip(scale).for_each(|(at, value)| writer.f64(at, f64::from(value)));
                describe(&mut bytes[240..320]);
            }
        }
        match voxels {
            Voxels::U8(values) => bytes.extend_from_slice(values),
            Voxels::F32(values) if is_little => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            Voxels::F32(values) => bytes.extend(values.iter().flat_map(|value| value.to_be_bytes())),
        }
        Ok(bytes)
    }
}

fn describe(field: &mut [u8]) {
    field.fill(0);
    field[..DESCRIPTION.len()].copy_from_slice(DESCRIPTION);
}
