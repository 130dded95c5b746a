//! Takes functions out of the wasm module that stay in it because something mentions them, but that nothing ever calls. What only they need then goes by dead
//! code elimination. A call would trap: the package's test, which loads on WebGPU, and `cargo xtask webgpu` would see it.

use anyhow::{Result, ensure};
use walrus::ir::{Instr, Unreachable};
use walrus::{FunctionKind, Module};

/// Parts of the functions' names as wasm-bindgen writes them, and why nothing calls them. Only functions of a trait (`<… as Trait>::name::hash`) themselves: the
/// linker merges closures and drop glue that are alike, and what bears their name may be called for others.
const NEVER_CALLED: [(&str, &str); 1] = [(
    " as pliron::parsable::Parsable>::parse::h",
    "cubecl's compiler registers parsers of its text form, which is only ever written",
)];

fn is_it(name: &str, part: &str) -> bool {
    // The hash ends the name: nothing within the function is it.
    name.starts_with('<')
        && name.split_once(part).is_some_and(|(_, hash)| hash.chars().all(|digit| digit.is_ascii_hexdigit()))
}

/// Replaces the functions by a trap, and removes what nothing reaches any more.
///
/// # Errors
/// If a function is not there (its crate has renamed it: find the new name, or take it off the list).
pub fn snip(module: &mut Module) -> Result<()> {
    let mut found = [0; NEVER_CALLED.len()];
    for function in module.funcs.iter_mut() {
        let Some(name) = &function.name else { continue };
        let Some(index) = NEVER_CALLED.iter().position(|(part, _)| is_it(name, part)) else { continue };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within_a_function_or_drops_it_stays() {
        let [(part, _)] = NEVER_CALLED;
        let function = "<cubecl_ir::dialect::cf::SwitchOp as pliron::parsable::Parsable>::parse::h5daf5b013fd1ed9f";
        assert!(is_it(function, part));
        for other in [
            "core::ptr::drop_in_place<<pliron::location::Source as pliron::parsable::Parsable>::parse::Source>::h42efa188",
            "<cubecl_ir::dialect::memory::IndexOp as pliron::parsable::Parsable>::parse::{{closure}}::h8b167a1d5125a8ec",
            "core::ptr::drop_in_place<<a::B as pliron::parsable::Parsable>::parse::h1>::h2",
        ] {
            assert!(!is_it(other, part), "{other}");
        }
    }
}
