/** Where the voxels of a volume are, and how its slices are turned for people. */

import type { Box } from "./types.js";

/** Where voxels are. */
export interface Geometry {
  /** Voxels along each stored axis: columns, rows, slices. */
  readonly size: readonly [number, number, number];
  /**
   * 4×4, row by row: from the middle of a voxel (column, row, slice, counted from 0) to its place in mm in DICOM's patient space: x to the patient's left, y to the
   * back, z to the head (LPS).
   */
  readonly affine: readonly number[];
  /** DICOM's UID of that space, where there is one. */
  readonly frameOfReference?: string;
}

/** A stored axis: columns, rows, slices. */
export type Axis = 0 | 1 | 2;

/** The two axes of a slice across one: columns and rows of the stored slice. */
export function axesOf(axis: Axis): readonly [Axis, Axis] {
  return axis === 0 ? [1, 2] : axis === 1 ? [0, 2] : [0, 1];
}

type Vector = readonly [number, number, number];

/** The step to the next voxel along an axis, in mm. */
export function stepOf({ affine }: Geometry, axis: Axis): Vector {
  return [affine[axis] as number, affine[4 + axis] as number, affine[8 + axis] as number];
}

function lengthOf([x, y, z]: Vector): number {
  return Math.hypot(x, y, z);
}

/** Distance between the middles of neighbours along each axis, in mm. */
export function spacingOf(geometry: Geometry): readonly [number, number, number] {
  return [lengthOf(stepOf(geometry, 0)), lengthOf(stepOf(geometry, 1)), lengthOf(stepOf(geometry, 2))];
}

/** The place of a voxel's middle in mm, LPS. */
export function placeOf({ affine }: Geometry, [column, row, slice]: Vector): Vector {
  const along = (line: number) =>
    (affine[4 * line] as number) * column +
    (affine[4 * line + 1] as number) * row +
    (affine[4 * line + 2] as number) * slice +
    (affine[4 * line + 3] as number);
  return [along(0), along(1), along(2)];
}

/** The plane of the body that slices are closest to. */
export type Plane = "axial" | "coronal" | "sagittal";

/** What people expect of each plane, in LPS: where right and down of the picture point. */
const UPRIGHT: Record<Plane, { readonly right: Vector; readonly down: Vector }> = {
  axial: { right: [1, 0, 0], down: [0, 1, 0] },
  coronal: { right: [1, 0, 0], down: [0, 0, -1] },
  sagittal: { right: [0, 1, 0], down: [0, 0, -1] },
};

/**
 * How a stored slice becomes upright, as radiologists look at it: the patient's right on the left of axial and coronal slices, the front on the left of sagittal
 * ones, head or front above.
 */
export class Turn {
  /** Whether the picture's columns are the stored rows. */
  readonly isTransposed: boolean;
  /** Whether the picture is mirrored left to right, after that. */
  readonly isMirroredX: boolean;
  /** Whether it is mirrored top to bottom. */
  readonly isMirroredY: boolean;
  /** Columns and rows of the stored slice. */
  readonly stored: readonly [number, number];

  constructor(stored: readonly [number, number], isTransposed: boolean, isMirroredX: boolean, isMirroredY: boolean) {
    this.stored = stored;
    this.isTransposed = isTransposed;
    this.isMirroredX = isMirroredX;
    this.isMirroredY = isMirroredY;
  }

  /** Columns and rows of the upright picture. */
  get size(): readonly [number, number] {
    const [columns, rows] = this.stored;
    return this.isTransposed ? [rows, columns] : [columns, rows];
  }

  /** A box of the stored slice as a box of the upright picture. */
  upright([x0, y0, x1, y1]: Box): Box {
    const [across, down] = this.isTransposed ? [[y0, y1], [x0, x1]] : [[x0, x1], [y0, y1]];
    return this.#mirrored(across as [number, number], down as [number, number]);
  }

  /** A box of the upright picture as a box of the stored slice. */
  storedBox([x0, y0, x1, y1]: Box): Box {
    const [a0, b0, a1, b1] = this.#mirrored([x0, x1], [y0, y1]);
    return this.isTransposed ? [b0, a0, b1, a1] : [a0, b0, a1, b1];
  }

  #mirrored([x0, x1]: [number, number], [y0, y1]: [number, number]): Box {
    const [width, height] = this.size;
    const [left, right] = this.isMirroredX ? [width - x1, width - x0] : [x0, x1];
    const [top, bottom] = this.isMirroredY ? [height - y1, height - y0] : [y0, y1];
    return [left, top, right, bottom];
  }

  /** Values of the stored slice, row by row, as those of the upright picture. */
  turned<T extends { readonly length: number; [index: number]: number }>(values: T, into: T, channels = 1): T {
    this.each((stored, upright) => {
      for (let channel = 0; channel < channels; channel++) {
        into[upright * channels + channel] = values[stored * channels + channel] as number;
      }
    });
    return into;
  }

  /** Values of the upright picture, such as a mask, as those of the stored slice. */
  turnedBack<T extends { readonly length: number; [index: number]: number }>(values: T, into: T, channels = 1): T {
    this.each((stored, upright) => {
      for (let channel = 0; channel < channels; channel++) {
        into[stored * channels + channel] = values[upright * channels + channel] as number;
      }
    });
    return into;
  }

  /** Visits each pixel of the stored slice with its place in the upright picture, both counted row by row. */
  each(visit: (stored: number, upright: number) => void): void {
    const [width, height] = this.size;
    const [columns] = this.stored;
    for (let y = 0; y < height; y++) {
      const down = this.isMirroredY ? height - 1 - y : y;
      for (let x = 0; x < width; x++) {
        const across = this.isMirroredX ? width - 1 - x : x;
        visit(this.isTransposed ? across * columns + down : down * columns + across, y * width + x);
      }
    }
  }
}

/** The plane that slices across an axis are closest to. */
export function planeOf(geometry: Geometry, axis: Axis): Plane {
  const [a, b] = axesOf(axis);
  const [u, v] = [stepOf(geometry, a), stepOf(geometry, b)];
  const normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]].map(Math.abs) as [number, number, number];
  const [x, y, z] = normal;
  return z >= x && z >= y ? "axial" : y >= x ? "coronal" : "sagittal";
}

/** How slices across an axis become upright. */
export function turnOf(geometry: Geometry, axis: Axis): Turn {
  const [a, b] = axesOf(axis);
  const { right, down } = UPRIGHT[planeOf(geometry, axis)];
  const along = (stored: Axis, direction: Vector) => {
    const step = stepOf(geometry, stored);
    return (step[0] * direction[0] + step[1] * direction[1] + step[2] * direction[2]) / (lengthOf(step) || 1);
  };
  const [aRight, aDown, bRight, bDown] = [along(a, right), along(a, down), along(b, right), along(b, down)];
  const isTransposed = Math.abs(aDown) + Math.abs(bRight) > Math.abs(aRight) + Math.abs(bDown);
  const [across, below] = isTransposed ? [bRight, aDown] : [aRight, bDown];
  return new Turn([geometry.size[a], geometry.size[b]], isTransposed, across < 0, below < 0);
}
