/** An object is followed through the series; loaded when it is first asked for. */

import { UmedsamError } from "../../errors.js";
import { type Axis, type Geometry, placeOf, stepOf } from "../../geometry.js";
import type { Model } from "../../model.js";
import { VolumeSegmentation, propagate } from "../../propagation.js";
import type { Answer } from "../session.js";
import { LabelChange, Preview, type SegmentLabels } from "./labels.js";
import type { Point3, Viewer } from "./modules.js";
import type { CornerstoneSlice, ImagePlane, Slices } from "./slices.js";

/** What is followed. */
export interface Followed {
  readonly answer: Answer<CornerstoneSlice>;
  readonly labels: SegmentLabels;
  /** Its mask, as the picture lies, if a person drew on it. */
  readonly edited?: Uint8Array | undefined;
  /** Between these slices; by default until the object ends. */
  readonly range?: readonly [first: number, last: number] | undefined;
}

/** Follows an object from its slice, and writes it into its segment as one step of Cornerstone's history. What was found before an error stays. */
export async function follow(
  viewer: Viewer,
  model: Model,
  beside: Slices,
  { answer: { slice: begin, prompt, segmentation }, labels, edited, range }: Followed,
  options: { readonly signal: AbortSignal; readonly onProgress: (done: number, atMost: number) => void },
): Promise<VolumeSegmentation> {
  const { slices, geometry } = await slicesBeside(beside, begin);
  const prompted = slices.findIndex((slice) => slice.key === begin.key);
  const [width, height] = begin.turn.size;
  const found = new VolumeSegmentation(geometry === undefined ? { width, height, slices: slices.length } : { geometry, axis: begin.axis });
  const accepted = edited === undefined ? segmentation : { ...segmentation, mask: edited.slice(), area: edited.reduce((sum, inside) => sum + inside, 0) };
  const followed = edited === undefined ? prompt : { ...prompt, previous: edited };
  const change = new LabelChange(labels);
  const locked = labels.lockedLabels();
  try {
    await propagate(
      model,
      { slices: slices.length, slice: (index) => (slices[index] as CornerstoneSlice).image() },
      [{ slice: prompted, prompt: followed, ...(range === undefined ? {} : { range }) }],
      {
        ...options,
        onSlice: (told) => {
          // The prompted slice is accepted as it was seen.
          if (told.slice === prompted) return found.put({ object: 0, slice: prompted, segmentation: accepted });
          found.put(told);
          if (told.end !== null) return;
          const slice = slices[told.slice] as CornerstoneSlice;
          if (labels.isGone || !labels.covers(slice)) {
            throw new UmedsamError("invalid-option", `the segmentation ${labels.segmentationId} has no labels for slice ${told.slice}`);
          }
          // Another viewport may show a preview of the same segmentation.
          Preview.below(labels.segmentationId, () => {
            const before = labels.read(slice);
            const inside = slice.turn.turnedBack(told.segmentation.mask, new Uint8Array(before.length));
            const after = before.map((label, pixel) => (inside[pixel] !== 0 && !locked.has(label) ? labels.label : label));
            labels.write(slice, after);
            change.add(slice, before, after);
          });
        },
      },
    );
  } finally {
    change.push(viewer, { ...(labels.facts as object), slices: found.slices(0) });
  }
  return found;
}

interface Series {
  readonly slices: readonly CornerstoneSlice[];
  /** Where they are together; `undefined` if they do not say. */
  readonly geometry: Geometry | undefined;
}

/**
 * All slices of the volume or stack that a slice is of, in their order, through its window.
 *
 * @throws {UmedsamError} `invalid-image` if it is not in view any more, or a stack's images do not make a volume.
 */
async function slicesBeside(beside: Slices, { place, axis, geometry, images, window }: CornerstoneSlice): Promise<Series> {
  const isHere = "volumeId" in place ? place.volumeId === beside.volumeId : beside.images.includes(place.imageId);
  if (!isHere) throw new UmedsamError("invalid-image", "the object's image is not in the viewport any more; open its series again");
  if ("volumeId" in place) {
    const slices = Array.from({ length: geometry.size[axis] }, (_, index) => beside.ofVolume(geometry, axis, index, window, images));
    return { slices, geometry };
  }
  const ids = beside.images;
  await beside.loaded(ids);
  const slices = ids.map((id) => beside.ofStack(id, window));
  return { slices, geometry: stackGeometry(slices, ids.map((id) => beside.plane(id))) };
}

function stackGeometry(slices: readonly CornerstoneSlice[], planes: readonly (ImagePlane | undefined)[]): Geometry | undefined {
  const all = slices.map(({ geometry }) => geometry);
  const first = all[0] as Geometry;
  const other = all.findIndex(({ size }) => size.join() !== first.size.join());
  if (other >= 0) {
    const text = (of: Geometry) => of.size.slice(0, 2).join("\u00d7");
    const message = `image ${other + 1} of the stack has ${text(all[other] as Geometry)} pixels, the first ${text(first)}; show images of one size`;
    throw new UmedsamError("invalid-image", message);
  }
  if (slices.length < 2 || planes.some((plane) => !plane?.imagePositionPatient || !plane.rowCosines || !plane.columnCosines)) return undefined;
  const isOther = (geometry: Geometry, axis: Axis) => stepOf(geometry, axis).some((value, index) => Math.abs(value - (stepOf(first, axis)[index] ?? 0)) > 1e-3);
  const isTurned = all.some((geometry) => isOther(geometry, 0) || isOther(geometry, 1));
  const normal = stepOf(first, 2);
  const places: Point3[] = all.map((geometry) => placeOf(geometry, [0, 0, 0]));
  const along = places.map((place) => place.reduce((sum, value, index) => sum + value * (normal[index] ?? 0), 0));
  const steps = along.slice(1).map((value, index) => value - (along[index] ?? 0));
  // A film of one place.
  if (!isTurned && steps.every((step) => step === 0)) return undefined;
  if (isTurned || !(steps.every((step) => step > 0) || steps.every((step) => step < 0))) {
    throw new UmedsamError("invalid-image", "the stack's images lie in several directions, or not in the order of their positions; sort the stack by position");
  }
  const affine = [...first.affine];
  for (const row of [0, 1, 2]) affine[4 * row + 2] = ((places.at(-1)?.[row] ?? 0) - (places[0]?.[row] ?? 0)) / (slices.length - 1);
  return { size: [first.size[0], first.size[1], slices.length], affine };
}
