/**
 * DICOM images and series. An entry of its own (`umedsam/dicom`); decoders of compressed pixels are loaded when the first compressed frame is read.
 *
 * @example
 * const { series } = await readDicom(input.files);
 * const frame = await series[0].frame(0);
 * const image = await model.encode(frame.image);
 *
 * @packageDocumentation
 */

import { abortedError, toUmedsamError } from "./errors.js";
import { type DicomFile, openDicom } from "./dicom-file.js";
import { invalid } from "./file-bytes.js";
import { type FrameOptions, type Place, Series } from "./dicom-series.js";
import { typeName } from "./realms.js";

export type { FileWindow, StudyText } from "./dicom-header.js";
export { type DicomFrame, type FrameOptions, Series, type SourceReference } from "./dicom-series.js";
export { type ErrorCode, UmedsamError } from "./errors.js";
export { type Axis, type Geometry, type Plane, Turn, placeOf, planeOf, spacingOf, turnOf } from "./geometry.js";
export { type VolumeSlice, Volume } from "./volume.js";

/** A file that was left out. */
export interface Rejected {
  /** Its name, or its number in the list. */
  readonly name: string;
  /** What it is instead, or what is wrong with it. */
  readonly reason: string;
}

/** What was found in files. */
export interface DicomFiles {
  /** By series number. */
  readonly series: readonly Series[];
  /** Files without images that could be read. */
  readonly rejected: readonly Rejected[];
}

export interface ReadOptions extends FrameOptions {
  readonly signal?: AbortSignal;
  /** Files that were looked at, and how many there are. */
  readonly onProgress?: (done: number, all: number) => void;
}

/**
 * Reads the headers of files, such as those of a folder, and puts their frames into series: by series, size and orientation, in the order of their positions. Pixels
 * are read when a frame is asked for, from the files, which must stay as they are.
 *
 * @throws {UmedsamError} `invalid-image` if there is no image in any of the files, saying why of the first; `aborted`.
 */
export async function readDicom(files: Iterable<Blob | ArrayBuffer | ArrayBufferView>, options: ReadOptions = {}): Promise<DicomFiles> {
  const all = [...files];
  const opened: DicomFile[] = [];
  const rejected: Rejected[] = [];
  for (const [index, given] of all.entries()) {
    if (options.signal?.aborted) throw abortedError("reading DICOM files", options.signal);
    const name = (given as { readonly name?: string }).name ?? `file ${index + 1}`;
    try {
      opened.push(await openDicom(blobOf(given), name));
    } catch (cause) {
      rejected.push({ name, reason: toUmedsamError(cause).message });
    }
    options.onProgress?.(index + 1, all.length);
  }
  if (opened.length === 0) {
    const [first] = rejected;
    const more = rejected.length > 1 ? `; nor in ${rejected.length - 1} other files` : "";
    throw invalid(first === undefined ? "there are no files" : `${first.name}: ${first.reason}${more}`);
  }
  const groups = new Map<string, Place[]>();
  for (const file of opened) {
    for (const [frame] of file.info.frames.entries()) {
      const key = groupOf(file, frame);
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [{ file, frame }]);
      else group.push({ file, frame });
    }
  }
  const series = [...groups.values()].map((places) => new Series(places, options));
  return { series: series.sort((a, b) => (a.number ?? 0) - (b.number ?? 0) || b.frames - a.frames), rejected };
}

function blobOf(file: Blob | ArrayBuffer | ArrayBufferView): Blob {
  const kind = typeName(file);
  if (kind === "Blob" || kind === "File") return file as Blob;
  if (kind === "ArrayBuffer" || ArrayBuffer.isView(file)) return new Blob([file as ArrayBuffer]);
  throw invalid(`the file is ${kind}; use a File, Blob, ArrayBuffer or typed array`);
}

/** Frames with the same are of one series here. */
function groupOf({ info }: DicomFile, frame: number): string {
  const orientation = info.frames[frame]?.orientation;
  const cosines = orientation === undefined ? "" : ([...orientation[0], ...orientation[1]] as readonly number[]).map((value) => (Math.round(value * 1000) + 0) / 1000);
  return JSON.stringify([info.study, info.series, info.columns, info.rows, info.samples, cosines]);
}
