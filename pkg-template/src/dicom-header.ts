/** What is needed of a DICOM file besides its pixels. */

import type { DataSet } from "./vendor/dicom-parser.js";

export type Triple = readonly [number, number, number];

/** A window that the file offers. */
export interface FileWindow {
  readonly center: number;
  readonly width: number;
  /** What the file says of it, such as "LUNG". */
  readonly name?: string;
}

/** A look-up table: the value of the first entry, and the entries. */
export interface LookUpTable {
  readonly first: number;
  readonly values: Uint16Array;
  readonly bits: number;
}

/** What a frame says of itself. */
export interface FrameInfo {
  /** Place of the first pixel's middle, mm, LPS. */
  readonly position: Triple | undefined;
  /** Directions of a row's pixels and of a column's, LPS. */
  readonly orientation: readonly [Triple, Triple] | undefined;
  /** Distance of rows, distance of columns, mm. */
  readonly spacing: readonly [number, number] | undefined;
  readonly thickness: number | undefined;
  /** Distance to the next slice, mm, as the file says. */
  readonly between: number | undefined;
  readonly slope: number;
  readonly intercept: number;
  readonly windows: readonly FileWindow[];
}

/** What all frames of a file have in common. */
export interface FileInfo {
  readonly sopClass: string;
  readonly sopInstance: string;
  readonly study: string;
  readonly series: string;
  readonly frameOfReference: string | undefined;
  readonly modality: string;
  readonly description: string;
  readonly seriesNumber: number | undefined;
  readonly instanceNumber: number | undefined;
  readonly rows: number;
  readonly columns: number;
  readonly samples: number;
  readonly photometric: string;
  readonly isPlanar: boolean;
  readonly bitsAllocated: number;
  readonly bitsStored: number;
  readonly highBit: number;
  readonly isSigned: boolean;
  /** Lowest and highest value that stands for "no pixel", both included. */
  readonly padding: readonly [number, number] | undefined;
  readonly modalityTable: LookUpTable | undefined;
  readonly palette: readonly [LookUpTable, LookUpTable, LookUpTable] | undefined;
  readonly frames: readonly FrameInfo[];
}

const sequence = (data: DataSet | undefined, tag: string) => data?.elements[tag]?.items?.[0]?.dataSet;

function numbers(data: DataSet | undefined, tag: string): number[] {
  const count = data?.numStringValues(tag) ?? 0;
  return Array.from({ length: count }, (_, index) => Number.parseFloat(data?.string(tag, index) ?? ""));
}

/** A list of decimal strings of a fixed length, all of them finite. */
function fixed(data: DataSet | undefined, tag: string, length: number): number[] | undefined {
  const values = numbers(data, tag);
  return values.length === length && values.every(Number.isFinite) ? values : undefined;
}

function windowsOf(data: DataSet | undefined): FileWindow[] {
  const [centers, widths] = [numbers(data, "x00281050"), numbers(data, "x00281051")];
  return centers.flatMap((center, index) => {
    const width = widths[index];
    if (width === undefined || !Number.isFinite(center) || !(width > 0)) return [];
    const name = data?.string("x00281055", index)?.trim();
    return [{ center, width, ...(name ? { name } : {}) }];
  });
}

/** A value of unsigned or signed 16 bits, as the pixels are. */
function sample(data: DataSet, tag: string, isSigned: boolean, index = 0): number | undefined {
  const element = data.elements[tag];
  if (element === undefined || element.length < 2 * (index + 1)) return undefined;
  return isSigned ? data.int16(tag, index) : data.uint16(tag, index);
}

function tableOf(data: DataSet | undefined, descriptor: string, entries: string, isSigned: boolean): LookUpTable | undefined {
  const element = data?.elements[entries];
  if (data === undefined || element === undefined || data.elements[descriptor] === undefined) return undefined;
  // 0 stands for 65536.
  const count = data.uint16(descriptor, 0) || 65_536;
  const bits = data.uint16(descriptor, 2) ?? 16;
  const isPacked = bits <= 8 && element.length < 2 * count;
  const values = Uint16Array.from({ length: count }, (_, index) =>
    isPacked ? (data.byteArray[element.dataOffset + index] ?? 0) : (data.uint16(entries, index) ?? 0),
  );
  return { first: sample(data, descriptor, isSigned, 1) ?? 0, values, bits };
}

/**
 * A table of segments, which are values, lines to a value, and repetitions of earlier segments.
 *
 * Source: PS3.3, C.7.9.2.
 */
function segmentedTable(data: DataSet, descriptor: string, segments: string): LookUpTable | undefined {
  const element = data.elements[segments];
  if (element === undefined || data.elements[descriptor] === undefined) return undefined;
  const bits = data.uint16(descriptor, 2) ?? 16;
  const count = data.uint16(descriptor, 0) || 65_536;
  const [width, length] = bits <= 8 ? [1, element.length] : [2, element.length >> 1];
  const at = (place: number) => (width === 1 ? (data.byteArray[element.dataOffset + place] ?? 0) : (data.uint16(segments, place) ?? 0));
  const values = new Uint16Array(count);
  let filled = 0;
  const put = (value: number) => {
    if (filled < count) values[filled++] = value;
  };
  /** Returns where the next segment begins. */
  const segment = (place: number): number => {
    const [kind, size] = [at(place), at(place + 1)];
    if (kind === 0) {
      for (let index = 0; index < size; index++) put(at(place + 2 + index));
      return place + 2 + size;
    }
    if (kind === 1) {
      const begin = values[filled - 1] ?? 0;
      const end = at(place + 2);
      for (let index = 1; index <= size; index++) put(Math.round(begin + ((end - begin) * index) / size));
      return place + 3;
    }
    const offset = width === 1 ? at(place + 2) + 256 * at(place + 3) + 65_536 * at(place + 4) + 16_777_216 * at(place + 5) : at(place + 2) + 65_536 * at(place + 3);
    // Offsets are in bytes; a repeated segment repeats none.
    let from = offset / width;
    for (let index = 0; index < size && at(from) < 2; index++) from = segment(from);
    return place + 2 + 4 / width;
  };
  for (let place = 0; place < length && filled < count; ) place = segment(place);
  return { first: data.int16(descriptor, 1) ?? 0, values, bits };
}

const positive = (value: number | undefined) => (value !== undefined && value > 0 && Number.isFinite(value) ? value : undefined);

/** The places where a frame's values may be, the most particular first. */
function frameOf(places: readonly (DataSet | undefined)[], main: DataSet): FrameInfo {
  const within = (group: string) => places.map((place) => sequence(place, group)).find((place) => place !== undefined) ?? main;
  const position = fixed(within("x00209113"), "x00200032", 3) as [number, number, number] | undefined;
  const cosines = fixed(within("x00209116"), "x00200037", 6);
  const measures = within("x00289110");
  const spacing = fixed(measures, "x00280030", 2) ?? fixed(main, "x00181164", 2);
  const transformation = within("x00289145");
  const windows = windowsOf(within("x00289132"));
  const [slope, intercept] = [numbers(transformation, "x00281053")[0], numbers(transformation, "x00281052")[0]];
  return {
    position,
    orientation: cosines && [cosines.slice(0, 3) as unknown as Triple, cosines.slice(3) as unknown as Triple],
    spacing: spacing?.every((length) => length > 0) ? (spacing as [number, number]) : undefined,
    thickness: positive(numbers(measures, "x00180050")[0]),
    // Of emission tomography it may be negative.
    between: positive(Math.abs(numbers(measures, "x00180088")[0] ?? 0)),
    slope: slope !== undefined && Number.isFinite(slope) && slope !== 0 ? slope : 1,
    intercept: intercept !== undefined && Number.isFinite(intercept) ? intercept : 0,
    windows,
  };
}

/** DICOM's names of character sets, as TextDecoder knows them. */
const CHARACTERS: Readonly<Record<string, string>> = {
  "ISO_IR 192": "utf-8",
  "ISO_IR 100": "iso-8859-1",
  "ISO_IR 101": "iso-8859-2",
  "ISO_IR 109": "iso-8859-3",
  "ISO_IR 110": "iso-8859-4",
  "ISO_IR 144": "iso-8859-5",
  "ISO_IR 127": "iso-8859-6",
  "ISO_IR 126": "iso-8859-7",
  "ISO_IR 138": "iso-8859-8",
  "ISO_IR 148": "iso-8859-9",
  "ISO_IR 13": "shift-jis",
  "ISO_IR 166": "windows-874",
  "ISO_IR 87": "iso-2022-jp",
  "ISO_IR 159": "iso-2022-jp",
  "ISO_IR 149": "euc-kr",
  GB18030: "gb18030",
  GBK: "gbk",
};

function text(data: DataSet, tag: string): string {
  const element = data.elements[tag];
  if (element === undefined) return "";
  // Of several, the last says most.
  const sets = (data.string("x00080005") ?? "").split("\\");
  const name = (sets[sets.length - 1] ?? "").replace("ISO 2022 IR", "ISO_IR").trim();
  const bytes = data.byteArray.slice(element.dataOffset, element.dataOffset + element.length);
  return new TextDecoder(CHARACTERS[name] ?? "iso-8859-1").decode(bytes).replace(/[\0 ]+$/, "").trim();
}

/** Patient and study, as text; for files that are written of them. */
export interface StudyText {
  readonly patientName: string;
  readonly patientId: string;
  readonly patientBirthDate: string;
  readonly patientSex: string;
  readonly studyDate: string;
  readonly studyTime: string;
  readonly studyId: string;
  readonly studyDescription: string;
  readonly accessionNumber: string;
  readonly referringPhysicianName: string;
  readonly positionReferenceIndicator: string;
  readonly patientOrientation: string;
  /** What the text is encoded in where it is written. */
  readonly characterSet: "ISO_IR 192";
}

export function studyText(data: DataSet): StudyText {
  return {
    patientName: text(data, "x00100010"),
    patientId: text(data, "x00100020"),
    patientBirthDate: text(data, "x00100030"),
    patientSex: text(data, "x00100040"),
    studyDate: text(data, "x00080020"),
    studyTime: text(data, "x00080030"),
    studyId: text(data, "x00200010"),
    studyDescription: text(data, "x00081030"),
    accessionNumber: text(data, "x00080050"),
    referringPhysicianName: text(data, "x00080090"),
    positionReferenceIndicator: text(data, "x00201040"),
    patientOrientation: text(data, "x00200020"),
    characterSet: "ISO_IR 192",
  };
}

/** Reads what is needed of a parsed file. */
export function fileInfo(data: DataSet): FileInfo {
  const uid = (tag: string) => data.string(tag)?.replace(/\0+$/, "").trim();
  const isSigned = data.uint16("x00280103") === 1;
  const count = Math.max(1, Number.parseInt(data.string("x00280008") ?? "1", 10) || 1);
  const perFrame = data.elements["x52009230"]?.items ?? [];
  const shared = sequence(data, "x52009229");
  const frames = Array.from({ length: count }, (_, index) => frameOf([perFrame[index]?.dataSet, shared], data));
  const bitsAllocated = data.uint16("x00280100") ?? 16;
  const bitsStored = data.uint16("x00280101") ?? bitsAllocated;
  const padding = sample(data, "x00280120", isSigned);
  const limit = sample(data, "x00280121", isSigned) ?? padding;
  const channel = (number: 1 | 2 | 3) =>
    tableOf(data, `x0028110${number}`, `x0028120${number}`, isSigned) ?? segmentedTable(data, `x0028110${number}`, `x0028122${number}`);
  const palette = [channel(1), channel(2), channel(3)] as const;
  const seriesNumber = Number.parseInt(data.string("x00200011") ?? "", 10);
  const instanceNumber = Number.parseInt(data.string("x00200013") ?? "", 10);
  return {
    sopClass: uid("x00080016") ?? "",
    sopInstance: uid("x00080018") ?? "",
    study: uid("x0020000d") ?? "",
    series: uid("x0020000e") ?? "",
    frameOfReference: uid("x00200052") || undefined,
    modality: data.string("x00080060")?.trim() ?? "",
    description: text(data, "x0008103e"),
    seriesNumber: Number.isFinite(seriesNumber) ? seriesNumber : undefined,
    instanceNumber: Number.isFinite(instanceNumber) ? instanceNumber : undefined,
    rows: data.uint16("x00280010") ?? 0,
    columns: data.uint16("x00280011") ?? 0,
    samples: data.uint16("x00280002") ?? 1,
    photometric: (data.string("x00280004") ?? "MONOCHROME2").trim(),
    isPlanar: data.uint16("x00280006") === 1,
    bitsAllocated,
    bitsStored,
    highBit: data.uint16("x00280102") ?? bitsStored - 1,
    isSigned,
    padding: padding === undefined || limit === undefined ? undefined : [Math.min(padding, limit), Math.max(padding, limit)],
    modalityTable: tableOf(sequence(data, "x00283000"), "x00283002", "x00283006", isSigned),
    palette: palette.every((table) => table !== undefined) ? (palette as readonly [LookUpTable, LookUpTable, LookUpTable]) : undefined,
    frames,
  };
}
