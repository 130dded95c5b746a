/** Shows the image and lets boxes be drawn, moved and resized with mouse, touch or keyboard. */

import type { Box, Crop } from "../umedsam/index.js";
import { context2d, element } from "./dom.js";
import { type Layout, View } from "./view.js";

export interface EditableBox {
  readonly id: number;
  readonly color: string;
  box: Box;
  /** The part of the image that was looked at by itself for the box. */
  crop?: Crop | null;
}

/** What the page does about edits. */
export interface ViewerEvents {
  /** A new box was drawn. */
  drawn(box: Box): void;
  /** A box was moved or resized; `done` is false while a pointer still drags it. */
  changed(box: EditableBox, done: boolean): void;
  selected(id: number | undefined): void;
  removed(id: number): void;
  /** The pointer is over a pixel, or left the image. */
  pointed(pixel: { x: number; y: number } | undefined): void;
}

type Drag =
  | { kind: "draw"; start: Point; current: Point }
  | { kind: "move"; target: EditableBox; from: Box; start: Point }
  | { kind: "resize"; target: EditableBox; from: Box; anchor: Point }
  | { kind: "pan" };

interface Point {
  readonly x: number;
  readonly y: number;
}

/** How near to a corner a pointer grabs it, in CSS pixels; a finger is wider. */
const GRAB = { mouse: 9, touch: 22 };
/** A press of a button or key enlarges by this factor. */
export const ZOOM_STEP = 1.5;
/** Proportions of the widest and the tallest frame; images beyond lie within it. */
const FRAMES = [2.5, 0.75] as const;
/** Boxes drawn smaller than this, in CSS pixels, are clicks. */
const SMALLEST = 5;

export class Viewer {
  readonly #root = element("viewer", HTMLDivElement);
  readonly #image = element("image-layer", HTMLCanvasElement);
  readonly #map = element("map-layer", HTMLCanvasElement);
  readonly #boxLayer = element("box-layer", HTMLCanvasElement);
  readonly #events: ViewerEvents;
  #boxes: readonly EditableBox[] = [];
  #selected: number | undefined;
  #drag: Drag | undefined;
  #enabled = false;
  readonly #view = new View();
  /** Pointers that are down, in the frame: one draws, two zoom and move. */
  readonly #pointers = new Map<number, Point>();

  constructor(events: ViewerEvents) {
    this.#events = events;
    this.#root.addEventListener("pointerdown", (event) => this.#pointerDown(event));
    this.#root.addEventListener("pointermove", (event) => this.#pointerMove(event));
    this.#root.addEventListener("pointerup", (event) => this.#pointerUp(event));
    this.#root.addEventListener("pointercancel", (event) => {
      this.#pointers.delete(event.pointerId);
      this.#cancelDrag();
    });
    this.#root.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.#root.addEventListener("pointerleave", () => this.#events.pointed(undefined));
    this.#root.addEventListener("keydown", (event) => this.#keyDown(event));
    new ResizeObserver(() => this.#show()).observe(this.#root);
  }

  get width(): number {
    return this.#image.width;
  }

  get height(): number {
    return this.#image.height;
  }

  /** Shows an image and forgets the map of the one before. */
  setImage(picture: ImageData, isOther: boolean): void {
    if (isOther) {
      for (const canvas of [this.#image, this.#map]) {
        canvas.width = picture.width;
        canvas.height = picture.height;
      }
      const [widest, tallest] = FRAMES;
      this.#root.style.aspectRatio = String(Math.min(widest, Math.max(tallest, picture.width / picture.height)));
      this.#view.reset();
      this.#drag = undefined;
    }
    // Small images are enlarged smoothly, as radiology viewers do.
    context2d(this.#image).putImageData(picture, 0, 0);
    this.#show();
  }

  /** Enlarges around the middle of the frame. */
  enlarge(factor: number): void {
    const { clientWidth, clientHeight } = this.#root;
    this.#enlarge(factor, { x: clientWidth / 2, y: clientHeight / 2 });
  }

  /** Shows the whole image. */
  fit(): void {
    this.#view.reset();
    this.#show();
  }

  #enlarge(factor: number, point: Point): void {
    if (this.width === 0) return;
    this.#view.enlarge(factor, point, this.#root, this.width, this.height);
    this.#show();
  }

  #show(): void {
    for (const canvas of [this.#image, this.#map]) canvas.style.transform = this.#view.transform;
    this.#drawBoxes();
  }

  /** Paints over the image; pictures later in the list lie above. */
  setMaps(pictures: readonly ImageData[]): void {
    const context = context2d(this.#map);
    context.clearRect(0, 0, this.width, this.height);
    const buffer = new OffscreenCanvas(Math.max(1, this.width), Math.max(1, this.height));
    const bufferContext = buffer.getContext("2d");
    if (bufferContext === null) return;
    for (const picture of pictures) {
      bufferContext.putImageData(picture, 0, 0);
      context.drawImage(buffer, 0, 0);
    }
  }

  setBoxes(boxes: readonly EditableBox[], selected: number | undefined, enabled: boolean): void {
    this.#boxes = boxes;
    this.#selected = selected;
    this.#enabled = enabled;
    this.#drawBoxes();
  }

  #layout(): Layout {
    return this.#view.layout(this.#root, this.width, this.height);
  }

  #inFrame(event: MouseEvent): Point {
    const frame = this.#root.getBoundingClientRect();
    return { x: event.clientX - frame.left - this.#root.clientLeft, y: event.clientY - frame.top - this.#root.clientTop };
  }

  #toImage(event: PointerEvent): Point {
    const { scale, left, top } = this.#layout();
    const { x, y } = this.#inFrame(event);
    return { x: (x - left) / scale, y: (y - top) / scale };
  }

  #wheel(event: WheelEvent): void {
    event.preventDefault();
    // Lines and pages of mice, pixels of touch pads; browsers tell a pinch as a wheel with Ctrl.
    const pixels = event.deltaY * [1, 24, 240][event.deltaMode]!;
    this.#enlarge(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.002)), this.#inFrame(event));
  }

  #clamp({ x, y }: Point): Point {
    return { x: Math.min(this.width, Math.max(0, x)), y: Math.min(this.height, Math.max(0, y)) };
  }

  #pointerDown(event: PointerEvent): void {
    this.#pointers.set(event.pointerId, this.#inFrame(event));
    this.#root.setPointerCapture(event.pointerId);
    if (this.#pointers.size > 1 || event.button === 1) {
      // A second finger zooms; what the first one began is not drawn.
      event.preventDefault();
      this.#revert();
      this.#drag = { kind: "pan" };
      this.#drawBoxes();
      return;
    }
    if (!this.#enabled || event.button !== 0) return;
    const point = this.#toImage(event);
    this.#drag = this.#grab(point, event.pointerType) ?? {
      kind: "draw",
      start: this.#clamp(point),
      current: this.#clamp(point),
    };
    if (this.#drag.kind === "move" || this.#drag.kind === "resize") this.#events.selected(this.#drag.target.id);
    this.#drawBoxes();
  }

  /** Puts a box back that a finger was dragging when the second one came. */
  #revert(): void {
    const drag = this.#drag;
    if (drag?.kind !== "move" && drag?.kind !== "resize") return;
    drag.target.box = drag.from;
    this.#events.changed(drag.target, true);
  }

  /** Two fingers: the middle between them moves the image, their distance enlarges it. One pointer moves it. */
  #pan(event: PointerEvent): void {
    const before = [...this.#pointers.values()];
    this.#pointers.set(event.pointerId, this.#inFrame(event));
    const after = [...this.#pointers.values()];
    const middle = (points: readonly Point[]) => ({
      x: points.reduce((sum, { x }) => sum + x, 0) / points.length,
      y: points.reduce((sum, { y }) => sum + y, 0) / points.length,
    });
    const spread = ([a, b]: readonly Point[]) => (a === undefined || b === undefined ? 1 : Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)));
    const [from, to] = [middle(before), middle(after)];
    this.#view.move(to.x - from.x, to.y - from.y, this.#root);
    this.#enlarge(spread(after) / spread(before), to);
  }

  #grab(point: Point, pointerType: string): Drag | undefined {
    const reach = (pointerType === "touch" ? GRAB.touch : GRAB.mouse) / this.#layout().scale;
    // The selected box lies on top of the others.
    const order = [...this.#boxes].sort((a, b) => Number(b.id === this.#selected) - Number(a.id === this.#selected));
    for (const target of order) {
      const [x0, y0, x1, y1] = target.box;
      for (const [corner, anchor] of [
        [{ x: x0, y: y0 }, { x: x1, y: y1 }],
        [{ x: x1, y: y0 }, { x: x0, y: y1 }],
        [{ x: x0, y: y1 }, { x: x1, y: y0 }],
        [{ x: x1, y: y1 }, { x: x0, y: y0 }],
      ] as const) {
        if (Math.hypot(corner.x - point.x, corner.y - point.y) <= reach) return { kind: "resize", target, from: target.box, anchor };
      }
    }
    for (const target of order) {
      const [x0, y0, x1, y1] = target.box;
      const inside = point.x > x0 && point.x < x1 && point.y > y0 && point.y < y1;
      if (inside) return { kind: "move", target, from: target.box, start: point };
    }
    return undefined;
  }

  #pointerMove(event: PointerEvent): void {
    const point = this.#toImage(event);
    // A pointer stands on whole CSS pixels, which a side of a thin image may be narrower than.
    const reach = 1 / this.#layout().scale;
    const within = point.x >= -reach && point.y >= -reach && point.x < this.width + reach && point.y < this.height + reach;
    const pixel = (value: number, size: number) => Math.min(size - 1, Math.max(0, Math.floor(value)));
    this.#events.pointed(within ? { x: pixel(point.x, this.width), y: pixel(point.y, this.height) } : undefined);
    const drag = this.#drag;
    if (drag === undefined) return;
    if (drag.kind === "pan") {
      if (this.#pointers.has(event.pointerId)) this.#pan(event);
      return;
    }
    if (drag.kind === "draw") {
      drag.current = this.#clamp(point);
    } else if (drag.kind === "resize") {
      drag.target.box = between(drag.anchor, this.#clamp(point));
      this.#events.changed(drag.target, false);
    } else {
      drag.target.box = this.#shifted(drag.from, point.x - drag.start.x, point.y - drag.start.y);
      this.#events.changed(drag.target, false);
    }
    this.#drawBoxes();
  }

  #pointerUp(event: PointerEvent): void {
    this.#pointers.delete(event.pointerId);
    this.#root.releasePointerCapture(event.pointerId);
    const drag = this.#drag;
    // Until the last finger is up nothing is drawn.
    if (drag === undefined || (drag.kind === "pan" && this.#pointers.size > 0)) return;
    this.#drag = undefined;
    if (drag.kind === "pan") return;
    if (drag.kind === "draw") {
      const box = between(drag.start, drag.current);
      const smallest = SMALLEST / this.#layout().scale;
      if (box[2] - box[0] >= smallest && box[3] - box[1] >= smallest) this.#events.drawn(box);
      else this.#events.selected(undefined);
    } else {
      const [x0, y0, x1, y1] = drag.target.box;
      if (x0 === x1 || y0 === y1) this.#events.removed(drag.target.id);
      else this.#events.changed(drag.target, true);
    }
    this.#drawBoxes();
  }

  #cancelDrag(): void {
    this.#drag = undefined;
    this.#drawBoxes();
  }

  #keyDown(event: KeyboardEvent): void {
    if (!this.#enabled || event.ctrlKey || event.metaKey) return;
    if (this.#viewKey(event)) {
      event.preventDefault();
      return;
    }
    const target = this.#boxes.find(({ id }) => id === this.#selected);
    if (event.key === "n" || event.key === "N") {
      this.#events.drawn(this.centredBox());
    } else if (target !== undefined && (event.key === "Delete" || event.key === "Backspace")) {
      this.#events.removed(target.id);
    } else if (target !== undefined && event.key in ARROWS) {
      const [dx, dy] = ARROWS[event.key as keyof typeof ARROWS];
      const step = Math.max(1, Math.round(Math.max(this.width, this.height) / 100));
      const [x0, y0, x1, y1] = target.box;
      if (event.shiftKey) {
        const corner = this.#clamp({ x: Math.max(x0 + 1, x1 + dx * step), y: Math.max(y0 + 1, y1 + dy * step) });
        target.box = [x0, y0, corner.x, corner.y];
      } else {
        target.box = this.#shifted(target.box, dx * step, dy * step);
      }
      this.#events.changed(target, true);
    } else {
      return;
    }
    event.preventDefault();
    this.#drawBoxes();
  }

  /** Keys that change what is seen; returns whether this was one. */
  #viewKey(event: KeyboardEvent): boolean {
    if (event.key === "+" || event.key === "=") this.enlarge(ZOOM_STEP);
    else if (event.key === "-") this.enlarge(1 / ZOOM_STEP);
    else if (event.key === "0") this.fit();
    else if (event.altKey && event.key in ARROWS) {
      const [dx, dy] = ARROWS[event.key as keyof typeof ARROWS];
      this.#view.move((-dx * this.#root.clientWidth) / 8, (-dy * this.#root.clientHeight) / 8, this.#root);
      this.#show();
    } else return false;
    return true;
  }

  /** A box of half the sides of what is seen in its middle. */
  centredBox(): Box {
    const { scale, left, top } = this.#layout();
    const { clientWidth, clientHeight } = this.#root;
    const from = this.#clamp({ x: -left / scale, y: -top / scale });
    const to = this.#clamp({ x: (clientWidth - left) / scale, y: (clientHeight - top) / scale });
    const [width, height] = [to.x - from.x, to.y - from.y];
    return [from.x + width / 4, from.y + height / 4, to.x - width / 4, to.y - height / 4];
  }

  #shifted([x0, y0, x1, y1]: Box, dx: number, dy: number): Box {
    const limit = (delta: number, low: number, high: number, end: number) => Math.min(end - high, Math.max(-low, delta));
    const [sx, sy] = [limit(dx, x0, x1, this.width), limit(dy, y0, y1, this.height)];
    return [x0 + sx, y0 + sy, x1 + sx, y1 + sy];
  }

  #drawBoxes(): void {
    const canvas = this.#boxLayer;
    const density = window.devicePixelRatio;
    canvas.width = Math.round(this.#root.clientWidth * density);
    canvas.height = Math.round(this.#root.clientHeight * density);
    const context = context2d(canvas);
    if (this.width === 0) return;
    const { scale, left, top } = this.#layout();
    context.setTransform(density, 0, 0, density, left * density, top * density);
    const stroke = ([x0, y0, x1, y1]: Box, color: string, selected: boolean) => {
      const place = [x0 * scale, y0 * scale, (x1 - x0) * scale, (y1 - y0) * scale] as const;
      context.lineWidth = 4;
      context.strokeStyle = "#000a";
      context.strokeRect(...place);
      context.lineWidth = 2;
      context.strokeStyle = color;
      context.setLineDash(selected ? [] : [6, 4]);
      context.strokeRect(...place);
      context.setLineDash([]);
      if (!selected) return;
      for (const x of [x0, x1]) {
        for (const y of [y0, y1]) {
          context.fillStyle = color;
          context.fillRect(x * scale - 4, y * scale - 4, 8, 8);
          context.lineWidth = 1;
          context.strokeStyle = "#000";
          context.strokeRect(x * scale - 4, y * scale - 4, 8, 8);
        }
      }
    };
    const selected = this.#boxes.find(({ id }) => id === this.#selected);
    if (selected?.crop != null) {
      const { x, y, width, height } = selected.crop;
      context.lineWidth = 1;
      context.strokeStyle = selected.color;
      context.setLineDash([2, 4]);
      context.strokeRect(x * scale, y * scale, width * scale, height * scale);
      context.setLineDash([]);
    }
    for (const { id, box, color } of this.#boxes) if (id !== this.#selected) stroke(box, color, false);
    for (const { id, box, color } of this.#boxes) if (id === this.#selected) stroke(box, color, true);
    if (this.#drag?.kind === "draw") stroke(between(this.#drag.start, this.#drag.current), "#ffffff", false);
  }
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] } as const;

function between(a: Point, b: Point): Box {
  return [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)];
}
