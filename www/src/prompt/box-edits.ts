/** Where a pointer grabs boxes, and what becomes of them. */

import type { Box } from "../../umedsam/index.js";
import type { Marks } from "./marks.js";

export interface Place {
  readonly x: number;
  readonly y: number;
}

/** An object whose box can be grabbed. */
export interface Boxed extends Marks {
  box: Box;
}

export type BoxDrag =
  | { kind: "move"; target: Boxed; from: Box; start: Place }
  | { kind: "resize"; target: Boxed; from: Box; anchor: Place };

/** The box that a pointer grabs: a corner within reach, across and down, else what is inside. The selected one lies on top of the others. */
export function grab(objects: readonly Marks[], selected: number | undefined, place: Place, reach: Place): BoxDrag | undefined {
  const boxed = objects.filter((object): object is Boxed => object.box !== undefined);
  const order = boxed.sort((a, b) => Number(b.id === selected) - Number(a.id === selected));
  for (const target of order) {
    const [x0, y0, x1, y1] = target.box;
    for (const [corner, anchor] of [
      [{ x: x0, y: y0 }, { x: x1, y: y1 }],
      [{ x: x1, y: y0 }, { x: x0, y: y1 }],
      [{ x: x0, y: y1 }, { x: x1, y: y0 }],
      [{ x: x1, y: y1 }, { x: x0, y: y0 }],
    ] as const) {
      if (Math.hypot((corner.x - place.x) / reach.x, (corner.y - place.y) / reach.y) <= 1) return { kind: "resize", target, from: target.box, anchor };
    }
  }
  for (const target of order) {
    const [x0, y0, x1, y1] = target.box;
    const inside = place.x > x0 && place.x < x1 && place.y > y0 && place.y < y1;
    if (inside) return { kind: "move", target, from: target.box, start: place };
  }
  return undefined;
}

/** The box between two corners. */
export function between(a: Place, b: Place): Box {
  return [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)];
}

/** A box moved as far as the image allows. */
export function shifted([x0, y0, x1, y1]: Box, dx: number, dy: number, width: number, height: number): Box {
  const limit = (delta: number, low: number, high: number, end: number) => Math.min(end - high, Math.max(-low, delta));
  const [sx, sy] = [limit(dx, x0, x1, width), limit(dy, y0, y1, height)];
  return [x0 + sx, y0 + sy, x1 + sx, y1 + sy];
}
