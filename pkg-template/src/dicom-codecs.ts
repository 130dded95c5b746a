/** Decoders of compressed frames, loaded when the first such frame is read. */

import { readFile } from "./local-files.js";
import { invalid } from "./file-bytes.js";
import type { FileInfo } from "./dicom-header.js";
import type { Coding } from "./dicom-syntax.js";
import { folderUrl } from "./urls.js";
import type { CodecModule, Decoder } from "./vendor/codecs.js";

/** Stored values, channels of a pixel side by side. */
export interface Decoded {
  readonly values: Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array;
  readonly channels: number;
  /** Whether the decoder made RGB of whatever colours there were. */
  readonly isRgb: boolean;
}

type Factory = (typeof import("./vendor/codecs.js"))["default"];

interface Codec {
  readonly load: () => Promise<{ readonly default: Factory }>;
  readonly wasm: (baseUrl: string | URL | undefined) => URL;
  readonly decoder: (module: CodecModule) => Decoder;
}

const beside = (baseUrl: string | URL, file: string) => new URL(`dist/vendor/${file}`, folderUrl(baseUrl));

/** Bundlers find the modules by these expressions. */
const CODECS = {
  "jpeg-ls": {
    load: () => import("./vendor/charls.js"),
    wasm: (base) => (base === undefined ? new URL("./vendor/charls.wasm", import.meta.url) : beside(base, "charls.wasm")),
    decoder: (module) => new module.JpegLSDecoder(),
  },
  "jpeg-2000": {
    load: () => import("./vendor/openjpeg.js"),
    wasm: (base) => (base === undefined ? new URL("./vendor/openjpeg.wasm", import.meta.url) : beside(base, "openjpeg.wasm")),
    decoder: (module) => new module.J2KDecoder(),
  },
  htj2k: {
    load: () => import("./vendor/openjph.js"),
    wasm: (base) => (base === undefined ? new URL("./vendor/openjph.wasm", import.meta.url) : beside(base, "openjph.wasm")),
    decoder: (module) => new module.HTJ2KDecoder(),
  },
  jpeg: {
    load: () => import("./vendor/libjpeg-turbo.js"),
    wasm: (base) => (base === undefined ? new URL("./vendor/libjpeg-turbo.wasm", import.meta.url) : beside(base, "libjpeg-turbo.wasm")),
    decoder: (module) => new module.JPEGDecoder(),
  },
} satisfies Partial<Record<Coding, Codec>>;

const modules = new Map<string, Promise<CodecModule>>();

/** The module of a codec; a load that failed is tried again by the next frame. */
function moduleOf(name: keyof typeof CODECS, baseUrl: string | URL | undefined): Promise<CodecModule> {
  const codec: Codec = CODECS[name];
  const url = codec.wasm(baseUrl);
  const known = modules.get(url.href);
  if (known !== undefined) return known;
  const load = async () => {
    const [{ default: factory }, wasmBinary] = await Promise.all([codec.load(), bytesAt(url)]);
    // They tell the console about every frame.
    return factory({ wasmBinary, print: () => {}, printErr: () => {} });
  };
  const loading = load().catch((cause: unknown) => {
    modules.delete(url.href);
    throw invalid(`the ${name} decoder could not be loaded from ${url.href}: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  });
  modules.set(url.href, loading);
  return loading;
}

async function bytesAt(url: URL): Promise<Uint8Array> {
  if (url.protocol === "file:") return readFile(url);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/**
 * Decodes a frame.
 *
 * @throws {UmedsamError} `invalid-image` if it is damaged or of another size, or its decoder cannot be loaded.
 */
export async function decodeFrame(coding: Exclude<Coding, "native">, bytes: Uint8Array, info: FileInfo, baseUrl: string | URL | undefined): Promise<Decoded> {
  switch (coding) {
    case "rle":
      return decodeRle(bytes, info);
    case "jpeg-lossless":
      return decodeLossless(bytes, info);
    case "jpeg-12bit":
      // Extended JPEG has 8 or 12 bits.
      if (info.bitsAllocated > 8) return decode12Bit(bytes, info);
  }
  const name = coding === "jpeg-12bit" ? "jpeg" : coding;
  const module = await moduleOf(name, baseUrl);
  const codec: Codec = CODECS[name];
  const decoder = codec.decoder(module);
  try {
    const encoded = name === "jpeg" ? withColours(bytes, info) : bytes;
    decoder.getEncodedBuffer(encoded.length).set(encoded);
    decoder.decode();
    const frame = decoder.getFrameInfo();
    if (frame.width !== info.columns || frame.height !== info.rows) {
      throw new Error(`it holds ${frame.width}×${frame.height} pixels, the file says ${info.columns}×${info.rows}`);
    }
    const decoded = decoder.getDecodedBuffer().slice();
    const isSigned = frame.isSigned ?? info.isSigned;
    return { values: typed(decoded, frame.bitsPerSample > 8 ? 16 : 8, isSigned), channels: frame.componentCount, isRgb: name === "jpeg" };
  } catch (cause) {
    const said = typeof cause === "number" ? (module.getExceptionMessage?.(cause) ?? `error ${cause}`) : cause instanceof Error ? cause.message : String(cause);
    throw invalid(`a frame coded as ${name} is damaged: ${said}`, cause);
  } finally {
    decoder.delete();
  }
}

function typed(bytes: Uint8Array, bits: number, isSigned: boolean): Decoded["values"] {
  if (bits === 8) return isSigned ? new Int8Array(bytes.buffer) : bytes;
  if (bits === 32) return isSigned ? new Int32Array(bytes.buffer) : new Uint32Array(bytes.buffer);
  return isSigned ? new Int16Array(bytes.buffer) : new Uint16Array(bytes.buffer);
}

/** Adobe's marker, which says that colours are RGB. */
const RGB_MARKER = [0xff, 0xee, 0, 14, 0x41, 0x64, 0x6f, 0x62, 0x65, 0, 100, 0, 0, 0, 0, 0];

/** A JPEG without a marker is taken for YCbCr, whatever the DICOM file says. */
function withColours(bytes: Uint8Array, { photometric }: FileInfo): Uint8Array {
  const isMarked = bytes[2] === 0xff && (bytes[3] === 0xe0 || bytes[3] === 0xee);
  if (photometric !== "RGB" || isMarked) return bytes;
  return Uint8Array.from([...bytes.subarray(0, 2), ...RGB_MARKER, ...bytes.subarray(2)]);
}

async function decodeLossless(bytes: Uint8Array, info: FileInfo): Promise<Decoded> {
  const { Decoder } = await import("./vendor/jpeg-lossless.js");
  try {
    const width = info.bitsAllocated <= 8 ? 1 : 2;
    const { buffer } = new Decoder().decode(bytes.buffer, bytes.byteOffset, bytes.length, width);
    const expected = info.rows * info.columns * info.samples * width;
    if (buffer.byteLength < expected) throw new Error(`it holds ${buffer.byteLength} of ${expected} bytes`);
    const values = new Uint8Array(buffer as ArrayBuffer, 0, expected).slice();
    return { values: typed(values, width === 1 ? 8 : 16, info.isSigned), channels: info.samples, isRgb: false };
  } catch (cause) {
    throw invalid(`a frame coded as jpeg-lossless is damaged: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}

/** The decoder adds 2056 · 4095 / 255 where 12 bits need 2048 · 16 + 8, and takes a sixteenth of the sum. */
const TOO_MUCH = 15;

async function decode12Bit(bytes: Uint8Array, { columns, rows }: FileInfo): Promise<Decoded> {
  const { default: JpegImage } = await import("./vendor/jpeg-12bit.js");
  try {
    const image = new JpegImage();
    image.parse(bytes);
    image.colorTransform = false;
    const values = image.getData16(columns, rows);
    for (let index = 0; index < values.length; index++) values[index] = Math.max(0, (values[index] as number) - TOO_MUCH);
    return { values, channels: 1, isRgb: false };
  } catch (cause) {
    throw invalid(`a frame coded as jpeg of 12 bits is damaged: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}

/**
 * Source: PS3.5, annex G: up to 15 segments of packed bytes, each a byte of every value, the most significant first.
 */
function decodeRle(bytes: Uint8Array, { rows, columns, samples, bitsAllocated, isSigned }: FileInfo): Decoded {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const width = bitsAllocated / 8;
  const segments = bytes.length >= 64 ? view.getUint32(0, true) : 0;
  if (segments !== samples * width || ![8, 16, 32].includes(bitsAllocated)) {
    throw invalid(`a frame coded as RLE has ${segments} segments, for ${samples} values of ${bitsAllocated} bits a pixel`);
  }
  const pixels = rows * columns;
  const values = new Uint8Array(pixels * samples * width);
  for (let segment = 0; segment < segments; segment++) {
    const begin = view.getUint32(4 + 4 * segment, true);
    const next = segment + 1 < segments ? view.getUint32(8 + 4 * segment, true) : bytes.length;
    const [sample, order] = [Math.floor(segment / width), segment % width];
    // Little endian: the most significant byte comes last.
    const first = sample * width + (width - 1 - order);
    unpack(bytes.subarray(begin, Math.min(next, bytes.length)), values, first, samples * width, pixels);
  }
  return { values: typed(values, bitsAllocated, isSigned), channels: samples, isRgb: false };
}

/** PackBits, every value `stride` bytes after the one before. */
function unpack(packed: Uint8Array, into: Uint8Array, first: number, stride: number, count: number): void {
  let [done, at] = [0, 0];
  while (done < count) {
    const head = packed[at++];
    if (head === undefined) throw invalid(`a frame coded as RLE is cut off: ${done} of ${count} values`);
    if (head === 128) continue;
    const isRun = head > 128;
    const length = Math.min(isRun ? 257 - head : head + 1, count - done);
    for (let index = 0; index < length; index++) {
      const value = packed[isRun ? at : at + index];
      if (value === undefined) throw invalid(`a frame coded as RLE is cut off: ${done} of ${count} values`);
      into[first + (done + index) * stride] = value;
    }
    at += isRun ? 1 : head + 1;
    done += length;
  }
}
