/** Runs the wasm library on the thread it is imported on. */

import { UmedsamError } from "./errors.js";
import type { Args, Method, Result, SegmentationMessage } from "./protocol.js";
import type { EncodeTimings, ModelInfo } from "./types.js";
import init, { type Image, Model, memoryBytes } from "./wasm/umedsam.js";

let instance: Promise<unknown> | undefined;

/** Compiles and starts the wasm module once per thread; a failed start may be tried again. */
function start(wasmUrl: string | undefined): Promise<unknown> {
  instance ??= init(wasmUrl === undefined ? undefined : { module_or_path: wasmUrl }).catch((cause: unknown) => {
    instance = undefined;
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new UmedsamError("fetch-failed", `umedsam_bg.wasm could not be loaded (${message}); give its place as wasmUrl`);
  });
  return instance;
}

/** One model and its images. */
export class Engine {
  #model: Model | undefined;
  readonly #images = new Map<number, Image>();
  #nextImageId = 1;

  /** Does what a request asks. */
  async handle<M extends Method>(method: M, args: Args<M>, onProgress: (fraction: number) => void): Promise<Result<M>> {
    const handlers: { [K in Method]: (args: Args<K>) => Promise<Result<K>> } = {
      load: (args) => this.#load(args),
      encode: (args) => this.#encode(args, onProgress),
      segment: (args) => this.#segment(args),
      disposeImage: async ({ imageId }) => {
        this.#disposeImage(imageId);
        return null;
      },
      disposeModel: async () => {
        for (const imageId of [...this.#images.keys()]) this.#disposeImage(imageId);
        this.#model?.dispose();
        this.#model?.free();
        this.#model = undefined;
        return null;
      },
      memoryBytes: async () => memoryBytes(),
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
    return this.#running().info as ModelInfo;
  }

  async #load({ weights, device, wasmUrl }: Args<"load">): Promise<Result<"load">> {
    await start(wasmUrl);
    this.#model = await Model.load(new Uint8Array(weights), device);
    return { info: this.#info() };
  }

  async #encode(args: Args<"encode">, onProgress: (fraction: number) => void): Promise<Result<"encode">> {
    const { data, width, height, channels, window } = args;
    const image = await this.#running().encode(data, width, height, channels, window, onProgress);
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
