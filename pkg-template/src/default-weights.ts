/** SHA-256 of the weights in this package; `cargo xtask package` writes it. */
export const DEFAULT_WEIGHTS_SHA256 = "";
