/** Volumes, slice by slice. */

import { UmedsamError } from "./errors.js";
import { type Axis, type Geometry, type Turn, axesOf, spacingOf, turnOf } from "./geometry.js";
import type { ImageInput, PixelArray } from "./types.js";

/** A slice as people look at it. */
export interface VolumeSlice {
  /** Upright, with the file's values (rescaled, such as Hounsfield units); what `model.encode` takes. */
  readonly image: ImageInput & { readonly data: PixelArray; readonly width: number; readonly height: number };
  /** From the stored slice to the upright picture and back. */
  readonly turn: Turn;
  /** Millimetres per pixel of the picture, across and down. */
  readonly spacing: readonly [number, number];
}

/** What slices are made of: reads the values of a stored slice, row by row, channels of a pixel side by side. */
export type SliceReader = (axis: Axis, index: number) => PixelArray;

/** Voxels on a grid. */
export class Volume {
  /** Where the voxels are. */
  readonly geometry: Geometry;
  /** Values of a voxel: 1, 3 (RGB) or 4 (RGBA). */
  readonly channels: number;
  readonly #read: SliceReader;

  /** @internal */
  constructor(geometry: Geometry, channels: number, read: SliceReader) {
    this.geometry = geometry;
    this.channels = channels;
    this.#read = read;
  }

  /** Number of slices across an axis; axis 2 is the one that files store slices along. */
  slices(axis: Axis = 2): number {
    return this.geometry.size[axis];
  }

  /**
   * A slice, counted from 0 along a stored axis.
   *
   * @throws {UmedsamError} `invalid-option` if there is no such slice.
   */
  slice(index: number, axis: Axis = 2): VolumeSlice {
    if (axis !== 0 && axis !== 1 && axis !== 2) {
      throw new UmedsamError("invalid-option", `axis is ${String(axis)}; use 0 (across columns), 1 (across rows) or 2 (across slices)`);
    }
    const count = this.slices(axis);
    if (!Number.isInteger(index) || index < 0 || index >= count) {
      throw new UmedsamError("invalid-option", `slice is ${String(index)}; axis ${axis} has slices 0 to ${count - 1}`);
    }
    const stored = this.#read(axis, index);
    const turn = turnOf(this.geometry, axis);
    const [width, height] = turn.size;
    const data = turn.turned(stored, stored.slice(), this.channels);
    const [a, b] = axesOf(axis);
    const spacing = spacingOf(this.geometry);
    const [across, down] = turn.isTransposed ? [spacing[b], spacing[a]] : [spacing[a], spacing[b]];
    return { image: { data, width, height, channels: this.channels as 1 | 3 | 4 }, turn, spacing: [across, down] };
  }
}
