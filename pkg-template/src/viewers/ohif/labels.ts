/** Where a segmentation's labels are. */

import type { Slice } from "./going.js";
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

/** Whether a segment is on a slice, or, of slices across the images, on any. */
export function isLabelled(cache: LabelCache, labelmap: OhifLabelmap | undefined, segmentIndex: number, { imageId }: Slice): boolean {
  return labelImages(cache, labelmap).some((image) => {
    if (image === undefined || (imageId !== undefined && image.referencedImageId !== imageId)) return false;
    return Array.prototype.includes.call(image.voxelManager.getScalarData(), segmentIndex);
  });
}
