/** From which slice to which an object is followed. */

import type { VolumePrompt } from "../../umedsam/propagation.js";
import type { SegmentedObject } from "../prompt/objects.js";

/** First and last slice, from 0. */
export type Range = readonly [first: number, last: number];

export interface Course extends Required<Pick<VolumePrompt, "range" | "stop">> {
  /** Slices of which nothing stays that was found before. */
  readonly replaced: Range;
}

/**
 * Both ways from the slice that an object was said on; away from it from a slice that was corrected. Other corrected slices stay with what was found beyond them.
 *
 * @throws If nothing is left of the wanted range, or it does not hold the slice.
 */
export function courseOf(part: SegmentedObject, count: number, wanted: Range | undefined): Course {
  const { root, place } = part;
  const { index } = place;
  const corrected = root.parts.filter((other) => other !== part && other.result !== undefined).map((other) => other.place.index);
  const [down, up] = part.isCorrection ? [index < root.place.index, index > root.place.index] : [true, true];
  const limits: Range = [
    down ? Math.max(0, ...corrected.filter((other) => other < index).map((other) => other + 1)) : index,
    up ? Math.min(count - 1, ...corrected.filter((other) => other > index).map((other) => other - 1)) : index,
  ];
  if (wanted === undefined) return { range: limits, stop: {}, replaced: limits };
  const [first, last] = wanted;
  if (!(Number.isInteger(first) && Number.isInteger(last) && first >= 0 && last < count && first <= last)) {
    throw new Error(`slices ${first + 1} to ${last + 1} are no range; use whole numbers from 1 to ${count}, the smaller one first`);
  }
  if (index < first || index > last) {
    throw new Error(`slices ${first + 1} to ${last + 1} do not hold slice ${index + 1}, from which ${root.name} is followed; choose a range that does`);
  }
  return { range: [Math.max(first, limits[0]), Math.min(last, limits[1])], stop: "never", replaced: limits };
}
