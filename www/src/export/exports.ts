/** Answers on slices put together to what files hold: volumes of labels, probabilities and maps, in the order of the source. */

import type { Axis, Turn } from "../../umedsam/dicom.js";
import type { NamedMask, Segment } from "../../umedsam/export.js";
import type { Segmentation } from "../../umedsam/index.js";
import type { Place } from "../open/slices.js";

/** An answer on one slice. */
export interface Part {
  /** Parts of the same name are one segment. */
  readonly name: string;
  /** As `#rrggbb`. */
  readonly color: string;
  readonly place: Place;
  readonly result: Pick<Segmentation, "mask" | "probability" | "uncertainty">;
}

/** The grid of the source, and how its slices were turned for people. */
export interface Grid {
  readonly size: readonly [columns: number, rows: number, slices: number];
  /** `undefined` where slices are shown as they are stored. */
  turn(axis: Axis): Turn | undefined;
}

/** DICOM and the others number segments with 8 bits. */
const MOST_SEGMENTS = 255;

const rgb = (color: string) => [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16)) as [number, number, number];

/** One segment for each name, in the order of the objects, in the colour of the first. */
export function segmentsOf(parts: readonly Part[]): Segment[] {
  const colors = new Map<string, string>();
  for (const { name, color } of parts) if (!colors.has(name)) colors.set(name, color);
  if (colors.size > MOST_SEGMENTS) {
    throw new Error(`there are ${colors.size} objects of different names; such files hold ${MOST_SEGMENTS} at most: give those that belong together the same name`);
  }
  return [...colors].map(([label, color]) => ({ label, color: rgb(color) }));
}

/** Visits the pixels of an upright slice with the voxels that they are. */
function eachVoxel({ size, turn }: Grid, { axis, index }: Place, visit: (voxel: number, pixel: number) => void): void {
  const strides = [1, size[0], size[0] * size[1]] as const;
  const [a, b] = axis === 0 ? ([1, 2] as const) : axis === 1 ? ([0, 2] as const) : ([0, 1] as const);
  const count = size[a] * size[b];
  const upright = Int32Array.from({ length: count }, (_, pixel) => pixel);
  const stored = turn(axis)?.turnedBack(upright, new Int32Array(count)) ?? upright;
  const begin = index * strides[axis];
  for (let row = 0; row < size[b]; row++) {
    for (let column = 0; column < size[a]; column++) {
      visit(begin + column * strides[a] + row * strides[b], stored[row * size[a] + column] as number);
    }
  }
}

const voxelsOf = ({ size }: Grid) => size[0] * size[1] * size[2];

/** Numbers of segments, 0 where there is none. Where objects overlap the most probable is taken. */
export function labelVolume(parts: readonly Part[], grid: Grid): Uint8Array<ArrayBuffer> {
  const names = segmentsOf(parts).map(({ label }) => label);
  const labels = new Uint8Array(voxelsOf(grid));
  const best = new Uint8Array(labels.length);
  for (const { name, place, result } of parts) {
    const label = names.indexOf(name) + 1;
    // Once for all: results of other slices unpack what they keep.
    const { mask, probability: probabilities } = result;
    eachVoxel(grid, place, (voxel, pixel) => {
      if (mask[pixel] !== 1) return;
      const probability = 1 + Math.round(254 * (probabilities[pixel] ?? 0));
      if (probability <= (best[voxel] as number)) return;
      best[voxel] = probability;
      labels[voxel] = label;
    });
  }
  return labels;
}

/** Probabilities of each segment, 0–255. */
export function probabilityVolumes(parts: readonly Part[], grid: Grid): Uint8Array[] {
  return segmentsOf(parts).map(({ label }) => {
    const values = new Uint8Array(voxelsOf(grid));
    for (const { place, result } of parts.filter(({ name }) => name === label)) {
      const { probability } = result;
      eachVoxel(grid, place, (voxel, pixel) => {
        values[voxel] = Math.max(values[voxel] as number, Math.round(255 * (probability[pixel] ?? 0)));
      });
    }
    return values;
  });
}

/** The largest probability, or total uncertainty in bits, of any object; 0 where nothing was segmented. */
export function mapVolume(parts: readonly Part[], grid: Grid, quantity: "probability" | "total-uncertainty"): Float32Array<ArrayBuffer> {
  const values = new Float32Array(voxelsOf(grid));
  for (const { place, result } of parts) {
    const map = quantity === "probability" ? result.probability : result.uncertainty.total;
    eachVoxel(grid, place, (voxel, pixel) => {
      values[voxel] = Math.max(values[voxel] as number, map?.[pixel] ?? 0);
    });
  }
  return values;
}

/** Masks of one slice, as it is shown. */
export function masksOf(parts: readonly Part[]): NamedMask[] {
  return parts.map(({ name, color, result }) => ({ label: name, color: rgb(color), mask: result.mask }));
}

export async function gzipped(bytes: Uint8Array): Promise<Blob> {
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Response(stream).blob();
}
