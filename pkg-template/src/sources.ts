/** Pictures of a page as pixels. */

import { UmedsamError } from "./errors.js";
import { type OwnPixels, checkImage, copyPixels } from "./pixels.js";
import { typeName } from "./realms.js";
import type { ImageInput, ImageSource, PixelArray, Window } from "./types.js";

/** What is sent to the network, and how its intensities are meant. */
export interface OwnImage extends OwnPixels {
  readonly window: Window | undefined;
  readonly invert: boolean;
}

type Drawable = Exclude<ImageSource, Blob>;

/** The sizes of what can be drawn. Objects of another realm are told by name. */
const DRAWABLE: Readonly<Record<string, (source: never) => readonly [width: number, height: number]>> = {
  HTMLCanvasElement: ({ width, height }: HTMLCanvasElement) => [width, height],
  OffscreenCanvas: ({ width, height }: OffscreenCanvas) => [width, height],
  ImageBitmap: ({ width, height }: ImageBitmap) => [width, height],
  HTMLImageElement: ({ naturalWidth, naturalHeight }: HTMLImageElement) => [naturalWidth, naturalHeight],
  HTMLVideoElement: ({ videoWidth, videoHeight }: HTMLVideoElement) => [videoWidth, videoHeight],
  VideoFrame: ({ displayWidth, displayHeight }: VideoFrame) => [displayWidth, displayHeight],
};
const FILES = ["Blob", "File"];

/**
 * An image as pixels of our own. What has pixels already, or can be drawn at once, is copied before this returns.
 *
 * @throws {UmedsamError} `invalid-image` that says what was given.
 */
export async function ownPixels(input: ImageInput | ImageSource, baseUrl: URL | undefined): Promise<OwnImage> {
  const isSource = (value: unknown): value is ImageSource => FILES.includes(typeName(value)) || Object.hasOwn(DRAWABLE, typeName(value));
  const image: ImageInput = isSource(input) ? { data: input } : typeName(input) === "ImageData" ? { data: input as unknown as ImageData } : input;
  const data = (image as ImageInput | null)?.data;
  if (!isSource(data)) return { ...copyPixels(image), window: image.window, invert: image.invert === true };
  checkImage(image);
  const { window, invert = false } = image;
  if (FILES.includes(typeName(data))) {
    const { readImage } = await import("./image.js");
    return { ...(await readImage(data as Blob, baseUrl === undefined ? {} : { baseUrl })), window, invert };
  }
  if (typeName(data) === "HTMLImageElement") await loaded(data as HTMLImageElement);
  return { ...drawn(data as Drawable), window, invert };
}

async function loaded(image: HTMLImageElement): Promise<void> {
  if (image.complete && image.naturalWidth > 0) return;
  try {
    await image.decode();
  } catch (cause) {
    throw new UmedsamError("invalid-image", `the image element has no picture: ${(cause as Error).message}`, { cause });
  }
}

/** The most pixels of a canvas in Chromium; other browsers have less and then draw nothing or fail. */
const MAX_CANVAS_PIXELS = 2 ** 28;

/** Through a canvas of our own: those of the caller may have a context of another kind. */
function drawn(source: Drawable): OwnPixels {
  const kind = typeName(source);
  const [width, height] = DRAWABLE[kind]?.(source as never) ?? [0, 0];
  if (!(width > 0 && height > 0)) {
    throw new UmedsamError("invalid-image", `the ${kind} is ${width}×${height} pixels; use one that is loaded, and neither closed nor empty`);
  }
  if (width * height > MAX_CANVAS_PIXELS) {
    throw new UmedsamError("invalid-image", `the ${kind} is ${width}×${height} pixels, more than a canvas holds; give the pixels or the file itself`);
  }
  try {
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    if (context === null) throw new Error("there is no 2D context");
    context.drawImage(source, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    return { data: data as PixelArray, width, height, channels: 4 };
  } catch (cause) {
    const isForeign = (cause as Error).name === "SecurityError";
    const advice = isForeign ? "; it is of another origin: load it with crossorigin=\"anonymous\", or give the file itself" : "";
    throw new UmedsamError("invalid-image", `the ${kind} could not be read: ${(cause as Error).message}${advice}`, { cause });
  }
}
