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

import { DEFAULT_WEIGHTS_BYTES, DEFAULT_WEIGHTS_SHA256 } from "./default-weights.js";
import { UmedsamError, abortedError } from "./errors.js";
import { Model } from "./model.js";
import { obstacle } from "./support.js";
import { Connection } from "./transport.js";
import type { LoadOptions } from "./types.js";
import { address, callback, checkOptions, oneOf, signal as abortSignal } from "./validate.js";
import { readWeights } from "./weights.js";

export { type Colormap, colorize, inferno } from "./colormap.js";
export { type ErrorCode, UmedsamError } from "./errors.js";
export { EncodedImage, Model } from "./model.js";
export { type Support, isSupported } from "./support.js";
export type * from "./types.js";

/**
 * Loads weights, by default those in this package, and starts the network.
 *
 * @throws {UmedsamError} `fetch-failed`, `invalid-weights`, `invalid-option`, `device-unavailable`, `worker-failed`, `aborted`.
 */
export async function load(options: LoadOptions = {}): Promise<Model> {
  checkOptions("options", options, LOAD_OPTIONS);
  const { device = "auto", worker = true, onProgress, signal, wasmUrl } = options;
  const reason = obstacle();
  if (reason !== undefined) throw new UmedsamError("device-unavailable", reason);
  if (signal?.aborted) throw abortedError("loading", signal);
  const baseUrl = options.baseUrl === undefined ? undefined : folderUrl(options.baseUrl);
  // First, so that nothing is downloaded where no worker can run.
  const connection = new Connection(worker, baseUrl);
  // What is left of the downloads ends with the load.
  const ended = new AbortController();
  const end = () => ended.abort(signal?.reason);
  signal?.addEventListener("abort", end, { once: true });
  try {
    await connection.greet(signal);
    const modules = {
      // A worker resolves relative URLs against its own script.
      ...(wasmUrl === undefined ? {} : { wasmUrl: new URL(wasmUrl, globalThis.location?.href).href }),
      ...(baseUrl === undefined ? {} : { wasmFolder: new URL("dist/wasm/", baseUrl).href }),
    };
    const [weights] = await Promise.all([
      readWeights(options.weights ?? defaultWeights(baseUrl), {
        onProgress,
        signal: ended.signal,
        // Where there is no secure context to hash in, the package's own file is trusted as its code is.
        sha256: options.sha256 ?? (options.weights === undefined && globalThis.crypto?.subtle ? DEFAULT_WEIGHTS_SHA256 : undefined),
      }),
      connection
        .call("prepare", modules, {
          what: "loading",
          signal,
          onProgress: (fraction) => onProgress?.({ stage: "module", fraction }),
        })
        .then(() => onProgress?.({ stage: "module", fraction: 1 })),
    ]);
    onProgress?.({ stage: "model", fraction: undefined });
    const { info } = await connection.call("load", { weights, device, ...modules }, { what: "loading", signal, transfer: [weights] });
    onProgress?.({ stage: "model", fraction: 1 });
    return new Model(connection, info);
  } catch (error) {
    connection.close();
    ended.abort();
    throw error;
  } finally {
    signal?.removeEventListener("abort", end);
  }
}

const LOAD_OPTIONS = {
  weights: (value: unknown) => (value === null ? "a URL, Response, Blob, ArrayBuffer or typed array" : undefined),
  device: oneOf("auto", "cpu", "webgpu"),
  worker: (value: unknown) => (typeof value === "boolean" || typeof value === "function" ? undefined : "true, false or a function"),
  onProgress: callback,
  signal: abortSignal,
  sha256: (value: unknown) => (/^[0-9a-f]{64}$/i.test(String(value)) ? undefined : "64 hexadecimal digits"),
  wasmUrl: address,
  baseUrl: address,
};

/** The weights that `load()` takes by default. */
export const defaultWeightsInfo: { readonly url: URL; readonly bytes: number; readonly sha256: string } = {
  get url() {
    return defaultWeights(undefined);
  },
  bytes: DEFAULT_WEIGHTS_BYTES,
  sha256: DEFAULT_WEIGHTS_SHA256,
};

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
