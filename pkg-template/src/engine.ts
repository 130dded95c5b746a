/** Runs the wasm library on the thread it is imported on. */

import { UmedsamError } from "./errors.js";
import type { Args, Method, Result, SegmentationMessage } from "./protocol.js";
import type { EncodeTimings, ModelInfo } from "./types.js";
import init, { type Image, Model, memoryBytes } from "./wasm/umedsam.js";

/** The smallest module with an instruction of relaxed SIMD. */
const RELAXED_SIMD_MODULE = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0],
  ...[10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11],
);

/** The faster module where the engine can run it. Bundlers find the files by these expressions. */
function fastestModule(folder: string | undefined): URL {
  const isRelaxed = WebAssembly.validate(RELAXED_SIMD_MODULE);
  if (folder !== undefined) return new URL(isRelaxed ? "umedsam_relaxed_bg.wasm" : "umedsam_bg.wasm", folder);
  return isRelaxed
    ? new URL("./wasm/umedsam_relaxed_bg.wasm", import.meta.url)
    : new URL("./wasm/umedsam_bg.wasm", import.meta.url);
}

let instance: Promise<string> | undefined;

/** Compiles and starts the wasm module once per thread, and returns where it is from; a failed start may be tried again. */
function start(wasmUrl: string | undefined, wasmFolder: string | undefined): Promise<string> {
  const url = wasmUrl ?? fastestModule(wasmFolder).href;
  instance ??= init({ module_or_path: url }).then(
    () => url,
    (cause: unknown) => {
      instance = undefined;
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new UmedsamError("fetch-failed", `${url} could not be loaded (${message}); give the module's place as wasmUrl`);
    },
  );
  return instance;
}

let lastLoad: Promise<unknown> = Promise.resolve();

/** Networks are set up one after the other, so that one that nobody waits for any more is freed before the next takes memory. */
function oneByOne<T>(load: () => Promise<T>): Promise<T> {
  const result = lastLoad.then(load);
  lastLoad = result.catch(() => {});
  return result;
}

/** One model and its images. */
export class Engine {
  #model: Model | undefined;
  #wasmUrl = "";
  #disposed = false;
  readonly #images = new Map<number, Image>();
  #nextImageId = 1;

  /** Does what a request asks. */
  async handle<M extends Method>(method: M, args: Args<M>, onProgress: (fraction: number) => void): Promise<Result<M>> {
    const handlers: { [K in Method]: (args: Args<K>) => Promise<Result<K>> } = {
      hello: async () => null,
      load: (args) => this.#load(args),
      encode: (args) => this.#encode(args, onProgress),
      segment: (args) => this.#segment(args),
      disposeImage: async ({ imageId }) => {
        this.#disposeImage(imageId);
        return null;
      },
      disposeModel: async () => {
        this.#disposed = true;
        for (const imageId of [...this.#images.keys()]) this.#disposeImage(imageId);
        this.#model?.dispose();
        this.#model?.free();
        this.#model = undefined;
        return null;
      },
      memoryBytes: async () => memoryBytes(),
      requests: async () => performance.getEntriesByType("resource").map(({ name }) => name),
      destroyGpuForTest: async () => {
        this.#running().destroyGpuForTest();
        return null;
      },
    };
    return handlers[method](args);
  }

  #running(): Model {
    if (this.#model === undefined) throw new UmedsamError("disposed", "the model was disposed of; load it again");
    return this.#model;
  }

  #info(): ModelInfo {
    return { ...(this.#running().info as Omit<ModelInfo, "wasmUrl">), wasmUrl: this.#wasmUrl };
  }

  async #load({ weights, device, wasmUrl, wasmFolder }: Args<"load">): Promise<Result<"load">> {
    this.#wasmUrl = await start(wasmUrl, wasmFolder);
    const model = await oneByOne(async () => {
      this.#checkUse();
      return Model.load(new Uint8Array(weights), device);
    });
    if (this.#disposed) {
      model.dispose();
      model.free();
    }
    this.#checkUse();
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
