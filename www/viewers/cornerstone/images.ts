/** Files as images of Cornerstone, in the order of their positions. */

import { imageLoader, utilities } from "@cornerstonejs/core";
import { wadouri } from "@cornerstonejs/dicom-image-loader";
import { readNifti, spacingOf } from "umedsam/nifti";

/** DICOM files through Cornerstone's own loader, or one NIfTI file. */
export async function imagesOf(files: readonly Blob[]): Promise<string[]> {
  const [first] = files;
  if (first !== undefined && /\.nii(\.gz)?$/.test((first as File).name ?? "")) return niftiImages(first);
  const ids = files.map((file) => wadouri.fileManager.add(file));
  await Promise.all(imageLoader.loadAndCacheImages(ids));
  const { sortedImageIds } = utilities.sortImageIdsAndGetSpacing(ids);
  return sortedImageIds;
}

type Grid = Pick<Parameters<typeof imageLoader.createAndCacheLocalImage>[1], "dimensions" | "spacing" | "origin" | "direction">;

let opened = 0;

/** Slices as they are stored, where the file says that they are. */
async function niftiImages(file: Blob): Promise<string[]> {
  const { volume } = await readNifti(file);
  const { size, affine } = volume.geometry;
  const spacing = spacingOf(volume.geometry);
  const column = (axis: 0 | 1 | 2) => [0, 4, 8].map((row) => (affine[row + axis] as number) / spacing[axis]);
  const direction = [...column(0), ...column(1)] as never;
  const name = `nifti:${opened++}`;
  const slices = Array.from({ length: size[2] }, (_, index) => {
    const { image, turn } = volume.slice(index);
    const stored = new Float32Array(image.data.length);
    turn.turnedBack(image.data, stored as typeof image.data);
    return stored;
  });
  // NIfTI tells no window: air is far below zero in CT alone.
  const all = slices.map(bounds);
  const [low, high] = [Math.min(...all.map(([low]) => low)), Math.max(1, ...all.map(([, high]) => high))];
  const isCt = low < -500;
  const window = isCt ? { windowCenter: 40, windowWidth: 400 } : { windowCenter: (low + high) / 2, windowWidth: high - low };
  return slices.map((scalarData, index) => {
    const id = `${name}/${index}`;
    const origin = [3, 7, 11].map((at) => (affine[at] as number) + (affine[at - 1] as number) * index) as [number, number, number];
    const { genericMetadataProvider } = utilities;
    genericMetadataProvider.add(id, { type: "generalSeriesModule", metadata: { modality: isCt ? "CT" : "MR", seriesInstanceUID: name } });
    genericMetadataProvider.add(id, { type: "voiLutModule", metadata: window });
    const grid = { dimensions: [size[0], size[1]], spacing: [spacing[0], spacing[1]], origin, direction } as Grid;
    const image = imageLoader.createAndCacheLocalImage(id, { scalarData, frameOfReferenceUID: name, ...grid });
    return Object.assign(image, window).imageId;
  });
}

function bounds(values: Float32Array): [low: number, high: number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}
