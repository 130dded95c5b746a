//! DICOM data sets, written as explicit VR little endian.
//!
//! Source: PS3.5, section 7; PS3.10, section 7 for files.

use std::collections::BTreeMap;

/// Group and element.
pub type Tag = (u16, u16);

/// A data set; its elements are written in the order of their tags.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DataSet(BTreeMap<Tag, Element>);

#[derive(Debug, Clone, PartialEq)]
struct Element {
    vr: [u8; 2],
    value: Value,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Bytes(Vec<u8>),
    Sequence(Vec<DataSet>),
}

impl DataSet {
    /// An element of text: CS, DA, DS, IS, LO, PN, SH, ST, TM, UI, UT. Several values are separated by backslashes.
    #[must_use]
    pub fn text(mut self, tag: Tag, vr: &str, value: impl AsRef<str>) -> Self {
        let mut bytes = value.as_ref().as_bytes().to_vec();
        if bytes.len() % 2 == 1 {
            bytes.push(if vr == "UI" { 0 } else { b' ' });
        }
        self.put(tag, vr, Value::Bytes(bytes));
        self
    }

    /// Decimal strings.
    #[must_use]
    pub fn decimals(self, tag: Tag, values: &[f64]) -> Self {
        let text: Vec<String> = values.iter().map(|&value| decimal_string(value)).collect();
        self.text(tag, "DS", text.join("\\"))
    }

    /// Whole numbers of 16 bits.
    #[must_use]
    pub fn u16s(mut self, tag: Tag, values: &[u16]) -> Self {
        self.put(tag, "US", Value::Bytes(values.iter().flat_map(|value| value.to_le_bytes()).collect()));
        self
    }

    /// Whole numbers of 32 bits.
    #[must_use]
    pub fn u32s(mut self, tag: Tag, values: &[u32]) -> Self {
        self.put(tag, "UL", Value::Bytes(values.iter().flat_map(|value| value.to_le_bytes()).collect()));
        self
    }

    /// A float of 64 bits.
    #[must_use]
    pub fn f64(mut self, tag: Tag, value: f64) -> Self {
        self.put(tag, "FD", Value::Bytes(value.to_le_bytes().to_vec()));
        self
    }

    /// A tag as a value.
    #[must_use]
    pub fn tag(mut self, tag: Tag, (group, element): Tag) -> Self {
        self.put(tag, "AT", Value::Bytes([group.to_le_bytes(), element.to_le_bytes()].concat()));
        self
    }

    /// Bytes as they are, of VR OB, OW or OF.
    #[must_use]
    pub fn bytes(mut self, tag: Tag, vr: &str, mut bytes: Vec<u8>) -> Self {
        if bytes.len() % 2 == 1 {
            bytes.push(0);
        }
        self.put(tag, vr, Value::Bytes(bytes));
        self
    }

    /// A sequence.
    #[must_use]
    pub fn items(mut self, tag: Tag, items: Vec<DataSet>) -> Self {
        self.put(tag, "SQ", Value::Sequence(items));
        self
    }

    /// A sequence of one item.
    #[must_use]
    pub fn item(self, tag: Tag, item: DataSet) -> Self {
        self.items(tag, vec![item])
    }

    /// The elements of another data set beside these.
    #[must_use]
    pub fn with(mut self, other: DataSet) -> Self {
        self.0.extend(other.0);
        self
    }

    fn put(&mut self, tag: Tag, vr: &str, value: Value) {
        let vr = [vr.as_bytes()[0], vr.as_bytes()[1]];
        self.0.insert(tag, Element { vr, value });
    }

    /// Bytes that it takes.
    fn length(&self) -> usize {
        self.0.values().map(|element| header(element.vr) + element.value.length()).sum()
    }

    fn write(&self, into: &mut Vec<u8>) {
        for (&(group, number), element) in &self.0 {
            into.extend(group.to_le_bytes());
            into.extend(number.to_le_bytes());
            into.extend(element.vr);
            let length = element.value.length();
            if header(element.vr) == 12 {
                into.extend([0, 0]);
                into.extend((length as u32).to_le_bytes());
            } else {
                into.extend((length as u16).to_le_bytes());
            }
            match &element.value {
                Value::Bytes(bytes) => into.extend(bytes),
                Value::Sequence(items) => {
                    for item in items {
                        into.extend([0xfe, 0xff, 0x00, 0xe0]);
                        into.extend((item.length() as u32).to_le_bytes());
                        item.write(into);
                    }
                }
            }
        }
    }

    /// A file: preamble, meta information, the data set.
    pub fn file(&self, sop_class: &str, sop_instance: &str) -> Vec<u8> {
        let meta = DataSet::default()
            .bytes((0x0002, 0x0001), "OB", vec![0, 1])
            .text((0x0002, 0x0002), "UI", sop_class)
            .text((0x0002, 0x0003), "UI", sop_instance)
            .text((0x0002, 0x0010), "UI", EXPLICIT_LITTLE_ENDIAN)
            .text((0x0002, 0x0012), "UI", IMPLEMENTATION)
            .text((0x0002, 0x0013), "SH", concat!("umedsam ", env!("CARGO_PKG_VERSION")));
        let length = DataSet::default().u32s((0x0002, 0x0000), &[meta.length() as u32]);
        let mut file = Vec::with_capacity(132 + 12 + meta.length() + self.length());
        file.resize(128, 0);
        file.extend(b"DICM");
        length.write(&mut file);
        meta.write(&mut file);
        self.write(&mut file);
        file
    }
}

const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
/// A UUID of this writer, as PS3.5, B.2 derives UIDs from.
const IMPLEMENTATION: &str = "2.25.219471037650187356011934870155036429841";

impl Value {
    fn length(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Sequence(items) => items.iter().map(|item| 8 + item.length()).sum(),
        }
    }
}

/// Bytes before a value: types that may be long have four for their length.
fn header(vr: [u8; 2]) -> usize {
    match &vr {
        b"OB" | b"OW" | b"OF" | b"OD" | b"SQ" | b"UT" | b"UN" => 12,
        _ => 8,
    }
}

/// A number of at most 16 characters, with as many digits as fit.
pub fn decimal_string(value: f64) -> String {
    let plain = format!("{value}");
    if plain.len() <= 16 {
        return plain;
    }
    (0..=16)
        .rev()
        .map(|digits| {
            if value.abs() >= 1e-4 && value.abs() < 1e9 {
                format!("{value:.digits$}")
            } else {
                format!("{value:.digits$e}")
            }
        })
        .find(|text| text.len() <= 16)
        .unwrap_or_else(|| "0".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_sixteen_characters() {
        for value in [
            0.0,
            -1.0,
            0.1 + 0.2,
            -0.333_333_333_333_333_3,
            1e-7 / 3.0,
            -123_456.789_012_345_67,
            1e300,
            -f64::MIN_POSITIVE,
        ] {
            let text = decimal_string(value);
            assert!(text.len() <= 16, "{text}");
            let read: f64 = text.parse().unwrap();
            assert!((read - value).abs() <= value.abs() * 1e-8, "{value} became {text}");
        }
        assert_eq!(decimal_string(-0.5), "-0.5");
    }

    #[test]
    fn elements_are_in_order_and_even() {
        let item = DataSet::default().u16s((0x0062, 0x000b), &[3]);
        let set = DataSet::default().item((0x0062, 0x000a), item).text((0x0008, 0x0060), "CS", "SEG").text(
            (0x0008, 0x0018),
            "UI",
            "1.2.3",
        );
        let mut bytes = Vec::new();
        set.write(&mut bytes);
        let expected: Vec<u8> = [
            &b"\x08\x00\x18\x00UI\x06\x001.2.3\0"[..],
            b"\x08\x00\x60\x00CS\x04\x00SEG ",
            b"\x62\x00\x0a\x00SQ\0\0\x12\0\0\0",
            b"\xfe\xff\x00\xe0\x0a\0\0\0\x62\x00\x0b\x00US\x02\x00\x03\x00",
        ]
        .concat();
        assert_eq!(bytes, expected);
        assert_eq!(set.length(), bytes.len());
    }
}
