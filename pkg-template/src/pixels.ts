/** What a caller gives as an image, as what is sent to the network. */

import { UmedsamError } from "./errors.js";
import { typeName } from "./realms.js";
import type { ImageInput, PixelArray } from "./types.js";
import { anything, checkOptions, flag, number } from "./validate.js";

const ARRAYS = [
  "Uint8Array",
  "Uint8ClampedArray",
  "Int8Array",
  "Uint16Array",
  "Int16Array",
  "Uint32Array",
  "Int32Array",
  "Float32Array",
  "Float64Array",
];
const USE = "use { data: typed array, width, height }, an ImageData, a canvas, bitmap, image element, video frame or file";

const IMAGE_KEYS = {
  data: anything,
  width: number(1, 32_768, "whole"),
  height: number(1, 32_768, "whole"),
  channels: (value: unknown) => ([1, 2, 3, 4].includes(value as number) ? undefined : "1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA)"),
  window: anything,
  invert: flag,
};

export interface OwnPixels {
  readonly data: PixelArray;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

/**
 * Copies an image's values, and only those of the view, so that the caller may change or transfer them at once. The copy's buffer belongs to nobody else.
 *
 * @throws {UmedsamError} `invalid-image` that says what was given.
 */
export function copyPixels(input: ImageInput): OwnPixels {
  checkImage(input);
  const { data } = input;
  const kind = typeName(data);
  // An iframe's ImageData is no instance of this realm's class.
  if (kind === "ImageData") {
    const image = data as ImageData;
    return { data: copy(image.data as PixelArray), width: image.width, height: image.height, channels: 4 };
  }
  if (!ARRAYS.includes(kind)) throw new UmedsamError("invalid-image", `data is ${kind}; ${USE}`);
  const { width, height } = input;
  if (typeof width !== "number" || typeof height !== "number") {
    throw new UmedsamError("invalid-image", `width is ${String(width)} and height ${String(height)}; ${USE}`);
  }
  const values = data as PixelArray;
  const own = copy(values);
  return { data: own, width, height, channels: input.channels ?? own.length / (width * height) };
}

/**
 * Refuses what is no description of an image, whatever its data.
 *
 * @throws {UmedsamError} `invalid-image` that says what was given.
 */
export function checkImage(input: ImageInput): void {
  if (typeof input !== "object" || input === null) {
    throw new UmedsamError("invalid-image", `the image is ${input === null ? "null" : typeof input}; ${USE}`);
  }
  checkOptions("image", input, IMAGE_KEYS, "invalid-image");
}

function copy(values: PixelArray): PixelArray {
  const { buffer } = values;
  const isDetached = "detached" in buffer ? buffer.detached === true : values.length === 0 && buffer.byteLength === 0;
  if (isDetached) {
    throw new UmedsamError("invalid-image", "the buffer of data is detached: it was transferred elsewhere; encode before, or a copy");
  }
  // `slice` copies shared memory to memory of its own, too.
  return values.slice();
}
