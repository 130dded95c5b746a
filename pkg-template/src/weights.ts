/** Reads weights from wherever they are. */

import { type CacheMode, type DownloadOptions, download, read } from "./download.js";
import { UmedsamError } from "./errors.js";
import { hashOf, keep, kept } from "./kept-files.js";
import { typeName } from "./realms.js";
import type { Progress, WeightsSource } from "./types.js";
import { absolute } from "./urls.js";

export interface ReadOptions {
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly sha256?: string | undefined;
  readonly cache: CacheMode;
  /** What weights at an address are kept as. */
  readonly role: string;
}

/** Returns a copy of the bytes that the caller may transfer. */
export async function readWeights(source: WeightsSource, options: ReadOptions): Promise<ArrayBuffer> {
  const kind = typeName(source);
  if (kind === "string" || kind === "URL") return readAddress(absolute(source as string | URL, "weights", "a URL"), options);
  const bytes = await readSource(source, kind, options);
  await checkHash(bytes, options.sha256);
  return bytes;
}

async function readAddress(url: URL, options: ReadOptions): Promise<ArrayBuffer> {
  const { onProgress, role } = options;
  const file = { role, sha256: options.sha256?.toLowerCase() };
  if (options.cache === "persistent") {
    const bytes = await kept(file);
    if (bytes !== undefined) {
      const { byteLength } = bytes;
      onProgress?.({ stage: "weights", fraction: 1, loadedBytes: byteLength, totalBytes: byteLength, fromCache: true });
      return bytes;
    }
  }
  const bytes = (await download(url, downloadOptions(options))).buffer;
  refusePage(bytes, url.href);
  await checkHash(bytes, options.sha256);
  if (options.cache === "persistent") await keep(file, bytes);
  return bytes;
}

function downloadOptions({ onProgress, signal, cache }: ReadOptions): DownloadOptions {
  const onBytes = (loaded: number, total: number | undefined) =>
    onProgress?.({
      stage: "weights",
      fraction: total === undefined ? undefined : Math.min(1, loaded / total),
      loadedBytes: loaded,
      ...(total === undefined ? {} : { totalBytes: total }),
    });
  return { what: "the weights", onBytes, signal, cache };
}

async function readSource(source: WeightsSource, kind: string, options: ReadOptions): Promise<ArrayBuffer> {
  switch (kind) {
    case "Response": {
      const name = (source as Response).url || "the response";
      const { buffer } = await read(source as Response, name, downloadOptions(options));
      refusePage(buffer, name);
      return buffer;
    }
    case "Blob":
    case "File":
      return (source as Blob).arrayBuffer();
    case "ArrayBuffer":
    case "SharedArrayBuffer":
      return copyBytes(new Uint8Array(source as ArrayBuffer));
  }
  if (ArrayBuffer.isView(source)) return copyBytes(new Uint8Array(source.buffer, source.byteOffset, source.byteLength));
  throw new UmedsamError("invalid-option", `weights is ${kind}; use a URL, Response, Blob, ArrayBuffer or typed array`);
}

function copyBytes(bytes: Uint8Array): ArrayBuffer {
  const copy = new Uint8Array(bytes.byteLength);
  copy.set(bytes);
  return copy.buffer;
}

/** Servers of single-page applications answer every address with their page. */
function refusePage(bytes: ArrayBuffer, name: string): void {
  const begin = new TextDecoder().decode(bytes.slice(0, 64)).trimStart().toLowerCase();
  if (begin.startsWith("<!doctype html") || begin.startsWith("<html")) {
    throw new UmedsamError("invalid-weights", `${name} is an HTML page, not weights; check the URL`);
  }
}

async function checkHash(bytes: ArrayBuffer, expected: string | undefined): Promise<void> {
  if (expected === undefined) return;
  if (globalThis.crypto?.subtle === undefined) {
    throw new UmedsamError("invalid-option", "sha256 needs a secure context (https or localhost)");
  }
  const actual = await hashOf(bytes);
  if (actual !== expected.toLowerCase()) {
    throw new UmedsamError("invalid-weights", `the weights have sha256 ${actual}, expected ${expected}`);
  }
}
