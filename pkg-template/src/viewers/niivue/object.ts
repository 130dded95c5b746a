/** An object among the labels, slice by slice. */

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
  readonly label: number;
  readonly #labels: Labels;
  readonly #slices = new Map<number, Painted>();

  constructor(labels: Labels, label: number) {
    this.#labels = labels;
    this.label = label;
  }

  /** Slices that were painted. */
  get slices(): readonly number[] {
    return [...this.#slices.keys()];
  }

  /** Paints the object's mask on a slice in the place of an earlier one; drawn over by hand or not, the same mask once more changes nothing. */
  paint(slice: NiivueSlice, mask: Uint8Array): boolean {
    const values = this.#labels.values(slice.volume);
    if (values === undefined) return false;
    const now = this.#now(slice, values);
    const painted = this.#slices.get(slice.place.slice) ?? { slice, under: now.slice(), before: now.slice(), maskBefore: undefined, mask: undefined, left: now };
    this.#slices.set(slice.place.slice, painted);
    if (painted.mask?.every((inside, pixel) => inside === mask[pixel])) return false;
    this.#learn(painted, now);
    painted.mask = mask;
    painted.left = painted.under.map((value, pixel) => (mask[pixel] === 1 && value === 0 ? this.label : value));
    this.#write(painted, painted.left);
    return true;
  }

  /** Other labels that were drawn meanwhile lie under the object from now on. */
  #learn({ under, before, left }: Painted, now: Uint8Array): void {
    now.forEach((value, pixel) => {
      if (value === left[pixel] || value === this.label || value === 0) return;
      under[pixel] = value;
      before[pixel] = value;
    });
  }

  /** The object's mask on a slice if it was changed by hand. */
  edited(index: number): Uint8Array | undefined {
    const { slice, mask, left } = this.#slices.get(index) ?? {};
    const values = slice === undefined ? undefined : this.#labels.values(slice.volume);
    if (slice === undefined || mask === undefined || left === undefined || values === undefined) return undefined;
    const now = this.#now(slice, values);
    if (now.every((value, pixel) => value === left[pixel])) return undefined;
    return mask.map((inside, pixel) => (now[pixel] === left[pixel] ? inside : Number(now[pixel] === this.label)));
  }

  /** The mask on a slice, changed by hand or not. */
  mask(index: number): Uint8Array | undefined {
    return this.edited(index) ?? this.#slices.get(index)?.mask;
  }

  /** Whether nothing of the object is on a slice any more, because someone took it back. */
  isGone(index: number): boolean {
    const painted = this.#slices.get(index);
    const values = painted === undefined ? undefined : this.#labels.values(painted.slice.volume);
    if (painted === undefined || values === undefined) return true;
    const now = this.#now(painted.slice, values);
    return painted.left.some((value, pixel) => value !== painted.before[pixel]) && now.every((value, pixel) => value === painted.before[pixel]);
  }

  /** What is painted stays when the next masks are taken off. */
  keep(): void {
    for (const painted of this.#slices.values()) {
      const values = this.#labels.values(painted.slice.volume);
      if (values === undefined) continue;
      painted.mask = this.mask(painted.slice.place.slice);
      painted.left = this.#now(painted.slice, values);
      painted.before = painted.left.slice();
      painted.maskBefore = painted.mask;
    }
  }

  /** Gives a slice back as it was when the object was last kept. */
  takeOff(index: number): void {
    const painted = this.#slices.get(index);
    const values = painted === undefined ? undefined : this.#labels.values(painted.slice.volume);
    if (painted === undefined || values === undefined) return;
    this.#learn(painted, this.#now(painted.slice, values));
    this.#write(painted, painted.before);
    painted.left = painted.before.slice();
    painted.mask = painted.maskBefore;
  }

  #now(slice: NiivueSlice, values: Uint8Array): Uint8Array {
    const [columns, rows] = slice.turn.stored;
    const now = new Uint8Array(columns * rows);
    this.#labels.each(slice, (pixel, at) => {
      now[pixel] = values[at] as number;
    });
    return now;
  }

  #write({ slice }: Painted, pixels: Uint8Array): void {
    const values = this.#labels.values(slice.volume);
    if (values === undefined) return;
    this.#labels.each(slice, (pixel, at) => {
      values[at] = pixels[pixel] as number;
    });
  }
}
