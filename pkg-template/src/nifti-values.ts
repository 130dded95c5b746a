/** Voxels of NIfTI files as numbers. */

import { invalid } from "./file-bytes.js";
import { type Axis, axesOf } from "./geometry.js";
import type { NiftiHeader } from "./nifti-header.js";
import type { PixelArray } from "./types.js";

interface Kind {
  readonly bytes: number;
  readonly channels: 1 | 3 | 4;
  /** A typed array of the values as they are stored. */
  readonly array: (length: number) => PixelArray;
  readonly read: (view: DataView, at: number, little: boolean) => number;
}

const float64 = (length: number) => new Float64Array(length);
const byte = (view: DataView, at: number) => view.getUint8(at);

/** By NIfTI's code. */
const KINDS: Readonly<Record<number, Kind>> = {
  2: { bytes: 1, channels: 1, array: (length) => new Uint8Array(length), read: byte },
  4: { bytes: 2, channels: 1, array: (length) => new Int16Array(length), read: (view, at, little) => view.getInt16(at, little) },
  8: { bytes: 4, channels: 1, array: (length) => new Int32Array(length), read: (view, at, little) => view.getInt32(at, little) },
  16: { bytes: 4, channels: 1, array: (length) => new Float32Array(length), read: (view, at, little) => view.getFloat32(at, little) },
  // A complex number is shown by its magnitude.
  32: { bytes: 8, channels: 1, array: float64, read: (view, at, little) => Math.hypot(view.getFloat32(at, little), view.getFloat32(at + 4, little)) },
  64: { bytes: 8, channels: 1, array: float64, read: (view, at, little) => view.getFloat64(at, little) },
  128: { bytes: 3, channels: 3, array: (length) => new Uint8Array(length), read: byte },
  256: { bytes: 1, channels: 1, array: (length) => new Int8Array(length), read: (view, at) => view.getInt8(at) },
  512: { bytes: 2, channels: 1, array: (length) => new Uint16Array(length), read: (view, at, little) => view.getUint16(at, little) },
  768: { bytes: 4, channels: 1, array: (length) => new Uint32Array(length), read: (view, at, little) => view.getUint32(at, little) },
  1024: { bytes: 8, channels: 1, array: float64, read: (view, at, little) => Number(view.getBigInt64(at, little)) },
  1280: { bytes: 8, channels: 1, array: float64, read: (view, at, little) => Number(view.getBigUint64(at, little)) },
  1792: { bytes: 16, channels: 1, array: float64, read: (view, at, little) => Math.hypot(view.getFloat64(at, little), view.getFloat64(at + 8, little)) },
  2304: { bytes: 4, channels: 4, array: (length) => new Uint8Array(length), read: byte },
};

/** Codes that are known and cannot be read. */
const UNREADABLE: Readonly<Record<number, string>> = {
  0: "unknown",
  1: "bits",
  1536: "float128, which every machine writes its own way",
  2048: "complex256, which every machine writes its own way",
};

/** The type of a file's voxels, which must all be there. */
export function kindOf({ datatype, size, frames, offset }: NiftiHeader, bytes: Uint8Array): Kind {
  const kind = KINDS[datatype];
  if (kind === undefined) {
    const name = UNREADABLE[datatype] ?? "none that NIfTI has";
    throw invalid(`the voxels' type is ${datatype} (${name}); convert the file to int16 or float32`);
  }
  const expected = offset + size.reduce((product, length) => product * length, 1) * frames * kind.bytes;
  if (bytes.byteLength < expected) {
    throw invalid(`the NIfTI file is cut off: ${bytes.byteLength} of ${expected} bytes`);
  }
  return kind;
}

/** The values of a slice across an axis, row by row, scaled as the header says. */
export function readSlice(header: NiftiHeader, bytes: Uint8Array, frame: number, axis: Axis, index: number): PixelArray {
  const kind = kindOf(header, bytes);
  const { size, littleEndian, slope, intercept } = header;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const voxels = size[0] * size[1] * size[2];
  const strides = [1, size[0], size[0] * size[1]] as const;
  const [a, b] = axesOf(axis);
  const [columns, rows] = [size[a], size[b]];
  // Colours are not scaled.
  const isScaled = kind.channels === 1 && (slope !== 1 || intercept !== 0);
  const values = isScaled ? new Float32Array(columns * rows) : kind.array(columns * rows * kind.channels);
  const begin = frame * voxels + index * strides[axis];
  let next = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const at = header.offset + (begin + row * strides[b] + column * strides[a]) * kind.bytes;
      for (let channel = 0; channel < kind.channels; channel++) {
        const value = kind.read(view, at + channel, littleEndian);
        values[next++] = isScaled ? value * slope + intercept : value;
      }
    }
  }
  return values;
}
