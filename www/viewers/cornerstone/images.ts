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
  const values = slices.reduce(({ low, high }, slice) => ({ low: Math.min(low, ...bounds(slice)), high: Math.max(high, ...bounds(slice)) }), { low: 0, high: 1 });
  // NIfTI tells no window: air is far below zero in CT alone.
  const window = values.low < -500 ? { windowCenter: 40, windowWidth: 400 } : { windowCenter: (values.low + values.high) / 2, windowWidth: values.high - values.low };
  return slices.map((scalarData, index) => {
    const id = `${name}/${index}`;
    const origin = [3, 7, 11].map((at) => (affine[at] as number) + (affine[at - 1] as number) * index) as [number, number, number];
    const { genericMetadataProvider } = utilities;
    genericMetadataProvider.add(id, { type: "generalSeriesModule", metadata: { modality: values.low < -500 ? "CT" : "MR", seriesInstanceUID: name } });
    genericMetadataProvider.add(id, { type: "voiLutModule", metadata: window });
    const dimensions = [size[0], size[1]] as [number, number];
    const image = imageLoader.createAndCacheLocalImage(id, { scalarData, dimensions, spacing: [spacing[0], spacing[1]], origin, direction, frameOfReferenceUID: name });
    return Object.assign(image, window).imageId;
  });
}

function bounds(values: Float32Array): [number, number] {
  return values.reduce<[number, number]>(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}
