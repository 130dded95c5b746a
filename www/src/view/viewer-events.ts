/** What the viewer tells the page, and what a pointer may be doing on it. */

import type { Box, PointLabel, Scribble } from "../../umedsam/index.js";
import type { BoxDrag, Place } from "../prompt/box-edits.js";

/** What the page does about edits. */
export interface ViewerEvents {
  /** A new box was drawn. */
  drawn(box: Box): void;
  /** A box was moved or resized; `done` is false while a pointer still drags it. */
  changed(id: number, box: Box, done: boolean): void;
  /** A box that was dragged is where it was. */
  putBack(id: number): void;
  /** A point was set. */
  clicked(place: Place, label: PointLabel): void;
  /** A stroke was drawn. */
  stroked(line: Scribble["points"], label: PointLabel): void;
  selected(id: number | undefined): void;
  removed(id: number): void;
  /** The pointer is over a pixel, or left the image. */
  pointed(pixel: { x: number; y: number } | undefined): void;
  /** Other slices are wanted, so many further on. */
  scrolled(steps: number): void;
  /** The window is dragged by so many CSS pixels; `undefined` where the drag begins. */
  windowed(by: Place | undefined): void;
}

export type Drag =
  | BoxDrag
  | { kind: "draw"; start: Place; current: Place }
  | { kind: "click"; start: Place; label: PointLabel }
  | { kind: "stroke"; line: [x: number, y: number][]; label: PointLabel }
  | { kind: "window"; start: Place }
  | { kind: "pan" };
