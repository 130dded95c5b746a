/** What is in this package; `cargo xtask package` writes it. */

/** SHA-256 of the weights. */
export const DEFAULT_WEIGHTS_SHA256 = "";
/** Bytes of the weights. */
export const DEFAULT_WEIGHTS_BYTES = 0;
/** SHA-256 of the wasm modules, by file. */
export const MODULES_SHA256: Readonly<Record<string, string>> = {};
