/** An object among the labels, slice by slice. */

import type { Segmentation } from "../../types.js";
import type { SliceResult } from "../../volume-segmentation.js";
import type { Labels } from "./labels.js";
import type { NiivueSlice } from "./slices.js";

interface Painted {
  readonly slice: NiivueSlice;
  /** What lies under the object. */
  readonly under: Uint8Array;
  /** What was there when the object was last kept, and its mask then. */
  before: Uint8Array;
  maskBefore: Uint8Array | undefined;
  /** 1 inside. */
  mask: Uint8Array | undefined;
  /** The values as they were left. */
  left: Uint8Array;
}

/** Arrays of a slice lie as it is stored. Voxels of other labels are never painted over. */
export class LabeledObject {
  readonly #labels: Labels;
  readonly #label: number;
  readonly #slices = new Map<number, Painted>();

  constructor(labels: Labels, label: number) {
    this.#labels = labels;
    this.#label = label;
  }

  /** Slices that were painted. */
  get slices(): readonly number[] {
    return [...this.#slices.keys()];
  }

  /** Paints the object's mask on a slice in the place of an earlier one. The same mask once more changes nothing, drawn over or not; then it is `false`. */
  paint(slice: NiivueSlice, mask: Uint8Array): boolean {
    const now = this.#now(slice);
    if (now === undefined) return false;
    const fresh = { slice, under: now.slice(), before: now.slice(), maskBefore: undefined, mask: undefined, left: now };
    const painted: Painted = this.#slices.get(slice.place.slice) ?? fresh;
    this.#slices.set(slice.place.slice, painted);
    if (painted.mask?.every((inside, pixel) => inside === mask[pixel])) return false;
    this.#learn(painted, now);
    painted.mask = mask;
    painted.left = painted.under.map((value, pixel) => (mask[pixel] === 1 && value === 0 ? this.#label : value));
    this.#write(slice, painted.left);
    return true;
  }

  /** The object's mask on a slice if it was changed by hand. */
  edited(index: number): Uint8Array | undefined {
    return this.#seen(index, ({ mask, left }, now) =>
      now.every((value, pixel) => value === left[pixel])
        ? undefined
        : mask?.map((inside, pixel) => (now[pixel] === left[pixel] ? inside : Number(now[pixel] === this.#label))),
    );
  }

  /** The mask on a slice, changed by hand or not. */
  mask(index: number): Uint8Array | undefined {
    return this.edited(index) ?? this.#slices.get(index)?.mask;
  }

  /** Whether a slice is again as it was when the object was last kept, because someone took it back. */
  isGone(index: number): boolean {
    const isGone = this.#seen(index, ({ before }, now) => now.every((value, pixel) => value === before[pixel]));
    return isGone !== false;
  }

  /** What is painted stays when the next masks are taken off. */
  keep(): void {
    for (const index of this.slices) {
      this.#seen(index, (painted, now) => {
        painted.maskBefore = painted.mask = this.mask(index);
        painted.left = now;
        painted.before = now.slice();
      });
    }
  }

  /** Gives a slice back as it was when the object was last kept. */
  takeOff(index: number): void {
    this.#seen(index, (painted, now) => {
      this.#learn(painted, now);
      painted.left = painted.before.slice();
      painted.mask = painted.maskBefore;
      this.#write(painted.slice, painted.left);
    });
  }

  /** Looks at a slice that was painted, if its labels are there. */
  #seen<T>(index: number, look: (painted: Painted, now: Uint8Array) => T): T | undefined {
    const painted = this.#slices.get(index);
    const now = painted && this.#now(painted.slice);
    return painted && now && look(painted, now);
  }

  /** Other labels that were drawn meanwhile lie under the object from now on. */
  #learn({ under, before, left }: Painted, now: Uint8Array): void {
    now.forEach((value, pixel) => {
      if (value !== left[pixel] && value !== this.#label && value !== 0) under[pixel] = before[pixel] = value;
    });
  }

  #now(slice: NiivueSlice): Uint8Array | undefined {
    const values = this.#labels.values(slice.volume);
    const [columns, rows] = slice.turn.stored;
    const now = new Uint8Array(columns * rows);
    this.#labels.each(slice, (pixel, at) => {
      now[pixel] = values?.[at] ?? 0;
    });
    return values && now;
  }

  #write(slice: NiivueSlice, pixels: Uint8Array): void {
    const values = this.#labels.values(slice.volume);
    if (values === undefined) return;
    this.#labels.each(slice, (pixel, at) => {
      values[at] = pixels[pixel] as number;
    });
  }
}

/** An answer with the mask that is among the labels, changed by hand or not. */
export function asLabeled(slice: NiivueSlice, object: LabeledObject, segmentation: Segmentation): SliceResult {
  const stored = object.mask(slice.place.slice);
  if (stored === undefined) return segmentation;
  const mask = segmentation.mask.slice();
  slice.turn.turned<Uint8Array>(stored, mask);
  return { ...segmentation, mask, area: mask.reduce((sum, inside) => sum + inside, 0) };
}
