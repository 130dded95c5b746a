/** What fits into memory. */

import { UmedsamError } from "./errors.js";

/** The most bytes that masks and maps of one call take. */
const MAX_RESULT_BYTES = 2 ** 31;
/** The most bytes that one box takes in the wasm instance, which has 4 GiB in all. */
const MAX_BOX_BYTES = 1.5 * 2 ** 30;
/** Boxes are handed over in portions of about this size. */
const PORTION_BYTES = 2 ** 28;
/** Mask, outer, inner; probability; a map. */
const [BYTES, FLOAT, MAPS] = [3, 4, 3];

/**
 * How many boxes go to the network at once.
 *
 * @throws {UmedsamError} `invalid-image` or `invalid-option` if their results do not fit.
 */
export function boxesPerCall({ width, height }: { width: number; height: number }, boxes: number, maps: number): number {
  const pixels = width * height;
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  const inside = pixels * (BYTES + FLOAT + FLOAT * MAPS);
  if (inside > MAX_BOX_BYTES) {
    throw new UmedsamError(
      "invalid-image",
      `a result of ${width}×${height} pixels takes ${gigabytes(inside)}, more than the ${gigabytes(MAX_BOX_BYTES)} that fit; encode a smaller image`,
    );
  }
  const each = pixels * (BYTES + FLOAT + FLOAT * maps);
  if (each * boxes > MAX_RESULT_BYTES) {
    throw new UmedsamError(
      "invalid-option",
      `the results of ${boxes} boxes of ${width}×${height} pixels take ${gigabytes(each * boxes)}, more than the ` +
        `${gigabytes(MAX_RESULT_BYTES)} that one call gives; give fewer boxes, ask for fewer maps (uncertainty.maps), or use segmentEach()`,
    );
  }
  return Math.max(1, Math.floor(PORTION_BYTES / inside));
}
