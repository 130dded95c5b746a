//! What tells runs apart, and where they come from.

use std::collections::BTreeMap;
use std::process::Command;

use super::set::TrainingSet;
use crate::weights::sha256_hex;

/// Distinguishes runs by their configuration, weights and data.
pub fn fingerprint(config: &str, weights: &str, train: &TrainingSet, validation: &TrainingSet) -> String {
    let names = |set: &TrainingSet| {
        set.items
            .iter()
            .map(|item| format!("{} {} {:?}\n", item.case.relative, item.slice, item.labels))
            .collect::<String>()
    };
    sha256_hex(format!("{config}\n{weights}\n{}\n{}", names(train), names(validation)).as_bytes())
}

/// Images by modality.
pub fn modalities(set: &TrainingSet) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    set.items.iter().for_each(|item| *counts.entry(item.case.modality.as_str()).or_insert(0) += 1);
    counts
}

/// The commit of the repository around the working folder, with `+` if files differ from it.
pub fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(format!("{}{}", commit.trim(), if changes.is_empty() { "" } else { "+" }))
}
