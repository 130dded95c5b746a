/** From options to a network that is ready. */

import { watched } from "./callbacks.js";
import { UmedsamError, abortedError } from "./errors.js";
import { DEFAULT_WEIGHTS_SHA256 } from "./files.js";
import { forget } from "./kept-files.js";
import { Model } from "./model.js";
import type { ModulePlace } from "./module.js";
import { typeName } from "./realms.js";
import { obstacle } from "./support.js";
import { Connection } from "./transport.js";
import type { LoadOptions, Progress } from "./types.js";
import { absolute, folderUrl } from "./urls.js";
import { address, callback, checkOptions, oneOf, signal as abortSignal } from "./validate.js";
import { defaultWeights } from "./weights-file.js";
import { readWeights } from "./weights.js";

const LOAD_OPTIONS = {
  weights: (value: unknown) => (value === null ? "a URL, Response, Blob, ArrayBuffer or typed array" : undefined),
  device: oneOf("auto", "cpu", "webgpu"),
  worker: (value: unknown) => (typeof value === "boolean" || typeof value === "function" ? undefined : "true, false or a function"),
  onProgress: callback,
  signal: abortSignal,
  sha256: (value: unknown) => (/^[0-9a-f]{64}$/i.test(String(value)) ? undefined : "64 hexadecimal digits"),
  wasmUrl: address,
  baseUrl: address,
  cache: oneOf("default", "persistent", false),
};

/** All that a network is made of. */
interface Parts {
  readonly connection: Connection;
  readonly weights: ArrayBuffer;
  readonly place: ModulePlace;
  readonly baseUrl: URL | undefined;
}

/** What was preloaded, until it is loaded. */
let ahead: { readonly options: LoadOptions; readonly parts: Promise<Parts> } | undefined;

/** The options that decide what is downloaded and where it runs. */
const SAME = ["weights", "worker", "sha256", "wasmUrl", "baseUrl", "cache"] as const;

export async function prepareAhead(options: LoadOptions): Promise<void> {
  checkOptions("options", options, LOAD_OPTIONS);
  const before = ahead;
  const mine = { options: { ...options }, parts: prepare(options) };
  ahead = mine;
  before?.parts.then(({ connection }) => connection.close(), () => {});
  try {
    await mine.parts;
  } catch (error) {
    if (ahead === mine) ahead = undefined;
    throw error;
  }
}

/** Takes what was preloaded with the same options. */
function takeAhead(options: LoadOptions): Promise<Parts> | undefined {
  const found = ahead;
  const text = (value: unknown) => (value instanceof URL ? value.href : value);
  if (found === undefined || SAME.some((key) => text(found.options[key]) !== text(options[key]))) return undefined;
  ahead = undefined;
  return found.parts;
}

export async function loadModel(options: LoadOptions): Promise<Model> {
  checkOptions("options", options, LOAD_OPTIONS);
  const { device = "auto", onProgress, signal } = options;
  if (signal?.aborted) throw abortedError("loading", signal);
  const { callback: report, check } = watched((progress: Progress) => onProgress?.(progress));
  const { connection, weights, place, baseUrl } = await (takeAhead(options) ?? prepare(options));
  try {
    report({ stage: "model", fraction: undefined });
    check();
    const { info } = await connection.call("load", { weights, device, ...place }, { what: "loading", signal, transfer: [weights] });
    report({ stage: "model", fraction: 1 });
    check();
    return new Model(connection, info, baseUrl);
  } catch (error) {
    connection.close();
    if (options.cache === "persistent" && error instanceof UmedsamError && error.code === "invalid-weights") await forget(roleOf(options));
    throw error;
  }
}

/** What the weights are kept as; only addresses have a name. */
function roleOf({ weights }: LoadOptions): string {
  if (weights === undefined) return "weights";
  return ["string", "URL"].includes(typeName(weights)) ? `weights ${absolute(String(weights), "weights", "a URL").href}` : "";
}

/** Starts the worker, downloads weights and module, compiles the module. */
async function prepare(options: LoadOptions): Promise<Parts> {
  const { worker = true, cache = "default", onProgress, signal, wasmUrl } = options;
  const reason = obstacle();
  if (reason !== undefined) throw new UmedsamError("device-unavailable", reason);
  if (signal?.aborted) throw abortedError("loading", signal);
  const baseUrl = options.baseUrl === undefined ? undefined : folderUrl(options.baseUrl);
  const place = {
    cache,
    // A worker resolves relative URLs against its own script.
    ...(wasmUrl === undefined ? {} : { wasmUrl: absolute(wasmUrl, "wasmUrl").href }),
    ...(baseUrl === undefined ? {} : { wasmFolder: new URL("dist/wasm/", baseUrl).href }),
  };
  // First, so that nothing is downloaded where no worker can run.
  const connection = new Connection(worker, baseUrl);
  // What is left of the downloads ends with the load.
  const ended = new AbortController();
  const end = () => ended.abort(signal?.reason);
  signal?.addEventListener("abort", end, { once: true });
  try {
    await connection.greet(signal);
    const [weights] = await Promise.all([
      readWeights(options.weights ?? defaultWeights(baseUrl), {
        onProgress,
        signal: ended.signal,
        cache,
        // Where there is no secure context to hash in, the package's own file is trusted as its code is.
        sha256: options.sha256 ?? (options.weights === undefined && globalThis.crypto?.subtle ? DEFAULT_WEIGHTS_SHA256 : undefined),
        role: roleOf(options),
      }),
      connection
        .call("prepare", place, {
          what: "loading",
          signal,
          onProgress: (fraction) => onProgress?.({ stage: "module", fraction }),
        })
        .then(() => onProgress?.({ stage: "module", fraction: 1 })),
    ]);
    return { connection, weights, place, baseUrl };
  } catch (error) {
    connection.close();
    ended.abort();
    throw error;
  } finally {
    signal?.removeEventListener("abort", end);
  }
}
