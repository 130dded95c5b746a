/**
 * Box-prompted medical image segmentation with uncertainty, in the browser. Research software, not a medical device.
 *
 * @example
 * const model = await load({ weights: "litemedsam-f16.safetensors" });
 * const image = await model.encode({ data: imageData });
 * const [result] = await image.segment([{ box: [40, 60, 200, 180] }]);
 *
 * @packageDocumentation
 */

import { UmedsamError, abortedError } from "./errors.js";
import { Model } from "./model.js";
import { Connection } from "./transport.js";
import type { LoadOptions } from "./types.js";
import { readWeights } from "./weights.js";

export { type Colormap, colorize, inferno } from "./colormap.js";
export { type ErrorCode, UmedsamError } from "./errors.js";
export { EncodedImage, Model } from "./model.js";
export type * from "./types.js";

/**
 * Loads weights and starts the network.
 *
 * @throws {UmedsamError} `fetch-failed`, `invalid-weights`, `invalid-option`, `device-unavailable`, `worker-failed`, `aborted`.
 */
export async function load(options: LoadOptions): Promise<Model> {
  const { device = "auto", worker = true, onProgress, signal, sha256, wasmUrl } = options ?? {};
  if (options?.weights === undefined) {
    throw new UmedsamError("invalid-option", "weights is missing; give the URL or the bytes of a .safetensors file");
  }
  if (!["auto", "cpu", "webgpu"].includes(device)) {
    throw new UmedsamError("invalid-option", `device is ${JSON.stringify(device)}; use "auto", "cpu" or "webgpu"`);
  }
  if (signal?.aborted) throw abortedError("loading");
  const weights = await readWeights(options.weights, { onProgress, signal, sha256 });
  onProgress?.({ stage: "model", fraction: undefined });
  const connection = new Connection(worker);
  try {
    // A worker resolves relative URLs against its own script.
    const url = wasmUrl === undefined ? {} : { wasmUrl: new URL(wasmUrl, globalThis.location?.href).href };
    const args = { weights, device, ...url };
    const { info } = await connection.call("load", args, { what: "loading", signal, transfer: [weights] });
    onProgress?.({ stage: "model", fraction: 1 });
    return new Model(connection, info);
  } catch (error) {
    connection.close();
    throw error;
  }
}
