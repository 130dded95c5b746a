//! What others wrote that the package carries: dicom-parser and decoders of compressed DICOM, each a module of its own that is loaded when it is used.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::process::{command, run, say};
use crate::{root, tools};

/// A module: its name in the package, what it exports, and the wasm file beside it.
struct Module {
    name: &'static str,
    export: &'static str,
    package: &'static str,
    wasm: Option<&'static str>,
}

const MODULES: [Module; 7] = [
    Module {
        name: "dicom-parser",
        export: "export { default } from \"dicom-parser\";",
        package: "dicom-parser",
        wasm: None,
    },
    Module {
        name: "charls",
        export: "export { default } from \"@cornerstonejs/codec-charls/decodewasmjs\";",
        package: "@cornerstonejs/codec-charls",
        wasm: Some("dist/charlswasm_decode.wasm"),
    },
    Module {
        name: "openjpeg",
        export: "export { default } from \"@cornerstonejs/codec-openjpeg/decodewasmjs\";",
        package: "@cornerstonejs/codec-openjpeg",
        wasm: Some("dist/openjpegwasm_decode.wasm"),
    },
    Module {
        name: "openjph",
        export: "export { default } from \"@cornerstonejs/codec-openjph/wasmjs\";",
        package: "@cornerstonejs/codec-openjph",
        wasm: Some("dist/openjphjs.wasm"),
    },
    Module {
        name: "libjpeg-turbo",
        export: "export { default } from \"@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs\";",
        package: "@cornerstonejs/codec-libjpeg-turbo-8bit",
        wasm: Some("dist/libjpegturbowasm_decode.wasm"),
    },
    Module {
        name: "jpeg-lossless",
        export: "export { Decoder } from \"@cornerstonejs/jpeg-lossless-decoder-js\";",
        package: "@cornerstonejs/jpeg-lossless-decoder-js",
        wasm: None,
    },
    // No entry of the package leads to it.
    Module {
        name: "jpeg-12bit",
        export: "export { default } from \"./node_modules/@cornerstonejs/dicom-image-loader/dist/esm/codecs/jpeg.js\";",
        package: "@cornerstonejs/dicom-image-loader",
        wasm: None,
    },
];

/// Writes the modules into a folder of the package, with their types and licences.
pub fn bundle(into: &Path) -> Result<()> {
    say("Bundling dicom-parser and the decoders of compressed DICOM");
    let modules = tools::npm()?;
    let npm = modules.parent().context("node_modules lies in a folder")?;
    std::fs::create_dir_all(into)?;
    // What they ask Node.js for and do not get in a browser.
    std::fs::write(npm.join("nothing.js"), "export default {};\n")?;
    let mut licences = String::from("What is in this folder, from npm, and its licences.\n");
    for Module { name, export, package, wasm } in MODULES {
        let entry = npm.join(format!("entry-{name}.js"));
        std::fs::write(&entry, export)?;
        run(command(modules.join(".bin/esbuild"))
            .args(["--bundle", "--format=esm", "--minify", "--log-level=error", "--define:process=undefined"])
            .args(["--define:Buffer=undefined", "--alias:fs=./nothing.js", "--alias:path=./nothing.js"])
            .arg("--alias:zlib=./nothing.js")
            .arg(entry.file_name().context("a file")?)
            .arg(format!("--outfile={}", into.join(format!("{name}.js")).display()))
            .current_dir(npm))?;
        let source = modules.join(package);
        if let Some(wasm) = wasm {
            std::fs::copy(source.join(wasm), into.join(format!("{name}.wasm")))?;
        }
        let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(source.join("package.json"))?)?;
        let field = |field: &str| manifest[field].as_str().unwrap_or_default();
        write!(licences, "\n{name}: {package} {}, {}\n", field("version"), field("license"))?;
        if let Ok(text) = std::fs::read_to_string(source.join("LICENSE")) {
            writeln!(licences, "\n{}", text.trim())?;
        }
    }
    std::fs::write(into.join("LICENSES.txt"), licences)?;
    for entry in std::fs::read_dir(root().join("pkg-template/src/vendor"))? {
        let types = entry?.path();
        std::fs::copy(&types, into.join(types.file_name().context("a file")?))?;
    }
    Ok(())
}
