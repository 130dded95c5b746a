//! Values of a data set as numbers and text.

use encoding_rs::{Encoding, WINDOWS_1252};

use super::parse::{DataSet, Element, Tag};

impl DataSet {
    pub(super) fn element(&self, tag: Tag) -> Option<&Element> {
        self.elements.get(&tag)
    }

    pub(super) fn has(&self, tag: Tag) -> bool {
        self.elements.contains_key(&tag)
    }

    /// The first item of a sequence.
    pub(super) fn item(&self, tag: Tag) -> Option<&DataSet> {
        self.element(tag)?.items.first()
    }

    /// Text of one byte a letter, without what fills it up.
    pub(super) fn string(&self, tag: Tag) -> Option<String> {
        let bytes = &self.element(tag)?.bytes;
        let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        Some(text.trim_matches(['\0', ' ']).trim().to_owned())
    }

    /// Text in the file's characters (PS3.3, C.12.1.1.2); of several sets the last says most.
    pub(super) fn text(&self, tag: Tag) -> String {
        let Some(element) = self.element(tag) else { return String::new() };
        let sets = self.string(0x0008_0005).unwrap_or_default();
        let set = sets.rsplit('\\').next().unwrap_or_default().replace("ISO 2022 IR", "ISO_IR");
        let (text, ..) = encoding_of(set.trim()).decode(&element.bytes);
        text.trim_matches(['\0', ' ']).trim().to_owned()
    }

    /// Decimal strings; what is none is NaN.
    pub(super) fn numbers(&self, tag: Tag) -> Vec<f64> {
        match self.string(tag) {
            Some(text) if !text.is_empty() => text.split('\\').map(number).collect(),
            _ => Vec::new(),
        }
    }

    /// Decimal strings of a fixed count, all of them finite.
    pub(super) fn fixed<const N: usize>(&self, tag: Tag) -> Option<[f64; N]> {
        let values: [f64; N] = self.numbers(tag).try_into().ok()?;
        values.iter().all(|value| value.is_finite()).then_some(values)
    }

    /// A whole number that is written as text.
    pub(super) fn integer(&self, tag: Tag) -> Option<i64> {
        self.numbers(tag).first().filter(|value| value.is_finite()).map(|&value| value as i64)
    }

    pub(super) fn u16(&self, tag: Tag, index: usize) -> Option<u16> {
        let bytes = *self.element(tag)?.bytes.as_chunks::<2>().0.get(index)?;
        Some(if self.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    /// A value of 16 bits, signed or not as the pixels are.
    pub(super) fn sample(&self, tag: Tag, index: usize, is_signed: bool) -> Option<i64> {
        let value = self.u16(tag, index)?;
        Some(if is_signed { i64::from(value as i16) } else { i64::from(value) })
    }
}

/// The number that text begins with.
fn number(text: &str) -> f64 {
    let text = text.trim_matches(['\0', ' ']);
    let length = text.find(|letter: char| !matches!(letter, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'));
    text[..length.unwrap_or(text.len())].parse().unwrap_or(f64::NAN)
}

/// DICOM's names of character sets (PS3.3, C.12.1.1.2).
fn encoding_of(name: &str) -> &'static Encoding {
    let label = match name {
        "ISO_IR 192" => "utf-8",
        "ISO_IR 101" => "iso-8859-2",
        "ISO_IR 109" => "iso-8859-3",
        "ISO_IR 110" => "iso-8859-4",
        "ISO_IR 144" => "iso-8859-5",
        "ISO_IR 127" => "iso-8859-6",
        "ISO_IR 126" => "iso-8859-7",
        "ISO_IR 138" => "iso-8859-8",
        "ISO_IR 148" => "iso-8859-9",
        "ISO_IR 13" => "shift-jis",
        "ISO_IR 166" => "windows-874",
        "ISO_IR 87" | "ISO_IR 159" => "iso-2022-jp",
        "ISO_IR 149" => "euc-kr",
        "GB18030" => "gb18030",
        "GBK" => "gbk",
        _ => "iso-8859-1",
    };
    Encoding::for_label(label.as_bytes()).unwrap_or(WINDOWS_1252)
}
