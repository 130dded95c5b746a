//! How large a file is on its way to a browser.

use std::io::Write;

use anyhow::Result;
use serde_json::{Value, json};

/// Bytes as they are, with gzip, and with brotli, each at its best.
pub fn of(bytes: &[u8]) -> Result<Value> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(bytes)?;
    let mut brotli = Vec::new();
    brotli::BrotliCompress(&mut &*bytes, &mut brotli, &Default::default())?;
    Ok(json!({ "raw": bytes.len(), "gzip": gzip.finish()?.len(), "brotli": brotli.len() }))
}
