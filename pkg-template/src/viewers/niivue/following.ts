/** An object is followed through the volume in the plane of its prompt; loaded when it is first asked for. */

import { abortedError } from "../../errors.js";
import type { Model } from "../../model.js";
import type { PropagateOptions, VolumePrompt } from "../../propagation.js";
import type { Box, Prompt } from "../../types.js";
import type { VolumeSegmentation } from "../../volume-segmentation.js";
import { type LabeledObject, asLabeled } from "./object.js";
import type { NiivueSlice } from "./slices.js";

/** What is segmented or corrected on a slice. */
export interface Current {
  /** Through the window that it was begun through. */
  readonly slice: NiivueSlice;
  readonly object: LabeledObject;
  /** The object that was followed, one of whose slices this is. */
  readonly of: Followed | undefined;
}

/** An object that was followed; a point on one of its slices corrects it there. */
export interface Followed {
  readonly slice: NiivueSlice;
  readonly object: LabeledObject;
  readonly found: VolumeSegmentation;
  /** Boxes by slice. */
  readonly boxes: Map<number, Box | null>;
}

export interface Course {
  readonly prompt: Prompt;
  readonly range: readonly [first: number, last: number] | undefined;
  readonly options: Pick<PropagateOptions, "alpha" | "delta" | "zoom">;
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, atMost: number) => void;
  /** Told of what is there from the beginning. */
  readonly onBegin: (followed: Followed) => void;
  readonly onPainted: () => void;
}

/** Paints an object on slice after slice. @throws {UmedsamError} As `propagate`. */
export async function follow(model: Model, { slice, object, of }: Current, course: Course): Promise<VolumeSegmentation> {
  const { signal, onProgress, range } = course;
  const { propagate, VolumeSegmentation } = await import("../../propagation.js");
  const { axis, slice: begin } = slice.place;
  const found = of?.found ?? new VolumeSegmentation({ geometry: slice.geometry, axis });
  const boxes: Followed["boxes"] = of?.boxes ?? new Map();
  course.onBegin({ slice, object, found, boxes });
  const stored = object.edited(begin);
  const edited = stored === undefined ? undefined : slice.turn.turned(stored, new Uint8Array(stored.length));
  const prompt = edited === undefined ? course.prompt : { ...course.prompt, previous: edited };
  const seen = new Set<number>();
  const source = { slices: slice.count, slice: (index: number) => slice.at(index).image() };
  const empty = new Uint8Array(slice.turn.size[0] * slice.turn.size[1]);
  await propagate(model, source, [{ slice: begin, prompt, range } as VolumePrompt], {
    ...course.options,
    signal,
    onProgress,
    onSlice: ({ slice: index, segmentation, end }) => {
      if (signal.aborted) throw abortedError("following the object", signal);
      if (end !== null) return;
      seen.add(index);
      boxes.set(index, segmentation.box);
      // What a person drew stays.
      if (index !== begin || edited === undefined) object.paint(slice.at(index), slice.turn.turnedBack(segmentation.mask, empty.slice()));
      found.put({ object: 0, slice: index, segmentation: asLabeled(slice.at(index), object, segmentation) });
      course.onPainted();
    },
  });
  const [first, last] = range ?? [0, slice.count - 1];
  for (const index of object.slices) {
    // Of an earlier course, beyond where the object ends now.
    if (seen.has(index) || index < first || index > last) continue;
    object.paint(slice.at(index), empty.slice());
    found.remove(0, index);
    boxes.delete(index);
  }
  return found;
}
