//! Takes functions out of the wasm module that stay in it because something mentions them, but that nothing ever calls. What only they need then goes by dead
//! code elimination. A call would trap: the package's test, which loads on WebGPU, and `cargo xtask webgpu` would see it.

use anyhow::{Result, ensure};
use walrus::ir::{Instr, Unreachable};
use walrus::{FunctionKind, Module};

/// Functions that nothing calls: how their names begin as wasm-bindgen writes them, what they have before the hash that ends them, and how many instructions they
/// have at least. Closures and drop glue within them, whose names go on, stay, and so do small functions: the linker merges what is alike, and what bears
/// such a name may be called for others.
const NEVER_CALLED: [(&str, &str, u64); 5] = [
    // cubecl's compiler registers parsers of its text form, which is only ever written.
    ("<", " as pliron::parsable::Parsable>::parse", 0),
    ("pliron::", "::parse", 60),
    ("pliron::irfmt::parsers::", "_parse", 60),
    ("<", " as combine::parser::Parser<Input>>::parse_mode_impl", 60),
    ("<", " as combine::parser::Parser<Input>>::parse_first", 60),
];

fn is_it(name: &str, begin: &str, part: &str) -> bool {
    let without_hash = name.rsplit_once("::h").filter(|(_, hash)| hash.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let is_within = name.starts_with("core::ptr::drop_in_place") || name.contains("{{closure}}");
    !is_within && name.starts_with(begin) && without_hash.is_some_and(|(name, _)| name.ends_with(part))
}

/// Replaces the functions by a trap, and removes what nothing reaches any more.
///
/// # Errors
/// If a function is not there (its crate has renamed it: find the new name, or take it off the list).
pub fn snip(module: &mut Module) -> Result<()> {
    let mut found = [0; NEVER_CALLED.len()];
    for function in module.funcs.iter_mut() {
        let Some(name) = &function.name else { continue };
        let Some(index) = NEVER_CALLED.iter().position(|(begin, part, _)| is_it(name, begin, part)) else { continue };
        if let FunctionKind::Local(function) = &mut function.kind {
            found[index] += 1;
            if function.size() < NEVER_CALLED[index].2 {
                continue;
            }
            let entry = function.entry_block();
            function.block_mut(entry).instrs = vec![(Instr::Unreachable(Unreachable {}), Default::default())];
        }
    }
    for ((begin, part, _), found) in NEVER_CALLED.iter().zip(found) {
        ensure!(found > 0, "the wasm module has no function {begin}…{part}");
    }
    walrus::passes::gc::run(module);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within_a_function_or_drops_it_stays() {
        let is_never_called = |name: &str| NEVER_CALLED.iter().any(|(begin, part, _)| is_it(name, begin, part));
        for function in [
            "<cubecl_ir::dialect::cf::SwitchOp as pliron::parsable::Parsable>::parse::h5daf5b013fd1ed9f",
            "pliron::location::<impl pliron::parsable::Parsable for combine::SourcePosition>::parse::haa7e54fd34ce644f",
            "pliron::irfmt::parsers::quoted_string_parse::hc31a9353aedf1a58",
            "<combine::parser::choice::Choice<P> as combine::parser::Parser<Input>>::parse_mode_impl::h5ecd2f88e38f5443",
        ] {
            assert!(is_never_called(function), "{function}");
        }
        for other in [
            "core::ptr::drop_in_place<<pliron::location::Source as pliron::parsable::Parsable>::parse::Source>::h42efa188",
            "<cubecl_ir::dialect::memory::IndexOp as pliron::parsable::Parsable>::parse::{{closure}}::h8b167a1d5125a8ec",
            "core::ptr::drop_in_place<<a::B as pliron::parsable::Parsable>::parse::h1>::h2",
            "pliron::context::Context::new::h1234",
        ] {
            assert!(!is_never_called(other), "{other}");
        }
    }
}
