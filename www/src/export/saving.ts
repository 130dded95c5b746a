/** Saves what was segmented in the formats that the source allows. */

import type { Geometry } from "../../umedsam/dicom.js";
import type { DicomExportOptions } from "../../umedsam/export.js";
import { type Model, defaultWeightsInfo } from "../../umedsam/index.js";
import { type Grid, type Part, gzipped, labelVolume, mapVolume, masksOf, probabilityVolumes, segmentsOf } from "./exports.js";
import type { SegmentedObject } from "../prompt/objects.js";
import { saveBlob } from "../layers/overlay.js";
import { page } from "../page.js";
import { pictureName } from "../layers/painting.js";
import type { Seen } from "../view/slice-view.js";
import { type Place, type Stack, geometryOf, isSame } from "../open/slices.js";

const FORMATS = {
  seg: "DICOM SEG (BINARY)",
  labelmap: "DICOM SEG (LABELMAP)",
  fractional: "DICOM SEG (FRACTIONAL)",
  probability: "DICOM Parametric Map: probability",
  uncertainty: "DICOM Parametric Map: uncertainty",
  nifti: "NIfTI labels (.nii.gz)",
  nrrd: "3D Slicer (.seg.nrrd)",
  coco: "COCO run lengths (.json), this slice",
  geojson: "GeoJSON outlines, this slice",
} as const;

type Format = keyof typeof FORMATS;

const DICOM: readonly Format[] = ["seg", "labelmap", "fractional", "probability", "uncertainty"];
const VOLUME: readonly Format[] = ["nifti", "nrrd"];
const SLICE: readonly Format[] = ["coco", "geojson"];

/** Offers the formats that there are for a stack. */
export function showFormats(stack: Stack): void {
  const formats = [...(stack.origin.kind === "dicom" ? DICOM : []), ...(geometryOf(stack) === null ? [] : VOLUME), ...SLICE];
  page.format.replaceChildren(...formats.map((format) => new Option(FORMATS[format].replace(stack.origin.kind === "picture" ? ", this slice" : "\0", ""), format)));
  showFormatNote();
}

/** Says what is to be known of the chosen format. */
export function showFormatNote(): void {
  const format = page.format.value as Format;
  const whole = SLICE.includes(format) ? "" : "Objects of all slices; those of the same name are one segment. ";
  page.formatNote.textContent = `${whole}${DICOM.includes(format) ? "The file names the patient, as the images do." : ""}`;
}

function gridOf(stack: Stack, turnOf: (geometry: Geometry, axis: Place["axis"]) => ReturnType<Grid["turn"]>): Grid {
  const geometry = geometryOf(stack);
  return { size: stack.size, turn: (axis) => (geometry === null ? undefined : turnOf(geometry, axis)) };
}

/** All answers of a volume of the series. */
function partsOf(objects: readonly SegmentedObject[], frame: number): Part[] {
  const parts = objects.flatMap(({ name, color, results }) => results.map(({ place, result }): Part => ({ name, color, place, result })));
  return parts.filter(({ place }) => place.frame === frame);
}

/** Who made the file. */
async function algorithm(model: Promise<Model> | undefined): Promise<Pick<DicomExportOptions, "algorithm">> {
  const loaded = await model;
  if (loaded === undefined) return {};
  const isOwn = !new URLSearchParams(location.search).has("weights");
  return { algorithm: { name: loaded.info.architecture, version: loaded.info.precision, ...(isOwn ? { weightsSha256: defaultWeightsInfo.sha256 } : {}) } };
}

/** Writes all objects of the volume that is seen, or those of the slice, and hands the file to the browser's downloads. */
export async function saveFile(objects: readonly SegmentedObject[], seen: Seen, model: Promise<Model> | undefined): Promise<void> {
  const format = page.format.value as Format;
  const { stack, place } = seen;
  const { origin, name } = stack;
  const parts = partsOf(objects, place.frame);
  const writers = await import("../../umedsam/export.js");
  if (format === "coco" || format === "geojson") {
    const masks = masksOf(parts.filter((part) => isSame(part.place, place)));
    if (masks.length === 0) throw new Error("there is no object on this slice; go to one with an object, or choose a format for volumes");
    const { width, height } = seen.slice.image;
    const text = await (format === "coco" ? writers.toCocoRle : writers.toGeoJson)(masks, width, height);
    saveBlob(new Blob([text], { type: "application/json" }), `${pictureName(seen)}.${format === "coco" ? "coco.json" : "geojson"}`);
    return;
  }
  const missing = objects.filter(({ results, place: { frame } }) => results.length === 0 && frame === place.frame).map((object) => object.name);
  showFormatNote();
  if (missing.length > 0) page.formatNote.textContent += ` Not in the file, since they have no mask yet: ${missing.join(", ")}.`;
  if (parts.length === 0) throw new Error(`no object of volume ${place.frame + 1} was segmented; draw a box on one of its slices`);
  const { turnOf } = await import("../../umedsam/dicom.js");
  const grid = gridOf(stack, turnOf);
  const segments = segmentsOf(parts);
  const geometry = geometryOf(stack);
  if (geometry !== null && (format === "nifti" || format === "nrrd")) {
    const labels = labelVolume(parts, grid);
    if (format === "nrrd") saveBlob(new Blob([(await writers.toSegNrrd(geometry, labels, segments)) as Uint8Array<ArrayBuffer>]), `${name}.seg.nrrd`);
    else if (origin.kind === "nifti") {
      const { writeNifti } = await import("../../umedsam/nifti.js");
      saveBlob(await gzipped(writeNifti({ data: labels }, origin.file)), `${name}-labels.nii.gz`);
    } else saveBlob(await gzipped(await writers.toNifti(geometry, labels)), `${name}-labels.nii.gz`);
    return;
  }
  if (origin.kind !== "dicom") throw new Error(`${FORMATS[format]} refers to DICOM images; open a DICOM series, or choose another format`);
  const reference = await origin.series.reference();
  const options = await algorithm(model);
  const write = async () => {
    if (format === "fractional") return writers.toFractionalSeg(reference, probabilityVolumes(parts, grid), segments, options);
    if (format === "probability") return writers.toParametricMap(reference, mapVolume(parts, grid, "probability"), "probability", options);
    if (format === "uncertainty") return writers.toParametricMap(reference, mapVolume(parts, grid, "total-uncertainty"), "total-uncertainty", options);
    return writers.toSeg(reference, labelVolume(parts, grid), segments, { ...options, type: format === "labelmap" ? "LABELMAP" : "BINARY" });
  };
  saveBlob(new Blob([(await write()) as Uint8Array<ArrayBuffer>], { type: "application/dicom" }), `${name}-${format}.dcm`);
}
