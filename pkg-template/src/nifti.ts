/**
 * NIfTI volumes, read and written without a dependency. An entry of its own (`umedsam/nifti`).
 *
 * @example
 * const { volume } = await readNifti(file);
 * const slice = volume.slice(Math.floor(volume.slices() / 2));
 * const image = await model.encode(slice.image);
 *
 * @packageDocumentation
 */

import { UmedsamError } from "./errors.js";
import { bytesOf, inflated, invalid } from "./file-bytes.js";
import { type NiftiHeader, readHeader } from "./nifti-header.js";
import { kindOf, readSlice } from "./nifti-values.js";
import { typeName } from "./realms.js";
import { Volume } from "./volume.js";

export { type ErrorCode, UmedsamError } from "./errors.js";
export { type Axis, type Geometry, type Plane, Turn, placeOf, planeOf, spacingOf, turnOf } from "./geometry.js";
export { type VolumeSlice, Volume } from "./volume.js";

/** A file that was read. */
export interface Nifti {
  /** The first volume. */
  readonly volume: Volume;
  /** Volumes in the file: more than one in a series over time, or of several channels. */
  readonly count: number;
  /**
   * A volume of the file, counted from 0.
   *
   * @throws {UmedsamError} `invalid-option` if there is no such volume.
   */
  frame(index: number): Volume;
  /** What is odd about the file, in words: an orientation that it does not tell, for instance. */
  readonly problems: readonly string[];
  /** The file's header as it was stored, for {@link writeNifti}. */
  readonly header: Uint8Array;
}

/**
 * Reads a NIfTI-1 or NIfTI-2 file of either byte order and any numeric type, `.nii` or `.nii.gz` whatever its name. Values are scaled as the header says; of
 * complex numbers the magnitude is taken. Voxels are kept as they are stored, and slices made of them when asked for.
 *
 * @throws {UmedsamError} `invalid-image` that says what is wrong: cut off, another format, a type that cannot be read.
 */
export async function readNifti(file: Blob | ArrayBuffer | ArrayBufferView | Response): Promise<Nifti> {
  const bytes = await unpacked(await bytesOf(file));
  const header = readHeader(bytes);
  const { channels } = kindOf(header, bytes);
  const frame = (index: number) => {
    if (!Number.isInteger(index) || index < 0 || index >= header.frames) {
      throw new UmedsamError("invalid-option", `frame is ${String(index)}; the file has volumes 0 to ${header.frames - 1}`);
    }
    return new Volume(header.geometry, channels, (axis, slice) => readSlice(header, bytes, index, axis, slice));
  };
  return { volume: frame(0), count: header.frames, frame, problems: header.problems, header: bytes.slice(0, header.length) };
}

/** What a gzip file holds, or the bytes themselves. */
async function unpacked(bytes: Uint8Array): Promise<Uint8Array> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return await inflated(bytes, "gzip");
  } catch (cause) {
    throw invalid(`the .gz file is cut off or damaged (${cause instanceof Error ? cause.message : String(cause)}); get it again`, cause);
  }
}

/** What a volume is written as. */
export interface NiftiContent {
  /** A value for each voxel, columns first, in the order of the file that was read. */
  readonly data: Uint8Array | Uint16Array | Int16Array | Float32Array;
  /** Said in the header, at most 79 characters; for instance what made the volume. */
  readonly description?: string;
}

/** NIfTI's codes of what is written. */
const CODES = { Uint8Array: [2, 8], Int16Array: [4, 16], Uint16Array: [512, 16], Float32Array: [16, 32] } as const;

/**
 * Writes a volume on the grid of a file that was read: the same sizes, sform, qform and units, bit for bit. A single volume, little endian, not compressed.
 *
 * @throws {UmedsamError} `invalid-option` if the data does not fit the grid.
 */
export function writeNifti({ data, description = "umedsam" }: NiftiContent, like: Nifti): Uint8Array {
  const { geometry } = like.volume;
  const voxels = geometry.size.reduce((product, length) => product * length, 1);
  const code = CODES[typeName(data) as keyof typeof CODES];
  if (code === undefined) {
    throw new UmedsamError("invalid-option", `data is ${typeName(data)}; use a Uint8Array, Uint16Array, Int16Array or Float32Array`);
  }
  if (data.length !== voxels) {
    throw new UmedsamError("invalid-option", `data has ${data.length} values, the volume ${geometry.size.join("×")} = ${voxels} voxels`);
  }
  const source: NiftiHeader = readHeader(like.header);
  const offset = source.length + 4;
  const bytes = new Uint8Array(offset + data.byteLength);
  bytes.set(inLittleEndian(like.header, source));
  const view = new DataView(bytes.buffer);
  const text = new TextEncoder().encode(description).slice(0, 79);
  const write = source.version === 1 ? writeFields1 : writeFields2;
  write(view, bytes, { size: geometry.size, code, offset, text });
  const body = new DataView(bytes.buffer, offset);
  const set = {
    Uint8Array: (index: number, value: number) => body.setUint8(index, value),
    Int16Array: (index: number, value: number) => body.setInt16(2 * index, value, true),
    Uint16Array: (index: number, value: number) => body.setUint16(2 * index, value, true),
    Float32Array: (index: number, value: number) => body.setFloat32(4 * index, value, true),
  }[typeName(data) as keyof typeof CODES];
  data.forEach((value, index) => set(index, value));
  return bytes;
}

interface Fields {
  readonly size: readonly [number, number, number];
  readonly code: readonly [number, number];
  readonly offset: number;
  readonly text: Uint8Array;
}

function writeFields1(view: DataView, bytes: Uint8Array, { size, code, offset, text }: Fields): void {
  [3, ...size, 1, 1, 1, 1].forEach((length, index) => view.setInt16(40 + 2 * index, length, true));
  view.setInt16(70, code[0], true);
  view.setInt16(72, code[1], true);
  view.setFloat32(108, offset, true);
  // Not scaled, and no range to be shown in.
  [1, 0, 0, 0].forEach((value, index) => view.setFloat32([112, 116, 124, 128][index] as number, value, true));
  bytes.fill(0, 148, 228).set(text, 148);
}

function writeFields2(view: DataView, bytes: Uint8Array, { size, code, offset, text }: Fields): void {
  [3, ...size, 1, 1, 1, 1].forEach((length, index) => view.setBigInt64(16 + 8 * index, BigInt(length), true));
  view.setInt16(12, code[0], true);
  view.setInt16(14, code[1], true);
  view.setBigInt64(168, BigInt(offset), true);
  [1, 0, 0, 0].forEach((value, index) => view.setFloat64([176, 184, 192, 200][index] as number, value, true));
  bytes.fill(0, 240, 320).set(text, 240);
}

/** Bytes of the numbers of a header: from where on, how many, of how many bytes each. */
const NUMBERS_1 = [[0, 1, 4], [32, 1, 4], [36, 1, 2], [40, 8, 2], [56, 3, 4], [68, 4, 2], [76, 11, 4], [120, 1, 2], [124, 6, 4], [252, 2, 2], [256, 18, 4]] as const;
const NUMBERS_2 = [[0, 1, 4], [12, 2, 2], [16, 8, 8], [80, 3, 8], [104, 8, 8], [168, 1, 8], [176, 6, 8], [224, 2, 8], [344, 2, 4], [352, 18, 8], [496, 3, 4]] as const;

function inLittleEndian(header: Uint8Array, { littleEndian, version }: NiftiHeader): Uint8Array {
  if (littleEndian) return header;
  const turned = header.slice();
  for (const [begin, count, width] of version === 1 ? NUMBERS_1 : NUMBERS_2) {
    for (let index = 0; index < count; index++) {
      turned.subarray(begin + index * width, begin + (index + 1) * width).reverse();
    }
  }
  return turned;
}
