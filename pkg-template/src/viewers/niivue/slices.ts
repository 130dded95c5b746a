/** Slices of what NiiVue shows, from its voxels as they are stored. */

import { type Axis, type Geometry, type Turn, axesOf, turnOf } from "../../geometry.js";
import type { Box, ImageInput, PixelArray, Window } from "../../types.js";
import type { ViewedSlice } from "../session.js";
import { type NiivueViewer, type NiivueVolume, PLANES } from "./viewer.js";

/** Where a slice of NiiVue's is. */
export interface NiivuePlace {
  /** As NiiVue names it; of an oblique volume the plane that it shows as such. */
  readonly plane: (typeof PLANES)[number];
  /** Counted from 0 along the stored axis. */
  readonly slice: number;
  /** The stored axis across the plane. */
  readonly axis: Axis;
  /** Counted from 0; 0 of a volume without frames. */
  readonly frame: number;
}

/** NIfTI's codes of colours. */
const CHANNELS: Readonly<Record<number, 3 | 4>> = { 128: 3, 2304: 4 };

/** The grid of a volume as it is stored. */
export function geometryOf(volume: NiivueVolume): Geometry {
  const { dims = [], affine = [] } = volume.hdr ?? {};
  const size = [1, 2, 3].map((axis) => dims[axis] ?? 1) as [number, number, number];
  // NiiVue's x and y run the other way than DICOM's.
  return { size, affine: affine.flatMap((row, index) => row.map((value) => (index < 2 ? -value : value))) };
}

/** From shares of a RAS axis to the stored axis and back. */
export function storedAxis(volume: NiivueVolume, ras: number): { readonly axis: Axis; readonly isFlipped: boolean } {
  const axis = volume.permRAS?.[ras] ?? ras + 1;
  return { axis: (Math.abs(axis) - 1) as Axis, isFlipped: axis < 0 };
}

/** A slice of one frame of a volume through the window that it was seen through. */
export class NiivueSlice implements ViewedSlice {
  readonly volume: NiivueVolume;
  readonly place: NiivuePlace;
  readonly geometry: Geometry;
  readonly turn: Turn;
  readonly key: string;
  readonly #window: Window;
  readonly #invert: boolean;

  constructor(volume: NiivueVolume, place: NiivuePlace, like?: NiivueSlice) {
    this.volume = volume;
    this.place = place;
    this.geometry = like?.geometry ?? geometryOf(volume);
    this.turn = like?.turn ?? turnOf(this.geometry, place.axis);
    this.#window = like === undefined ? windowOf(volume) : like.#window;
    this.#invert = like === undefined ? volume.colormapInvert === true : like.#invert;
    this.key = JSON.stringify([volume.id, place, this.#window, this.#invert]);
  }

  /** Another slice of the same stack. */
  at(slice: number): NiivueSlice {
    return new NiivueSlice(this.volume, { ...this.place, slice }, this);
  }

  /** How many slices the stack has. */
  get count(): number {
    return this.geometry.size[this.place.axis];
  }

  image(): ImageInput {
    const channels = CHANNELS[this.volume.hdr?.datatypeCode ?? 0] ?? 1;
    const stored = this.#stored(channels);
    const [width, height] = this.turn.size;
    const image = { data: this.turn.turned(stored, stored.slice(), channels), width, height, channels } as const;
    return channels > 1 ? image : { ...image, window: this.#window, invert: this.#invert };
  }

  /** Values of the slice as it is stored, rescaled as the header says. */
  #stored(channels: number): PixelArray {
    const { img = new Uint8Array(0), hdr } = this.volume;
    const { scl_slope: slope = 1, scl_inter: intercept = 0 } = hdr ?? {};
    const { size } = this.geometry;
    const { frame } = this.place;
    const isScaled = channels === 1 && (slope !== 1 || intercept !== 0);
    const length = this.turn.stored[0] * this.turn.stored[1] * channels;
    const values = isScaled ? new Float32Array(length) : new (img.constructor as new (length: number) => PixelArray)(length);
    eachPixel(this, [1, size[0], size[0] * size[1]], frame * size[0] * size[1] * size[2], (pixel, at) => {
      for (let channel = 0; channel < channels; channel++) {
        const value = img[at * channels + channel] as number;
        values[pixel * channels + channel] = isScaled ? value * slope + intercept : value;
      }
    });
    return values;
  }

  /** Two places in shares of the RAS axes, as a box of the upright picture. */
  box(from: ArrayLike<number>, to: ArrayLike<number>): Box {
    const corners = [from, to].map((place) => axesOf(this.place.axis).map((axis) => this.#along(place, axis)));
    const [[x0 = 0, y0 = 0] = [], [x1 = 0, y1 = 0] = []] = corners;
    return this.turn.upright([Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)]);
  }

  #along(place: ArrayLike<number>, axis: Axis): number {
    const ras = [0, 1, 2].findIndex((index) => storedAxis(this.volume, index).axis === axis);
    const share = Math.min(1, Math.max(0, place[ras] ?? 0));
    return (storedAxis(this.volume, ras).isFlipped ? 1 - share : share) * this.geometry.size[axis];
  }

  /** A place of the upright picture in shares of the RAS axes; what is across the plane is taken from another place. */
  shares(x: number, y: number, other: ArrayLike<number>): Float32Array {
    const [column, row] = this.turn.storedBox([x, y, x, y]);
    const [a] = axesOf(this.place.axis);
    return Float32Array.from([0, 1, 2], (ras) => {
      const { axis, isFlipped } = storedAxis(this.volume, ras);
      if (axis === this.place.axis) return other[ras] ?? 0;
      const share = (axis === a ? column : row) / this.geometry.size[axis];
      return isFlipped ? 1 - share : share;
    });
  }
}

/** The slice of a plane, by NiiVue's number, that a place in shares of the RAS axes lies on. */
export function sliceAt(volume: NiivueVolume, plane: number, place: ArrayLike<number>): NiivueSlice {
  const { axis, isFlipped } = storedAxis(volume, 2 - plane);
  const count = volume.hdr?.dims[axis + 1] ?? 1;
  const ras = Math.min(count - 1, Math.max(0, Math.floor((place[2 - plane] ?? 0) * count)));
  return new NiivueSlice(volume, { plane: PLANES[plane] ?? "axial", slice: isFlipped ? count - 1 - ras : ras, axis, frame: volume.frame4D });
}

/** The slices in view, that of `first` before the others, then the neighbours of the first. */
export function slicesInView(nv: NiivueViewer, volume: NiivueVolume, first: number): NiivueSlice[] {
  const planes = [...new Set(nv.screenSlices.map(({ axCorSag }) => axCorSag))].filter((plane) => plane in PLANES);
  planes.sort((a, b) => Number(b === first) - Number(a === first));
  const [begin, ...others] = planes.map((plane) => sliceAt(volume, plane, nv.scene.crosshairPos));
  if (begin === undefined) return [];
  const neighbours = [begin.place.slice + 1, begin.place.slice - 1].filter((slice) => slice >= 0 && slice < begin.count);
  return [begin, ...neighbours.map((slice) => begin.at(slice)), ...others];
}

/** What NiiVue shows as black and as white. */
function windowOf({ cal_min: black = Number.NaN, cal_max: white = Number.NaN }: NiivueVolume): Window {
  return white > black ? { center: (black + white) / 2, width: white - black } : "min-max";
}

/** Visits the pixels of a stored slice in an array that counts voxels by these strides along the stored axes, from `first`. */
export function eachPixel(
  { turn, place }: NiivueSlice,
  strides: readonly [number, number, number],
  first: number,
  visit: (pixel: number, at: number) => void,
): void {
  const [a, b] = axesOf(place.axis);
  const begin = first + place.slice * strides[place.axis];
  const [columns, rows] = turn.stored;
  for (let pixel = 0; pixel < columns * rows; pixel++) {
    visit(pixel, begin + (pixel % columns) * strides[a] + Math.floor(pixel / columns) * strides[b]);
  }
}
