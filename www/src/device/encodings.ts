/** Encoded slices, the last few of them, so that scrolling back asks the network for masks at once. */

import type { EncodedImage } from "../../umedsam/index.js";

const MOST = 4;

export class Encodings {
  /** The one that was used last is the last. */
  readonly #images = new Map<string, EncodedImage>();

  get(key: string): EncodedImage | undefined {
    const image = this.#images.get(key);
    if (image === undefined) return undefined;
    this.#images.delete(key);
    this.#images.set(key, image);
    return image;
  }

  put(key: string, image: EncodedImage): void {
    this.#images.get(key)?.dispose();
    this.#images.delete(key);
    this.#images.set(key, image);
    for (const [oldest, dropped] of this.#images) {
      if (this.#images.size <= MOST) break;
      this.#images.delete(oldest);
      dropped.dispose();
    }
  }

  clear(): void {
    for (const image of this.#images.values()) image.dispose();
    this.#images.clear();
  }
}
