/** SHA-256 of the weights in this package; `cargo xtask package` writes it. */
export const DEFAULT_WEIGHTS_SHA256 = "";
/** Bytes of the weights in this package; filled in when the package is built. */
export const DEFAULT_WEIGHTS_BYTES = 0;
