/** Runs the wasm library on the thread it is imported on. */

import { UmedsamError } from "./errors.js";
import { type Life, life, renew, whileAlive } from "./life.js";
import type { Args, Method, Result, SegmentationMessage } from "./protocol.js";
import { hasRelaxedSimd, obstacle } from "./support.js";
import type { EncodeTimings, ModelInfo } from "./types.js";
import init, { type Image, Model, crashForTest, memoryBytes } from "./wasm/umedsam.js";

/** The faster module where the engine can run it. Bundlers find the files by these expressions. */
function fastestModule(folder: string | undefined): URL {
  const isRelaxed = hasRelaxedSimd();
  if (folder !== undefined) return new URL(isRelaxed ? "umedsam_relaxed_bg.wasm" : "umedsam_bg.wasm", folder);
  return isRelaxed
    ? new URL("./wasm/umedsam_relaxed_bg.wasm", import.meta.url)
    : new URL("./wasm/umedsam_bg.wasm", import.meta.url);
}

let instance: Promise<string> | undefined;

/** Compiles and starts the wasm module once per thread, and returns where it is from; a failed start may be tried again. */
function start(wasmUrl: string | undefined, wasmFolder: string | undefined, onProgress: (fraction: number) => void): Promise<string> {
  const reason = obstacle();
  if (reason !== undefined) return Promise.reject(new UmedsamError("device-unavailable", reason));
  const url = wasmUrl ?? fastestModule(wasmFolder).href;
  if (life().error !== undefined) {
    // The module is compiled; only its instance is dead.
    renew();
    return instance ?? Promise.resolve(url);
  }
  instance ??= instantiate(url, onProgress).catch((cause: unknown) => {
    instance = undefined;
    throw cause;
  });
  return instance;
}

async function instantiate(url: string, onProgress: (fraction: number) => void): Promise<string> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch (cause) {
    throw notLoaded(url, cause);
  }
  if (!response.ok) throw notLoaded(url, `HTTP ${response.status}`);
  try {
    await init({ module_or_path: counted(response, onProgress) });
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
  return url;
}

function notLoaded(url: string, cause: unknown): UmedsamError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new UmedsamError(
    "fetch-failed",
    `${url} could not be loaded (${message}); give the module's place as wasmUrl, or a copy of the package's files as baseUrl`,
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

let lastLoad: Promise<unknown> = Promise.resolve();

/** Networks are set up one after the other, so that one that nobody waits for any more is freed before the next takes memory. */
function oneByOne<T>(load: () => Promise<T>): Promise<T> {
  const result = lastLoad.then(load);
  // A load that a crash ended never answers.
  lastLoad = whileAlive(life(), result).then(
    () => {},
    () => {},
  );
  return result;
}

/** Methods that need the instance to live. */
const USES_INSTANCE: readonly Method[] = ["load", "encode", "segment", "memoryBytes", "crashForTest", "destroyGpuForTest"];

/** One model and its images. */
export class Engine {
  #model: Model | undefined;
  #wasmUrl = "";
  #disposed = false;
  /** The instance that the model lives in. */
  #life: Life | undefined;
  readonly #images = new Map<number, Image>();
  #nextImageId = 1;

  /** Does what a request asks. */
  async handle<M extends Method>(method: M, args: Args<M>, onProgress: (fraction: number) => void): Promise<Result<M>> {
    const handlers: { [K in Method]: (args: Args<K>) => Promise<Result<K>> } = {
      hello: async () => null,
      prepare: async ({ wasmUrl, wasmFolder }) => {
        await start(wasmUrl, wasmFolder, onProgress);
        return null;
      },
      load: (args) => this.#load(args),
      encode: (args) => this.#encode(args, onProgress),
      segment: (args) => this.#segment(args),
      disposeImage: async ({ imageId }) => {
        if (this.#life?.error === undefined) this.#disposeImage(imageId);
        return null;
      },
      disposeModel: async () => {
        this.#disposed = true;
        // What lived in a dead instance is gone with it.
        if (this.#life?.error !== undefined) return null;
        for (const imageId of [...this.#images.keys()]) this.#disposeImage(imageId);
        this.#model?.dispose();
        this.#model?.free();
        this.#model = undefined;
        return null;
      },
      memoryBytes: async () => memoryBytes(),
      requests: async () => performance.getEntriesByType("resource").map(({ name }) => name),
      crashForTest: async () => {
        await crashForTest();
        return null;
      },
      destroyGpuForTest: async () => {
        this.#running().destroyGpuForTest();
        return null;
      },
    };
    if (!USES_INSTANCE.includes(method)) return handlers[method](args);
    const current = this.#life ?? life();
    if (current.error !== undefined && this.#life !== undefined) throw current.error;
    return whileAlive(current, handlers[method](args));
  }

  #running(): Model {
    if (this.#model === undefined) throw new UmedsamError("disposed", "the model was disposed of; load it again");
    return this.#model;
  }

  #info(): ModelInfo {
    return { ...(this.#running().info as Omit<ModelInfo, "wasmUrl">), wasmUrl: this.#wasmUrl };
  }

  async #load({ weights, device, wasmUrl, wasmFolder }: Args<"load">): Promise<Result<"load">> {
    this.#wasmUrl = await start(wasmUrl, wasmFolder, () => {});
    const model = await oneByOne(async () => {
      this.#checkUse();
      return Model.load(new Uint8Array(weights), device);
    });
    if (this.#disposed) {
      model.dispose();
      model.free();
    }
    this.#checkUse();
    this.#life = life();
    this.#model = model;
    return { info: this.#info() };
  }

  /** A load that was aborted goes on in this thread until it is asked whether anybody waits for it. */
  #checkUse(): void {
    if (this.#disposed) throw new UmedsamError("disposed", "the model was disposed of; load it again");
  }

  async #encode(args: Args<"encode">, onProgress: (fraction: number) => void): Promise<Result<"encode">> {
    const { data, width, height, channels, intensities } = args;
    const image = await this.#running().encode(data, width, height, channels, intensities, onProgress);
    const imageId = this.#nextImageId++;
    this.#images.set(imageId, image);
    return { imageId, timings: image.timings as EncodeTimings, info: this.#info() };
  }

  async #segment({ imageId, boxes, options, maps }: Args<"segment">): Promise<Result<"segment">> {
    const image = this.#images.get(imageId);
    if (image === undefined) throw new UmedsamError("disposed", "the image was disposed of; encode it again");
    const answer = (await image.segment(boxes, options, maps)) as {
      results: SegmentationMessage[];
      segmentMs: number;
      reencodeMs: number;
    };
    const { results, segmentMs, reencodeMs } = answer;
    return { results, timings: { segmentMs, reencodeMs }, info: this.#info() };
  }

  #disposeImage(imageId: number): void {
    const image = this.#images.get(imageId);
    this.#images.delete(imageId);
    image?.dispose();
    image?.free();
  }
}
