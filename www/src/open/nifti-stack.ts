/** A NIfTI file as stacks of slices. */

import type { Axis, Nifti } from "../../umedsam/nifti.js";
import type { Place, Slice, Stack } from "./slices.js";

const AXES: readonly Axis[] = [2, 1, 0];
/** Slices this much further apart than pixels were scanned so. */
const THICK = 1.5;

export async function niftiStack(file: Nifti, name: string, credit: string): Promise<Stack> {
  const { planeOf, spacingOf } = await import("../../umedsam/nifti.js");
  const { geometry } = file.volume;
  const planes = AXES.map((axis) => ({ axis, plane: planeOf(geometry, axis) }));
  const spacing = spacingOf(geometry);
  const isFlat = (axis: Axis) => geometry.size.some((length, other) => other !== axis && length === 1);
  const solid = planes.filter(({ axis }) => !isFlat(axis));
  const offered = solid.length > 0 ? solid : planes.slice(0, 1);
  const thick = offered.find(({ axis }) => spacing.every((length, other) => other === axis || spacing[axis] > THICK * length));
  const { axis } = thick ?? offered.find(({ plane }) => plane === "axial") ?? (offered[0] as { axis: Axis });
  return {
    name,
    credit,
    modality: "",
    origin: { kind: "nifti", file },
    size: geometry.size,
    planes: offered,
    frames: file.count,
    first: { axis, frame: 0, index: Math.floor(geometry.size[axis] / 2) },
    async slice({ axis, frame, index }: Place): Promise<Slice> {
      return { ...file.frame(frame).slice(index, axis), windows: [] };
    },
  };
}
