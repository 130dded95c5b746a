/** What is kept of objects in a volume: masks and probabilities of 8 bits, slice by slice. */

import { UmedsamError } from "./errors.js";
import { type Axis, type Geometry, type Turn, axesOf, turnOf } from "./geometry.js";
import type { End } from "./protocol.js";
import type { Segmentation } from "./types.js";

/** What is known of an object on a slice. */
export interface SliceSummary {
  readonly slice: number;
  /** Pixels inside the mask. */
  readonly area: number;
  /** The DSC that is to be expected, 0–1. */
  readonly expectedDsc: number;
  /** Whether someone should look; `null` without calibration. */
  readonly needsReview: boolean | null;
  readonly calibration: Segmentation["calibration"];
}

/** A slice that someone should look at. */
export interface SliceToReview {
  readonly object: number;
  readonly slice: number;
  readonly expectedDsc: number;
}

/** How large an object is. */
export interface VolumeEstimate {
  /** Volume of the masks, ml. */
  readonly ml: number;
  /**
   * Where the probability is at least 95 %, and where it is at least 5 %, ml. It is the interval of 90 % if voxels are in doubt together, as those along an outline
   * mostly are; its coverage is not guaranteed. It is no sum of `areaInterval`, which slices beyond the prompted one do not have.
   */
  readonly intervalMl: readonly [low: number, high: number];
}

/** What is kept of a result. */
export type SliceResult = Pick<Segmentation, "width" | "height" | "area" | "expectedDsc" | "needsReview" | "calibration" | "mask" | "probability">;

interface KeptSlice {
  readonly summary: SliceSummary;
  readonly mask: Uint8Array;
  readonly probability: Uint8Array;
  /** Voxels of a probability of at least 95 % and of at least 5 %. */
  readonly sure: number;
  readonly possible: number;
}

/** Slices of a volume without a place in space, or whose place does not matter. */
interface Pictures {
  readonly width: number;
  readonly height: number;
  readonly slices: number;
}

/** Slices of a volume across one of its stored axes. */
interface Slices {
  readonly geometry: Geometry;
  /** Default 2. */
  readonly axis?: Axis;
}

/** Objects in a volume. Slices that are put in again replace those before, as after a correction. */
export class VolumeSegmentation {
  readonly #size: readonly [number, number, number];
  readonly #axis: Axis;
  readonly #turn: Turn | undefined;
  readonly #geometry: Geometry | undefined;
  readonly #objects = new Map<number, Map<number, KeptSlice>>();

  /** Of pictures: labels lie as the pictures do. With a geometry they lie as the voxels are stored, which is what `umedsam/export` and `umedsam/nifti` write. */
  constructor(volume: Pictures | Slices) {
    if ("geometry" in volume) {
      const { geometry, axis = 2 } = volume;
      this.#geometry = geometry;
      this.#size = geometry.size;
      this.#axis = axis;
      this.#turn = turnOf(geometry, axis);
    } else {
      this.#size = [volume.width, volume.height, volume.slices];
      this.#axis = 2;
    }
  }

  /** Columns and rows of the pictures. */
  get #picture(): readonly [number, number] {
    return this.#turn?.size ?? [this.#size[0], this.#size[1]];
  }

  /**
   * Takes a slice of an object in; one that ends its direction is not part of it.
   *
   * @throws {UmedsamError} `invalid-option` if it has another size or lies outside of the volume.
   */
  put({ object, slice, segmentation, end = null }: { readonly object: number; readonly slice: number; readonly segmentation: SliceResult; readonly end?: End | null }): void {
    const [width, height] = this.#picture;
    if (segmentation.width !== width || segmentation.height !== height) {
      throw new UmedsamError("invalid-option", `the slice has ${segmentation.width}×${segmentation.height} pixels, those of the volume ${width}×${height}`);
    }
    if (!Number.isInteger(slice) || slice < 0 || slice >= this.#size[this.#axis]) {
      throw new UmedsamError("invalid-option", `slice is ${slice}; the volume has slices 0 to ${this.#size[this.#axis] - 1}`);
    }
    if (!Number.isInteger(object) || object < 0 || object > 254) throw new UmedsamError("invalid-option", `object is ${object}; use 0 to 254`);
    const slices = this.#objects.get(object) ?? new Map<number, KeptSlice>();
    this.#objects.set(object, slices);
    if (end !== null) {
      slices.delete(slice);
      return;
    }
    const { area, expectedDsc, needsReview, calibration, mask, probability } = segmentation;
    const summary = { slice, area, expectedDsc, needsReview, calibration };
    const kept = new Uint8Array(probability.length);
    let [sure, possible] = [0, 0];
    for (let pixel = 0; pixel < kept.length; pixel++) {
      const value = Math.round((probability[pixel] as number) * 255);
      kept[pixel] = value;
      if (value >= 0.95 * 255) sure++;
      if (value >= 0.05 * 255) possible++;
    }
    slices.set(slice, { summary, mask: Uint8Array.from(mask), probability: kept, sure, possible });
  }

  /** Takes an object, or its slice, out. */
  remove(object: number, slice?: number): void {
    if (slice === undefined) this.#objects.delete(object);
    else this.#objects.get(object)?.delete(slice);
  }

  /** An object's slices in their order. */
  slices(object: number): readonly SliceSummary[] {
    return this.#sorted(object).map(({ summary }) => summary);
  }

  /** The mask of an object on a slice, as the picture lies. */
  mask(object: number, slice: number): Uint8Array | undefined {
    return this.#objects.get(object)?.get(slice)?.mask;
  }

  /** The probability of an object on a slice, 0–255, as the picture lies. */
  probability(object: number, slice: number): Uint8Array | undefined {
    return this.#objects.get(object)?.get(slice)?.probability;
  }

  /** Slices that someone should look at, the worst first. */
  toReview(): readonly SliceToReview[] {
    const found = [...this.#objects].flatMap(([object, slices]) =>
      [...slices.values()]
        .filter(({ summary }) => summary.needsReview === true)
        .map(({ summary: { slice, expectedDsc } }) => ({ object, slice, expectedDsc })),
    );
    return found.sort((a, b) => a.expectedDsc - b.expectedDsc);
  }

  /**
   * Numbers of the objects, from 1 (object 0), and 0 where there is none. Objects never overlap: each voxel is of the most probable one whose mask it lies in.
   */
  labels(): Uint8Array {
    const labels = new Uint8Array(this.#voxels);
    const best = new Uint8Array(this.#voxels);
    for (const object of [...this.#objects.keys()].sort((a, b) => a - b)) {
      for (const { summary, mask, probability } of this.#sorted(object)) {
        this.#each(summary.slice, (pixel, voxel) => {
          const value = probability[pixel] as number;
          if (mask[pixel] === 0 || (labels[voxel] !== 0 && value <= (best[voxel] as number))) return;
          labels[voxel] = object + 1;
          best[voxel] = value;
        });
      }
    }
    return labels;
  }

  /** An object's probabilities, 0–255; 0 on slices that were not looked at. */
  probabilities(object: number): Uint8Array {
    const all = new Uint8Array(this.#voxels);
    for (const { summary, probability } of this.#sorted(object)) {
      this.#each(summary.slice, (pixel, voxel) => {
        all[voxel] = probability[pixel] as number;
      });
    }
    return all;
  }

  /**
   * How large an object is.
   *
   * @throws {UmedsamError} `invalid-option` if there is no geometry and `voxelMm3` does not say how large a voxel is.
   */
  volume(object: number, voxelMm3 = this.#voxelMm3): VolumeEstimate {
    if (!(voxelMm3 > 0)) throw new UmedsamError("invalid-option", "the volume has no place in space; say how many mm³ a voxel has");
    let [inside, sure, possible] = [0, 0, 0];
    for (const kept of this.#objects.get(object)?.values() ?? []) {
      inside += kept.summary.area;
      sure += kept.sure;
      possible += kept.possible;
    }
    const ml = (voxels: number) => (voxels * voxelMm3) / 1000;
    return { ml: ml(inside), intervalMl: [ml(Math.min(sure, inside)), ml(Math.max(possible, inside))] };
  }

  get #voxels(): number {
    const [columns, rows, slices] = this.#size;
    return columns * rows * slices;
  }

  get #voxelMm3(): number {
    const { affine } = this.#geometry ?? {};
    if (affine === undefined) return Number.NaN;
    const at = (row: number, column: number) => affine[4 * row + column] as number;
    const minor = (x: number, y: number) => at(1, x) * at(2, y) - at(1, y) * at(2, x);
    return Math.abs(at(0, 0) * minor(1, 2) - at(0, 1) * minor(0, 2) + at(0, 2) * minor(0, 1));
  }

  #sorted(object: number): KeptSlice[] {
    return [...(this.#objects.get(object)?.values() ?? [])].sort((a, b) => a.summary.slice - b.summary.slice);
  }

  /** The voxels that the pixels of a picture are. */
  #each(slice: number, visit: (pixel: number, voxel: number) => void): void {
    const [columns, rows] = this.#size;
    const strides = [1, columns, columns * rows] as const;
    const begin = slice * strides[this.#axis];
    const turn = this.#turn;
    if (turn === undefined) {
      for (let pixel = 0; pixel < columns * rows; pixel++) visit(pixel, begin + pixel);
      return;
    }
    const [a, b] = axesOf(this.#axis);
    const [width] = turn.stored;
    turn.each((stored, upright) => visit(upright, begin + (stored % width) * strides[a] + Math.floor(stored / width) * strides[b]));
  }
}
