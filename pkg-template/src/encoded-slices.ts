/** Encoded slices of a volume, of which the longest unused is dropped when there are too many. */

/// <reference lib="esnext.disposable" preserve="true" />

import { disposable } from "./disposal.js";
import type { EncodedImage } from "./encoded-image.js";
import { UmedsamError } from "./errors.js";
import type { Model } from "./model.js";
import type { ImageInput } from "./types.js";

/** What slices are made of. */
interface Source {
  readonly slices: number;
  slice(index: number): ImageInput | Promise<ImageInput>;
}

/** Encoded slices; each takes 4 to 12 MB of the instance's memory. */
export class EncodedSlices {
  readonly #model: Model;
  readonly #source: Source;
  readonly #most: number;
  /** The last used comes last. */
  readonly #kept = new Map<number, Promise<EncodedImage>>();
  #disposed = false;

  /** Keeps at most `most` slices, at least one; default 8. */
  constructor(model: Model, source: Source, most = 8) {
    if (!Number.isInteger(most) || most < 1) throw new UmedsamError("invalid-option", `most is ${String(most)}; use a whole number of 1 or more`);
    this.#model = model;
    this.#source = source;
    this.#most = most;
  }

  /**
   * A slice, which is encoded unless it is there. It belongs to this list, which disposes of it.
   *
   * @throws {UmedsamError} As `model.encode`, and what the source throws.
   */
  async get(slice: number, signal?: AbortSignal): Promise<EncodedImage> {
    if (this.#disposed) throw new UmedsamError("disposed", "the encoded slices were disposed of; make others");
    const kept = this.#kept.get(slice);
    this.#kept.delete(slice);
    const image = kept ?? this.#encode(slice, signal);
    this.#kept.set(slice, image);
    for (const oldest of [...this.#kept.keys()].slice(0, -this.#most)) this.#drop(oldest);
    try {
      return await image;
    } catch (error) {
      if (this.#kept.get(slice) === image) this.#kept.delete(slice);
      throw error;
    }
  }

  async #encode(slice: number, signal: AbortSignal | undefined): Promise<EncodedImage> {
    return this.#model.encode(await this.#source.slice(slice), signal === undefined ? {} : { signal });
  }

  #drop(slice: number): void {
    this.#kept.get(slice)?.then(
      (image) => image.dispose(),
      () => {},
    );
    this.#kept.delete(slice);
  }

  /** Frees all of them. */
  dispose(): void {
    this.#disposed = true;
    for (const slice of [...this.#kept.keys()]) this.#drop(slice);
  }
}

export interface EncodedSlices extends Disposable, AsyncDisposable {}
disposable(EncodedSlices);
