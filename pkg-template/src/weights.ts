/** Reads weights from wherever they are. */

import { watched } from "./callbacks.js";
import { UmedsamError, abortedError } from "./errors.js";
import { typeName } from "./realms.js";
import type { Progress, WeightsSource } from "./types.js";

export interface ReadOptions {
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly sha256?: string | undefined;
}

/** Returns a copy of the bytes that the caller may transfer. */
export async function readWeights(source: WeightsSource, options: ReadOptions): Promise<ArrayBuffer> {
  const bytes = await readSource(source, options);
  if (options.sha256 !== undefined) await checkHash(bytes, options.sha256);
  return bytes;
}

async function readSource(source: WeightsSource, options: ReadOptions): Promise<ArrayBuffer> {
  switch (typeName(source)) {
    case "string":
    case "URL":
      return readResponse(await request(String(source), options.signal), String(source), options);
    case "Response":
      return readResponse(source as Response, (source as Response).url || "the response", options);
    case "Blob":
    case "File":
      return (source as Blob).arrayBuffer();
    case "ArrayBuffer":
    case "SharedArrayBuffer":
      return copyBytes(new Uint8Array(source as ArrayBuffer));
  }
  if (ArrayBuffer.isView(source)) return copyBytes(new Uint8Array(source.buffer, source.byteOffset, source.byteLength));
  throw new UmedsamError("invalid-option", `weights is ${typeName(source)}; use a URL, Response, Blob, ArrayBuffer or typed array`);
}

function copyBytes(bytes: Uint8Array): ArrayBuffer {
  const copy = new Uint8Array(bytes.byteLength);
  copy.set(bytes);
  return copy.buffer;
}

async function request(url: string | URL, signal: AbortSignal | undefined): Promise<Response> {
  try {
    return await fetch(url, signal === undefined ? {} : { signal });
  } catch (cause) {
    if (signal?.aborted) throw abortedError("loading the weights", signal);
    throw new UmedsamError("fetch-failed", `the weights at ${url} could not be fetched: ${(cause as Error).message}`, { cause });
  }
}

async function readResponse(response: Response, name: string, options: ReadOptions): Promise<ArrayBuffer> {
  if (!response.ok) {
    throw new UmedsamError("fetch-failed", `the weights at ${name} could not be fetched: HTTP ${response.status}`);
  }
  if (response.headers.get("content-type")?.startsWith("text/html")) {
    throw new UmedsamError("invalid-weights", `${name} is an HTML page, not weights; check the URL`);
  }
  const length = Number(response.headers.get("content-length") ?? Number.NaN);
  // A compressed body is longer than its content-length.
  const total = Number.isFinite(length) && !response.headers.has("content-encoding") ? length : undefined;
  const chunks: Uint8Array[] = [];
  let loaded = 0;
  const { callback, hasFailed, check } = watched((progress: Progress) => options.onProgress?.(progress));
  const report = () => {
    callback({
      stage: "weights",
      fraction: total === undefined ? undefined : Math.min(1, loaded / total),
      loadedBytes: loaded,
      ...(total === undefined ? {} : { totalBytes: total }),
    });
  };
  report();
  check();
  const reader = response.body?.getReader();
  try {
    for (;;) {
      const part = await reader?.read();
      if (part === undefined || part.done) break;
      chunks.push(part.value);
      loaded += part.value.byteLength;
      report();
      if (hasFailed()) {
        await reader?.cancel();
        break;
      }
    }
  } catch (cause) {
    if (options.signal?.aborted) throw abortedError("loading the weights", options.signal);
    throw new UmedsamError("fetch-failed", `the download of ${name} broke off: ${(cause as Error).message}`, { cause });
  }
  check();
  if (total !== undefined && loaded < total) {
    throw new UmedsamError("fetch-failed", `the download of ${name} ended after ${loaded} of ${total} bytes; load it again`);
  }
  const bytes = new Uint8Array(loaded);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes.buffer;
}

async function checkHash(bytes: ArrayBuffer, expected: string): Promise<void> {
  if (globalThis.crypto?.subtle === undefined) {
    throw new UmedsamError("invalid-option", "sha256 needs a secure context (https or localhost)");
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const actual = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (actual !== expected.toLowerCase()) {
    throw new UmedsamError("invalid-weights", `the weights have sha256 ${actual}, expected ${expected}`);
  }
}
