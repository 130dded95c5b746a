/** Shows the image and lets boxes, points and strokes be drawn with mouse, touch or keyboard. */

import type { Box } from "../../umedsam/index.js";
import { type Place, between, grab, shifted } from "../prompt/box-edits.js";
import { context2d, element } from "../dom.js";
import { type Marks, MarksPainter } from "../prompt/marks.js";
import { labelOf, tool } from "../prompt/tools.js";
import { type Layout, View, pinched } from "./view.js";
import type { Drag, ViewerEvents } from "./viewer-events.js";
import { WheelSteps, pixelsOf } from "./wheel.js";

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
  readonly #markLayer = element("mark-layer", HTMLCanvasElement);
  readonly #events: ViewerEvents;
  #objects: readonly Marks[] = [];
  /** Where keys set points, once they were used. */
  #cross: Place | undefined;
  #selected: number | undefined;
  #drag: Drag | undefined;
  #enabled = false;
  /** Whether the wheel goes through slices. */
  isStack = false;
  /** Whether there is a window to drag. */
  hasWindow = false;
  readonly #view = new View();
  readonly #wheelSteps = new WheelSteps();
  /** Pointers that are down, in the frame: one draws, two zoom and move. */
  readonly #pointers = new Map<number, Place>();

  constructor(events: ViewerEvents) {
    this.#events = events;
    this.#root.addEventListener("pointerdown", (event) => this.#pointerDown(event));
    this.#root.addEventListener("pointermove", (event) => this.#pointerMove(event));
    this.#root.addEventListener("pointerup", (event) => this.#pointerUp(event));
    this.#root.addEventListener("pointercancel", (event) => {
      this.#pointers.delete(event.pointerId);
      this.#cancelDrag();
    });
    this.#root.addEventListener("contextmenu", (event) => {
      if (this.hasWindow) event.preventDefault();
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

  /** Shows an image, whose pixels are `ratio` times as high as wide. Of another size, it is shown as a whole. */
  setImage(picture: ImageData, isOther: boolean, ratio = 1): void {
    if (isOther || picture.width !== this.width || picture.height !== this.height || ratio !== this.#view.ratio) {
      for (const canvas of [this.#image, this.#map]) {
        canvas.width = picture.width;
        canvas.height = picture.height;
      }
      const [widest, tallest] = FRAMES;
      this.#root.style.aspectRatio = String(Math.min(widest, Math.max(tallest, picture.width / (picture.height * ratio))));
      this.#view.ratio = ratio;
      this.#view.reset();
      this.#drag = undefined;
      this.#cross = undefined;
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

  #enlarge(factor: number, point: Place): void {
    if (this.width === 0) return;
    this.#view.enlarge(factor, point, this.#root, this.width, this.height);
    this.#show();
  }

  #show(): void {
    const { scale, down, left, top } = this.#layout();
    const { zoom } = this.#view;
    for (const canvas of [this.#image, this.#map]) {
      canvas.style.width = `${(this.width * scale) / zoom}px`;
      canvas.style.height = `${(this.height * down) / zoom}px`;
      canvas.style.transform = `translate(${left}px, ${top}px) scale(${zoom})`;
    }
    this.#drawMarks();
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

  setObjects(objects: readonly Marks[], selected: number | undefined, enabled: boolean): void {
    this.#objects = objects;
    this.#selected = selected;
    this.#enabled = enabled;
    this.#drawMarks();
  }

  #layout(): Layout {
    return this.#view.layout(this.#root, this.width, this.height);
  }

  #inFrame(event: MouseEvent): Place {
    const frame = this.#root.getBoundingClientRect();
    return { x: event.clientX - frame.left - this.#root.clientLeft, y: event.clientY - frame.top - this.#root.clientTop };
  }

  #toImage(event: PointerEvent): Place {
    const { scale, down, left, top } = this.#layout();
    const { x, y } = this.#inFrame(event);
    return { x: (x - left) / scale, y: (y - top) / down };
  }

  #wheel(event: WheelEvent): void {
    event.preventDefault();
    // Browsers tell a pinch as a wheel with Ctrl.
    if (this.isStack && !event.ctrlKey && !event.metaKey) {
      const steps = this.#wheelSteps.steps(event);
      if (steps !== 0 && this.#drag === undefined) this.#events.scrolled(steps);
      return;
    }
    const pinch = event.ctrlKey && Math.abs(pixelsOf(event)) < 50;
    this.#enlarge(Math.exp(-pixelsOf(event) * (pinch ? 0.01 : 0.002)), this.#inFrame(event));
  }

  #clamp({ x, y }: Place): Place {
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
      this.#drawMarks();
      return;
    }
    if (this.hasWindow && (event.button === 2 || (event.button === 0 && tool() === "window"))) {
      this.#drag = { kind: "window", start: this.#inFrame(event) };
      this.#events.windowed(undefined);
      return;
    }
    if (!this.#enabled || event.button !== 0 || tool() === "window") return;
    this.#cross = undefined;
    this.#drag = this.#begin(this.#toImage(event), event);
    if (this.#drag.kind === "move" || this.#drag.kind === "resize") this.#events.selected(this.#drag.target.id);
    this.#drawMarks();
  }

  /** What a pointer that goes down begins with the chosen tool. */
  #begin(place: Place, { pointerType, altKey }: PointerEvent): Drag {
    const start = this.#clamp(place);
    const name = tool();
    if (name === "box") {
      const wide = pointerType === "touch" ? GRAB.touch : GRAB.mouse;
      const { scale, down } = this.#layout();
      const reach = { x: wide / scale, y: wide / down };
      return grab(this.#objects, this.#selected, place, reach) ?? { kind: "draw", start, current: start };
    }
    const label = labelOf(name, altKey);
    return name === "add" || name === "remove" ? { kind: "click", start, label } : { kind: "stroke", line: [[start.x, start.y]], label };
  }

  /** Puts a box back that a finger was dragging when the second one came. */
  #revert(): void {
    const drag = this.#drag;
    if (drag?.kind !== "move" && drag?.kind !== "resize") return;
    this.#events.putBack(drag.target.id);
  }

  /** Two fingers: the middle between them moves the image, their distance enlarges it. One pointer moves it. */
  #pan(event: PointerEvent): void {
    const before = [...this.#pointers.values()];
    this.#pointers.set(event.pointerId, this.#inFrame(event));
    const after = [...this.#pointers.values()];
    const { from, to, factor } = pinched(before, after);
    this.#view.move(to.x - from.x, to.y - from.y, this.#root);
    this.#enlarge(factor, to);
  }

  #pointerMove(event: PointerEvent): void {
    const point = this.#toImage(event);
    // A pointer stands on whole CSS pixels, which a side of a thin image may be narrower than.
    const { scale, down } = this.#layout();
    const within = point.x >= -1 / scale && point.y >= -1 / down && point.x < this.width + 1 / scale && point.y < this.height + 1 / down;
    const pixel = (value: number, size: number) => Math.min(size - 1, Math.max(0, Math.floor(value)));
    this.#events.pointed(within ? { x: pixel(point.x, this.width), y: pixel(point.y, this.height) } : undefined);
    const drag = this.#drag;
    if (drag === undefined) return;
    if (drag.kind === "pan") {
      if (this.#pointers.has(event.pointerId)) this.#pan(event);
      return;
    }
    if (drag.kind === "window") {
      const { x, y } = this.#inFrame(event);
      this.#events.windowed({ x: x - drag.start.x, y: y - drag.start.y });
      return;
    }
    if (drag.kind === "draw") {
      drag.current = this.#clamp(point);
    } else if (drag.kind === "stroke") {
      const { x, y } = this.#clamp(point);
      drag.line.push([x, y]);
    } else if (drag.kind === "resize") {
      drag.target.box = between(drag.anchor, this.#clamp(point));
      this.#events.changed(drag.target.id, drag.target.box, false);
    } else if (drag.kind === "move") {
      drag.target.box = shifted(drag.from, point.x - drag.start.x, point.y - drag.start.y, this.width, this.height);
      this.#events.changed(drag.target.id, drag.target.box, false);
    }
    this.#drawMarks();
  }

  #pointerUp(event: PointerEvent): void {
    this.#pointers.delete(event.pointerId);
    this.#root.releasePointerCapture(event.pointerId);
    const drag = this.#drag;
    // Until the last finger is up nothing is drawn.
    if (drag === undefined || (drag.kind === "pan" && this.#pointers.size > 0)) return;
    this.#drag = undefined;
    if (drag.kind === "pan" || drag.kind === "window") return;
    if (drag.kind === "draw") {
      const box = between(drag.start, drag.current);
      const { scale, down } = this.#layout();
      if (box[2] - box[0] >= SMALLEST / scale && box[3] - box[1] >= SMALLEST / down) this.#events.drawn(box);
      else this.#events.selected(undefined);
    } else if (drag.kind === "click") {
      this.#events.clicked(drag.start, drag.label);
    } else if (drag.kind === "stroke") {
      this.#events.stroked(drag.line, drag.label);
    } else {
      const [x0, y0, x1, y1] = drag.target.box;
      const isSame = drag.from.every((side, index) => side === drag.target.box[index]);
      if (x0 === x1 || y0 === y1) this.#events.removed(drag.target.id);
      else if (isSame) this.#events.putBack(drag.target.id);
      else this.#events.changed(drag.target.id, drag.target.box, true);
    }
    this.#drawMarks();
  }

  #cancelDrag(): void {
    this.#revert();
    this.#drag = undefined;
    this.#drawMarks();
  }

  #keyDown(event: KeyboardEvent): void {
    // Buttons in the frame have keys of their own.
    if (event.target !== this.#root || event.ctrlKey || event.metaKey) return;
    if (this.#viewKey(event)) {
      event.preventDefault();
      return;
    }
    if (!this.#enabled) return;
    const target = this.#objects.find(({ id }) => id === this.#selected);
    if (event.key === "n" || event.key === "N") {
      this.#events.drawn(this.centredBox());
    } else if (target !== undefined && (event.key === "Delete" || event.key === "Backspace")) {
      this.#events.removed(target.id);
    } else if (event.key === "Escape") {
      this.#events.selected(undefined);
    } else if (tool() !== "box" && (event.key in ARROWS || event.key === "Enter")) {
      this.#crossKey(event);
    } else if (target?.box !== undefined && event.key in ARROWS) {
      const [dx, dy] = this.#step(event);
      const [x0, y0, x1, y1] = target.box;
      if (event.shiftKey) {
        const corner = this.#clamp({ x: Math.max(x0 + 1, x1 + dx), y: Math.max(y0 + 1, y1 + dy) });
        target.box = [x0, y0, corner.x, corner.y];
      } else {
        target.box = shifted(target.box, dx, dy, this.width, this.height);
      }
      this.#events.changed(target.id, target.box, true);
    } else {
      return;
    }
    event.preventDefault();
    this.#drawMarks();
  }

  /** How far an arrow key moves things, in pixels of the image. */
  #step(event: KeyboardEvent): [dx: number, dy: number] {
    const [dx, dy] = ARROWS[event.key as keyof typeof ARROWS];
    const step = Math.max(1, Math.round(Math.max(this.width, this.height) / 100));
    return [dx * step, dy * step];
  }

  /** Arrows move a cross, Enter sets a point there. */
  #crossKey(event: KeyboardEvent): void {
    const [x0, y0, x1, y1] = this.centredBox();
    const cross = this.#cross ?? { x: (x0 + x1) / 2, y: (y0 + y1) / 2 };
    if (event.key === "Enter") {
      if (event.repeat) return;
      this.#events.clicked(cross, labelOf(tool(), event.altKey));
      this.#cross = cross;
      return;
    }
    const [dx, dy] = this.#step(event);
    this.#cross = this.#clamp({ x: cross.x + dx, y: cross.y + dy });
  }

  /** Keys that change what is seen; returns whether this was one. */
  #viewKey(event: KeyboardEvent): boolean {
    if (event.key === "+" || event.key === "=") this.enlarge(ZOOM_STEP);
    else if (event.key === "-") this.enlarge(1 / ZOOM_STEP);
    else if (event.key === "0") this.fit();
    else if (this.isStack && event.key in SLICE_KEYS) this.#events.scrolled(SLICE_KEYS[event.key] as number);
    else if (tool() === "window" && this.hasWindow && !event.altKey && event.key in ARROWS) {
      const [dx, dy] = ARROWS[event.key as keyof typeof ARROWS];
      this.#events.windowed(undefined);
      this.#events.windowed({ x: 8 * dx, y: 8 * dy });
    }
    else if (event.altKey && event.key in ARROWS) {
      const [dx, dy] = ARROWS[event.key as keyof typeof ARROWS];
      this.#view.move((-dx * this.#root.clientWidth) / 8, (-dy * this.#root.clientHeight) / 8, this.#root);
      this.#show();
    } else return false;
    return true;
  }

  /** A box of half the sides of what is seen in its middle. */
  centredBox(): Box {
    const { scale, down, left, top } = this.#layout();
    const { clientWidth, clientHeight } = this.#root;
    const from = this.#clamp({ x: -left / scale, y: -top / down });
    const to = this.#clamp({ x: (clientWidth - left) / scale, y: (clientHeight - top) / down });
    const [width, height] = [to.x - from.x, to.y - from.y];
    return [from.x + width / 4, from.y + height / 4, to.x - width / 4, to.y - height / 4];
  }

  #drawMarks(): void {
    const canvas = this.#markLayer;
    const density = window.devicePixelRatio;
    canvas.width = Math.round(this.#root.clientWidth * density);
    canvas.height = Math.round(this.#root.clientHeight * density);
    const context = context2d(canvas);
    if (this.width === 0) return;
    const layout = this.#layout();
    const { left, top } = layout;
    context.setTransform(density, 0, 0, density, left * density, top * density);
    const painter = new MarksPainter(context, layout);
    for (const object of this.#objects) if (object.id !== this.#selected) painter.object(object, false);
    for (const object of this.#objects) if (object.id === this.#selected) painter.object(object, true);
    if (this.#drag?.kind === "draw") painter.box(between(this.#drag.start, this.#drag.current), "#ffffff", false);
    if (this.#drag?.kind === "stroke") painter.stroke(this.#drag.line, this.#drag.label);
    if (this.#drag?.kind === "click") painter.point(this.#drag.start.x, this.#drag.start.y, this.#drag.label);
    if (this.#cross !== undefined) painter.cross(this.#cross.x, this.#cross.y);
  }
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] } as const;
const SLICE_KEYS: Readonly<Record<string, number>> = { PageDown: 1, PageUp: -1, ".": 1, ",": -1, End: Number.MAX_SAFE_INTEGER, Home: -Number.MAX_SAFE_INTEGER };
