//! Coded terms.

use serde::Deserialize;

use crate::dataset::{DataSet, Tag};

/// A coded term: value, scheme, meaning.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// Such as `85756007`; at most 16 characters.
    pub value: String,
    /// Such as `SCT` (SNOMED CT) or `DCM`.
    pub scheme: String,
    /// In words.
    pub meaning: String,
}

impl Code {
    /// A term.
    pub fn new(value: &str, scheme: &str, meaning: &str) -> Self {
        Self { value: value.into(), scheme: scheme.into(), meaning: meaning.into() }
    }

    /// Tissue, which says least of what a segment is.
    pub fn tissue() -> Self {
        Self::new("85756007", "SCT", "Tissue")
    }

    pub(crate) fn set(&self) -> DataSet {
        DataSet::default().text((0x0008, 0x0100), "SH", &self.value).text((0x0008, 0x0102), "SH", &self.scheme).text(
            (0x0008, 0x0104),
            "LO",
            &self.meaning,
        )
    }
}

impl DataSet {
    pub(crate) fn code(self, tag: Tag, code: &Code) -> Self {
        self.item(tag, code.set())
    }
}
