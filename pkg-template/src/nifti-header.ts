/**
 * NIfTI-1 and NIfTI-2 headers, of both byte orders.
 *
 * Sources: nifti1.h and nifti2.h (NIfTI Data Format Working Group, 2004 and 2011).
 */

import { invalid } from "./file-bytes.js";
import type { Geometry } from "./geometry.js";

/** What a header says. */
export interface NiftiHeader {
  readonly version: 1 | 2;
  readonly littleEndian: boolean;
  /** NIfTI's code of the voxels' type. */
  readonly datatype: number;
  /** Voxels along x, y, z; then time and what else there is, together. */
  readonly size: readonly [number, number, number];
  readonly frames: number;
  /** Where the voxels begin, in bytes. */
  readonly offset: number;
  /** A value is `stored · slope + intercept`. */
  readonly slope: number;
  readonly intercept: number;
  readonly geometry: Geometry;
  /** What is odd about the file, in words. */
  readonly problems: readonly string[];
  /** Size of the header itself. */
  readonly length: 348 | 540;
}

/** Where the fields of a header are, and of what type. */
interface Layout {
  readonly length: 348 | 540;
  readonly magicAt: number;
  readonly dim: (view: DataView, index: number, little: boolean) => number;
  readonly pixdim: (view: DataView, index: number, little: boolean) => number;
  readonly datatypeAt: number;
  readonly offset: (view: DataView, little: boolean) => number;
  /** Slope and intercept. */
  readonly scaling: (view: DataView, index: 0 | 1, little: boolean) => number;
  /** Codes of qform and sform. */
  readonly code: (view: DataView, index: 0 | 1, little: boolean) => number;
  /** Quaternion b, c, d, then the offsets x, y, z. */
  readonly quaternion: (view: DataView, index: number, little: boolean) => number;
  readonly row: (view: DataView, index: number, little: boolean) => number;
  readonly units: (view: DataView, little: boolean) => number;
}

const NIFTI_1: Layout = {
  length: 348,
  magicAt: 344,
  dim: (view, index, little) => view.getInt16(40 + 2 * index, little),
  pixdim: (view, index, little) => view.getFloat32(76 + 4 * index, little),
  datatypeAt: 70,
  offset: (view, little) => view.getFloat32(108, little),
  scaling: (view, index, little) => view.getFloat32(112 + 4 * index, little),
  code: (view, index, little) => view.getInt16(252 + 2 * index, little),
  quaternion: (view, index, little) => view.getFloat32(256 + 4 * index, little),
  row: (view, index, little) => view.getFloat32(280 + 4 * index, little),
  units: (view) => view.getUint8(123),
};

const NIFTI_2: Layout = {
  length: 540,
  magicAt: 4,
  dim: (view, index, little) => Number(view.getBigInt64(16 + 8 * index, little)),
  pixdim: (view, index, little) => view.getFloat64(104 + 8 * index, little),
  datatypeAt: 12,
  offset: (view, little) => Number(view.getBigInt64(168, little)),
  scaling: (view, index, little) => view.getFloat64(176 + 8 * index, little),
  code: (view, index, little) => view.getInt32(344 + 4 * index, little),
  quaternion: (view, index, little) => view.getFloat64(352 + 8 * index, little),
  row: (view, index, little) => view.getFloat64(400 + 8 * index, little),
  units: (view, little) => view.getInt32(500, little),
};

/** The most voxels along an axis: what the network takes of a picture. */
const LONGEST_AXIS = 32_768;

/**
 * Reads a header.
 *
 * @throws {UmedsamError} `invalid-image` that says what the bytes are instead, or which field cannot be.
 */
export function readHeader(bytes: Uint8Array): NiftiHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [layout, version, littleEndian] = recognized(view);
  if (bytes.byteLength < layout.length) {
    throw invalid(`the NIfTI file is cut off: ${bytes.byteLength} bytes, its header alone has ${layout.length}`);
  }
  const dimensions = layout.dim(view, 0, littleEndian);
  const dims = Array.from({ length: 7 }, (_, index) => (index < dimensions ? layout.dim(view, index + 1, littleEndian) : 1));
  if (!(dimensions >= 1 && dimensions <= 7) || dims.some((size) => !(size >= 1))) {
    throw invalid(`the NIfTI header says ${dimensions} dimensions of ${dims.slice(0, Math.max(0, dimensions)).join("×")} voxels; use 1 to 7, each 1 or more`);
  }
  const size = dims.slice(0, 3) as [number, number, number];
  if (size.some((length) => length > LONGEST_AXIS)) {
    throw invalid(`the volume has ${size.join("×")} voxels; use at most ${LONGEST_AXIS} along an axis`);
  }
  const [slope, intercept] = [layout.scaling(view, 0, littleEndian), layout.scaling(view, 1, littleEndian)];
  const isScaled = Number.isFinite(slope) && slope !== 0;
  const problems: string[] = [];
  const affine = affineOf(view, layout, littleEndian, problems);
  const offset = layout.offset(view, littleEndian);
  return {
    version,
    littleEndian,
    datatype: view.getInt16(layout.datatypeAt, littleEndian),
    size,
    frames: dims.slice(3).reduce((product, count) => product * count, 1),
    offset: Number.isFinite(offset) && offset >= layout.length ? Math.floor(offset) : layout.length + 4,
    slope: isScaled ? slope : 1,
    intercept: isScaled && Number.isFinite(intercept) ? intercept : 0,
    geometry: { size, affine },
    problems,
    length: layout.length,
  };
}

function recognized(view: DataView): [Layout, 1 | 2, boolean] {
  if (view.byteLength < 4) throw invalid(`the file has ${view.byteLength} bytes; it is no NIfTI file`);
  for (const littleEndian of [true, false]) {
    const length = view.getInt32(0, littleEndian);
    const layout = length === 348 ? NIFTI_1 : length === 540 ? NIFTI_2 : undefined;
    if (layout === undefined) continue;
    if (view.byteLength < layout.length) {
      throw invalid(`the NIfTI file is cut off: ${view.byteLength} bytes, its header alone has ${layout.length}`);
    }
    const magic = String.fromCharCode(...[0, 1, 2].map((index) => view.getUint8(layout.magicAt + index)));
    const version = length === 348 ? 1 : 2;
    if (magic === `n+${version}`) return [layout, version, littleEndian];
    if (magic === `ni${version}`) {
      throw invalid("the file is a NIfTI header whose voxels are in another file (.hdr and .img); convert them to one .nii, for instance with nibabel");
    }
    if (version === 1) throw invalid("the file is an Analyze 7.5 header, which does not say where left and right are; convert it to .nii");
  }
  throw invalid("the file is no NIfTI file: it does not begin with a header of 348 or 540 bytes");
}

/** The header's affine in LPS; of sform, qform and voxel sizes the first that can be used, as nibabel takes them. */
function affineOf(view: DataView, layout: Layout, little: boolean, problems: string[]): readonly number[] {
  // To mm; what has no unit is taken for mm.
  const unit = { 1: 1000, 3: 0.001 }[layout.units(view, little) & 7] ?? 1;
  const sizes = [1, 2, 3].map((index) => {
    const length = Math.abs(layout.pixdim(view, index, little));
    return Number.isFinite(length) && length > 0 ? length : 1;
  }) as [number, number, number];
  const candidates: (readonly [string, () => number[]])[] = [
    ["sform", () => Array.from({ length: 12 }, (_, index) => layout.row(view, index, little))],
    ["qform", () => quaternionRows(view, layout, little, sizes)],
  ];
  const code = { sform: layout.code(view, 1, little), qform: layout.code(view, 0, little) };
  for (const [name, rows] of candidates) {
    if (code[name as keyof typeof code] <= 0) continue;
    const affine = rows();
    if (isUsable(affine)) return inLps(affine, unit);
    problems.push(`the ${name} maps the volume onto a plane or a line; it was left out`);
  }
  problems.push("the file does not say how it lies in space; left and right may be the other way round");
  // As nibabel has it: mirrored in x, the middle of the volume at the origin.
  const middle = [1, 2, 3].map((index) => (Math.max(layout.dim(view, index, little), 1) - 1) / 2) as [number, number, number];
  const [x, y, z] = sizes;
  return inLps([-x, 0, 0, x * middle[0], 0, y, 0, -y * middle[1], 0, 0, z, -z * middle[2]], unit);
}

function isUsable(rows: readonly number[]): boolean {
  if (!rows.every(Number.isFinite)) return false;
  const at = (line: number, column: number) => rows[4 * line + column] as number;
  const lengths = [0, 1, 2].map((column) => Math.hypot(at(0, column), at(1, column), at(2, column)));
  const determinant =
    at(0, 0) * (at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1)) -
    at(0, 1) * (at(1, 0) * at(2, 2) - at(1, 2) * at(2, 0)) +
    at(0, 2) * (at(1, 0) * at(2, 1) - at(1, 1) * at(2, 0));
  return Math.abs(determinant) > 1e-6 * lengths.reduce((product, length) => product * length, 1);
}

/** Rows of an affine from RAS to LPS, in mm, with the row that every affine ends with. */
function inLps(rows: readonly number[], unit: number): readonly number[] {
  return [...rows.map((value, index) => (index < 8 ? -value : value) * unit + 0), 0, 0, 0, 1];
}

function quaternionRows(view: DataView, layout: Layout, little: boolean, [x, y, z]: readonly [number, number, number]): number[] {
  const value = (index: number) => layout.quaternion(view, index, little);
  const [b, c, d] = [value(0), value(1), value(2)];
  const a = Math.sqrt(Math.max(0, 1 - b * b - c * c - d * d));
  // qfac: whether the third axis is mirrored.
  const depth = layout.pixdim(view, 0, little) < 0 ? -z : z;
  return [
    (a * a + b * b - c * c - d * d) * x,
    2 * (b * c - a * d) * y,
    2 * (b * d + a * c) * depth,
    value(3),
    2 * (b * c + a * d) * x,
    (a * a + c * c - b * b - d * d) * y,
    2 * (c * d - a * b) * depth,
    value(4),
    2 * (b * d - a * c) * x,
    2 * (c * d + a * b) * y,
    (a * a + d * d - c * c - b * b) * depth,
    value(5),
  ];
}
