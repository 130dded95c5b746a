/** Results as pictures over the image, as files, and as values under the pointer. */

import type { Segmentation, UncertaintyMap } from "../umedsam/index.js";
import type { SegmentedObject } from "./objects.js";
import { contourPicture, heatPicture, maskPicture, over, savePng, unionPicture } from "./overlay.js";
import { page } from "./page.js";
import { shownMap } from "./status.js";

/** Colours of the contours, as in the style sheet. */
const OUTER_COLOR = "#ffffff";
const INNER_COLOR = "#7dff9b";

export function resultsOf(objects: readonly SegmentedObject[]): Segmentation[] {
  return objects.flatMap(({ result }) => result ?? []);
}

/** The pictures that are switched on, the lowest first. */
export function pictures(objects: readonly SegmentedObject[]): ImageData[] {
  const results = resultsOf(objects);
  const shown: ImageData[] = [];
  if (page.maskOn.checked) {
    for (const { result, color } of objects) {
      if (result !== undefined) shown.push(maskPicture(result, color, page.maskOpacity.valueAsNumber));
    }
  }
  const heat = page.heatOn.checked ? heatPicture(results, shownMap(), page.heatOpacity.valueAsNumber) : undefined;
  if (heat !== undefined) shown.push(heat);
  for (const { outer, inner, width, height } of results) {
    if (page.outerOn.checked && outer !== null) shown.push(contourPicture(outer, width, height, OUTER_COLOR));
    if (page.innerOn.checked && inner !== null) shown.push(contourPicture(inner, width, height, INNER_COLOR));
  }
  return shown;
}

export async function saveMask(objects: readonly SegmentedObject[], { width, height }: ImageData, name: string): Promise<void> {
  await savePng(unionPicture(resultsOf(objects), width, height), `${name}-mask.png`);
}

export async function saveHeat(objects: readonly SegmentedObject[], picture: ImageData, name: string): Promise<void> {
  const heat = heatPicture(resultsOf(objects), shownMap(), page.heatOpacity.valueAsNumber);
  if (heat !== undefined) await savePng(over(heat, picture), `${name}-${shownMap()}-uncertainty.png`);
}

/** Says what the maps have at a pixel, the largest of all boxes. */
export function showValues(objects: readonly SegmentedObject[], width: number, pixel: { x: number; y: number } | undefined): void {
  const results = resultsOf(objects);
  if (pixel === undefined || results.length === 0) {
    page.pointer.textContent = "Point at the image to read values.";
    return;
  }
  const index = pixel.y * width + pixel.x;
  const probability = Math.max(...results.map((result) => result.probability[index] ?? 0));
  const largest = (map: UncertaintyMap) => Math.max(...results.map(({ uncertainty }) => uncertainty[map]?.[index] ?? 0));
  const [total, aleatoric, epistemic] = (["total", "aleatoric", "epistemic"] as const).map((map) => largest(map).toFixed(3));
  page.pointer.textContent = `x ${pixel.x}, y ${pixel.y}: probability ${probability.toFixed(3)}, uncertainty ${total} bit (aleatoric ${aleatoric}, epistemic ${epistemic})`;
}
