//! The wasm module for engines without relaxed SIMD: the same code, with fixed-width SIMD in place of every relaxed
//! instruction.
//!
//! It is derived from the finished module because a second build would double the minutes of link-time optimisation, and because both modules then
//! share their JavaScript glue.

use anyhow::{Context, Result, bail};
use walrus::ir::{BinaryOp, Binop, Instr, InstrLocId, InstrSeq, LocalGet, LocalSet, TernaryOp, VisitorMut};
use walrus::{LocalId, Module, ModuleLocals, ValType};
use wasmparser::{Validator, WasmFeatures};

/// Replaces relaxed instructions, and checks that the result needs none.
///
/// # Errors
/// If the module cannot be read, or holds a relaxed instruction that umedsam's code has no use for.
pub fn without_relaxed_simd(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut module = Module::from_buffer(wasm)?;
    for (_, function) in module.funcs.iter_local_mut() {
        let mut replacement = Replacement { locals: &mut module.locals, addend: None };
        walrus::ir::dfs_pre_order_mut(&mut replacement, function, function.entry_block());
    }
    let wasm = module.emit_wasm();
    validate(&wasm).context("a relaxed instruction is left, or one was replaced wrongly")?;
    Ok(wasm)
}

/// Whether an engine without relaxed SIMD takes a module.
fn validate(wasm: &[u8]) -> Result<()> {
    match Validator::new_with_features(WasmFeatures::default() - WasmFeatures::RELAXED_SIMD).validate_all(wasm) {
        Ok(_) => Ok(()),
        Err(error) => bail!("{error}"),
    }
}

/// Works on one function.
struct Replacement<'a> {
    locals: &'a mut ModuleLocals,
    /// Where the addend waits for the product.
    addend: Option<LocalId>,
}

impl VisitorMut for Replacement<'_> {
    fn start_instr_seq_mut(&mut self, sequence: &mut InstrSeq) {
        if !sequence.instrs.iter().any(|(instruction, _)| is_relaxed(instruction)) {
            return;
        }
        let instructions = std::mem::take(&mut sequence.instrs);
        sequence.instrs =
            instructions.into_iter().flat_map(|(instruction, place)| self.replace(instruction, place)).collect();
    }
}

/// The fixed-width operation in place of a relaxed minimum or maximum, which LLVM makes of `f32x4_pmin` and its like.
fn fixed_width_binary(op: BinaryOp) -> Option<BinaryOp> {
    Some(match op {
        BinaryOp::F32x4RelaxedMin => BinaryOp::F32x4PMin,
        BinaryOp::F32x4RelaxedMax => BinaryOp::F32x4PMax,
        BinaryOp::F64x2RelaxedMin => BinaryOp::F64x2PMin,
        BinaryOp::F64x2RelaxedMax => BinaryOp::F64x2PMax,
        _ => return None,
    })
}

fn is_relaxed(instruction: &Instr) -> bool {
    match instruction {
        Instr::TernOp(operation) => matches!(operation.op, TernaryOp::F32x4RelaxedMadd),
        Instr::Binop(operation) => fixed_width_binary(operation.op).is_some(),
        _ => false,
    }
}

impl Replacement<'_> {
    fn replace(&mut self, instruction: Instr, place: InstrLocId) -> Vec<(Instr, InstrLocId)> {
        let binary = |op| Instr::Binop(Binop { op });
        let instructions = match instruction {
            Instr::TernOp(operation) if matches!(operation.op, TernaryOp::F32x4RelaxedMadd) => {
                let local = *self.addend.get_or_insert_with(|| self.locals.add(ValType::V128));
                vec![
                    Instr::LocalSet(LocalSet { local }),
                    binary(BinaryOp::F32x4Mul),
                    Instr::LocalGet(LocalGet { local }),
                    binary(BinaryOp::F32x4Add),
                ]
            }
            Instr::Binop(operation) => vec![binary(fixed_width_binary(operation.op).unwrap_or(operation.op))],
            other => vec![other],
        };
        instructions.into_iter().map(|instruction| (instruction, place)).collect()
    }
}

#[cfg(test)]
mod tests {
    use walrus::FunctionBuilder;

    use super::*;

    /// A module with one function that adds a product to its third argument, twice over, and takes the smaller and the larger of it and the first.
    fn relaxed() -> Vec<u8> {
        let mut module = Module::default();
        let arguments = [(); 3].map(|()| module.locals.add(ValType::V128));
        let mut function = FunctionBuilder::new(&mut module.types, &[ValType::V128; 3], &[ValType::V128]);
        let [a, b, c] = arguments;
        let mut body = function.func_body();
        body.local_get(a).local_get(b).local_get(c);
        body.tern_op(TernaryOp::F32x4RelaxedMadd);
        body.block(ValType::V128, |block| {
            block.local_get(a).local_get(b).local_get(c).tern_op(TernaryOp::F32x4RelaxedMadd);
        });
        body.binop(BinaryOp::F32x4RelaxedMin).local_get(a).binop(BinaryOp::F32x4RelaxedMax);
        let function = function.finish(arguments.to_vec(), &mut module.funcs);
        module.exports.add("f", function);
        module.emit_wasm()
    }

    #[test]
    fn relaxed_instructions_are_replaced() {
        let wasm = relaxed();
        assert!(validate(&wasm).is_err(), "the module under test needs relaxed SIMD");
        let replaced = without_relaxed_simd(&wasm).unwrap();
        let mut operators = Vec::new();
        for payload in wasmparser::Parser::new(0).parse_all(&replaced) {
            if let wasmparser::Payload::CodeSectionEntry(body) = payload.unwrap() {
                operators.extend(
                    body.get_operators_reader().unwrap().into_iter().map(|operator| format!("{:?}", operator.unwrap())),
                );
            }
        }
        let count = |name: &str| operators.iter().filter(|operator| operator.starts_with(name)).count();
        assert_eq!(["F32x4Mul", "F32x4Add", "F32x4PMin", "F32x4PMax"].map(count), [2, 2, 1, 1], "{operators:?}");
    }

    #[test]
    fn other_relaxed_instructions_are_refused() {
        let mut module = Module::default();
        let argument = module.locals.add(ValType::V128);
        let mut function = FunctionBuilder::new(&mut module.types, &[ValType::V128], &[ValType::V128]);
        let mut body = function.func_body();
        body.local_get(argument).local_get(argument).local_get(argument).tern_op(TernaryOp::F64x2RelaxedMadd);
        let function = function.finish(vec![argument], &mut module.funcs);
        module.exports.add("f", function);
        assert!(without_relaxed_simd(&module.emit_wasm()).is_err());
    }
}
