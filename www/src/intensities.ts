/** The window that the page's controls ask for. */

import type { ReadImage } from "../umedsam/image.js";
import type { ImageInput } from "../umedsam/index.js";
import { page } from "./page.js";

/** Puts the controls at their defaults for an image; pictures of 8 bits need no window. */
export function resetWindow({ data }: ReadImage): void {
  page.windowKind.value = "auto";
  page.invert.checked = false;
  page.window.hidden = data instanceof Uint8Array;
  page.windowLevel.hidden = true;
  if (page.window.hidden) return;
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of data) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  page.windowCenter.value = String((low + high) / 2);
  page.windowWidth.value = String(high - low);
}

/** The chosen window, or `undefined` while it cannot be used. */
export function chosenWindow(): Required<Pick<ImageInput, "window" | "invert">> | undefined {
  const invert = page.invert.checked;
  if (page.windowKind.value !== "level") return { window: page.windowKind.value === "min-max" ? "min-max" : "auto", invert };
  const [center, width] = [page.windowCenter.valueAsNumber, page.windowWidth.valueAsNumber];
  return Number.isFinite(center) && width > 0 ? { window: { center, width }, invert } : undefined;
}
