/** What files hold: pictures, DICOM series, NIfTI volumes, told by their content and not by their names. */

import { UmedsamError } from "../../umedsam/index.js";
import type { Series } from "../../umedsam/dicom.js";
import { type Stack, pictureStack } from "./slices.js";

/** Something that can be opened. */
export interface Item {
  /** What it is, without words that may name a person. */
  readonly title: string;
  /** What the scanner says of it, which may. */
  readonly description: string;
  /** Voxels, to open the largest first. */
  readonly weight: number;
  open(): Promise<Stack>;
}

/** What was found in files. */
export interface Study {
  readonly items: readonly Item[];
  /** What is odd, and files that were left out, in words. */
  readonly notes: readonly string[];
}

export interface StudyOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, all: number) => void;
}

type Kind = "dicom" | "nifti" | "picture" | "other";

/** How PNG, JPEG, GIF, BMP, TIFF of both byte orders, and WebP begin. */
const PICTURES = ["\x89PNG", "\xff\xd8\xff", "GIF8", "BM", "II*\0", "MM\0*", "RIFF"];

async function kindOf(file: Blob): Promise<Kind> {
  const bytes = new Uint8Array(await file.slice(0, 132).arrayBuffer());
  if (String.fromCharCode(...bytes.subarray(128)) === "DICM") return "dicom";
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return "nifti";
  if (bytes.length >= 4) {
    // Groups 2 and 8 begin DICOM files without their preamble, of which the reader says that it is missing.
    if ((bytes[0] === 2 || bytes[0] === 8) && bytes[1] === 0 && bytes[3] === 0) return "dicom";
    const view = new DataView(bytes.buffer);
    if ([348, 540].some((length) => view.getInt32(0, true) === length || view.getInt32(0, false) === length)) return "nifti";
  }
  const begin = String.fromCharCode(...bytes.subarray(0, 4));
  return PICTURES.some((magic) => begin.startsWith(magic)) ? "picture" : "other";
}

/** An error that names the file that it is about. */
function named(file: File, cause: unknown): Error {
  const message = cause instanceof Error ? cause.message : String(cause);
  const text = message.startsWith(`${file.name}:`) ? message : `${file.name}: ${message}`;
  return cause instanceof UmedsamError ? new UmedsamError(cause.code, text) : new Error(text);
}

const CREDIT = "opened from this machine";
/** Files of folders that nobody means to open. */
const BESIDES = /^(\.|thumbs\.db$|desktop\.ini$|dicomdir$)/i;

/**
 * Looks at files, of a folder for instance.
 *
 * @throws If nothing in them can be opened, with what is wrong with the first.
 */
export async function readStudy(given: readonly File[], options: StudyOptions): Promise<Study> {
  const files = given.length > 1 ? given.filter(({ name }) => !BESIDES.test(name)) : given;
  const found: Record<Kind, File[]> = { dicom: [], nifti: [], picture: [], other: [] };
  for (const file of files) {
    options.signal.throwIfAborted();
    try {
      found[await kindOf(file)].push(file);
    } catch (cause) {
      throw named(file, cause);
    }
  }
  // What a single file is instead of an image its reader says.
  if (files.length === 1) found.picture.push(...found.other.splice(0));
  const items: Item[] = [];
  const notes: string[] = [];
  const errors: Error[] = [];
  const skip = (error: Error) => {
    errors.push(error);
    notes.push(error.message);
  };
  if (found.dicom.length > 0) await readSeries(found.dicom, options, items, notes, skip);
  const isOne = files.length === 1;
  for (const file of found.nifti) {
    options.signal.throwIfAborted();
    // Of several, each is read when it is opened: they may not fit in memory together.
    const item = niftiItem(file);
    await (isOne || items.length === 0 ? item.open() : Promise.resolve()).then(
      () => items.push(item),
      (cause: unknown) => skip(named(file, cause)),
    );
  }
  for (const file of found.picture) {
    const item = pictureItem(file);
    await (items.length === 0 ? item.open() : Promise.resolve()).then(
      () => items.push(item),
      (cause: unknown) => skip(named(file, cause)),
    );
  }
  for (const { name } of found.other) skip(new Error(`${name}: it is no picture, DICOM or NIfTI file`));
  options.signal.throwIfAborted();
  if (items.length === 0) {
    const [first] = errors;
    if (files.length > 1) throw new Error(`none of the ${files.length} files can be opened; of the first: ${first?.message ?? "there is none"}`);
    throw first ?? new Error("there are no files in it; open DICOM, NIfTI or picture files");
  }
  return { items, notes };
}

async function readSeries(files: readonly File[], { signal, onProgress }: StudyOptions, items: Item[], notes: string[], skip: (error: Error) => void): Promise<void> {
  const { readDicom } = await import("../../umedsam/dicom.js");
  try {
    const { series, rejected } = await readDicom(files, { signal, onProgress });
    items.push(...series.map(seriesItem));
    for (const { name, reason } of rejected) notes.push(`${name}: ${reason}`);
    for (const one of series) notes.push(...one.problems.map((problem) => `${titleOf(one)}: ${problem}`));
  } catch (cause) {
    signal.throwIfAborted();
    const error = cause instanceof Error ? cause : new Error(String(cause));
    skip(error);
  }
}

function titleOf({ modality, size, frames, geometry }: Series): string {
  const what = frames === 1 ? "1 image" : `${frames} ${geometry === null ? "frames" : "slices"}`;
  return `${modality || "DICOM"} · ${size[0]}×${size[1]} · ${what}`;
}

function seriesItem(series: Series): Item {
  const title = titleOf(series);
  return {
    title,
    description: series.description,
    weight: series.frames * series.size[0] * series.size[1],
    open: async () => (await import("./dicom-stack.js")).dicomStack(series, `${title}, ${CREDIT}`),
  };
}

/** A file's name without the endings of its format. */
const stem = (name: string) => name.replace(/\.gz$/i, "").replace(/\.\w+$/, "");

function niftiItem(file: File): Item {
  let stack: Promise<Stack> | undefined;
  const read = async () => {
    const [{ readNifti }, { niftiStack }] = await Promise.all([import("../../umedsam/nifti.js"), import("./nifti-stack.js")]);
    const nifti = await readNifti(file);
    const problems = nifti.problems.length > 0 ? ` · ${nifti.problems.join("; ")}` : "";
    return niftiStack(nifti, stem(file.name), `${file.name}, ${CREDIT} · ${nifti.volume.geometry.size.join("×")} voxels${problems}`);
  };
  return {
    title: `NIfTI · ${file.name}`,
    description: "",
    weight: file.size,
    // The file is held once, whoever asks.
    open: () => (stack ??= read().catch((cause: unknown) => {
      stack = undefined;
      throw named(file, cause);
    })),
  };
}

function pictureItem(file: File): Item {
  return {
    title: `Picture · ${file.name}`,
    description: "",
    weight: file.size,
    open: async () => {
      const { readImage } = await import("../../umedsam/image.js");
      try {
        return pictureStack(await readImage(file), stem(file.name), `${file.name}, ${CREDIT}`);
      } catch (cause) {
        throw named(file, cause);
      }
    },
  };
}
