/** A person's drags and clicks on NiiVue's slices. */

import { DRAG, type DragEnd, type MouseButtons, type NiivueViewer, PLANES } from "./viewer.js";

/** What was drawn, in shares of the RAS axes. */
export interface Drawn {
  /** NiiVue's number of the plane. */
  readonly plane: number;
  readonly from: ArrayLike<number>;
  readonly to: ArrayLike<number>;
  /** Both ends are one place. */
  readonly isClick: boolean;
  /** Alt was held. */
  readonly isOther: boolean;
}

/** Drags of fewer pixels of the page are clicks. */
const CLICK_PIXELS = 4;

/**
 * Gives NiiVue's left button to prompts, by its mode that shows a box; with Ctrl it moves the crosshair, with Shift it pans. Other buttons do what they did. A
 * finger is a left button; two fingers are NiiVue's.
 */
export class PromptMouse {
  readonly #nv: NiivueViewer;
  readonly #canvas: HTMLCanvasElement;
  readonly #onDrawn: (drawn: Drawn) => void;
  readonly #stop = new AbortController();
  #isActive = false;
  #isOther = false;
  /** A finger that is taken for the mouse. */
  #finger: Touch | undefined;
  #buttonsBefore: MouseButtons | undefined;
  #cursorBefore = "";

  constructor(nv: NiivueViewer, canvas: HTMLCanvasElement, onDrawn: (drawn: Drawn) => void) {
    this.#nv = nv;
    this.#canvas = canvas;
    this.#onDrawn = onDrawn;
    const { signal } = this.#stop;
    nv.addEventListener("dragRelease", (event) => this.#released((event as CustomEvent<DragEnd>).detail), { signal });
    // Before NiiVue's own listeners.
    const options = { capture: true, passive: false, signal };
    canvas.addEventListener("mousedown", ({ altKey }) => (this.#isOther = altKey), options);
    canvas.addEventListener("dblclick", (event) => this.#isActive && event.stopImmediatePropagation(), options);
    for (const type of ["touchstart", "touchmove", "touchend", "touchcancel"] as const) {
      canvas.addEventListener(type, (event) => this.#touched(event), options);
    }
  }

  get isActive(): boolean {
    return this.#isActive;
  }

  setActive(on: boolean): void {
    if (on === this.#isActive) return;
    this.#isActive = on;
    const { style } = this.#canvas;
    if (!on) {
      // What NiiVue had before may be nothing, by which it goes by its options.
      this.#nv.setMouseEventConfig(this.#buttonsBefore as MouseButtons);
      style.cursor = this.#cursorBefore;
      return;
    }
    this.#buttonsBefore = this.#nv.getMouseEventConfig();
    this.#cursorBefore = style.cursor;
    const { dragMode } = this.#nv.opts;
    const { rightButton = dragMode, centerButton = dragMode } = this.#buttonsBefore ?? {};
    this.#nv.setMouseEventConfig({ leftButton: { primary: DRAG.roiSelection, withShift: DRAG.pan, withCtrl: DRAG.crosshair }, rightButton, centerButton });
    style.cursor = "crosshair";
  }

  dispose(): void {
    this.setActive(false);
    this.#stop.abort();
  }

  #released({ tileIdx, axCorSag }: DragEnd): void {
    const nv = this.#nv;
    const { dragStart, dragEnd, dpr = 1, activeDragButton } = nv.uiData;
    if (!this.#isActive || activeDragButton !== 0 || nv.getCurrentDragMode() !== DRAG.roiSelection) return;
    // Nothing else takes the box off.
    nv.drawScene();
    if (tileIdx < 0 || !(axCorSag in PLANES)) return;
    const [x0 = 0, y0 = 0] = dragStart;
    const [x1 = 0, y1 = 0] = dragEnd;
    const from = nv.screenXY2TextureFrac(x0, y0, tileIdx, false);
    const to = nv.screenXY2TextureFrac(x1, y1, tileIdx, false);
    const isClick = Math.hypot(x1 - x0, y1 - y0) < CLICK_PIXELS * dpr;
    this.#onDrawn({ plane: axCorSag, from, to: isClick ? from : to, isClick, isOther: this.#isOther });
  }

  /** NiiVue's touches draw no box. */
  #touched(event: TouchEvent): void {
    const [finger, second] = event.touches;
    const own = this.#finger;
    const isBegin = event.type === "touchstart" && this.#isActive && second === undefined;
    if (own === undefined && !isBegin) return;
    if (event.type === "touchstart" && !isBegin) {
      // Two fingers scroll.
      this.#finger = undefined;
      this.#as("mouseleave", own as Touch);
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
    this.#finger = finger;
    if (isBegin) this.#as("mousedown", finger as Touch);
    else if (event.type === "touchmove") this.#as("mousemove", finger as Touch);
    else this.#as(event.type === "touchend" ? "mouseup" : "mouseleave", own as Touch);
  }

  #as(type: string, { clientX, clientY }: Touch): void {
    this.#canvas.dispatchEvent(new MouseEvent(type, { clientX, clientY, button: 0, bubbles: true, cancelable: true }));
  }
}
