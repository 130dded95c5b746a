/** Runs the wasm library on the thread it is imported on. */

import { UmedsamError } from "./errors.js";
import { type Life, life, whileAlive } from "./life.js";
import { start } from "./module.js";
import type { Args, End, Method, Result, SegmentationMessage } from "./protocol.js";
import type { EncodeTimings, ModelInfo } from "./types.js";
import { type Image, Model, Propagation, crashForTest, memoryBytes } from "./wasm/umedsam.js";

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
const USES_INSTANCE: readonly Method[] = ["load", "encode", "segment", "propagate", "follow", "memoryBytes", "crashForTest", "destroyGpuForTest"];

/** What the wasm library answers to prompts. */
interface Answer {
  readonly results: SegmentationMessage[];
  readonly segmentMs: number;
  readonly reencodeMs: number;
}

/** One model and its images. */
export class Engine {
  #model: Model | undefined;
  #wasmUrl = "";
  #disposed = false;
  /** The instance that the model lives in. */
  #life: Life | undefined;
  readonly #images = new Map<number, Image>();
  readonly #propagations = new Map<number, Propagation>();
  #nextId = 1;
  /** The encode or segmentation under way. */
  #running: number | undefined;

  /** Does what a request asks. */
  async handle<M extends Method>(id: number, method: M, args: Args<M>, onProgress: (fraction: number) => void): Promise<Result<M>> {
    const handlers: { [K in Method]: (args: Args<K>) => Promise<Result<K>> } = {
      hello: async () => null,
      prepare: async (place) => {
        await start(place, onProgress);
        return null;
      },
      load: (args) => this.#load(args),
      encode: (args) => this.#whileRunning(id, this.#encode(args, onProgress)),
      segment: (args) => this.#whileRunning(id, this.#segment(args, onProgress)),
      propagate: async (args) => this.#propagate(args),
      follow: (args) => this.#whileRunning(id, this.#follow(args, onProgress)),
      disposePropagation: async ({ propagationId }) => {
        if (this.#life?.error === undefined) this.#disposePropagation(propagationId);
        return null;
      },
      stop: async ({ id }) => {
        if (id === this.#running && this.#life?.error === undefined) this.#model?.stop();
        return null;
      },
      disposeImage: async ({ imageId }) => {
        if (this.#life?.error === undefined) this.#disposeImage(imageId);
        return null;
      },
      disposeModel: async () => {
        this.#disposed = true;
        // What lived in a dead instance is gone with it.
        if (this.#life?.error !== undefined) return null;
        for (const imageId of [...this.#images.keys()]) this.#disposeImage(imageId);
        for (const propagationId of [...this.#propagations.keys()]) this.#disposePropagation(propagationId);
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
        this.#loaded().destroyGpuForTest();
        return null;
      },
    };
    if (!USES_INSTANCE.includes(method)) return handlers[method](args);
    const current = this.#life ?? life();
    if (current.error !== undefined && this.#life !== undefined) throw current.error;
    return whileAlive(current, handlers[method](args));
  }

  async #whileRunning<T>(id: number, work: Promise<T>): Promise<T> {
    this.#running = id;
    try {
      return await work;
    } finally {
      this.#running = undefined;
    }
  }

  #loaded(): Model {
    if (this.#model === undefined) throw new UmedsamError("disposed", "the model was disposed of; load it again");
    return this.#model;
  }

  #info(): ModelInfo {
    return { ...(this.#loaded().info as Omit<ModelInfo, "wasmUrl">), wasmUrl: this.#wasmUrl };
  }

  async #load({ weights, device, ...place }: Args<"load">): Promise<Result<"load">> {
    this.#wasmUrl = await start(place, () => {});
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
    const image = await this.#loaded().encode(data, width, height, channels, intensities, onProgress);
    const imageId = this.#nextId++;
    this.#images.set(imageId, image);
    return { imageId, timings: image.timings as EncodeTimings, info: this.#info() };
  }

  #image(imageId: number): Image {
    const image = this.#images.get(imageId);
    if (image === undefined) throw new UmedsamError("disposed", "the image was disposed of; encode it again");
    return image;
  }

  async #segment({ imageId, prompts, options, maps }: Args<"segment">, onProgress: (fraction: number) => void): Promise<Result<"segment">> {
    const { results, segmentMs, reencodeMs } = (await this.#image(imageId).segment([...prompts], options, maps, onProgress)) as Answer;
    return { results, timings: { segmentMs, reencodeMs }, info: this.#info() };
  }

  #propagate({ prompt, course }: Args<"propagate">): Result<"propagate"> {
    const propagation = new Propagation(prompt, course);
    const propagationId = this.#nextId++;
    this.#propagations.set(propagationId, propagation);
    return { propagationId, nextSlice: propagation.nextSlice, mostLeft: propagation.mostLeft };
  }

  async #follow({ propagationId, imageId, options, maps }: Args<"follow">, onProgress: (fraction: number) => void): Promise<Result<"follow">> {
    const propagation = this.#propagations.get(propagationId);
    if (propagation === undefined) throw new UmedsamError("disposed", "the propagation is at its end");
    const found = (await propagation.segment(this.#image(imageId), options, maps, onProgress)) as Answer & { slice: number; end: End | null };
    const { results, segmentMs, reencodeMs, slice, end } = found;
    const { nextSlice, mostLeft } = propagation;
    return { results, slice, end, nextSlice, mostLeft, timings: { segmentMs, reencodeMs }, info: this.#info() };
  }

  #disposePropagation(propagationId: number): void {
    this.#propagations.get(propagationId)?.free();
    this.#propagations.delete(propagationId);
  }

  #disposeImage(imageId: number): void {
    const image = this.#images.get(imageId);
    this.#images.delete(imageId);
    image?.dispose();
    image?.free();
  }
}
