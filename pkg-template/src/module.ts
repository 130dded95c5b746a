/** Starts the wasm module on the thread it is imported on. */

import { type CacheMode, download } from "./download.js";
import { UmedsamError } from "./errors.js";
import { MODULES_SHA256 } from "./files.js";
import { type KeptFile, keep, kept } from "./kept-files.js";
import { life, renew } from "./life.js";
import { hasRelaxedSimd, obstacle } from "./support.js";
import init from "./wasm/umedsam.js";

/** Where the module is, if not beside this script, and how it is kept. */
export interface ModulePlace {
  readonly wasmUrl?: string;
  /** The folder of both modules. */
  readonly wasmFolder?: string;
  readonly cache: CacheMode;
}

interface ModuleFile extends KeptFile {
  readonly url: URL;
}

type OnProgress = (fraction: number) => void;

/** The faster module where the engine can run it. Bundlers find the files by these expressions. */
function fastestModule(folder: string | undefined): ModuleFile {
  const isRelaxed = hasRelaxedSimd();
  const file = isRelaxed ? "umedsam_relaxed_bg.wasm" : "umedsam_bg.wasm";
  // Bundlers give the file other names from version to version.
  const identity = { role: `module ${file}`, sha256: MODULES_SHA256[file] };
  if (folder !== undefined) return { url: new URL(file, folder), ...identity };
  const url = isRelaxed ? new URL("./wasm/umedsam_relaxed_bg.wasm", import.meta.url) : new URL("./wasm/umedsam_bg.wasm", import.meta.url);
  return { url, ...identity };
}

let instance: Promise<string> | undefined;

/** Compiles and starts the wasm module once per thread, and returns where it is from; a failed start may be tried again. */
export function start({ wasmUrl, wasmFolder, cache }: ModulePlace, onProgress: OnProgress): Promise<string> {
  const reason = obstacle();
  if (reason !== undefined) return Promise.reject(new UmedsamError("device-unavailable", reason));
  const file = wasmUrl === undefined ? fastestModule(wasmFolder) : { url: new URL(wasmUrl), role: `module ${wasmUrl}` };
  if (life().error !== undefined) {
    // The module is compiled; only its instance is dead.
    renew();
    return instance ?? Promise.resolve(file.url.href);
  }
  instance ??= instantiate(file, cache, onProgress).catch((cause: unknown) => {
    instance = undefined;
    throw cause;
  });
  return instance;
}

async function instantiate(file: ModuleFile, cache: CacheMode, onProgress: OnProgress): Promise<string> {
  const { url } = file;
  // Engines keep the compiled code of modules that stream from the network, so that bytes are taken only where they must be.
  const isStreamed = cache !== "persistent" && url.protocol !== "file:";
  const module = isStreamed ? await streamed(url, cache, onProgress) : await bytesOf(file, cache, onProgress);
  try {
    await init({ module_or_path: module });
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    if (/content.security.policy|unsafe-eval/i.test(message)) {
      throw new UmedsamError(
        "device-unavailable",
        `the page's policy forbids compiling WebAssembly; allow script-src 'wasm-unsafe-eval' (${message})`,
        { cause },
      );
    }
    throw notLoaded(url, cause);
  }
  renew();
  return url.href;
}

async function streamed(url: URL, cache: CacheMode, onProgress: OnProgress): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, cache === false ? { cache: "no-store" } : {});
  } catch (cause) {
    throw notLoaded(url, cause);
  }
  if (!response.ok) throw notLoaded(url, `HTTP ${response.status}`);
  return counted(response, onProgress);
}

async function bytesOf(file: ModuleFile, cache: CacheMode, onProgress: OnProgress): Promise<BufferSource> {
  const { url } = file;
  const isKept = cache === "persistent";
  const before = isKept ? await kept(file) : undefined;
  if (before !== undefined) return before;
  const onBytes = (loaded: number, total: number | undefined) => total !== undefined && onProgress(Math.min(1, loaded / total));
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await download(url, { what: "the module", onBytes, signal: undefined, cache });
  } catch (cause) {
    throw notLoaded(url, cause);
  }
  if (isKept && WebAssembly.validate(bytes)) await keep(file, bytes, "application/wasm");
  return bytes;
}

function notLoaded(url: URL, cause: unknown): UmedsamError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new UmedsamError(
    "fetch-failed",
    `${url.href} could not be loaded (${message}); give the module's place as wasmUrl, or a copy of the package's files as baseUrl`,
    { cause },
  );
}

/** The same response, telling how much of it has come. */
function counted(response: Response, onProgress: (fraction: number) => void): Response {
  const total = Number(response.headers.get("content-length") ?? Number.NaN);
  // A compressed body is longer than its content-length.
  if (!(total > 0) || response.headers.has("content-encoding") || response.body === null) return response;
  let loaded = 0;
  const counter = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      loaded += chunk.byteLength;
      onProgress(Math.min(1, loaded / total));
      controller.enqueue(chunk);
    },
  });
  return new Response(response.body.pipeThrough(counter as never), { headers: { "content-type": "application/wasm" } });
}
