//! Whether the documents can be read: short lines, and links that lead somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::manifest::normalized;
use crate::root;

/// The longest line of prose, in characters.
const LONGEST: usize = 120;

/// README, CONTRIBUTING, the pages of `docs` and the model cards, relative to the repository.
fn documents() -> Result<Vec<PathBuf>> {
    let mut documents = vec![PathBuf::from("CONTRIBUTING.md"), PathBuf::from("README.md")];
    for folder in ["docs", "weights"] {
        for entry in std::fs::read_dir(root().join(folder))? {
            let path = Path::new(folder).join(entry?.file_name());
            if path.extension().is_some_and(|extension| extension == "md") {
                documents.push(path);
            }
        }
    }
    documents.sort();
    Ok(documents)
}

/// The lines outside of blocks of code, with their numbers from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        (!is_code && !is_fence).then_some((index + 1, line))
    })
}

/// The lines that are too long, but for tables, addresses that cannot be broken, and what a command of xtask writes.
fn long_lines(text: &str) -> Vec<usize> {
    let mut is_made = false;
    prose(text)
        .filter(|(_, line)| {
            is_made = line.starts_with("<!-- made by ") || is_made && !line.starts_with("<!-- end of what ");
            !is_made && !line.trim_start().starts_with('|') && without_targets(line).chars().count() > LONGEST
        })
        .map(|(number, _)| number)
        .collect()
}

/// A line without the addresses in it.
fn without_targets(line: &str) -> String {
    let mut parts = line.split("](");
    let mut short = parts.next().unwrap_or_default().to_string();
    for part in parts {
        short.push_str("](");
        short.push_str(part.find(')').map_or("", |end| &part[end..]));
    }
    short.split(' ').filter(|word| !word.contains("://")).collect::<Vec<_>>().join(" ")
}

/// The targets of a text's links that lie in the repository: a path, and a heading's name, each of which may be empty.
fn targets(text: &str) -> Vec<(usize, &str, &str)> {
    prose(text)
        .flat_map(|(number, line)| {
            line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(move |target| (number, target))
        })
        .filter(|(_, target)| !target.contains("://"))
        .map(|(number, target)| {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            (number, path, anchor)
        })
        .collect()
}

/// What a heading's links are named: its words in lower case with hyphens between, as GitHub does.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let headings =
        prose(text).filter(|(_, line)| line.trim_start_matches('#').starts_with(' ') && line.starts_with('#'));
    headings
        .map(|(_, line)| {
            let name: String = line
                .trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'))
                .map(|letter| if letter == ' ' { '-' } else { letter })
                .collect();
            let count = seen.entry(name.clone()).or_insert(0);
            *count += 1;
            if *count == 1 { name } else { format!("{name}-{}", *count - 1) }
        })
        .collect()
}

#[test]
fn lines_are_short() {
    let mut wrong = Vec::new();
    for document in documents().unwrap() {
        let text = std::fs::read_to_string(root().join(&document)).unwrap();
        wrong.extend(long_lines(&text).into_iter().map(|line| format!("{}:{line}", document.display())));
    }
    assert!(wrong.is_empty(), "longer than {LONGEST} characters:\n{}", wrong.join("\n"));
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for document in documents().unwrap() {
        let text = std::fs::read_to_string(root().join(&document)).unwrap();
        for (number, path, anchor) in targets(&text) {
            let file = match path {
                "" => document.clone(),
                path => normalized(&document.with_file_name(""), path),
            };
            if let Err(error) = check_target(&file, anchor) {
                wrong.push(format!("{}:{number}: {error:#}", document.display()));
            }
            // Pages go into the package with what they link, and the package has another README.
            if document.parent() != Some(Path::new("")) && file == Path::new("README.md") {
                wrong.push(format!("{}:{number}: a page of the package links README.md", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links to nothing:\n{}", wrong.join("\n"));
}

fn check_target(file: &Path, anchor: &str) -> Result<()> {
    let path = root().join(file);
    anyhow::ensure!(path.is_file(), "there is no file {}", file.display());
    if !anchor.is_empty() {
        let text = std::fs::read_to_string(&path).with_context(|| file.display().to_string())?;
        anyhow::ensure!(anchors(&text).contains(anchor), "{} has no heading #{anchor}", file.display());
    }
    Ok(())
}

#[test]
fn tables_code_and_addresses_may_be_long() {
    let long = "word ".repeat(30);
    let text = format!(
        "{long}\n| {long} |\n```\n{long}\n```\n[a](https://example.org/{})\n<!-- made by a -->\n{long}\n<!-- end of what a makes -->\n{long}",
        "a".repeat(200)
    );
    assert_eq!(long_lines(&text), [1, 10]);
}

#[test]
fn headings_have_the_names_that_links_use() {
    let text = "# What is it?\n## `zoom`, and “why”\n```\n# no heading\n```\n## a\n## a\n#nothing";
    let expected = ["what-is-it", "zoom-and-why", "a", "a-1"].map(String::from);
    assert_eq!(anchors(text), BTreeSet::from(expected));
    assert_eq!(targets("[a](b.md#c), [d](#e)\n[f](https://g.org)"), [(1, "b.md", "c"), (1, "", "e")]);
    assert!(check_target(Path::new("README.md"), "no such heading").is_err());
    assert!(check_target(Path::new("no such file"), "").is_err());
}
