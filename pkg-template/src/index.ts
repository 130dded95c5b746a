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

import { DEFAULT_WEIGHTS_SHA256 } from "./default-weights.js";
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
 * Loads weights, by default those in this package, and starts the network.
 *
 * @throws {UmedsamError} `fetch-failed`, `invalid-weights`, `invalid-option`, `device-unavailable`, `worker-failed`, `aborted`.
 */
export async function load(options: LoadOptions = {}): Promise<Model> {
  const { device = "auto", worker = true, onProgress, signal, wasmUrl } = options;
  if (!["auto", "cpu", "webgpu"].includes(device)) {
    throw new UmedsamError("invalid-option", `device is ${JSON.stringify(device)}; use "auto", "cpu" or "webgpu"`);
  }
  if (signal?.aborted) throw abortedError("loading");
  // First, so that nothing is downloaded where no worker can run.
  const baseUrl = options.baseUrl === undefined ? undefined : folderUrl(options.baseUrl);
  const connection = new Connection(worker, baseUrl);
  try {
    await connection.greet(signal);
    const weights = await readWeights(options.weights ?? defaultWeights(baseUrl), {
      onProgress,
      signal,
      // Where there is no secure context to hash in, the package's own file is trusted as its code is.
      sha256: options.sha256 ?? (options.weights === undefined && globalThis.crypto?.subtle ? DEFAULT_WEIGHTS_SHA256 : undefined),
    });
    onProgress?.({ stage: "model", fraction: undefined });
    // A worker resolves relative URLs against its own script.
    const url = wasmUrl === undefined ? {} : { wasmUrl: new URL(wasmUrl, globalThis.location?.href).href };
    const folder = baseUrl === undefined ? {} : { wasmFolder: new URL("dist/wasm/", baseUrl).href };
    const args = { weights, device, ...url, ...folder };
    const { info } = await connection.call("load", args, { what: "loading", signal, transfer: [weights] });
    onProgress?.({ stage: "model", fraction: 1 });
    return new Model(connection, info);
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** The weights in this package. Bundlers find the file by this expression. */
function defaultWeights(baseUrl: URL | undefined): URL {
  if (baseUrl !== undefined) return new URL("weights/umedsam-litemedsam-f16.safetensors", baseUrl);
  return new URL("../weights/umedsam-litemedsam-f16.safetensors", import.meta.url);
}

/** A folder's address, which ends in a slash. */
function folderUrl(given: string | URL): URL {
  const address = String(given);
  try {
    return new URL(address.endsWith("/") ? address : `${address}/`, globalThis.location?.href);
  } catch (cause) {
    throw new UmedsamError("invalid-option", `baseUrl is ${JSON.stringify(address)}; use the address of a folder`, { cause });
  }
}
