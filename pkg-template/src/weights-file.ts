/** Where the weights in this package are. */

/** Bundlers find the file by this expression. */
export function defaultWeights(baseUrl: URL | undefined): URL {
  if (baseUrl !== undefined) return new URL("weights/umedsam-student-i8.safetensors", baseUrl);
  return new URL("../weights/umedsam-student-i8.safetensors", import.meta.url);
}
