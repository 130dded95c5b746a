/** Encoded slices of a volume, of which the longest unused is dropped when there are too many. */

/// <reference lib="esnext.disposable" preserve="true" />

import { disposable } from "./disposal.js";
import type { EncodedImage } from "./encoded-image.js";
import { Encodings } from "./encodings.js";
import type { Model } from "./model.js";
import type { ImageInput } from "./types.js";

/** What slices are made of. */
interface Source {
  readonly slices: number;
  slice(index: number): ImageInput | Promise<ImageInput>;
}

/** Encoded slices; each takes 4 to 12 MB of the instance's memory. */
export class EncodedSlices {
  readonly #source: Source;
  readonly #encodings: Encodings<number>;

  /** Keeps at most `most` slices, at least one; default 8. */
  constructor(model: Model, source: Source, most = 8) {
    this.#source = source;
    this.#encodings = new Encodings(model, most);
  }

  /**
   * A slice, which is encoded unless it is there. It belongs to this list, which disposes of it.
   *
   * @throws {UmedsamError} As `model.encode`, and what the source throws.
   */
  get(slice: number, signal?: AbortSignal): Promise<EncodedImage> {
    return this.#encodings.get(slice, () => this.#source.slice(slice), signal);
  }

  /** Frees all of them. */
  dispose(): void {
    this.#encodings.dispose();
  }
}

export interface EncodedSlices extends Disposable, AsyncDisposable {}
disposable(EncodedSlices);
