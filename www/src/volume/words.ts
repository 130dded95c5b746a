/** What the page says of an object in a volume. */

import type { End, VolumeEstimate } from "../../umedsam/propagation.js";
import { milliseconds } from "../dom.js";
import type { SegmentedObject } from "../prompt/objects.js";
import type { Range } from "./course.js";
import type { Found } from "./found.js";

const ENDS: Readonly<Record<End, string>> = {
  empty: "there is no mask",
  "expected-dsc": "it is too unsure",
  area: "the mask is too small",
  presence: "a click finds it no more",
};

export const counted = (count: number) => (count === 1 ? "1 slice" : `${count} slices`);

export function beginning({ root, place }: SegmentedObject, [first, last]: Range): string {
  return `${root.name} is followed from slice ${place.index + 1} through slices ${first + 1} to ${last + 1} at most.`;
}

/** What became of a run. */
export function outcome({ name, found }: SegmentedObject, done: number, ms: number): string {
  if (found === undefined) return "";
  const { indices, ends } = found;
  const [first, last] = [indices[0] ?? 0, indices.at(-1) ?? 0];
  const ended = [...ends].map(([index, end]) => `slice ${index + 1} is no part of it: ${ENDS[end]}`).join("; ");
  const time = done === 0 ? "" : ` ${counted(done)} in ${milliseconds(ms)}.`;
  return `${name} is on ${counted(indices.length)}, ${first + 1} to ${last + 1}${ended === "" ? "" : `; ${ended}`}.${time}`;
}

function millilitres({ ml, intervalMl: [low, high] }: VolumeEstimate): string {
  const digits = high >= 10 ? 1 : high >= 1 ? 2 : 3;
  return `${ml.toFixed(digits)} ml (${low.toFixed(digits)}–${high.toFixed(digits)} ml)`;
}

/** How large an object is. */
export function sizeOf(found: Found): string {
  const { indices } = found;
  const estimate = found.estimate();
  const size = estimate === undefined ? `${found.pixels.toLocaleString("en")} pixels` : millilitres(estimate);
  return `${size} on ${counted(indices.length)}`;
}

/** What can be done next, in a stack of more than one slice. */
export function hintOf(chosen: SegmentedObject | undefined, part: SegmentedObject | undefined, isRunning: boolean, isFoundHere: boolean): string {
  if (isRunning) return `Scroll and draw meanwhile, it takes turns with the slices. A change of what is followed, or of the window, ends it; what was found stays.`;
  if (chosen?.found === undefined) return "Draw a box on one slice, then “Through the slices” finds the object on the others, both ways.";
  if (part?.isCorrection === true) {
    return `“Go on from here” follows ${chosen.name} away from the slice that it was first drawn on, up to the next corrected slice; slices between stay. Undo brings the earlier mask of this slice back.`;
  }
  if (part === undefined && isFoundHere) return `A box, point or stroke here corrects ${chosen.name} on this slice; Escape first begins another object. The uncertainty here is of a single pass.`;
  if (chosen.found.isOutdated) return `The prompt or the window is another one since ${chosen.name} was followed: go through the slices again. Corrected slices stay.`;
  if (part === undefined) return `${chosen.name} was not followed to this slice. A box here begins another object.`;
  return `Scroll to look at the slices; a box, point or stroke on one corrects ${chosen.name} there.`;
}
