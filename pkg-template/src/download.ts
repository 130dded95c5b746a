/** Downloads that go on where they broke off. */

import { watched } from "./callbacks.js";
import { UmedsamError, abortedError } from "./errors.js";
import { readFile } from "./local-files.js";

/** How files come from the network and are kept; see `LoadOptions.cache`. */
export type CacheMode = "default" | "persistent" | false;

export interface DownloadOptions {
  /** What is downloaded, for errors. */
  readonly what: string;
  readonly onBytes: (loaded: number, total: number | undefined) => void;
  readonly signal: AbortSignal | undefined;
  readonly cache: CacheMode;
}

/** Times that a download which broke off is taken up again, and how long the first wait is; each further one is twice as long. */
const RETRIES = 3;
const FIRST_WAIT_MS = 500;

/**
 * The bytes at an address. Where a connection breaks and the server allows ranges of the same file, only what is missing is asked for.
 *
 * @throws {UmedsamError} `fetch-failed`, `aborted`; an exception of `onBytes` as it is.
 */
export async function download(url: URL, options: DownloadOptions): Promise<Uint8Array<ArrayBuffer>> {
  if (url.protocol === "file:" && typeof globalThis.location === "undefined") return localFile(url, options);
  const body = new Body(url, options);
  for (let attempt = 0; ; attempt++) {
    try {
      await body.go();
      return body.bytes();
    } catch (cause) {
      if (options.signal?.aborted) throw abortedError(`loading ${options.what}`, options.signal);
      body.check();
      if (!body.hasBegun || attempt === RETRIES) throw failed(url, options, body, cause);
      await wait(FIRST_WAIT_MS * 2 ** attempt, options.signal);
    }
  }
}

/** The bytes of a response that is there already. */
export async function read(response: Response, name: string, options: DownloadOptions): Promise<Uint8Array<ArrayBuffer>> {
  const body = new Body(name, options);
  try {
    await body.take(response);
  } catch (cause) {
    if (options.signal?.aborted) throw abortedError(`loading ${options.what}`, options.signal);
    body.check();
    throw failed(name, options, body, cause);
  }
  return body.bytes();
}

async function localFile(url: URL, { what, onBytes }: DownloadOptions): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const bytes = await readFile(url);
    onBytes(bytes.byteLength, bytes.byteLength);
    // A small file lies in a buffer that Node shares.
    return bytes.slice();
  } catch (cause) {
    throw new UmedsamError("fetch-failed", `${what} at ${url} could not be read: ${(cause as Error).message}`, { cause });
  }
}

function failed(from: URL | string, { what }: DownloadOptions, { hasBegun }: Body, cause: unknown): UmedsamError {
  if (cause instanceof UmedsamError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  const happened = hasBegun ? `the download of ${what} from ${from} broke off` : `${what} at ${from} could not be fetched`;
  return new UmedsamError("fetch-failed", `${happened}: ${message}`, { cause });
}

/** What has come of a file. */
class Body {
  readonly #from: URL | string;
  readonly #options: DownloadOptions;
  readonly #told: ReturnType<typeof watched<readonly [number, number | undefined]>>;
  #chunks: Uint8Array[] = [];
  #loaded = 0;
  #total: number | undefined;
  /** Tells one version of the file from another. */
  #version: string | undefined;
  #isCompressed = false;

  constructor(from: URL | string, options: DownloadOptions) {
    this.#from = from;
    this.#options = options;
    this.#told = watched(([loaded, total]) => options.onBytes(loaded, total));
  }

  get hasBegun(): boolean {
    return this.#loaded > 0;
  }

  /** Throws what `onBytes` threw. */
  check(): void {
    this.#told.check();
  }

  /** Fetches the file, or what is missing of it. */
  async go(): Promise<void> {
    const { signal, cache } = this.#options;
    // A range of a compressed body cannot be put after the bytes that were decompressed.
    const rest = this.#loaded > 0 && !this.#isCompressed ? `bytes=${this.#loaded}-` : undefined;
    const response = await fetch(this.#from, {
      ...(signal === undefined ? {} : { signal }),
      ...(cache === false ? { cache: "no-store" } : {}),
      ...(rest === undefined ? {} : { headers: { range: rest } }),
    });
    const isRest = response.status === 206 && response.headers.get("content-range")?.startsWith(`bytes ${this.#loaded}-`) === true;
    if (!isRest || versionOf(response) !== this.#version) {
      const wasAsked = this.#loaded > 0;
      this.#chunks = [];
      this.#loaded = 0;
      if (wasAsked && response.status === 206) {
        // Another version of the file: from its beginning.
        await response.body?.cancel();
        return this.go();
      }
    }
    await this.take(response);
  }

  /** Takes a response's body to its end. */
  async take(response: Response): Promise<void> {
    const { what } = this.#options;
    if (!response.ok) throw new UmedsamError("fetch-failed", `${what} at ${this.#from} could not be fetched: HTTP ${response.status}`);
    this.#version = versionOf(response);
    this.#isCompressed = response.headers.has("content-encoding");
    if (this.#loaded === 0) {
      const length = Number(response.headers.get("content-length") ?? Number.NaN);
      // A compressed body is longer than its content-length.
      this.#total = length > 0 && !this.#isCompressed ? length : undefined;
    }
    this.#tell();
    const reader = response.body?.getReader();
    for (;;) {
      const part = await reader?.read();
      if (part === undefined || part.done) break;
      this.#chunks.push(part.value);
      this.#loaded += part.value.byteLength;
      this.#tell();
      if (this.#told.hasFailed()) await reader?.cancel();
      this.check();
    }
    if (this.#total !== undefined && this.#loaded < this.#total) {
      throw new Error(`it ended after ${this.#loaded} of ${this.#total} bytes; load it again`);
    }
  }

  #tell(): void {
    this.#told.callback([this.#loaded, this.#total]);
    this.check();
  }

  bytes(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#loaded);
    let offset = 0;
    for (const chunk of this.#chunks) {
      bytes.set(chunk, offset);
      offset += chunk.byteLength;
    }
    return bytes;
  }
}

function versionOf(response: Response): string {
  return `${response.headers.get("etag")} ${response.headers.get("last-modified")}`;
}

function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
    // What comes next sees that it was aborted.
    signal?.addEventListener("abort", () => resolve(), { once: true });
  });
}
