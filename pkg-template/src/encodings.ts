/** Encoded pictures by key, of which the longest unused is dropped when there are too many. */

import type { EncodedImage } from "./encoded-image.js";
import { UmedsamError } from "./errors.js";
import type { Model } from "./model.js";
import type { ImageInput } from "./types.js";

/** Encoded pictures; each takes 4 to 12 MB of the wasm instance's memory. */
export class Encodings<Key> {
  readonly #model: Model;
  readonly #most: number;
  /** The last used comes last. */
  readonly #kept = new Map<Key, Promise<EncodedImage>>();
  #disposed = false;

  /** Keeps at most `most` pictures, at least one. */
  constructor(model: Model, most: number) {
    if (!Number.isInteger(most) || most < 1) throw new UmedsamError("invalid-option", `most is ${String(most)}; use a whole number of 1 or more`);
    this.#model = model;
    this.#most = most;
  }

  has(key: Key): boolean {
    return this.#kept.has(key);
  }

  /**
   * A picture, which is read and encoded unless it is there. It belongs to this list, which disposes of it.
   *
   * @throws {UmedsamError} As `model.encode`, and what `read` throws.
   */
  async get(key: Key, read: () => ImageInput | Promise<ImageInput>, signal?: AbortSignal): Promise<EncodedImage> {
    if (this.#disposed) throw new UmedsamError("disposed", "the encoded slices were disposed of; make others");
    const kept = this.#kept.get(key);
    this.#kept.delete(key);
    const image = kept ?? this.#encode(read, signal);
    this.#kept.set(key, image);
    for (const oldest of [...this.#kept.keys()].slice(0, -this.#most)) this.drop(oldest);
    try {
      return await image;
    } catch (error) {
      if (this.#kept.get(key) === image) this.#kept.delete(key);
      // Who asked first does not want it any more, but this caller does.
      const isOthers = kept !== undefined && error instanceof UmedsamError && error.code === "aborted" && signal?.aborted !== true;
      if (isOthers) return this.get(key, read, signal);
      throw error;
    }
  }

  async #encode(read: () => ImageInput | Promise<ImageInput>, signal: AbortSignal | undefined): Promise<EncodedImage> {
    return this.#model.encode(await read(), signal === undefined ? {} : { signal });
  }

  /** Frees one. */
  drop(key: Key): void {
    this.#kept.get(key)?.then(
      (image) => image.dispose(),
      () => {},
    );
    this.#kept.delete(key);
  }

  /** Frees all of them. */
  dispose(): void {
    this.#disposed = true;
    for (const key of [...this.#kept.keys()]) this.drop(key);
  }
}
