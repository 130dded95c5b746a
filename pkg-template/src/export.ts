/**
 * Masks and maps as files that PACS, viewers and scripts read. An entry of its own (`umedsam/export`) with a wasm module of its own, which is loaded by the first call.
 *
 * Masks lie in the order of the source: slice by slice, row by row, as they are stored (`slice.turn.turnedBack`), not as they are shown.
 *
 * @example
 * const seg = await toSeg(await series.reference(), labels, [{ label: "Liver", color: [200, 80, 60] }]);
 *
 * @packageDocumentation
 */

import type { SourceReference } from "./dicom-series.js";
import { UmedsamError } from "./errors.js";
import type { Geometry } from "./geometry.js";
import { readFile } from "./local-files.js";
import { folderUrl } from "./urls.js";
import init, {
  fractionalSegmentation,
  masksAsText,
  niftiLabels,
  niftiMap,
  parametricMap,
  segNrrd,
  segmentation,
} from "./writers/umedsam_export.js";

export type { SourceReference } from "./dicom-series.js";
export { type ErrorCode, UmedsamError } from "./errors.js";
export type { Geometry } from "./geometry.js";

/** A coded term. */
export interface Code {
  /** Such as `"10200004"`, at most 16 characters. */
  readonly value: string;
  /** Such as `"SCT"` (SNOMED CT) or `"DCM"`. */
  readonly scheme: string;
  /** In words, such as `"Liver"`. */
  readonly meaning: string;
}

/** An object that was segmented; its number is its place in the list, from 1. */
export interface Segment {
  /** What people call it. */
  readonly label: string;
  /** What kind of thing it is; default tissue. */
  readonly category?: Code;
  /** What it is; default tissue. */
  readonly type?: Code;
  /** sRGB, 0–255. */
  readonly color?: readonly [red: number, green: number, blue: number];
}

/** Options of every writer. */
export interface ExportOptions {
  /** Where the package's files are, as in `load`, where a bundler does not find the wasm module. */
  readonly baseUrl?: string | URL;
}

/** How a DICOM file was made. */
export interface DicomExportOptions extends ExportOptions {
  /** The network and its weights, such as `{ name: model.info.architecture, version, weightsSha256 }`; default umedsam. */
  readonly algorithm?: { readonly name: string; readonly version: string; readonly weightsSha256?: string };
  /** When it was made; default now. */
  readonly date?: Date;
  /** Number of the new series; default 1000. */
  readonly seriesNumber?: number;
  readonly seriesDescription?: string;
}

export interface SegOptions extends DicomExportOptions {
  /** `"BINARY"` (default) is what most programs read, `"LABELMAP"` (Supplement 243, 2024) is smaller to hold. */
  readonly type?: "BINARY" | "LABELMAP";
}

/** What a Parametric Map shows. */
export type Quantity = "probability" | "total-uncertainty" | "aleatoric-uncertainty" | "epistemic-uncertainty";

/**
 * A DICOM Segmentation of `slices · rows · columns` numbers of segments, 0 where there is none. Slices without a segment are left out of it.
 *
 * @throws {UmedsamError} `invalid-option` that says what does not fit; `fetch-failed` if the writers cannot be loaded.
 */
export async function toSeg(source: SourceReference, labels: Uint8Array, segments: readonly Segment[], options: SegOptions = {}): Promise<Uint8Array> {
  await start(options);
  return explained(() => segmentation(source, segments, labels, options.type ?? "BINARY", writing(options)));
}

/**
 * A DICOM Segmentation of probabilities (FRACTIONAL): for each segment `slices · rows · columns` values 0–255. OHIF does not show it; see {@link toParametricMap}.
 *
 * @throws {UmedsamError} As {@link toSeg}.
 */
export async function toFractionalSeg(
  source: SourceReference,
  probabilities: readonly Uint8Array[],
  segments: readonly Segment[],
  options: DicomExportOptions = {},
): Promise<Uint8Array> {
  await start(options);
  return explained(() => fractionalSegmentation(source, segments, joined(probabilities), writing(options)));
}

/**
 * A DICOM Parametric Map of `slices · rows · columns` values: probabilities, or uncertainty in bits.
 *
 * @throws {UmedsamError} As {@link toSeg}.
 */
export async function toParametricMap(source: SourceReference, values: Float32Array, quantity: Quantity, options: DicomExportOptions = {}): Promise<Uint8Array> {
  await start(options);
  return explained(() => parametricMap(source, values, quantity, writing(options)));
}

/**
 * A NIfTI-1 file on a grid: numbers of segments, or floats. `writeNifti` of `umedsam/nifti` keeps a file's own header instead.
 *
 * @throws {UmedsamError} As {@link toSeg}.
 */
export async function toNifti(geometry: Geometry, values: Uint8Array | Float32Array, options: ExportOptions & { readonly description?: string } = {}): Promise<Uint8Array> {
  await start(options);
  const description = options.description ?? "umedsam";
  return explained(() => (values instanceof Float32Array ? niftiMap(geometry, values, description) : niftiLabels(geometry, values, description)));
}

/**
 * A segmentation for 3D Slicer (`.seg.nrrd`): numbers of segments with names, colours and terms.
 *
 * @throws {UmedsamError} As {@link toSeg}.
 */
export async function toSegNrrd(geometry: Geometry, labels: Uint8Array, segments: readonly Segment[], options: ExportOptions = {}): Promise<Uint8Array> {
  await start(options);
  return explained(() => segNrrd(geometry, labels, segments));
}

/** A mask of a picture. */
export interface NamedMask {
  /** 0 or 1 for each pixel, row by row. */
  readonly mask: Uint8Array;
  readonly label: string;
  /** sRGB, 0–255. */
  readonly color?: readonly [red: number, green: number, blue: number];
}

/**
 * Outlines along the edges of pixels, with holes, as a GeoJSON `FeatureCollection` in pixels, as QuPath reads it. Filling them gives the masks back.
 *
 * @throws {UmedsamError} As {@link toSeg}.
 */
export async function toGeoJson(masks: readonly NamedMask[], width: number, height: number, options: ExportOptions = {}): Promise<string> {
  await start(options);
  return explained(() => text(masks, width, height, "geojson"));
}

/**
 * COCO's run lengths as JSON: `[{ label, segmentation: { size: [height, width], counts }, bbox, area }]`, as pycocotools reads them.
 *
 * @throws {UmedsamError} As {@link toSeg}.
 */
export async function toCocoRle(masks: readonly NamedMask[], width: number, height: number, options: ExportOptions = {}): Promise<string> {
  await start(options);
  return explained(() => text(masks, width, height, "coco"));
}

function text(masks: readonly NamedMask[], width: number, height: number, kind: "geojson" | "coco"): string {
  const names = masks.map(({ label, color }) => ({ label, ...(color === undefined ? {} : { color }) }));
  return masksAsText(joined(masks.map(({ mask }) => mask)), names, width, height, kind);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return only;
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const two = (value: number) => String(value).padStart(2, "0");

function writing({ algorithm, date = new Date(), seriesNumber, seriesDescription }: DicomExportOptions): unknown {
  return {
    algorithm: algorithm ?? { name: "umedsam", version: "unknown" },
    date: `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}`,
    time: `${two(date.getHours())}${two(date.getMinutes())}${two(date.getSeconds())}`,
    ...(seriesNumber === undefined ? {} : { seriesNumber }),
    ...(seriesDescription === undefined ? {} : { seriesDescription }),
    // Two files of one second are two instances.
    seed: String(date.getTime()),
  };
}

let started: Promise<unknown> | undefined;

/** The module, loaded once; after a failure it is tried again. */
function start({ baseUrl }: ExportOptions): Promise<unknown> {
  started ??= begin(baseUrl).catch((cause: unknown) => {
    started = undefined;
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new UmedsamError("fetch-failed", `the writers could not be loaded: ${message}`, { cause });
  });
  return started;
}

/** Bundlers find the module by this expression. */
async function begin(baseUrl: string | URL | undefined): Promise<void> {
  const url =
    baseUrl === undefined
      ? new URL("./writers/umedsam_export_bg.wasm", import.meta.url)
      : new URL("dist/writers/umedsam_export_bg.wasm", folderUrl(baseUrl));
  await init({ module_or_path: url.protocol === "file:" ? await readFile(url) : url });
}

function explained<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new UmedsamError("invalid-option", message, { cause });
  }
}
