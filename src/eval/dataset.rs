//! Folders of cases.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A case and what its place says of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CasePath {
    /// The folder under the root; for files in the root itself, the second part of the name (`2DBox_CT_…`).
    pub modality: String,
    /// The folder under the modality's, or the modality.
    pub dataset: String,
    /// Path relative to the root, with `/`.
    pub relative: String,
    /// The file.
    #[serde(skip)]
    pub path: PathBuf,
}

/// Finds every `.npz` file under a folder, sorted.
///
/// # Errors
/// [`Error::File`] if the folder cannot be read or has no `.npz` file.
pub fn find_cases(root: &Path) -> Result<Vec<CasePath>> {
    find_files(root, &["npz"])
}

/// Finds every file with one of some extensions under a folder, sorted.
///
/// # Errors
/// [`Error::File`] if the folder cannot be read or has no such file.
pub fn find_files(root: &Path, extensions: &[&str]) -> Result<Vec<CasePath>> {
    let mut cases = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|error| Error::file(&folder, error))?;
        for entry in entries {
            let path = entry.map_err(|error| Error::file(&folder, error))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|found| extensions.iter().any(|wanted| found.eq_ignore_ascii_case(wanted)))
            {
                cases.push(describe(root, path));
            }
        }
    }
    cases.sort();
    match cases.is_empty() {
        true => Err(Error::file(root, format!("there is no .{} file in it or below", extensions.join(" or .")))),
        false => Ok(cases),
    }
}

fn describe(root: &Path, path: PathBuf) -> CasePath {
    let relative = path.strip_prefix(root).unwrap_or(&path);
    let parts: Vec<String> = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let (modality, dataset) = match &parts[..] {
        [name] => {
            let modality = name.split('_').nth(1).unwrap_or("unknown").to_string();
            (modality.clone(), modality)
        }
        [modality, _] => (modality.clone(), modality.clone()),
        [modality, dataset, ..] => (modality.clone(), dataset.clone()),
        [] => unreachable!("a file has a name"),
    };
    CasePath { modality, dataset, relative: parts.join("/"), path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_name_modality_and_dataset() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["CT/Spleen/2DBox_a.npz", "MR/2DBox_b.npz", "2DBox_US_c.npz", "CT/readme.txt"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let cases = find_cases(folder.path()).unwrap();
        let found: Vec<_> =
            cases.iter().map(|case| (case.modality.as_str(), case.dataset.as_str(), case.relative.as_str())).collect();
        assert_eq!(
            found,
            [("CT", "Spleen", "CT/Spleen/2DBox_a.npz"), ("MR", "MR", "MR/2DBox_b.npz"), ("US", "US", "2DBox_US_c.npz")]
        );
        let empty = tempfile::tempdir().unwrap();
        assert!(find_cases(empty.path()).unwrap_err().to_string().contains("no .npz"));
    }
}
