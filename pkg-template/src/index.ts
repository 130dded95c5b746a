/**
 * Box-prompted medical image segmentation with uncertainty, in the browser. Research software, not a medical device.
 *
 * @example
 * const model = await load();
 * const image = await model.encode({ data: imageData });
 * const [result] = await image.segment([{ box: [40, 60, 200, 180] }]);
 *
 * @packageDocumentation
 */

import { DEFAULT_WEIGHTS_BYTES, DEFAULT_WEIGHTS_SHA256 } from "./files.js";
import { loadModel, prepareAhead } from "./loading.js";
import type { Model } from "./model.js";
import type { LoadOptions } from "./types.js";
import { defaultWeights } from "./weights-file.js";

export { Annotation, type Correction } from "./annotation.js";
export { type Colormap, colorize, inferno } from "./colormap.js";
export { EncodedImage } from "./encoded-image.js";
export { type ErrorCode, UmedsamError } from "./errors.js";
export { clearCache } from "./kept-files.js";
export { Model } from "./model.js";
export { type Support, isSupported } from "./support.js";
export type * from "./types.js";

/**
 * Loads weights, by default those in this package, and starts the network.
 *
 * @throws {UmedsamError} `fetch-failed`, `invalid-weights`, `invalid-option`, `device-unavailable`, `worker-failed`, `aborted`.
 */
export function load(options: LoadOptions = {}): Promise<Model> {
  return loadModel(options);
}

/**
 * Does what needs no image ahead of time: starts the worker, downloads weights and module, compiles the module. The next `load()` with the same options (but
 * for `device`, `onProgress` and `signal`) goes on from there. Only what was preloaded last is kept.
 *
 * @throws {UmedsamError} As {@link load}.
 */
export function preload(options: LoadOptions = {}): Promise<void> {
  return prepareAhead(options);
}

/** The weights that `load()` takes by default. */
export const defaultWeightsInfo: { readonly url: URL; readonly bytes: number; readonly sha256: string } = {
  get url() {
    return defaultWeights(undefined);
  },
  bytes: DEFAULT_WEIGHTS_BYTES,
  sha256: DEFAULT_WEIGHTS_SHA256,
};
