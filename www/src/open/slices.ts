/** What is looked at slice by slice. A picture is a stack of one. */

import type { Axis, FileWindow, Geometry, Plane, Series, Turn } from "../../umedsam/dicom.js";
import type { Box, ImageInput, PixelArray } from "../../umedsam/index.js";
import type { Nifti } from "../../umedsam/nifti.js";

/** A slice upright, with the file's values. */
export interface Slice {
  readonly image: ImageInput & { readonly data: PixelArray; readonly width: number; readonly height: number };
  /** Millimetres per pixel, across and down, where the file tells. */
  readonly spacing: readonly [across: number, down: number] | undefined;
  /** Windows that the file offers. */
  readonly windows: readonly FileWindow[];
  /** From the stored slice to the upright one; `undefined` of pictures, which are stored upright. */
  readonly turn: Turn | undefined;
}

/** Where a slice is in its stack: the axis that it lies across, the volume of a series over time, and its number. */
export interface Place {
  readonly axis: Axis;
  readonly frame: number;
  readonly index: number;
}

export function isSame(a: Place, b: Place): boolean {
  return a.axis === b.axis && a.frame === b.frame && a.index === b.index;
}

export const keyOf = ({ axis, frame, index }: Place) => `${axis}/${frame}/${index}`;

/** What files that are written of the stack refer to. */
export type Origin = { readonly kind: "picture" } | { readonly kind: "dicom"; readonly series: Series } | { readonly kind: "nifti"; readonly file: Nifti };

export interface ReadingOptions {
  readonly signal?: AbortSignal;
  /** A plane across the stored one may need the whole volume. */
  readonly onProgress?: (fraction: number) => void;
}

export interface Stack {
  /** What saved files are named after. */
  readonly name: string;
  /** What the page says of it. */
  readonly credit: string;
  /** DICOM's abbreviation, or empty. */
  readonly modality: string;
  readonly origin: Origin;
  /** Columns, rows and slices as they are stored. */
  readonly size: readonly [columns: number, rows: number, slices: number];
  /** The axes across which there are slices, with what their planes are called. */
  readonly planes: readonly { readonly axis: Axis; readonly plane: Plane | "stored" }[];
  /** Volumes of a series over time or of several channels. */
  readonly frames: number;
  /** The slice that is shown first. */
  readonly first: Place;
  slice(place: Place, options?: ReadingOptions): Promise<Slice>;
}

/** Number of slices across an axis. */
export function countOf(stack: Stack, axis: Axis): number {
  return stack.size[axis];
}

/** Where the voxels of a stack are, where its files tell. */
export function geometryOf({ origin }: Stack): Geometry | null {
  if (origin.kind === "picture") return null;
  return origin.kind === "dicom" ? origin.series.geometry : origin.file.volume.geometry;
}

/** What is asked of a stack that is opened: a slice and boxes on it, as samples have. */
export interface Begin {
  readonly slice?: number;
  readonly boxes?: readonly Box[];
}

/** A picture as a stack of one slice. */
export function pictureStack(image: Slice["image"], name: string, credit: string): Stack {
  const slice = { image, spacing: undefined, windows: [], turn: undefined };
  return {
    name,
    credit,
    modality: "",
    origin: { kind: "picture" },
    size: [image.width, image.height, 1],
    planes: [{ axis: 2, plane: "stored" }],
    frames: 1,
    first: { axis: 2, frame: 0, index: 0 },
    slice: async () => slice,
  };
}
