/**
 * Reads image files to the pixels that the network is to see, as the command line does: upright by their Exif orientation, 16 bits as 16 bits, samples as stored
 * whatever the colour profile, transparent parts over black. No canvas is in between, whose read-back some browsers falsify.
 *
 * @example
 * const image = await readImage(file);
 * const encoded = await model.encode(image);
 *
 * @packageDocumentation
 */

import { UmedsamError } from "./errors.js";
import init, { encodePng, readPicture, windowedPixels } from "./picture/umedsam_picture.js";
import { copyPixels } from "./pixels.js";
import { typeName } from "./realms.js";
import type { ImageInput } from "./types.js";
import { windowMessage } from "./window.js";

/** A decoded file, ready for `Model.encode`. */
export interface ReadImage extends ImageInput {
  readonly data: Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Float32Array<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
  /** 1 (grey) or 3 (RGB). */
  readonly channels: 1 | 3;
}

let started: Promise<unknown> | undefined;

/** Loads the decoders when they are first needed; a failed start may be tried again. */
function start(): Promise<unknown> {
  started ??= init({ module_or_path: new URL("./picture/umedsam_picture_bg.wasm", import.meta.url) }).catch((cause: unknown) => {
    started = undefined;
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new UmedsamError("fetch-failed", `the image decoders could not be loaded: ${message}`, { cause });
  });
  return started;
}

/**
 * Reads a PNG, JPEG, WebP, TIFF, BMP or GIF (first frame) file.
 *
 * @throws {UmedsamError} `invalid-image` if the file is of another kind, which is named, is cut off or damaged; `fetch-failed`.
 */
export async function readImage(file: Blob | ArrayBuffer | ArrayBufferView | Response): Promise<ReadImage> {
  const [bytes] = await Promise.all([bytesOf(file), start()]);
  return explained(() => readPicture(bytes) as ReadImage);
}

/**
 * The picture that the network sees of an image at its own size: 8 bits after the window, for showing.
 *
 * @throws {UmedsamError} `invalid-image`, `invalid-window`, `fetch-failed`.
 */
export async function windowedImage(image: ImageInput): Promise<ImageData> {
  const { data, width, height, channels } = copyPixels(image);
  const intensities = { window: windowMessage(image.window), inverted: image.invert === true };
  await start();
  const pixels = explained(() => windowedPixels(data, width, height, channels, intensities));
  return new ImageData(new Uint8ClampedArray(pixels.buffer as ArrayBuffer), width, height);
}

/**
 * Encodes a picture as PNG without a canvas, so that no browser changes its pixels.
 *
 * @throws {UmedsamError} `invalid-image`, `fetch-failed`.
 */
export async function pngOf({ data, width, height }: ImageData): Promise<Blob> {
  await start();
  const bytes = explained(() => encodePng(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), width, height));
  return new Blob([bytes as Uint8Array<ArrayBuffer>], { type: "image/png" });
}

async function bytesOf(file: Blob | ArrayBuffer | ArrayBufferView | Response): Promise<Uint8Array> {
  switch (typeName(file)) {
    case "Blob":
    case "File":
    case "Response":
      try {
        return new Uint8Array(await (file as Blob | Response).arrayBuffer());
      } catch (cause) {
        const message = cause instanceof Error ? cause.message : String(cause);
        throw new UmedsamError("invalid-image", `the file could not be read: ${message}`, { cause });
      }
    case "ArrayBuffer":
      return new Uint8Array(file as ArrayBuffer);
  }
  if (ArrayBuffer.isView(file)) return new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
  throw new UmedsamError("invalid-image", `the file is ${typeName(file)}; use a File, Blob, Response, ArrayBuffer or typed array`);
}

function explained<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new UmedsamError("invalid-image", message, { cause });
  }
}
