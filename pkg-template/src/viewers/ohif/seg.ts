/** A segmentation of the viewer as a DICOM SEG of `umedsam/export`. */

import { UmedsamError } from "../../errors.js";
import { type DicomExportOptions, type Segment, type SourceReference, toSeg } from "../../export.js";
import type { OhifLabelmap, OhifSegmentation } from "./host.js";
import { type LabelCache, labelImages } from "./labels.js";

/** What is used of `@cornerstonejs/core`. */
export interface SegCore {
  readonly cache: LabelCache;
  readonly metaData: { get(kind: string, imageId: string): Instance | undefined };
}

/** Attributes of an image by keyword, as OHIF reads them. */
type Instance = Readonly<Record<string, unknown>>;

interface Slice {
  readonly instance: Instance;
  readonly labels: ArrayLike<number>;
  /** Along the slices' normal. */
  readonly along: number;
  readonly frame: SourceReference["frames"][number];
}

const invalid = (message: string) => new UmedsamError("invalid-option", message);
const text = (value: unknown) => (value === undefined || value === null ? "" : String(value));

/**
 * The bytes of a DICOM SEG of all segments that have a mask. It names the patient, as the images do. It is BINARY, which most programs read, but LABELMAP
 * of images whose number of pixels is no multiple of 8: OHIF's own reader (dcmjs 0.52) fails at such BINARY files.
 *
 * @throws {UmedsamError} `invalid-option` of a segmentation without a mask, of overlapping segments, and of images whose attributes OHIF does not have.
 */
export async function segOf(
  core: SegCore,
  segmentation: OhifSegmentation,
  colorOf: (segmentIndex: number) => readonly number[],
  options: DicomExportOptions,
): Promise<Uint8Array> {
  const slices = slicesOf(core, segmentation.representationData.Labelmap);
  const numbers = new Set<number>();
  for (const { labels } of slices) for (let pixel = 0; pixel < labels.length; pixel++) numbers.add(labels[pixel] as number);
  // Numbers in the file have no gaps.
  const found = Object.values(segmentation.segments).filter(({ segmentIndex }) => numbers.has(segmentIndex));
  if (found.length === 0) throw invalid("no object has a mask yet; draw a box and accept its mask, then save");
  const numberOf = new Map(found.map(({ segmentIndex }, index) => [segmentIndex, index + 1]));
  const segments = found.map(({ label, segmentIndex }): Segment => {
    const [red = 0, green = 0, blue = 0] = colorOf(segmentIndex).map(Math.round);
    return { label, color: [red, green, blue] };
  });
  const source = sourceOf(slices);
  const pixels = source.size[0] * source.size[1];
  const labels = new Uint8Array(pixels * slices.length);
  for (const [index, slice] of slices.entries()) {
    for (let pixel = 0; pixel < pixels; pixel++) labels[index * pixels + pixel] = numberOf.get(slice.labels[pixel] as number) ?? 0;
  }
  return toSeg(source, labels, segments, { ...options, type: pixels % 8 === 0 ? "BINARY" : "LABELMAP" });
}

/** In the order of the positions. */
function slicesOf({ cache, metaData }: SegCore, labelmap: OhifLabelmap | undefined): readonly Slice[] {
  const isOverlapping = Object.keys(labelmap?.labelmaps ?? {}).length > 1;
  if (isOverlapping) throw invalid("segments of this segmentation overlap; save it by Export in OHIF's own list of segmentations");
  const slices = labelImages(cache, labelmap).map((image): Slice => {
    const instance = image?.referencedImageId === undefined ? undefined : metaData.get("instance", image.referencedImageId);
    if (image === undefined || instance === undefined) throw invalid("OHIF does not have all images of this series; scroll through it once, then save");
    const position = triple(instance.ImagePositionPatient);
    const [a, b, c, d, e, f] = numbers(instance.ImageOrientationPatient) as [number, number, number, number, number, number];
    const [x, y, z] = position ?? [0, 0, Number(instance.InstanceNumber ?? 0)];
    const along = position === undefined ? z : x * (b * f - c * e) + y * (c * d - a * f) + z * (a * e - b * d);
    const number = /(?:frame=|\/frames\/)(\d+)/.exec(image.referencedImageId ?? "")?.[1];
    const frame = {
      sopClass: text(instance.SOPClassUID),
      sopInstance: text(instance.SOPInstanceUID),
      ...(Number(instance.NumberOfFrames ?? 1) > 1 && number !== undefined ? { number: Number(number) } : {}),
      ...(position === undefined ? {} : { position }),
    };
    return { instance, labels: image.voxelManager.getScalarData(), along, frame };
  });
  return slices.sort((one, other) => one.along - other.along);
}

function sourceOf(slices: readonly Slice[]): SourceReference {
  const [{ instance }] = slices as readonly [Slice];
  const isPlaced = instance.FrameOfReferenceUID !== undefined && slices.every(({ frame }) => frame.position !== undefined);
  const orientation = numbers(instance.ImageOrientationPatient);
  const [down, across] = numbers(instance.PixelSpacing);
  const thickness = Number(instance.SliceThickness);
  return {
    study: {
      patientName: personName(instance.PatientName),
      patientId: text(instance.PatientID),
      patientBirthDate: text(instance.PatientBirthDate),
      patientSex: text(instance.PatientSex),
      studyDate: text(instance.StudyDate),
      studyTime: text(instance.StudyTime),
      studyId: text(instance.StudyID),
      studyDescription: text(instance.StudyDescription),
      accessionNumber: text(instance.AccessionNumber),
      referringPhysicianName: personName(instance.ReferringPhysicianName),
      positionReferenceIndicator: text(instance.PositionReferenceIndicator),
      patientOrientation: numbersOrText(instance.PatientOrientation),
      characterSet: "ISO_IR 192",
    },
    studyUid: text(instance.StudyInstanceUID),
    seriesUid: text(instance.SeriesInstanceUID),
    ...(isPlaced ? { frameOfReference: text(instance.FrameOfReferenceUID) } : {}),
    size: [Number(instance.Columns), Number(instance.Rows)],
    ...(orientation.length === 6 ? { orientation } : {}),
    ...(down === undefined || across === undefined ? {} : { spacing: [down, across] as const }),
    ...(thickness > 0 ? { thickness } : {}),
    frames: slices.map(({ frame: { position, ...frame } }) => ({ ...frame, ...(isPlaced && position !== undefined ? { position } : {}) })),
  };
}

/** Of a list of values or of one with backslashes. */
function listOf(value: unknown): readonly unknown[] {
  if (typeof value === "string") return value.split("\\");
  return typeof value === "object" && value !== null && Symbol.iterator in value ? [...(value as Iterable<unknown>)] : [];
}

const numbers = (value: unknown) => listOf(value).map(Number).filter(Number.isFinite);
const numbersOrText = (value: unknown) => listOf(value).map(text).join("\\");

function triple(value: unknown): readonly [number, number, number] | undefined {
  const [x, y, z] = numbers(value);
  return x === undefined || y === undefined || z === undefined ? undefined : [x, y, z];
}

/** A name as DICOM writes it: its spellings, separated by "=". */
function personName(value: unknown): string {
  const [name] = Array.isArray(value) ? (value as unknown[]) : [value];
  if (typeof name !== "object" || name === null) return text(name);
  const { Alphabetic, Ideographic, Phonetic } = name as Readonly<Record<string, unknown>>;
  return [Alphabetic, Ideographic, Phonetic].map(text).join("=").replace(/=+$/, "");
}

/** Gives a file to the browser's downloads. */
export function download(bytes: Uint8Array, name: string): void {
  const url = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>], { type: "application/dicom" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
