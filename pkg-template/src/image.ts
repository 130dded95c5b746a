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
import { readFile } from "./local-files.js";
import { bytesOf } from "./file-bytes.js";
import { ownPixels } from "./sources.js";
import type { ImageInput, ImageSource } from "./types.js";
import { folderUrl } from "./urls.js";
import { address, checkOptions } from "./validate.js";
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

/** Where the decoders are. */
export interface DecoderOptions {
  /** As `LoadOptions.baseUrl`: a folder with a copy of this package's files, for bundlers that do not find the module by themselves. */
  readonly baseUrl?: string | URL;
}

/** Loads the decoders when they are first needed; a failed start may be tried again. */
function start(options: DecoderOptions): Promise<unknown> {
  checkOptions("options", options, { baseUrl: address });
  started ??= begin(options).catch((cause: unknown) => {
    started = undefined;
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new UmedsamError("fetch-failed", `the image decoders could not be loaded: ${message}`, { cause });
  });
  return started;
}

/** Bundlers find the module by this expression. */
async function begin({ baseUrl }: DecoderOptions): Promise<void> {
  const url =
    baseUrl === undefined
      ? new URL("./picture/umedsam_picture_bg.wasm", import.meta.url)
      : new URL("dist/picture/umedsam_picture_bg.wasm", folderUrl(baseUrl));
  await init({ module_or_path: url.protocol === "file:" ? await readFile(url) : url });
}

/**
 * Reads a PNG, JPEG, WebP, TIFF, BMP or GIF (first frame) file.
 *
 * @throws {UmedsamError} `invalid-image` if the file is of another kind, which is named, is cut off or damaged; `fetch-failed`.
 */
export async function readImage(file: Blob | ArrayBuffer | ArrayBufferView | Response, options: DecoderOptions = {}): Promise<ReadImage> {
  const [bytes] = await Promise.all([bytesOf(file), start(options)]);
  return explained(() => readPicture(bytes) as ReadImage);
}

/**
 * The picture that the network sees of an image at its own size: 8 bits after the window, for showing.
 *
 * @throws {UmedsamError} `invalid-image`, `invalid-window`, `fetch-failed`.
 */
export async function windowedImage(image: ImageInput | ImageSource, options: DecoderOptions = {}): Promise<ImageData> {
  const { data, width, height, channels, window, invert } = await ownPixels(image, undefined);
  const intensities = { window: windowMessage(window), inverted: invert };
  await start(options);
  const pixels = explained(() => windowedPixels(data, width, height, channels, intensities));
  try {
    return new ImageData(new Uint8ClampedArray(pixels.buffer as ArrayBuffer), width, height);
  } catch (cause) {
    throw new UmedsamError("invalid-image", `there is no picture of ${width}×${height} pixels here: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Encodes a picture as PNG without a canvas, so that no browser changes its pixels.
 *
 * @throws {UmedsamError} `invalid-image`, `fetch-failed`.
 */
export async function pngOf({ data, width, height }: ImageData, options: DecoderOptions = {}): Promise<Blob> {
  await start(options);
  const bytes = explained(() => encodePng(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), width, height));
  return new Blob([bytes as Uint8Array<ArrayBuffer>], { type: "image/png" });
}

function explained<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new UmedsamError("invalid-image", message, { cause });
  }
}
