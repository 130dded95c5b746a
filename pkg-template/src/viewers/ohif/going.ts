/** From slices to places in a viewport and back. */

import type { CornerstonePlace } from "../../cornerstone.js";

type Point3 = readonly number[];

/** What is used of a viewport of Cornerstone to go to its slices. */
interface Goable {
  getImageIds(): readonly string[];
  /** Of stacks. */
  setImageIdIndex?(index: number): unknown;
  /** Of volumes: moves along the viewport's own normal. */
  jumpToWorld?(world: Point3): unknown;
  getCamera(): { readonly focalPoint: Point3 };
  getImageData(): { readonly imageData: { worldToIndex(world: never): ArrayLike<number>; indexToWorld(index: never): ArrayLike<number> } } | undefined;
  render(): void;
}

/** A slice, whatever viewport it is shown in. */
export interface Slice {
  /** In the viewport where it was found, from 0. */
  readonly number: number;
  /** Of slices as they were acquired. */
  readonly imageId?: string;
  /** Of those across: the volume's axis, and what people call the plane. */
  readonly axis?: 0 | 1;
  readonly plane?: string;
}

/** The axis of the body that a plane lies across, in LPS. */
const NORMALS = { sagittal: 0, coronal: 1, axial: 2 } as const;

/** The slice of a place in its viewport. */
export function sliceOf(shown: unknown, place: CornerstonePlace): Slice {
  const viewport = shown as Goable;
  const ids = viewport.getImageIds();
  if ("imageId" in place) return { number: ids.indexOf(place.imageId), imageId: place.imageId };
  const axis = axisOf(viewport, NORMALS[place.plane]);
  const imageId = ids[place.slice];
  return axis === 2 && imageId !== undefined ? { number: place.slice, imageId } : { number: place.slice, axis: axis as 0 | 1, plane: place.plane };
}

/** The slice that has a number beside another one. */
export function beside(shown: unknown, slice: Slice, number: number): Slice {
  const imageId = (shown as Goable).getImageIds()[number];
  return slice.imageId !== undefined && imageId !== undefined ? { number, imageId } : { ...slice, number };
}

/** The axis of the volume that lies closest to one of the body. */
function axisOf(viewport: Goable, normal: 0 | 1 | 2): number {
  const { imageData } = viewport.getImageData() ?? {};
  if (imageData === undefined) return 2;
  const origin = imageData.indexToWorld([0, 0, 0] as never);
  const along = [0, 1, 2].map((axis) => {
    const next = imageData.indexToWorld([0, 1, 2].map((other) => Number(other === axis)) as never);
    const step = [0, 1, 2].map((line) => (next[line] as number) - (origin[line] as number));
    return Math.abs(step[normal] as number) / Math.hypot(...step);
  });
  return along.indexOf(Math.max(...along));
}

/** Shows a slice in a viewport, if it lies across it. */
export async function goTo(shown: unknown, { number, imageId, axis }: Slice): Promise<void> {
  const viewport = shown as Goable;
  const index = imageId === undefined ? number : viewport.getImageIds().indexOf(imageId);
  if (index < 0) return;
  if (viewport.setImageIdIndex !== undefined) {
    if (imageId !== undefined) await viewport.setImageIdIndex(index);
    return;
  }
  const { imageData } = viewport.getImageData() ?? {};
  if (imageData === undefined) return;
  const place = Array.from(imageData.worldToIndex(viewport.getCamera().focalPoint as never));
  place[axis ?? 2] = index;
  viewport.jumpToWorld?.(Array.from(imageData.indexToWorld(place as never)));
  viewport.render();
}
