/** One DICOM file: its header, and where its frames are, so that their bytes are read when they are wanted. */

import { UmedsamError } from "./errors.js";
import { invalid, inflated as unpacked } from "./file-bytes.js";
import { type FileInfo, type StudyText, fileInfo, studyText } from "./dicom-header.js";
import { BIG_ENDIAN, type Coding, DEFLATED, codingOf, insteadOfImage } from "./dicom-syntax.js";
import dicomParser, { type DataSet, type Element } from "./vendor/dicom-parser.js";

/** A file with an image. */
export interface DicomFile {
  /** The file's name, where it has one. */
  readonly name: string;
  readonly info: FileInfo;
  readonly coding: Coding;
  readonly isBigEndian: boolean;
  /** Whether the pixels are floats, of how many bits. */
  readonly floats: 32 | 64 | undefined;
  /** The bytes of a frame, as they are stored. */
  bytes(frame: number): Promise<Uint8Array>;
  /** What the file says of patient and study, read anew. */
  study(): Promise<StudyText>;
}

const message = (cause: unknown) => (cause instanceof Error ? cause.message : typeof cause === "string" ? cause : String((cause as { exception?: unknown })?.exception ?? cause));

/** Where the file meta header ends and how the rest is written. */
interface Meta {
  readonly syntax: string;
  readonly end: number;
}

function metaOf(bytes: Uint8Array): Meta {
  const begins = (text: string) => [...text].every((letter, index) => bytes[index] === letter.charCodeAt(0));
  if (bytes.length === 0) throw invalid("the file is empty");
  if (begins("<")) throw invalid("the file is a web page or XML, not DICOM");
  if (bytes.length < 132 || String.fromCharCode(...bytes.subarray(128, 132)) !== "DICM") {
    throw invalid("the file is no DICOM file: it has no DICM after 128 bytes");
  }
  try {
    const header = dicomParser.readPart10Header(bytes);
    const syntax = header.string("x00020010")?.replace(/\0+$/, "").trim();
    if (!syntax) throw invalid("the DICOM file does not name its transfer syntax");
    return { syntax, end: header.position };
  } catch (cause) {
    if (cause instanceof UmedsamError) throw cause;
    throw invalid(`the DICOM file's header is cut off or damaged (${message(cause)})`, cause);
  }
}

/** A deflated file as it would be without. */
async function inflated(bytes: Uint8Array, end: number): Promise<Uint8Array> {
  try {
    const rest = await unpacked(bytes.subarray(end), "deflate-raw");
    const whole = new Uint8Array(end + rest.length);
    whole.set(bytes.subarray(0, end));
    whole.set(rest, end);
    return whole;
  } catch (cause) {
    throw invalid(`the deflated DICOM file is cut off or damaged (${message(cause)})`, cause);
  }
}

function parsed(bytes: Uint8Array): DataSet {
  try {
    return dicomParser.parseDicom(bytes, { inflater: () => bytes });
  } catch (cause) {
    // What comes before the damage may be all that is needed: bytes after the pixels are in no standard, and in some files.
    const partial = (cause as { readonly dataSet?: DataSet }).dataSet;
    if (partial?.elements["x7fe00010"] === undefined) throw invalid(`the DICOM file is cut off or damaged (${message(cause)})`, cause);
    return partial;
  }
}

/**
 * Reads a file's header.
 *
 * @throws {UmedsamError} `invalid-image` that says what the file is instead of an image that can be read.
 */
export async function openDicom(file: Blob, name: string): Promise<DicomFile> {
  let bytes = new Uint8Array(await file.arrayBuffer());
  let source = file;
  const { syntax, end } = metaOf(bytes);
  const coding = codingOf(syntax);
  if (syntax === DEFLATED) {
    bytes = (await inflated(bytes, end)) as Uint8Array<ArrayBuffer>;
    source = new Blob([bytes]);
  }
  const data = parsed(bytes);
  const instead = insteadOfImage(data.string("x00080016")?.trim() ?? "") ?? insteadOfImage(data.string("x00020002")?.trim() ?? "");
  if (instead !== undefined) throw invalid(`the DICOM file is ${instead}`);
  if (typeof coding !== "string") throw invalid(`the transfer syntax ${coding.unread} is not read; convert the file, for instance with dcmconv or gdcmconv`);
  const pixels = data.elements["x7fe00010"] ?? data.elements["x7fe00008"] ?? data.elements["x7fe00009"];
  if (pixels === undefined) {
    const isEncrypted = data.elements["x04000500"] !== undefined;
    throw invalid(isEncrypted ? "the DICOM file's pixels are encrypted" : "the DICOM file has no pixels");
  }
  const info = fileInfo(data);
  check(info);
  const floats = pixels.tag === "x7fe00008" ? 32 : pixels.tag === "x7fe00009" ? 64 : undefined;
  // Bytes in words of the other order.
  const isSwapped = syntax === BIG_ENDIAN && pixels.vr === "OW" && info.bitsAllocated <= 8;
  const ranges = coding === "native" ? nativeRanges(info, pixels, floats, bytes.length) : codedRanges(info, data, pixels);
  return {
    name,
    info,
    coding,
    isBigEndian: syntax === BIG_ENDIAN,
    floats,
    async bytes(frame) {
      try {
        if (isSwapped) return await swapped(source, ranges[frame]?.[0] ?? [0, 0], pixels.dataOffset);
        const parts = (ranges[frame] ?? []).map(([begin, end]) => source.slice(begin, end));
        return new Uint8Array(await new Blob(parts).arrayBuffer());
      } catch (cause) {
        throw invalid(`${name || "the file"} could not be read again (${message(cause)}); it may have changed since it was opened`, cause);
      }
    },
    async study() {
      return studyText(parsed(new Uint8Array(await source.arrayBuffer())));
    },
  };
}

async function swapped(source: Blob, [begin, end]: readonly [number, number], first: number): Promise<Uint8Array> {
  const odd = (begin - first) % 2;
  const words = new Uint8Array(await source.slice(begin - odd, end + ((end - begin + odd) % 2)).arrayBuffer());
  for (let at = 0; at + 1 < words.length; at += 2) words.subarray(at, at + 2).reverse();
  return words.slice(odd, odd + end - begin);
}

const LONGEST_SIDE = 32_768;

function check(info: FileInfo): void {
  const { rows, columns, bitsAllocated, bitsStored, highBit, samples } = info;
  const fail = (what: string) => {
    throw invalid(`the DICOM file ${what}`);
  };
  if (rows < 1 || columns < 1) fail(`says ${columns}×${rows} pixels`);
  if (rows > LONGEST_SIDE || columns > LONGEST_SIDE) fail(`has ${columns}×${rows} pixels; at most ${LONGEST_SIDE} a side are read`);
  if (![1, 8, 16, 32, 64].includes(bitsAllocated)) fail(`has ${bitsAllocated} bits allocated for a value; 1, 8, 16, 32 and 64 are read`);
  if (bitsStored < 1 || bitsStored > bitsAllocated || highBit < bitsStored - 1 || highBit >= bitsAllocated) {
    fail(`says ${bitsStored} bits stored, the highest ${highBit}, of ${bitsAllocated}`);
  }
  if (samples !== 1 && samples !== 3 && samples !== 4) fail(`has ${samples} values for a pixel; 1, 3 and 4 are read`);
}

type Ranges = readonly (readonly (readonly [number, number])[])[];

/** Bytes of a frame that is not coded. */
export function frameLength({ rows, columns, samples, bitsAllocated, photometric }: FileInfo, floats: 32 | 64 | undefined): number {
  // Two luminances share their colours.
  const perPixel = photometric.startsWith("YBR_FULL_422") || photometric === "YBR_PARTIAL_422" ? 2 : samples;
  return Math.ceil((rows * columns * perPixel * (floats ?? bitsAllocated)) / 8);
}

function nativeRanges(info: FileInfo, pixels: Element, floats: 32 | 64 | undefined, size: number): Ranges {
  const length = frameLength(info, floats);
  const count = info.frames.length;
  const there = Math.min(pixels.length, size - pixels.dataOffset);
  if (there < length * count) {
    throw invalid(`the DICOM file's pixels are cut off: ${there} of ${length * count} bytes`);
  }
  return Array.from({ length: count }, (_, frame) => [[pixels.dataOffset + frame * length, pixels.dataOffset + (frame + 1) * length]]);
}

function codedRanges(info: FileInfo, data: DataSet, pixels: Element): Ranges {
  const fragments = pixels.fragments ?? [];
  const count = info.frames.length;
  const ranges = fragments.map(({ position, length }) => [position, position + length] as const);
  if (ranges.length < count) throw invalid(`the DICOM file's pixels are cut off: ${ranges.length} fragments for ${count} frames`);
  if (count === 1) return [ranges];
  if (ranges.length === count) return ranges.map((range) => [range]);
  const table = pixels.basicOffsetTable?.length === count ? pixels.basicOffsetTable : dicomParser.createJPEGBasicOffsetTable(data, pixels);
  if (table.length !== count) throw invalid(`the DICOM file has ${table.length} frames of ${count} where its fragments begin`);
  return table.map((begin, frame) => {
    const next = table[frame + 1] ?? Number.POSITIVE_INFINITY;
    return ranges.filter((_, index) => {
      const offset = fragments[index]?.offset ?? 0;
      return offset >= begin && offset < next;
    });
  });
}
