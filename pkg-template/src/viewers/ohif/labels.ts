/** Where a segmentation's labels are. */

import type { CornerstonePlace } from "../../cornerstone.js";
import type { OhifLabelmap } from "./host.js";

/** What is used of `@cornerstonejs/core`'s cache. */
export interface LabelCache {
  getImage(imageId: string): LabelImage | undefined;
  getVolume(volumeId: string): { readonly imageIds?: readonly string[] } | undefined;
}

/** Labels of an image. */
export interface LabelImage {
  readonly referencedImageId?: string;
  readonly voxelManager: { getScalarData(): ArrayLike<number> };
}

/** Images of labels in their order; what is not loaded is `undefined`. */
export function labelImages(cache: LabelCache, { imageIds, volumeId }: OhifLabelmap = {}): readonly (LabelImage | undefined)[] {
  const ids = imageIds ?? (volumeId === undefined ? undefined : cache.getVolume(volumeId)?.imageIds) ?? [];
  return ids.map((id) => cache.getImage(id));
}

/** Whether a segment is on the slice of a place, or, of slices across the images, on any. */
export function isLabelled(cache: LabelCache, labelmap: OhifLabelmap | undefined, segmentIndex: number, place: CornerstonePlace): boolean {
  return labelImages(cache, labelmap).some((image) => {
    if (image === undefined || ("imageId" in place && image.referencedImageId !== place.imageId)) return false;
    return Array.prototype.includes.call(image.voxelManager.getScalarData(), segmentIndex);
  });
}
