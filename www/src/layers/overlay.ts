/** Pictures of masks and uncertainty. */

import { pngOf } from "../../umedsam/image.js";
import { type UncertaintyMap, colorize } from "../../umedsam/index.js";
import type { Answer } from "../volume/found-slice.js";

/** What the page says of each map, and the value of its last colour, in bits. */
export const MAPS: Readonly<Record<UncertaintyMap, { readonly title: string; readonly meaning: string; readonly max: number }>> = {
  total: {
    title: "Total uncertainty",
    meaning: "How unsure the answer is: 0 where it is certain, 1 where inside and outside are as likely.",
    max: 1,
  },
  aleatoric: {
    title: "Aleatoric uncertainty",
    meaning: "What stays unclear however the box is drawn, as where the image itself is blurred or faint.",
    max: 1,
  },
  epistemic: {
    title: "Epistemic uncertainty",
    meaning: "What depends on how exactly the box is drawn: the answers to slightly different boxes disagree here.",
    max: 0.2,
  },
};

/** A mask in one colour with an opaque edge. */
export function maskPicture({ mask, width, height }: Answer, color: string, opacity: number): ImageData {
  const picture = new ImageData(width, height);
  const [red, green, blue] = channels(color);
  const inside = (x: number, y: number) => x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] === 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!inside(x, y)) continue;
      const edge = !(inside(x - 1, y) && inside(x + 1, y) && inside(x, y - 1) && inside(x, y + 1));
      const alpha = edge ? Math.min(1, 2 * opacity) : opacity;
      picture.data.set([red, green, blue, 255 * alpha], 4 * (y * width + x));
    }
  }
  return picture;
}

/** The edge of a mask, within it. */
export function contourPicture(mask: Uint8Array, width: number, height: number, color: string): ImageData {
  const picture = new ImageData(width, height);
  const [red, green, blue] = channels(color);
  const inside = (x: number, y: number) => x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] === 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const isEdge = inside(x, y) && !(inside(x - 1, y) && inside(x + 1, y) && inside(x, y - 1) && inside(x, y + 1));
      if (isEdge) picture.data.set([red, green, blue, 255], 4 * (y * width + x));
    }
  }
  return picture;
}

/** The largest uncertainty of any box, per pixel. */
export function combinedUncertainty(results: readonly Answer[], map: UncertaintyMap): Float32Array {
  const [first, ...rest] = results.flatMap(({ uncertainty }) => uncertainty[map] ?? []);
  const combined = Float32Array.from(first ?? []);
  for (const values of rest) {
    for (let pixel = 0; pixel < combined.length; pixel++) {
      combined[pixel] = Math.max(combined[pixel] ?? 0, values[pixel] ?? 0);
    }
  }
  return combined;
}

export function heatPicture(
  results: readonly Answer[],
  map: UncertaintyMap,
  opacity: number,
): ImageData | undefined {
  // Single passes have no map of what depends on the box.
  const [first] = results.filter(({ uncertainty }) => uncertainty[map] !== null);
  if (first === undefined) return undefined;
  return colorize(combinedUncertainty(results, map), first.width, first.height, { opacity, max: MAPS[map].max });
}

/** 255 inside any mask, 0 outside. */
export function unionPicture(results: readonly Answer[], width: number, height: number): ImageData {
  const picture = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const value = results.some(({ mask }) => mask[pixel] === 1) ? 255 : 0;
    picture.data.set([value, value, value, 255], 4 * pixel);
  }
  return picture;
}

/** A picture over an opaque one of the same size. */
export function over(picture: ImageData, background: ImageData): ImageData {
  const result = new ImageData(background.data.slice(), background.width, background.height);
  for (let value = 0; value < picture.data.length; value += 4) {
    const opacity = (picture.data[value + 3] ?? 0) / 255;
    for (let channel = value; channel < value + 3; channel++) {
      result.data[channel] = (picture.data[channel] ?? 0) * opacity + (background.data[channel] ?? 0) * (1 - opacity);
    }
  }
  return result;
}

/** Hands a picture to the browser's downloads. No canvas is read back, which some browsers falsify. */
export async function savePng(picture: ImageData, name: string): Promise<void> {
  saveBlob(await pngOf(picture), name);
}

/** Hands a file to the browser's downloads. */
export function saveBlob(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The download reads the blob after this task.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function channels(color: string): [number, number, number] {
  const value = Number.parseInt(color.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}
