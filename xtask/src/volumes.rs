//! The package's readers and writers of medical files, in Node.js, against programs that others wrote.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::process::{cargo, command, run, say};
use crate::{root, target, tools};

/// Runs the tests of `tests/volumes` on a package's files; without Python's packages it says that it skips them.
pub fn test(package: &Path) -> Result<()> {
    let Some(python) = python()? else { return Ok(()) };
    say("Reading and writing medical files in Node.js, and with programs that others wrote");
    let files = target().join("volumes");
    std::fs::remove_dir_all(&files).ok();
    tools::dicom3tools();
    for kind in ["nifti", "dicom", "export"] {
        run(command("node")
            .args(["--test", "--test-reporter=spec", &format!("tests/volumes/{kind}.test.mjs")])
            .env("UMEDSAM_DIST", package.join("dist"))
            .env("UMEDSAM_PYTHON", &python)
            .env("UMEDSAM_FILES", files.join(kind))
            .env("UMEDSAM_DICOM", files.join("dicom"))
            .env("UMEDSAM_SHARED", root().join("../shared")))?;
    }
    say("Reading NIfTI and DICOM natively");
    run(cargo()
        .args(["test", "--package", "umedsam-volume"])
        .env("UMEDSAM_NIFTI", files.join("nifti"))
        .env("UMEDSAM_DICOM", files.join("dicom"))
        .env("UMEDSAM_SHARED", root().join("../shared")))?;
    // Also the program, which the tests run.
    run(cargo()
        .args(["test", "--package", "umedsam", "--test", "volumes"])
        .env("UMEDSAM_NIFTI", files.join("nifti"))
        .env("UMEDSAM_PYTHON", &python))
}

/// Python with the packages of `tests/volumes/requirements.txt`; nothing where they cannot be installed.
pub fn python() -> Result<Option<PathBuf>> {
    let requirements = root().join("tests/volumes/requirements.txt");
    let wanted = std::fs::read(&requirements)?;
    let venv = target().join("python");
    let (python, stamp) = (venv.join("bin/python"), venv.join("installed.txt"));
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(Some(python));
    }
    say("Installing Python packages that read medical files");
    let installed = run(command(tools::python()).args(["-m", "venv", "--clear"]).arg(&venv)).and_then(|()| {
        run(command(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&requirements))
    });
    if let Err(error) = installed {
        say(format!("SKIPPED: the readers and writers of medical files were not tested, since {error}"));
        return Ok(None);
    }
    std::fs::write(stamp, wanted)?;
    Ok(Some(python))
}
