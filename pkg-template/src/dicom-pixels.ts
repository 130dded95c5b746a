/** From a frame's bytes to the values that people know: Hounsfield units, RGB. */

import { type Decoded, decodeFrame } from "./dicom-codecs.js";
import { type DicomFile, frameLength } from "./dicom-file.js";
import { invalid } from "./file-bytes.js";
import type { FileInfo, FrameInfo, LookUpTable } from "./dicom-header.js";
import type { PixelArray } from "./types.js";

/** A frame's values, row by row, channels of a pixel side by side. */
export interface FrameValues {
  readonly values: PixelArray;
  readonly channels: 1 | 3 | 4;
}

/**
 * Reads and decodes a frame.
 *
 * @throws {UmedsamError} `invalid-image` if it is damaged or its decoder cannot be loaded.
 */
export async function frameValues(file: DicomFile, index: number, baseUrl: string | URL | undefined): Promise<FrameValues> {
  const { info, coding } = file;
  const bytes = await file.bytes(index);
  const frame = info.frames[index] as FrameInfo;
  if (file.floats !== undefined) return { values: rescaled(floatsOf(bytes, file), info, frame), channels: 1 };
  const stored = coding === "native" ? native(bytes, file) : await decodeFrame(coding, bytes, info, baseUrl);
  const isAsStored = coding === "native" || coding === "rle";
  const values = inRange(stored.values, info, isAsStored);
  if (info.photometric === "PALETTE COLOR") return { values: coloured(values, info), channels: 3 };
  if (stored.channels === 1) return { values: rescaled(values, info, frame), channels: 1 };
  const isYbr = info.photometric.startsWith("YBR_FULL") && !stored.isRgb;
  return { values: isYbr ? rgbOfYbr(values, stored.channels) : inEightBits(values, info), channels: stored.channels as 3 | 4 };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function floatsOf(bytes: Uint8Array, { info, floats, isBigEndian }: DicomFile): Float32Array | Float64Array {
  const view = viewOf(bytes);
  const count = info.rows * info.columns * info.samples;
  return floats === 64
    ? Float64Array.from({ length: count }, (_, index) => view.getFloat64(8 * index, !isBigEndian))
    : Float32Array.from({ length: count }, (_, index) => view.getFloat32(4 * index, !isBigEndian));
}

interface Stored {
  readonly values: Decoded["values"];
  readonly channels: number;
  readonly isRgb: boolean;
}

/** Values that are not coded, channels side by side. */
function native(bytes: Uint8Array, { info, isBigEndian, floats }: DicomFile): Stored {
  const { rows, columns, samples, bitsAllocated, isPlanar, photometric } = info;
  if (bytes.length < frameLength(info, floats)) throw invalid("the frame is cut off");
  const view = viewOf(bytes);
  const pixels = rows * columns;
  if (bitsAllocated === 1) {
    const values = Uint8Array.from({ length: pixels * samples }, (_, index) => ((bytes[index >> 3] as number) >> (index & 7)) & 1);
    return { values, channels: samples, isRgb: false };
  }
  if (photometric.startsWith("YBR_FULL_422") || photometric === "YBR_PARTIAL_422") {
    // Two pixels are Y, Y, Cb, Cr.
    const values = new Uint8Array(3 * pixels);
    for (let pixel = 0; pixel < pixels; pixel++) {
      const pair = 4 * (pixel >> 1);
      values.set([bytes[pair + (pixel & 1)] as number, bytes[pair + 2] as number, bytes[pair + 3] as number], 3 * pixel);
    }
    return { values, channels: 3, isRgb: false };
  }
  const count = pixels * samples;
  const at = isPlanar && samples > 1 ? (index: number) => (index % samples) * pixels + Math.floor(index / samples) : (index: number) => index;
  const read = { 8: (index: number) => bytes[index] as number, 16: (index: number) => view.getUint16(2 * index, !isBigEndian), 32: (index: number) => view.getUint32(4 * index, !isBigEndian) };
  if (bitsAllocated === 64) throw invalid("the frame has whole numbers of 64 bits, which are not read");
  const values = bitsAllocated === 8 ? new Uint8Array(count) : bitsAllocated === 16 ? new Uint16Array(count) : new Uint32Array(count);
  const get = read[bitsAllocated as 8 | 16 | 32];
  for (let index = 0; index < count; index++) values[index] = get(at(index));
  return { values, channels: samples, isRgb: false };
}

/** The stored bits of values, with their sign. */
function inRange(values: Stored["values"], { bitsStored, bitsAllocated, highBit, isSigned }: FileInfo, isAsStored: boolean): PixelArray {
  const shift = isAsStored ? highBit + 1 - bitsStored : 0;
  const isWhole = bitsStored === bitsAllocated && shift === 0;
  if (isWhole && !isSigned && !(values instanceof Int8Array || values instanceof Int16Array)) return values;
  const [left, right] = [32 - bitsStored - shift, 32 - bitsStored];
  const inBits = isSigned
    ? (value: number) => (value << left) >> right
    : (value: number) => ((value << left) >>> right) >>> 0;
  const kind = bitsAllocated <= 8 ? (isSigned ? Int8Array : Uint8Array) : bitsAllocated <= 16 ? (isSigned ? Int16Array : Uint16Array) : isSigned ? Int32Array : Uint32Array;
  const result = new kind(values.length);
  for (let index = 0; index < values.length; index++) result[index] = inBits(values[index] as number);
  return result;
}

/** Values in the file's units, and pixels that are none as the lowest of the others. */
function rescaled(stored: PixelArray, info: FileInfo, { slope, intercept }: FrameInfo): PixelArray {
  const { padding, modalityTable: table } = info;
  const isPlain = table === undefined && slope === 1 && intercept === 0;
  const values = isPlain ? stored : new Float32Array(stored.length);
  if (!isPlain) {
    for (let index = 0; index < stored.length; index++) {
      const value = stored[index] as number;
      values[index] = table === undefined ? value * slope + intercept : entry(table, value);
    }
  }
  if (padding === undefined) return values;
  const isPadding = (index: number) => (stored[index] as number) >= padding[0] && (stored[index] as number) <= padding[1];
  // Both may be one array, whose padding is looked at before it is replaced.
  let lowest = Number.POSITIVE_INFINITY;
  for (let index = 0; index < stored.length; index++) {
    if (!isPadding(index)) lowest = Math.min(lowest, values[index] as number);
  }
  if (Number.isFinite(lowest)) {
    for (let index = 0; index < stored.length; index++) if (isPadding(index)) values[index] = lowest;
  }
  return values;
}

function entry({ first, values }: LookUpTable, value: number): number {
  return values[Math.min(values.length - 1, Math.max(0, value - first))] as number;
}

function coloured(values: PixelArray, { palette }: FileInfo): Uint8Array {
  if (palette === undefined) throw invalid("the DICOM file has palette colours without a table of its own, which are not read");
  const rgb = new Uint8Array(3 * values.length);
  for (let pixel = 0; pixel < values.length; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      const table = palette[channel] as LookUpTable;
      const value = entry(table, values[pixel] as number);
      rgb[3 * pixel + channel] = table.bits > 8 ? value >> 8 : value;
    }
  }
  return rgb;
}

/** Source: PS3.3, C.7.6.3.1.2, for YBR_FULL. */
function rgbOfYbr(values: PixelArray, channels: number): Uint8Array {
  const rgb = new Uint8ClampedArray(values.length);
  for (let pixel = 0; pixel < values.length; pixel += channels) {
    const [y, cb, cr] = [values[pixel] as number, (values[pixel + 1] as number) - 128, (values[pixel + 2] as number) - 128];
    rgb[pixel] = y + 1.402 * cr;
    rgb[pixel + 1] = y - 0.344136 * cb - 0.714136 * cr;
    rgb[pixel + 2] = y + 1.772 * cb;
    if (channels === 4) rgb[pixel + 3] = values[pixel + 3] as number;
  }
  return new Uint8Array(rgb.buffer);
}

/** Colours of more bits as 8. */
function inEightBits(values: PixelArray, { bitsStored }: FileInfo): PixelArray {
  if (bitsStored <= 8) return values;
  const result = new Uint8Array(values.length);
  for (let index = 0; index < values.length; index++) result[index] = (values[index] as number) >> (bitsStored - 8);
  return result;
}
