//! Many numbers in a calibration's JSON.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use half::f16;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Numbers of 16 bits, in JSON a string: little-endian, in Base64.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Numbers(Vec<f32>);

impl Numbers {
    /// Rounds to 16 bits, as they will be read.
    #[cfg(any(feature = "cli", test))]
    pub fn new(values: impl IntoIterator<Item = f32>) -> Self {
        let limit = f16::MAX.to_f32();
        Self(values.into_iter().map(|value| f16::from_f32(value.clamp(-limit, limit)).to_f32()).collect())
    }
}

impl std::ops::Deref for Numbers {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl Serialize for Numbers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64_STANDARD.decode(text).map_err(D::Error::custom)?;
        match bytes.as_chunks() {
            (numbers, []) => Ok(Self(numbers.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect())),
            _ => Err(D::Error::custom("half a number of 16 bits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_as_they_were_rounded() {
        let numbers = Numbers::new([0.1, -3.0, 1e9, 0.0]);
        assert_eq!(numbers[2], 65504.0);
        let text = serde_json::to_string(&numbers).unwrap();
        assert_eq!(serde_json::from_str::<Numbers>(&text).unwrap(), numbers);
        assert_eq!(text, "\"Zi4Awv97AAA=\"");
    }

    #[test]
    fn what_is_no_row_of_numbers_is_refused() {
        for (text, message) in [("\"Zi4A\"", "half a number"), ("\"?\"", "Invalid"), ("[1.0]", "string")] {
            let error = serde_json::from_str::<Numbers>(text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
