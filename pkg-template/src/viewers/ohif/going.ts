/** From slices to places in a viewport and back. */

import type { CornerstonePlace } from "../../cornerstone.js";

type Point3 = readonly number[];

/** What is used of a viewport of Cornerstone to go to its slices. */
interface Goable {
  getImageIds(): readonly string[];
  setImageIdIndex?(index: number): unknown;
  jumpToWorld?(world: Point3): unknown;
  getCamera(): { readonly focalPoint: Point3 };
  getImageData(): { readonly imageData: { worldToIndex(world: never): ArrayLike<number>; indexToWorld(index: never): ArrayLike<number> } };
  render(): void;
}

/** Where the normal of a plane points, in LPS. */
const NORMALS = { sagittal: 0, coronal: 1, axial: 2 } as const;

/** The number of a place's slice in its viewport, from 0; -1 if it is not there any more. */
export function numberOf(viewport: unknown, place: CornerstonePlace): number {
  return "imageId" in place ? (viewport as Goable).getImageIds().indexOf(place.imageId) : place.slice;
}

/** The place beside another one that has a number. */
export function placeAt(viewport: unknown, beside: CornerstonePlace, slice: number): CornerstonePlace {
  return "imageId" in beside ? { ...beside, imageId: (viewport as Goable).getImageIds()[slice] ?? beside.imageId } : { ...beside, slice };
}

/** Shows a slice. */
export async function goTo(shown: unknown, place: CornerstonePlace): Promise<void> {
  const viewport = shown as Goable;
  if ("imageId" in place) {
    const index = viewport.getImageIds().indexOf(place.imageId);
    if (index >= 0) await viewport.setImageIdIndex?.(index);
    return;
  }
  const { imageData } = viewport.getImageData();
  const origin = imageData.indexToWorld([0, 0, 0] as never);
  const lengths = [0, 1, 2].map((axis) => {
    const next = imageData.indexToWorld([0, 1, 2].map((other) => Number(other === axis)) as never);
    return Math.abs((next[NORMALS[place.plane]] as number) - (origin[NORMALS[place.plane]] as number));
  });
  const index = Array.from(imageData.worldToIndex(viewport.getCamera().focalPoint as never));
  index[lengths.indexOf(Math.max(...lengths))] = place.slice;
  viewport.jumpToWorld?.(Array.from(imageData.indexToWorld(index as never)));
  viewport.render();
}
