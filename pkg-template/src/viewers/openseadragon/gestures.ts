/** Boxes by dragging and points by clicking, with the viewer's own gestures; two fingers, the wheel and whatever is done with Shift stay the viewer's. */

import type { Box } from "../../types.js";
import type { OsdPoint, OsdViewer } from "./osd.js";

interface Gesture {
  readonly position: OsdPoint;
  readonly originalEvent: Partial<PointerEvent>;
  preventDefaultAction?: boolean;
}

/** The pointer may move this far, in CSS pixels, and it is still a click. */
const CLICK_DISTANCE = 5;

export interface Prompted {
  /** Corners in order, in pixels of the viewer's element. */
  readonly onBox: (box: Box) => void;
  readonly onPoint: (x: number, y: number, isAlt: boolean) => void;
}

export class Gestures {
  readonly #viewer: OsdViewer;
  readonly #prompted: Prompted;
  readonly #frame = document.createElement("div");
  readonly #handlers: Readonly<Record<string, (event: Gesture) => void>>;
  #begin: OsdPoint | undefined;
  #cursor: string | undefined;

  constructor(viewer: OsdViewer, prompted: Prompted) {
    this.#viewer = viewer;
    this.#prompted = prompted;
    this.#frame.className = "umedsam-frame";
    Object.assign(this.#frame.style, { position: "absolute", boxSizing: "border-box", border: "1.5px dashed #ffd54a", pointerEvents: "none", zIndex: "1" });
    const prevent = (event: Gesture) => {
      event.preventDefaultAction = event.originalEvent.shiftKey !== true;
    };
    this.#handlers = {
      "canvas-press": (event) => this.#press(event),
      "canvas-drag": (event) => this.#drag(event),
      "canvas-release": (event) => this.#release(event),
      "canvas-drag-end": prevent,
      "canvas-click": prevent,
      "canvas-double-click": prevent,
      "canvas-pinch": () => this.#end(),
    };
  }

  setActive(on: boolean): void {
    if (on === (this.#cursor !== undefined)) return;
    const { style } = this.#viewer.canvas;
    for (const [name, handler] of Object.entries(this.#handlers)) {
      if (on) this.#viewer.addHandler(name, handler as never);
      else this.#viewer.removeHandler(name, handler as never);
    }
    const before = this.#cursor ?? "";
    this.#cursor = on ? style.cursor : undefined;
    style.cursor = on ? "crosshair" : before;
    this.#end();
  }

  #press({ position, originalEvent }: Gesture): void {
    this.#end();
    if (originalEvent.shiftKey !== true) this.#begin = { x: position.x, y: position.y };
  }

  #drag(event: Gesture): void {
    if (this.#begin === undefined) return;
    event.preventDefaultAction = true;
    const [x0, y0, x1, y1] = boxBetween(this.#begin, event.position);
    Object.assign(this.#frame.style, { left: `${x0}px`, top: `${y0}px`, width: `${x1 - x0}px`, height: `${y1 - y0}px` });
    if (!this.#frame.isConnected) this.#viewer.canvas.append(this.#frame);
  }

  #release({ position, originalEvent }: Gesture): void {
    const begin = this.#begin;
    this.#end();
    if (begin === undefined) return;
    const isClick = Math.hypot(position.x - begin.x, position.y - begin.y) <= CLICK_DISTANCE;
    if (isClick) this.#prompted.onPoint(begin.x, begin.y, originalEvent.altKey === true);
    else this.#prompted.onBox(boxBetween(begin, position));
  }

  #end(): void {
    this.#begin = undefined;
    this.#frame.remove();
  }
}

function boxBetween(a: OsdPoint, b: OsdPoint): Box {
  return [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)];
}
