/** Frames in their order, with where they are. */

import { UmedsamError, abortedError } from "./errors.js";
import type { DicomFile } from "./dicom-file.js";
import { invalid } from "./file-bytes.js";
import type { FileWindow, FrameInfo, StudyText, Triple } from "./dicom-header.js";
import { frameValues } from "./dicom-pixels.js";
import { type Geometry, Turn, spacingOf, turnOf } from "./geometry.js";
import type { ImageInput, PixelArray, Window } from "./types.js";
import { Volume, type VolumeSlice } from "./volume.js";

/** A frame as people look at it. */
export interface DicomFrame extends VolumeSlice {
  /** Upright, in the file's units, with the file's first window, if it has one; `{ ...frame.image, window: "auto" }` leaves that out. */
  readonly image: VolumeSlice["image"];
  /** Windows that the file offers. */
  readonly windows: readonly FileWindow[];
  /** SOP instance UID of the file, for references. */
  readonly sopInstance: string;
  /** SOP class UID of the file. */
  readonly sopClass: string;
  /** Frame of that file, from 0. */
  readonly frameNumber: number;
}

/** Where a frame comes from. */
export interface Place {
  readonly file: DicomFile;
  readonly frame: number;
}

const infoOf = ({ file, frame }: Place): FrameInfo => file.info.frames[frame] as FrameInfo;

const dot = (a: Triple, b: Triple) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a: Triple, b: Triple): Triple => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const minus = (a: Triple, b: Triple): Triple => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const length = (a: Triple) => Math.hypot(...a);

/** A series as files that are written of it refer to it. It names the patient. */
export interface SourceReference {
  readonly study: StudyText;
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly frameOfReference?: string;
  /** Columns and rows. */
  readonly size: readonly [number, number];
  /** Directions of a row's and of a column's pixels, LPS. */
  readonly orientation?: readonly number[];
  /** Distance of rows, distance of columns, mm. */
  readonly spacing?: readonly [number, number];
  readonly thickness?: number;
  /** In the order of the positions. */
  readonly frames: readonly {
    readonly sopClass: string;
    readonly sopInstance: string;
    readonly number?: number;
    readonly position?: Triple;
  }[];
}

/** Options of what reads frames. */
export interface FrameOptions {
  /** Where the package's files are, as in `load`, for decoders that a bundler does not find. */
  readonly baseUrl?: string | URL;
}

/** Frames that belong together: of one series, with one size and one orientation, in the order of their positions. */
export class Series {
  /** Series instance UID. */
  readonly uid: string;
  readonly modality: string;
  /** What the scanner says of it; may say more of a person than it should. */
  readonly description: string;
  readonly number: number | undefined;
  /** Columns and rows of the stored frames. */
  readonly size: readonly [number, number];
  /** Number of frames. */
  readonly frames: number;
  /** Where the voxels are; `null` of images without a place, such as ultrasound and photographs. */
  readonly geometry: Geometry | null;
  /** What is odd, in words: unequal spacing, a tilted gantry, missing or repeated slices. */
  readonly problems: readonly string[];
  readonly #places: readonly Place[];
  readonly #options: FrameOptions;

  /** @internal */
  constructor(places: readonly Place[], options: FrameOptions) {
    const { info } = (places[0] as Place).file;
    const ordered = inOrder(places);
    this.uid = info.series;
    this.modality = info.modality;
    this.description = info.description;
    this.number = info.seriesNumber;
    this.size = [info.columns, info.rows];
    this.frames = places.length;
    this.geometry = ordered.geometry;
    this.problems = ordered.problems;
    this.#places = ordered.places;
    this.#options = options;
  }

  /**
   * A frame, counted from 0 in the order of the positions.
   *
   * @throws {UmedsamError} `invalid-option` if there is no such frame; `invalid-image` if it is damaged.
   */
  async frame(index: number): Promise<DicomFrame> {
    const place = this.#place(index);
    const { info } = place.file;
    const { values, channels } = await frameValues(place.file, place.frame, this.#options.baseUrl);
    const turn = this.geometry === null ? new Turn(this.size, false, false, false) : turnOf(this.geometry, 2);
    const data = turn.turned(values, values.slice(), channels);
    const [width, height] = turn.size;
    const { windows, spacing: stored } = infoOf(place);
    const [first] = windows;
    const window: { window?: Window } = first === undefined || channels !== 1 ? {} : { window: { center: first.center, width: first.width } };
    const isInverted = info.photometric === "MONOCHROME1";
    const image: ImageInput = { data, width, height, channels, ...window, ...(isInverted ? { invert: true } : {}) };
    const [down, across] = this.geometry === null ? (stored ?? [1, 1]) : [spacingOf(this.geometry)[1], spacingOf(this.geometry)[0]];
    return {
      image: image as DicomFrame["image"],
      turn,
      spacing: turn.isTransposed ? [down, across] : [across, down],
      windows,
      sopInstance: info.sopInstance,
      sopClass: info.sopClass,
      frameNumber: place.frame,
    };
  }

  /**
   * All frames together, for planes across the others. Whole numbers take 2 bytes a voxel where they fit.
   *
   * @throws {UmedsamError} `invalid-image` of images without a place, or of a damaged one; `aborted`.
   */
  async volume(options: { readonly signal?: AbortSignal; readonly onProgress?: (fraction: number) => void } = {}): Promise<Volume> {
    const { geometry } = this;
    if (geometry === null) throw invalid("the images have no place in space, so that they are no volume; segment them frame by frame");
    const [columns, rows] = this.size;
    const count = columns * rows;
    let voxels: Int16Array | Float32Array | Uint8Array | undefined;
    let channels: 1 | 3 | 4 = 1;
    for (let index = 0; index < this.frames; index++) {
      if (options.signal?.aborted) throw abortedError("reading the volume", options.signal);
      const place = this.#place(index);
      const frame = await frameValues(place.file, place.frame, this.#options.baseUrl);
      channels = frame.channels;
      const values = frame.values;
      voxels ??= channels > 1 ? new Uint8Array(count * channels * this.frames) : new Int16Array(count * this.frames);
      if (voxels instanceof Int16Array && !fits(values)) voxels = Float32Array.from(voxels);
      voxels.set(values, index * count * channels);
      options.onProgress?.((index + 1) / this.frames);
    }
    const all = voxels as Int16Array | Float32Array | Uint8Array;
    return new Volume(geometry, channels, (axis, index) => sliceOf(all, channels, geometry.size, axis, index));
  }

  /**
   * What files that are written of this series refer to, for `umedsam/export`: patient and study as the files have them, and every frame in the order of the positions.
   */
  async reference(): Promise<SourceReference> {
    const { file } = this.#place(0);
    const { info } = file;
    const first = infoOf(this.#place(0));
    const frame = (place: Place) => {
      const { position } = infoOf(place);
      return {
        sopClass: place.file.info.sopClass,
        sopInstance: place.file.info.sopInstance,
        ...(place.file.info.frames.length > 1 ? { number: place.frame + 1 } : {}),
        ...(this.geometry === null || position === undefined ? {} : { position }),
      };
    };
    return {
      study: await file.study(),
      studyUid: info.study,
      seriesUid: info.series,
      size: this.size,
      ...(info.frameOfReference === undefined || this.geometry === null ? {} : { frameOfReference: info.frameOfReference }),
      ...(first.orientation === undefined ? {} : { orientation: [...first.orientation[0], ...first.orientation[1]] }),
      ...(first.spacing === undefined ? {} : { spacing: first.spacing }),
      ...(first.thickness === undefined ? {} : { thickness: first.thickness }),
      frames: this.#places.map(frame),
    };
  }

  #place(index: number): Place {
    const place = this.#places[index];
    if (!Number.isInteger(index) || place === undefined) {
      throw new UmedsamError("invalid-option", `frame is ${String(index)}; the series has frames 0 to ${this.frames - 1}`);
    }
    return place;
  }
}

function fits(values: PixelArray): boolean {
  if (values instanceof Uint8Array || values instanceof Int8Array || values instanceof Int16Array) return true;
  return values.every((value) => Number.isInteger(value) && value >= -32_768 && value <= 32_767);
}

function sliceOf(voxels: PixelArray, channels: number, [columns, rows, slices]: readonly [number, number, number], axis: 0 | 1 | 2, index: number): PixelArray {
  const plane = columns * rows;
  if (axis === 2) return voxels.slice(index * plane * channels, (index + 1) * plane * channels);
  const width = axis === 0 ? rows : columns;
  const values = voxels.slice(0, width * slices * channels);
  for (let slice = 0; slice < slices; slice++) {
    for (let along = 0; along < width; along++) {
      const from = slice * plane + (axis === 0 ? along * columns + index : index * columns + along);
      for (let channel = 0; channel < channels; channel++) {
        values[(slice * width + along) * channels + channel] = voxels[from * channels + channel] as number;
      }
    }
  }
  return values;
}

interface Ordered {
  readonly places: readonly Place[];
  readonly geometry: Geometry | null;
  readonly problems: readonly string[];
}

/** Share of the spacing by which slices may be off before that is said. */
const UNEQUAL = 0.02;
/** The least angle of a gantry that is said, in degrees. */
const TILT = 0.1;
const millimetres = (value: number) => `${Number(value.toFixed(3))} mm`;

/** Frames by their position along their normal; of images without positions by instance number. */
function inOrder(places: readonly Place[]): Ordered {
  const first = infoOf(places[0] as Place);
  const arePlaced = places.every((place) => infoOf(place).position !== undefined && (place.file.info.frames.length === 1 || isPlacedApart(place.file)));
  if (first.orientation === undefined || !arePlaced) return { places: byNumber(places), geometry: null, problems: [] };
  const [right, down] = first.orientation;
  const normal = cross(right, down);
  const along = (place: Place) => dot(infoOf(place).position as Triple, normal) / (length(normal) || 1);
  const sorted = [...places].sort((a, b) => along(a) - along(b));
  const problems: string[] = [];
  const [rowDistance, columnDistance] = first.spacing ?? [1, 1];
  if (first.spacing === undefined) problems.push("the files do not say how far pixels are apart; 1 mm was taken");
  const begin = infoOf(sorted[0] as Place).position as Triple;
  const count = sorted.length;
  let step: Triple;
  if (count > 1) {
    const end = infoOf(sorted[count - 1] as Place).position as Triple;
    step = minus(end, begin).map((value) => value / (count - 1)) as unknown as Triple;
    checkSpacing(sorted.map(along), problems);
    const tilt = (Math.acos(Math.min(1, Math.abs(dot(step, normal)) / (length(step) * length(normal) || 1))) * 180) / Math.PI;
    if (tilt > TILT) problems.push(`the slices lie askew, as of a gantry tilted by ${tilt.toFixed(1)}°; distances along them are of the skewed grid`);
  } else {
    const thickness = first.between ?? first.thickness ?? 1;
    step = normal.map((value) => (value * thickness) / (length(normal) || 1)) as unknown as Triple;
  }
  const { columns, rows } = (places[0] as Place).file.info;
  const line = (axis: 0 | 1 | 2) => [right[axis] * columnDistance, down[axis] * rowDistance, step[axis], begin[axis]];
  const { frameOfReference } = (places[0] as Place).file.info;
  const geometry: Geometry = {
    size: [columns, rows, count],
    affine: [...line(0), ...line(1), ...line(2), 0, 0, 0, 1],
    ...(frameOfReference === undefined ? {} : { frameOfReference }),
  };
  return { places: sorted, geometry, problems };
}

/** Whether frames of one file have positions of their own. */
function isPlacedApart({ info }: DicomFile): boolean {
  const [a, b] = info.frames;
  return a?.position !== undefined && b?.position !== undefined && length(minus(a.position, b.position)) > 0;
}

function byNumber(places: readonly Place[]): Place[] {
  const number = (place: Place) => place.file.info.instanceNumber ?? 0;
  return [...places].sort((a, b) => number(a) - number(b) || a.frame - b.frame);
}

/** Says what is wrong with distances. */
function checkSpacing(places: readonly number[], problems: string[]): void {
  const gaps = places.slice(1).map((place, index) => place - (places[index] as number));
  const apart = gaps.filter((gap) => gap > 1e-3);
  const repeated = gaps.length - apart.length;
  if (repeated > 0) problems.push(`${repeated} of ${places.length} slices lie where others do: the series may hold several phases, echoes or copies`);
  if (apart.length === 0) return;
  const usual = [...apart].sort((a, b) => a - b)[Math.floor(apart.length / 2)] as number;
  const missing = apart.reduce((sum, gap) => sum + (isMultiple(gap / usual) ? Math.round(gap / usual) - 1 : 0), 0);
  if (missing > 0) problems.push(`${missing} slices are missing: gaps of more than ${millimetres(usual)}`);
  const [least, most] = [Math.min(...apart), Math.max(...apart)];
  if (missing === 0 && most - least > UNEQUAL * usual) {
    problems.push(`the slices are ${millimetres(least)} to ${millimetres(most)} apart; one distance was taken for all, so that places and volumes are not exact`);
  }
}

function isMultiple(ratio: number): boolean {
  return ratio > 1.5 && Math.abs(ratio - Math.round(ratio)) < 0.1;
}
