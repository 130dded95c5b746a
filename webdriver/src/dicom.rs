//! DICOM files, byte by byte, for the page to open.

/// An element with an explicit VR, little endian; values of an odd length are padded.
pub fn element(group: u16, number: u16, kind: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let padding = if matches!(kind, b"UI" | b"OB" | b"OW") { 0 } else { b' ' };
    let length = value.len().next_multiple_of(2);
    let mut bytes = [group.to_le_bytes(), number.to_le_bytes()].concat();
    bytes.extend(kind);
    match kind {
        b"OB" | b"OW" => bytes.extend([&[0, 0], (length as u32).to_le_bytes().as_slice()].concat()),
        _ => bytes.extend((length as u16).to_le_bytes()),
    }
    bytes.extend(value);
    bytes.resize(bytes.len() + length - value.len(), padding);
    bytes
}

/// A file of file meta elements and a data set.
pub fn file(meta: &[u8], dataset: &[u8]) -> Vec<u8> {
    let length = element(2, 0, b"UL", &(meta.len() as u32).to_le_bytes());
    [[0; 128].as_slice(), b"DICM", &length, meta, dataset].concat()
}
