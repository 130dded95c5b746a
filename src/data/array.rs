//! Arrays of NumPy's `.npz` archives.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use npyz::npz::NpzArchive;
use npyz::{DType, NpyFile, Order, TypeChar};

use crate::error::{Error, Result};

/// An archive that is open.
pub struct Archive {
    path: std::path::PathBuf,
    archive: NpzArchive<BufReader<File>>,
}

/// An array, its values in C order whatever the order in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// For messages.
    pub name: &'static str,
    /// As NumPy has it.
    pub shape: Vec<usize>,
    /// NumPy's name of the type, for messages.
    pub dtype: String,
    /// The values.
    pub values: Values,
}

/// Values of an array.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// uint8 and bool.
    Bytes(Vec<u8>),
    /// Everything else.
    Numbers(Vec<f64>),
}

impl Archive {
    /// Opens an archive.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read or is no archive.
    pub fn open(path: &Path) -> Result<Self> {
        let archive = NpzArchive::open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => Error::file(path, error),
            _ => Error::file(path, format!("not a readable .npz, or one that is cut off ({error})")),
        })?;
        Ok(Self { path: path.to_path_buf(), archive })
    }

    /// An array by name, if it is there.
    ///
    /// # Errors
    /// [`Error::File`] naming the array if it cannot be read.
    pub fn array(&mut self, name: &'static str) -> Result<Option<Array>> {
        let path = self.path.clone();
        let fail = |message: String| Error::file(&path, format!("array {name}: {message}"));
        match self.archive.by_name(name) {
            Ok(Some(npy)) => read(name, npy).map(Some).map_err(fail),
            Ok(None) => Ok(None),
            Err(error) => Err(fail(error.to_string())),
        }
    }

    /// An error about this file.
    pub fn fail<T>(&self, message: impl ToString) -> Result<T> {
        Err(Error::file(&self.path, message))
    }
}

impl Array {
    /// Name, shape and type, for messages.
    pub fn describe(&self) -> String {
        format!("{} has shape {:?} and type {}", self.name, self.shape, self.dtype)
    }

    /// The values as bytes, or the first that is none.
    pub fn into_bytes(self) -> std::result::Result<Vec<u8>, f64> {
        match self.values {
            Values::Bytes(values) => Ok(values),
            Values::Numbers(values) => {
                let is_byte = |value: &f64| value.fract() == 0.0 && (0.0..=255.0).contains(value);
                match values.iter().find(|value| !is_byte(value)) {
                    Some(&other) => Err(other),
                    None => Ok(values.iter().map(|&value| value as u8).collect()),
                }
            }
        }
    }

    /// The values as numbers.
    pub fn to_numbers(&self) -> Vec<f64> {
        match &self.values {
            Values::Bytes(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Values::Numbers(values) => values.clone(),
        }
    }

    /// The same array with its axes in another order: axis `k` of the result is axis `axes[k]` of this one.
    pub fn with_axes(self, axes: &[usize]) -> Self {
        let strides = c_strides(&self.shape);
        let shape: Vec<usize> = axes.iter().map(|&axis| self.shape[axis]).collect();
        let strides: Vec<usize> = axes.iter().map(|&axis| strides[axis]).collect();
        let values = match self.values {
            Values::Bytes(values) => Values::Bytes(gathered(&values, &shape, &strides)),
            Values::Numbers(values) => Values::Numbers(gathered(&values, &shape, &strides)),
        };
        Self { shape, values, ..self }
    }
}

/// Distances between neighbours along each axis, the last axis the fastest.
fn c_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Values in C order of a shape, of an array with other strides.
fn gathered<T: Copy>(values: &[T], shape: &[usize], strides: &[usize]) -> Vec<T> {
    let mut index = vec![0; shape.len()];
    let mut place = 0;
    let mut gathered = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        gathered.push(values[place]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            place += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            place -= index[axis] * strides[axis];
            index[axis] = 0;
        }
    }
    gathered
}

fn read<R: Read>(name: &'static str, npy: NpyFile<R>) -> std::result::Result<Array, String> {
    let shape: Vec<usize> = npy.shape().iter().map(|&side| side as usize).collect();
    let is_fortran = npy.order() == Order::Fortran;
    let DType::Plain(dtype) = npy.dtype() else {
        return Err("it is a structured array; one of plain numbers is expected".into());
    };
    let text = dtype.to_string();
    macro_rules! numbers {
        ($type:ty) => {
            npy.into_vec::<$type>()
                .map(|values| Values::Numbers(values.into_iter().map(|value| value as f64).collect()))
        };
    }
    let values = match (dtype.type_char(), dtype.size_field()) {
        (TypeChar::Uint, 1) => npy.into_vec::<u8>().map(Values::Bytes),
        (TypeChar::Bool, 1) => {
            npy.into_vec::<bool>().map(|values| Values::Bytes(values.into_iter().map(u8::from).collect()))
        }
        (TypeChar::Uint, 2) => numbers!(u16),
        (TypeChar::Uint, 4) => numbers!(u32),
        (TypeChar::Uint, 8) => numbers!(u64),
        (TypeChar::Int, 1) => numbers!(i8),
        (TypeChar::Int, 2) => numbers!(i16),
        (TypeChar::Int, 4) => numbers!(i32),
        (TypeChar::Int, 8) => numbers!(i64),
        (TypeChar::Float, 2) => {
            npy.into_vec::<half::f16>().map(|values| Values::Numbers(values.into_iter().map(f64::from).collect()))
        }
        (TypeChar::Float, 4) => numbers!(f32),
        (TypeChar::Float, 8) => numbers!(f64),
        _ => return Err(format!("shape {shape:?} of type {text} is not read; save it as integers or floats")),
    };
    let values = values.map_err(|error| format!("it is cut off or damaged ({error})"))?;
    let array = Array { name, shape, dtype: text, values };
    Ok(match is_fortran {
        // As if it were in C order with its axes reversed.
        true => {
            let reversed: Vec<usize> = array.shape.iter().rev().copied().collect();
            let axes: Vec<usize> = (0..reversed.len()).rev().collect();
            Array { shape: reversed, ..array }.with_axes(&axes)
        }
        false => array,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_exchanged_as_numpy_does() {
        let array = Array {
            name: "imgs",
            shape: vec![2, 3, 2],
            dtype: "<f8".into(),
            values: Values::Numbers((0..12).map(f64::from).collect()),
        };
        // numpy.arange(12).reshape(2, 3, 2).transpose(1, 2, 0).ravel()
        let moved = array.with_axes(&[1, 2, 0]);
        assert_eq!(moved.shape, [3, 2, 2]);
        assert_eq!(moved.to_numbers(), [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11].map(f64::from));
    }
}
