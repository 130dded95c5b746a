/** Results as pictures over the image, as PNG files, and as values under the pointer. */

import type { UncertaintyMap } from "../../umedsam/index.js";
import type { SegmentedObject } from "../prompt/objects.js";
import { contourPicture, heatPicture, maskPicture, over, savePng, unionPicture } from "./overlay.js";
import { page } from "../page.js";
import type { Seen } from "../view/slice-view.js";
import type { Place } from "../open/slices.js";
import type { Answer } from "../volume/found-slice.js";
import { shownMap } from "../status.js";

/** Colours of the contours, as in the style sheet. */
const OUTER_COLOR = "#ffffff";
const INNER_COLOR = "#7dff9b";

/** Answers on a slice; without one, each object's own. */
export function resultsOf(objects: readonly SegmentedObject[], place?: Place): Answer[] {
  return objects.flatMap((object) => (place === undefined ? object.result : object.resultAt(place)) ?? []);
}

/** The pictures that are switched on, the lowest first. */
export function pictures(objects: readonly SegmentedObject[], place: Place | undefined): ImageData[] {
  if (place === undefined) return [];
  const results = resultsOf(objects, place);
  const shown: ImageData[] = [];
  if (page.maskOn.checked) {
    for (const object of objects) {
      const result = object.resultAt(place);
      if (result !== undefined) shown.push(maskPicture(result, object.color, page.maskOpacity.valueAsNumber));
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

/** What a picture of a slice is called. */
export function pictureName({ stack, place }: Seen): string {
  return stack.size[place.axis] > 1 ? `${stack.name}-slice-${place.index + 1}` : stack.name;
}

export async function saveImage(seen: Seen): Promise<void> {
  await savePng(seen.picture, `${pictureName(seen)}.png`);
}

export async function saveMask(objects: readonly SegmentedObject[], seen: Seen): Promise<void> {
  const { width, height } = seen.picture;
  await savePng(unionPicture(resultsOf(objects, seen.place), width, height), `${pictureName(seen)}-mask.png`);
}

export async function saveHeat(objects: readonly SegmentedObject[], seen: Seen): Promise<void> {
  const heat = heatPicture(resultsOf(objects, seen.place), shownMap(), page.heatOpacity.valueAsNumber);
  if (heat === undefined) throw new Error(`there is no ${shownMap()} map of this slice, which was found by single passes; choose the total one`);
  await savePng(over(heat, seen.picture), `${pictureName(seen)}-${shownMap()}-uncertainty.png`);
}

/** Says what the file and the maps have at a pixel, of the maps the largest of all objects. */
export function showValues(objects: readonly SegmentedObject[], seen: Seen | undefined, pixel: { x: number; y: number } | undefined): void {
  if (pixel === undefined || seen === undefined) {
    page.pointer.textContent = "Point at the image to read values.";
    return;
  }
  const { image, spacing } = seen.slice;
  const index = pixel.y * image.width + pixel.x;
  const channels = image.data.length / (image.width * image.height);
  const values = Array.from(image.data.slice(index * channels, (index + 1) * channels), (value) => Number(value.toPrecision(6)));
  const unit = seen.stack.modality === "CT" && channels === 1 ? " HU" : "";
  const where = spacing === undefined ? "" : ` (${[pixel.x, pixel.y].map((at, axis) => ((at + 0.5) * (spacing[axis] ?? 1)).toFixed(1)).join(", ")} mm)`;
  const place = `x ${pixel.x}, y ${pixel.y}${where}: value ${values.join(", ")}${unit}`;
  const results = resultsOf(objects, seen.place);
  if (results.length === 0) {
    page.pointer.textContent = place;
    return;
  }
  const probability = Math.max(...results.map((result) => result.probability[index] ?? 0));
  const largest = (map: UncertaintyMap) => Math.max(...results.map(({ uncertainty }) => uncertainty[map]?.[index] ?? 0));
  const [total, aleatoric, epistemic] = (["total", "aleatoric", "epistemic"] as const).map((map) => largest(map).toFixed(3));
  page.pointer.textContent = `${place}, probability ${probability.toFixed(3)}, uncertainty ${total} bit (aleatoric ${aleatoric}, epistemic ${epistemic})`;
}
