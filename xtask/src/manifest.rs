//! What the package says of itself: its manifest, the hashes of its files, and what its model card links.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use crate::process::{command, output};
use crate::{root, weights};

/// Fills the version and, where the repository has a public address, where it is into a `package.json`.
pub fn fill(path: &Path) -> Result<()> {
    // As text: the order of the conditions in `exports` matters.
    let mut manifest = std::fs::read_to_string(path)?.replace("0.0.0", env!("CARGO_PKG_VERSION"));
    let origin = output(command("git").args(["remote", "get-url", "origin"]).current_dir(root())).unwrap_or_default();
    if let Some(address) = web_address(origin.trim()) {
        let places = [
            ("repository", json!({ "type": "git", "url": format!("git+{address}.git") })),
            ("homepage", format!("{address}#readme").into()),
            ("bugs", json!({ "url": format!("{address}/issues") })),
        ];
        let lines: String = places.iter().map(|(name, value)| format!("  {name:?}: {value},\n")).collect();
        manifest = manifest.replacen("  \"license\"", &format!("{lines}  \"license\""), 1);
    }
    std::fs::write(path, manifest)?;
    Ok(())
}

/// A remote's address in a browser; none of a folder on this machine.
fn web_address(remote: &str) -> Option<String> {
    let remote = remote.strip_suffix(".git").unwrap_or(remote);
    match remote.strip_prefix("git@").and_then(|remote| remote.split_once(':')) {
        Some((host, path)) => Some(format!("https://{host}/{path}")),
        None => remote.starts_with("https://").then(|| remote.to_string()),
    }
}

/// Writes SHA-256 and size of the default weights and SHA-256 of the wasm modules into the package's source.
pub fn write_hashes(source: &Path, weights: &Path, modules: &[PathBuf]) -> Result<()> {
    let text = std::fs::read_to_string(source)?;
    let modules: Map<String, Value> = modules
        .iter()
        .map(|module| {
            Ok((module.file_name().context("a file")?.to_string_lossy().into(), weights::sha256(module)?.into()))
        })
        .collect::<Result<_>>()?;
    let mut filled = text.clone();
    for (empty, value) in [
        ("SHA256 = \"\"", format!("SHA256 = \"{}\"", weights::sha256(weights)?)),
        ("BYTES = 0", format!("BYTES = {}", weights.metadata()?.len())),
        ("= {};", format!("= {};", Value::Object(modules))),
    ] {
        ensure!(filled.contains(empty), "{} has no {empty:?}", source.display());
        filled = filled.replace(empty, &value);
    }
    std::fs::write(source, filled)?;
    Ok(())
}

/// Copies a Markdown file of the repository and all that it links, and that links, to the same places in a folder.
pub fn copy_with_links(file: &str, folder: &Path) -> Result<()> {
    let mut waiting = vec![PathBuf::from(file)];
    let mut done = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        if !done.insert(path.clone()) {
            continue;
        }
        let destination = folder.join(&path);
        std::fs::create_dir_all(destination.parent().context("a folder")?)?;
        std::fs::copy(root().join(&path), &destination).with_context(|| path.display().to_string())?;
        if path.extension().is_some_and(|extension| extension == "md") {
            let text = std::fs::read_to_string(&destination)?;
            waiting.extend(links(&text).map(|link| normalized(&path.with_file_name(""), link)));
        }
    }
    Ok(())
}

/// The files that a Markdown text links.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains("://"))
}

/// A path relative to a folder, without `..`.
pub(crate) fn normalized(folder: &Path, path: &str) -> PathBuf {
    let mut result = PathBuf::new();
    for component in folder.join(path).components() {
        match component {
            Component::ParentDir => drop(result.pop()),
            component => result.push(component),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_have_addresses_in_a_browser() {
        for (remote, expected) in [
            ("git@example.org:team/umedsam.git", Some("https://example.org/team/umedsam")),
            ("https://example.org/team/umedsam", Some("https://example.org/team/umedsam")),
            ("/srv/git/umedsam.git", None),
            ("", None),
        ] {
            assert_eq!(web_address(remote).as_deref(), expected, "{remote}");
        }
    }

    #[test]
    fn links_of_a_text_are_found() {
        let text = "See [a](../docs/a.md#part), [b](b.toml), [c](https://example.org) and [d](#here).";
        assert_eq!(links(text).collect::<Vec<_>>(), ["../docs/a.md", "b.toml"]);
        assert_eq!(normalized(Path::new("weights/"), "../docs/a.md"), Path::new("docs/a.md"));
    }

    #[test]
    fn the_model_card_comes_with_all_that_it_links() {
        let folder = std::env::temp_dir().join(format!("umedsam-links-{}", std::process::id()));
        copy_with_links("weights/MODEL_CARD.md", &folder).unwrap();
        let card = std::fs::read_to_string(folder.join("weights/MODEL_CARD.md")).unwrap();
        assert!(links(&card).count() > 2);
        for link in links(&card) {
            assert!(folder.join("weights").join(link).exists(), "{link}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
