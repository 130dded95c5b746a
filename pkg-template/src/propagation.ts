/**
 * A prompt on one slice becomes an object of the volume. An entry of its own (`umedsam/propagation`).
 *
 * @example
 * const found = new VolumeSegmentation({ width, height, slices: series.frames });
 * const source = { slices: series.frames, slice: async (index) => (await series.frame(index)).image };
 * await propagate(model, source, [{ slice: 40, prompt: { box: [60, 80, 120, 140] } }], { onSlice: (slice) => found.put(slice) });
 *
 * @packageDocumentation
 */

import { UmedsamError, abortedError } from "./errors.js";
import { EncodedSlices } from "./encoded-slices.js";
import type { Model } from "./model.js";
import { messagesOf } from "./prompts.js";
import type { End, StopRules as AllStopRules } from "./protocol.js";
import type { ImageInput, Prompt, SegmentOptions, Segmentation } from "./types.js";
import { anything, callback, checkOptions, number, signal as abortSignal } from "./validate.js";

export { type ErrorCode, UmedsamError } from "./errors.js";
export { EncodedSlices } from "./encoded-slices.js";
export type { End } from "./protocol.js";
export { type SliceResult, type SliceToReview, type SliceSummary, type VolumeEstimate, VolumeSegmentation } from "./volume-segmentation.js";

/** Slices of a volume, all of one size, as people look at them. */
export interface SliceSource {
  /** How many there are. */
  readonly slices: number;
  /** A slice, counted from 0: what `model.encode` takes. */
  slice(index: number): ImageInput | Promise<ImageInput>;
}

/** When a direction ends: at the first slice that one of these is true of, which is not part of the object. What is left out is the default. */
export interface StopRules {
  /** So many slices in a row have no mask; 0 never. Default 1. */
  readonly emptySlices?: number;
  /** The DSC that is to be expected is below this, 0–1; default 0, never. */
  readonly expectedDsc?: number;
  /** The mask is smaller than this share of the prompted slice's, 0–1; 0 never. Default 0.02. */
  readonly area?: number;
  /**
   * A second opinion, a click in the middle of the mask before with that mask, has a predicted IoU below this share of the best so far, 0–1; 0 never. Default 0.85. A
   * box is always filled with something; a click alone tells whether the object is still there.
   */
  readonly presence?: number;
}

/** An object to follow. */
export interface VolumePrompt {
  /** The slice that the prompt is on, from 0. */
  readonly slice: number;
  /** In pixels of that slice; `{ box }`, as from a person's drag, is best. */
  readonly prompt: Prompt;
  /** The first and the last slice to look at; default all. One that begins or ends at `slice` goes one way, as after a correction. */
  readonly range?: readonly [first: number, last: number];
  /** When it ends before; default the rules' defaults without `range`, and `"never"` with it, which says where the object ends. */
  readonly stop?: StopRules | "never";
}

/** What was found on a slice. */
export interface PropagatedSlice {
  /** The object's place in the list, from 0. */
  readonly object: number;
  readonly slice: number;
  /**
   * On all slices but the prompted one nothing is guaranteed (`calibration` is at most `"nearest"`, `outer`, `inner`, `guarantee` and `areaInterval` are `null`), and `expectedDsc` is the product of
   * those since the prompted slice: each mask goes by the one before it, so that errors add up.
   */
  readonly segmentation: Segmentation;
  /** Why the slice is not part of the object, and nothing beyond it was looked at; `null` of slices that are. */
  readonly end: End | null;
}

export interface PropagateOptions extends Pick<SegmentOptions, "alpha" | "delta" | "calibrated" | "mask" | "zoom" | "uncertainty" | "signal"> {
  /** Told of each slice as it is found: from the prompted one to the last, then back from it to the first. Waited for. */
  readonly onSlice?: (slice: PropagatedSlice) => void | Promise<void>;
  /** Told the slices that are done, and how many there are at most, objects together. */
  readonly onProgress?: (done: number, atMost: number) => void;
  /** Where encoded slices are kept for further calls; by default one of its own, which is dropped at the end. */
  readonly encoded?: EncodedSlices;
}

const OPTIONS = {
  alpha: anything,
  delta: anything,
  calibrated: anything,
  mask: anything,
  zoom: anything,
  uncertainty: anything,
  signal: abortSignal,
  onSlice: callback,
  onProgress: callback,
  encoded: anything,
};
const PROMPT_KEYS = { slice: number(0, Number.MAX_SAFE_INTEGER, "whole"), prompt: anything, range: anything, stop: anything };
const share = number(0, 1);
const STOP_KEYS = { emptySlices: number(0, Number.MAX_SAFE_INTEGER, "whole"), expectedDsc: share, area: share, presence: share };

const NEVER: AllStopRules = { emptySlices: 0, expectedDsc: 0, area: 0, presence: 0 };

/**
 * Follows objects through a volume, slice by slice: each slice's box comes from the mask of the slice before it. Objects that want the same slice share its encoding.
 * By default it is a single pass per slice (`uncertainty: { samples: 0 }`).
 *
 * @throws {UmedsamError} As `model.encode` and `image.segment`; `invalid-option` for a slice, range or rule that cannot be used; `aborted`. What was told by `onSlice`
 * before stays right.
 */
export async function propagate(model: Model, source: SliceSource, prompts: readonly VolumePrompt[], options: PropagateOptions = {}): Promise<void> {
  checkOptions("options", options, OPTIONS);
  const { onSlice, onProgress, signal, encoded, ...rest } = options;
  const segmentOptions: SegmentOptions = { ...rest, uncertainty: rest.uncertainty ?? { samples: 0 }, ...(signal === undefined ? {} : { signal }) };
  const slices = encoded ?? new EncodedSlices(model, source);
  const objects = await begin(model, source, prompts, slices, signal).catch((error: unknown) => {
    if (encoded === undefined) slices.dispose();
    throw error;
  });
  let done = 0;
  const report = () => onProgress?.(done, done + objects.reduce((sum, { mostLeft }) => sum + mostLeft, 0));
  try {
    report();
    for (;;) {
      const slice = objects.find(({ nextSlice }) => nextSlice !== undefined)?.nextSlice;
      if (slice === undefined) return;
      const image = await slices.get(slice, signal);
      for (const [object, following] of objects.entries()) {
        if (following.nextSlice !== slice) continue;
        const { segmentation, end, nextSlice, mostLeft } = await image.follow(following.propagationId, segmentOptions);
        Object.assign(following, { nextSlice, mostLeft });
        done++;
        await onSlice?.({ object, slice, segmentation, end });
        report();
      }
    }
  } finally {
    for (const { end } of objects) end();
    if (encoded === undefined) slices.dispose();
  }
}

/** An object on its way. */
type Following = { -readonly [K in keyof Awaited<ReturnType<Model["propagation"]>>]: Awaited<ReturnType<Model["propagation"]>>[K] };

/** All prompts are checked before any object is followed. */
async function begin(model: Model, source: SliceSource, prompts: readonly VolumePrompt[], slices: EncodedSlices, signal: AbortSignal | undefined) {
  if (!Array.isArray(prompts)) throw new UmedsamError("invalid-prompt", "prompts is no array; use [{ slice, prompt: { box: [x0, y0, x1, y1] } }]");
  const objects: Following[] = [];
  try {
    for (const given of prompts as readonly VolumePrompt[]) {
      if (signal?.aborted) throw abortedError("propagating", signal);
      checkOptions("prompt", given ?? null, PROMPT_KEYS, "invalid-prompt");
      const { slice, prompt, range, stop } = given;
      if (!(slice < source.slices)) throw new UmedsamError("invalid-option", `slice is ${slice}; the volume has slices 0 to ${source.slices - 1}`);
      const image = await slices.get(slice, signal);
      const [message] = messagesOf([prompt], image);
      if (stop !== "never") checkOptions("stop", stop, STOP_KEYS);
      if (range !== undefined && !(Array.isArray(range) && range.length === 2 && range.every((end) => Number.isInteger(end) && end >= 0))) {
        throw new UmedsamError("invalid-option", `range is ${JSON.stringify(range)}; use [first, last], slices counted from 0`);
      }
      const rules = stop === "never" ? NEVER : stop === undefined ? undefined : defined(stop);
      const course = { slice, slices: source.slices, ...(range === undefined ? {} : { range }), ...(rules === undefined ? {} : { stop: rules }) };
      objects.push(await model.propagation(message as NonNullable<typeof message>, course));
    }
    return objects;
  } catch (error) {
    for (const { end } of objects) end();
    throw error;
  }
}

/** What is left out the wasm library knows. */
function defined(rules: StopRules): Partial<AllStopRules> {
  return Object.fromEntries(Object.entries(rules).filter(([, value]) => value !== undefined));
}
