/** Controls of the slice that is seen: slider, buttons, plane, volume of a series. */

import { page } from "../page.js";
import { type Place, type Stack, countOf } from "../open/slices.js";

/** Puts the controls at a stack that was opened. */
export function showStack(stack: Stack): void {
  page.plane.replaceChildren(...stack.planes.map(({ axis, plane }) => new Option(plane === "stored" ? "as stored" : plane, String(axis))));
  page.planeLabel.hidden = stack.planes.length === 1;
  page.frameLabel.hidden = stack.frames === 1;
  page.frame.max = String(stack.frames);
  showPlace(stack, stack.first);
}

/** Puts the controls at a slice. */
export function showPlace(stack: Stack, { axis, frame, index }: Place): void {
  const count = countOf(stack, axis);
  page.sliceBar.hidden = count === 1 && stack.planes.length === 1 && stack.frames === 1;
  page.slice.max = String(Math.max(1, count - 1));
  page.slice.value = String(index);
  page.slice.disabled = count === 1;
  page.sliceText.textContent = `slice ${index + 1} of ${count}`;
  page.slice.setAttribute("aria-valuetext", page.sliceText.textContent);
  page.slicePrevious.disabled = index === 0;
  page.sliceNext.disabled = index === count - 1;
  page.plane.value = String(axis);
  page.frame.value = String(frame + 1);
}

export interface SliceActions {
  /** The place that is wanted last, and its stack. */
  current(): { readonly place: Place; readonly stack: Stack } | undefined;
  scroll(steps: number): void;
  goTo(place: Place): void;
}

export function listenToSlices({ current, scroll, goTo }: SliceActions): void {
  page.slicePrevious.addEventListener("click", () => scroll(-1));
  page.sliceNext.addEventListener("click", () => scroll(1));
  page.slice.addEventListener("input", () => {
    const now = current();
    if (now !== undefined) goTo({ ...now.place, index: page.slice.valueAsNumber });
  });
  page.plane.addEventListener("change", () => {
    const now = current();
    const axis = Number(page.plane.value) as Place["axis"];
    if (now !== undefined) goTo({ ...now.place, axis, index: Math.floor(countOf(now.stack, axis) / 2) });
  });
  page.frame.addEventListener("change", () => {
    const now = current();
    const frame = Math.round(page.frame.valueAsNumber) - 1;
    if (now === undefined) return;
    if (frame >= 0 && frame < now.stack.frames) goTo({ ...now.place, frame });
    else page.frame.value = String(now.place.frame + 1);
  });
}
