//! How large a network may be that a file describes: far beyond any there is, and small enough that what is made before the file's tensors are compared with it
//! takes no memory to speak of.

/// The longest side of the input, in pixels.
pub(super) const SIDE: usize = 1024;
/// The longest side of the embedding, in tokens.
pub(super) const EMBEDDING_SIDE: usize = 256;
/// The most channels, heads or hidden values.
pub(super) const WIDTH: usize = 8192;
/// The most layers, blocks or masks of a kind.
pub(super) const DEPTH: usize = 64;
/// The longest side of an attention window, in tokens.
pub(super) const WINDOW: usize = 32;
/// The largest factor by which something widens or a side shrinks.
pub(super) const FACTOR: usize = 16;

/// Refuses sizes above a limit.
///
/// # Errors
/// A message that names the size.
pub(super) fn at_most(limit: usize, sizes: &[(&str, &[usize])]) -> Result<(), String> {
    for (name, values) in sizes {
        if let Some(value) = values.iter().find(|&&value| value > limit) {
            return Err(format!("{name} is {value}; at most {limit}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::model::Config;
    use crate::model::efficient_vit_sam::EfficientVitSamConfig;
    use crate::model::image_encoder::ImageEncoderConfig;
    use serde_json::{Value, json};

    /// Every number of a configuration, by its place.
    fn places(value: &Value, path: String, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(key, value)| places(value, format!("{path}/{key}"), found))
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(key, value)| places(value, format!("{path}/{key}"), found))
            }
            Value::Number(_) => found.push(path),
            _ => {}
        }
    }

    #[test]
    fn every_size_has_a_limit() {
        let sam = ImageEncoderConfig::EfficientVitSam(EfficientVitSamConfig::l0(512));
        for config in [Config::litemedsam(), Config::student(), Config { image_encoder: sam, ..Config::litemedsam() }] {
            assert_eq!(config.check(), Ok(()));
            let value = serde_json::to_value(&config).unwrap();
            let mut found = Vec::new();
            places(&value, String::new(), &mut found);
            assert!(found.len() > 10);
            for place in found {
                for size in [1u64 << 20, 1 << 40, u64::MAX] {
                    let mut large = value.clone();
                    *large.pointer_mut(&place).unwrap() = json!(size);
                    let large: Config = serde_json::from_value(large).unwrap();
                    assert!(large.check().is_err(), "{place} may be {size}");
                }
            }
        }
    }
}
