/** A DICOM series as a stack of slices. */

import type { Axis, Series, Volume } from "../../umedsam/dicom.js";
import type { Place, ReadingOptions, Slice, Stack } from "./slices.js";

/** The most bytes of voxels that are held for planes across the stored one. */
const MOST_BYTES = 2 ** 30;
const AXES: readonly Axis[] = [2, 1, 0];

export async function dicomStack(series: Series, credit: string): Promise<Stack> {
  const { planeOf } = await import("../../umedsam/dicom.js");
  const { geometry, frames, size } = series;
  let whole: Promise<Volume> | undefined;
  /** All frames, read once; what failed is tried again. */
  const volume = (options: ReadingOptions): Promise<Volume> => {
    const bytes = 2 * size[0] * size[1] * frames;
    if (bytes > MOST_BYTES) {
      throw new Error(`other planes need the whole volume, ${(bytes / 2 ** 30).toFixed(1)} GiB, more than this page holds; stay in the plane of the files`);
    }
    const reading = (whole ??= series.volume(options));
    reading.catch(() => {
      if (whole === reading) whole = undefined;
    });
    return reading;
  };
  const isVolume = geometry !== null && frames > 1 && Math.min(...size) > 1;
  return {
    name: [series.modality || "dicom", series.number ?? "series"].join("-").toLowerCase(),
    credit,
    modality: series.modality,
    origin: { kind: "dicom", series },
    size: [size[0], size[1], frames],
    planes: (isVolume ? AXES : [2 as const]).map((axis) => ({ axis, plane: geometry === null ? "stored" : planeOf(geometry, axis) })),
    frames: 1,
    first: { axis: 2, frame: 0, index: Math.floor(frames / 2) },
    async slice({ axis, index }: Place, options: ReadingOptions = {}): Promise<Slice> {
      if (axis !== 2) return { ...(await volume(options)).slice(index, axis), windows: [] };
      const frame = await series.frame(index);
      // Images without a place have the spacing of pixels of 1 mm where they tell none.
      const isTold = geometry !== null || frame.spacing[0] !== 1 || frame.spacing[1] !== 1;
      return { image: frame.image, spacing: isTold ? frame.spacing : undefined, windows: frame.windows, turn: frame.turn };
    },
  };
}
