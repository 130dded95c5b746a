//! Takes functions out of the wasm module that stay in it because something mentions them, but that nothing ever calls. What only they need then goes by dead
//! code elimination. A call would trap: the package's test, which loads on WebGPU, and `cargo xtask webgpu` would see it.

use anyhow::{Result, ensure};
use walrus::ir::{Instr, Unreachable};
use walrus::{FunctionKind, Module};

/// Parts of the functions' names as wasm-bindgen writes them, and why nothing calls them.
const NEVER_CALLED: [(&str, &str); 1] = [(
    " as pliron::parsable::Parsable>::parse::",
    "cubecl's compiler registers parsers of its text form, which is only ever written",
)];

/// Replaces the functions by a trap, and removes what nothing reaches any more.
///
/// # Errors
/// If a function is not there (its crate has renamed it: find the new name, or take it off the list).
pub fn snip(module: &mut Module) -> Result<()> {
    let mut found = [0; NEVER_CALLED.len()];
    for function in module.funcs.iter_mut() {
        let Some(name) = &function.name else { continue };
        let Some(index) = NEVER_CALLED.iter().position(|(part, _)| name.contains(part)) else { continue };
        if let FunctionKind::Local(function) = &mut function.kind {
            found[index] += 1;
            let entry = function.entry_block();
            function.block_mut(entry).instrs = vec![(Instr::Unreachable(Unreachable {}), Default::default())];
        }
    }
    for ((part, why), found) in NEVER_CALLED.iter().zip(found) {
        ensure!(found > 0, "the wasm module has no function {part} ({why})");
    }
    walrus::passes::gc::run(module);
    Ok(())
}
