/** What was found of an object on the slices of its stack: of each a mask and a probability of 8 bits, two bytes a pixel. */

import type { Segmentation } from "../../umedsam/index.js";
import { type End, type SliceToReview, type VolumeEstimate, VolumeSegmentation } from "../../umedsam/propagation.js";
import { type Place, type Stack, geometryOf } from "../open/slices.js";
import { type Answer, FoundSlice } from "./found-slice.js";

/** An answer to a prompt on a slice, or none any more. */
interface Prompted {
  readonly place: Place;
  readonly result: Segmentation | undefined;
}

export class Found {
  readonly #place: Place;
  readonly #hasGeometry: boolean;
  readonly #volume: VolumeSegmentation;
  readonly #slices = new Map<number, FoundSlice>();
  /** Answers to prompts that were taken in. */
  readonly #taken = new Map<number, Segmentation>();
  /** What was there before them. */
  readonly #before = new Map<number, FoundSlice>();
  #estimate: VolumeEstimate | undefined;
  readonly #ends = new Map<number, End>();
  /** Whether the prompt or the window is another one since. */
  isOutdated = false;

  /** Of slices like the one at `place`, which has this size. */
  constructor(stack: Stack, place: Place, { width, height }: { readonly width: number; readonly height: number }) {
    const geometry = geometryOf(stack);
    this.#place = place;
    this.#hasGeometry = geometry !== null;
    this.#volume = new VolumeSegmentation(geometry === null ? { width, height, slices: stack.size[place.axis] } : { geometry, axis: place.axis });
  }

  #index({ axis, frame, index }: Place): number | undefined {
    return axis === this.#place.axis && frame === this.#place.frame ? index : undefined;
  }

  /** What was found on a slice. */
  at(place: Place): Answer | undefined {
    const index = this.#index(place);
    return index === undefined ? undefined : this.#slices.get(index);
  }

  /** Whether a direction ended at a slice. */
  isEnd(place: Place): boolean {
    const index = this.#index(place);
    return index !== undefined && this.#ends.has(index) && !this.#slices.has(index);
  }

  /** The slices that ended a direction, which are not part of the object. */
  get ends(): readonly (readonly [slice: number, end: End])[] {
    return [...this.#ends].filter(([slice]) => !this.#slices.has(slice)).sort(([a], [b]) => a - b);
  }

  /** All slices of the object with their places, those of prompts too. */
  get all(): { readonly place: Place; readonly result: Answer }[] {
    return [...this.#slices].map(([index, result]) => ({ place: { ...this.#place, index }, result }));
  }

  put(slice: number, segmentation: Segmentation, end: End | null): void {
    if (end === null) {
      this.#ends.delete(slice);
      this.#keep(slice, segmentation);
    } else {
      this.#drop(slice);
      this.#ends.set(slice, end);
    }
  }

  /** Forgets slices but those of prompts. */
  clear([first, last]: readonly [first: number, last: number]): void {
    const isWithin = (index: number) => index >= first && index <= last && !this.#taken.has(index);
    for (const index of [...this.#slices.keys()].filter(isWithin)) this.#drop(index);
    for (const index of [...this.#ends.keys()].filter(isWithin)) this.#ends.delete(index);
  }

  /** Takes answers to prompts in, which replace what was found there; it comes back when they go. */
  take(prompted: readonly Prompted[]): void {
    const results = new Map(prompted.flatMap(({ place, result }) => (result === undefined ? [] : [[place.index, result] as const])));
    for (const index of [...this.#taken.keys()].filter((index) => !results.has(index))) {
      const before = this.#before.get(index);
      this.#taken.delete(index);
      this.#before.delete(index);
      if (before === undefined) this.#drop(index);
      else this.#keep(index, before);
    }
    for (const [index, result] of results) {
      if (this.#taken.get(index) === result) continue;
      const before = this.#slices.get(index);
      if (before !== undefined && !this.#taken.has(index)) this.#before.set(index, before);
      this.#taken.set(index, result);
      this.#keep(index, result);
    }
  }

  #keep(slice: number, answer: Answer): void {
    this.#volume.put({ object: 0, slice, segmentation: answer });
    const [mask, probability] = [this.#volume.mask(0, slice), this.#volume.probability(0, slice)];
    if (mask !== undefined && probability !== undefined) this.#slices.set(slice, new FoundSlice(answer, mask, probability));
    this.#estimate = undefined;
  }

  #drop(slice: number): void {
    this.#volume.remove(0, slice);
    this.#slices.delete(slice);
    this.#estimate = undefined;
  }

  /** The object's slices in their order. */
  get indices(): readonly number[] {
    return [...this.#slices.keys()].sort((a, b) => a - b);
  }

  /** Pixels of all masks. */
  get pixels(): number {
    return [...this.#slices.values()].reduce((sum, { area }) => sum + area, 0);
  }

  /** Slices that someone should look at, the worst first. */
  toReview(): readonly SliceToReview[] {
    return this.#volume.toReview();
  }

  /** How large the object is, where the file tells how large voxels are. */
  estimate(): VolumeEstimate | undefined {
    if (!this.#hasGeometry) return undefined;
    return (this.#estimate ??= this.#volume.volume(0));
  }
}
