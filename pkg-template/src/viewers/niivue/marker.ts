/** The suggested click, as an element over NiiVue's canvas. */

import type { Suggestion } from "../../types.js";
import { type NiivueSlice, sliceAt } from "./slices.js";
import { type NiivueViewer, PLANES } from "./viewer.js";

const LOOK: Partial<CSSStyleDeclaration> = {
  position: "absolute",
  width: "18px",
  height: "18px",
  margin: "-9px 0 0 -9px",
  boxSizing: "border-box",
  border: "2px solid #4df",
  borderRadius: "50%",
  boxShadow: "0 0 0 1px #000, inset 0 0 0 1px #000",
  pointerEvents: "none",
};

/** One mark at a time, which is seen while its slice is. */
export class SuggestionMarker {
  readonly #nv: NiivueViewer;
  #element: HTMLElement | undefined;
  #frame = 0;

  constructor(nv: NiivueViewer) {
    this.#nv = nv;
  }

  /** Marks a place of a slice in the place of the one before; without one, none. */
  show(slice: NiivueSlice, suggestion: Suggestion | undefined): void {
    this.hide();
    const { canvas } = this.#nv;
    if (suggestion === undefined || canvas === null) return;
    const element = canvas.ownerDocument.createElement("div");
    element.className = "umedsam-suggestion";
    element.title = "Is this place inside of the object?";
    Object.assign(element.style, LOOK);
    canvas.after(element);
    this.#element = element;
    // NiiVue tells of no pan and no zoom.
    const follow = () => {
      this.#frame = requestAnimationFrame(follow);
      this.#follow(canvas, element, slice, suggestion);
    };
    follow();
  }

  #follow(canvas: HTMLCanvasElement, element: HTMLElement, slice: NiivueSlice, { x, y }: Suggestion): void {
    const { crosshairPos } = this.#nv.scene;
    const plane = PLANES.indexOf(slice.place.plane);
    const { slice: index, frame } = sliceAt(slice.volume, plane, crosshairPos).place;
    const isInView = this.#nv.volumes.includes(slice.volume) && index === slice.place.slice && frame === slice.place.frame;
    const found = isInView ? this.#nv.frac2canvasPosWithTile(slice.shares(x, y, crosshairPos), plane) : null;
    element.hidden = found === null;
    const [left = 0, top = 0] = found?.pos ?? [];
    const scale = canvas.width / canvas.clientWidth || 1;
    element.style.left = `${canvas.offsetLeft + canvas.clientLeft + left / scale}px`;
    element.style.top = `${canvas.offsetTop + canvas.clientTop + top / scale}px`;
  }

  hide(): void {
    cancelAnimationFrame(this.#frame);
    this.#element?.remove();
    this.#element = undefined;
  }
}
