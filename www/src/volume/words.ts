/** What the page says of an object in a volume. */

import type { End, VolumeEstimate } from "../../umedsam/propagation.js";
import { milliseconds } from "../dom.js";
import type { Place } from "../open/slices.js";
import type { SegmentedObject } from "../prompt/objects.js";
import type { Range } from "./course.js";
import type { Found } from "./found.js";

const ENDS: Readonly<Record<End, string>> = {
  empty: "there is no mask",
  "expected-dsc": "it is too unsure",
  area: "the mask is too small",
  presence: "a click does not find it any more",
};

/** Where it ended, and why. */
function ended({ ends }: Found): string {
  const reasons = [...new Set(ends.map(([, end]) => end))];
  const told = reasons.map((reason) => {
    const slices = ends.filter(([, end]) => end === reason).map(([slice]) => slice + 1);
    return `on ${slices.length === 1 ? "slice" : "slices"} ${slices.join(" and ")} ${ENDS[reason]}`;
  });
  return told.length === 0 ? "" : ` It ends there: ${told.join(", ")}.`;
}

const counted = (count: number) => (count === 1 ? "1 slice" : `${count} slices`);

export function beginning({ root, place }: SegmentedObject, [first, last]: Range): string {
  return `${root.name} is followed from slice ${place.index + 1} through slices ${first + 1} to ${last + 1} at most.`;
}

/** What stays of a run that did not come to its end. */
export function kept({ name, found }: SegmentedObject): string {
  return `What was found of ${name} stays: ${counted(found?.indices.length ?? 0)}.`;
}

/** What became of a run. */
export function outcome({ name, found }: SegmentedObject, done: number, ms: number): string {
  if (found === undefined) return "";
  const { indices } = found;
  const [first, last] = [indices[0] ?? 0, indices.at(-1) ?? 0];
  const time = done === 0 ? "" : ` ${counted(done)} in ${milliseconds(ms)}.`;
  return `${name} is on ${counted(indices.length)}, ${first + 1} to ${last + 1}.${ended(found)}${time}`;
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

/** What can be done next with the selected object, in a stack of more than one slice; `part` is what was said of it on this slice. */
export function hintOf(chosen: SegmentedObject | undefined, part: SegmentedObject | undefined, place: Place, isRunning: boolean): string {
  if (isRunning) return "Scroll and draw meanwhile, it takes turns with the slices. A change of the object that is followed, or of the window, ends it; what was found stays.";
  const found = chosen?.found;
  if (chosen === undefined || found === undefined) return "Draw a box on one slice, then “Through the slices” finds the object on the others, both ways.";
  const { name } = chosen;
  if (part?.isCorrection === true) {
    return `“Go on from here” follows ${name} away from the slice that it was first drawn on, up to the next corrected slice; slices between stay. Undo brings the earlier mask of this slice back.`;
  }
  if (part === undefined && found.isEnd(place)) return `${name} was not found on this slice any more. If it is here, draw a box around it and go on from here.`;
  if (part === undefined && chosen.isFollowedTo(place)) {
    return `A box, point or stroke here corrects ${name} on this slice; Escape first begins another object. The uncertainty here is a single pass's, in total alone.`;
  }
  if (found.isOutdated) return `The prompt or the window is another one since ${name} was followed: go through the slices again. Corrected slices stay.`;
  if (part === undefined) return `${name} was not followed to this slice. A box here begins another object.`;
  return `Scroll to look at the slices; a box, point or stroke on one corrects ${name} there.`;
}
