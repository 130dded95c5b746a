/** Draws what was said of the objects: boxes, points, strokes. */

import type { Box, Crop, Point, PointLabel, Scribble, Suggestion } from "../../umedsam/index.js";

/** What is drawn of an object. */
export interface Marks {
  readonly id: number;
  readonly color: string;
  box: Box | undefined;
  readonly points: readonly Point[];
  readonly scribbles: readonly Scribble[];
  readonly crop: Crop | null;
  readonly suggestion: Suggestion | null;
}

const LABEL_COLORS: Readonly<Record<PointLabel, string>> = { foreground: "#36d46a", background: "#ff5a4f" };
const [POINT_RADIUS, STROKE_WIDTH] = [6, 5];

/** Draws in CSS pixels, so many across and down to a pixel of the image. */
export class MarksPainter {
  readonly #context: CanvasRenderingContext2D;
  readonly #scale: number;
  readonly #down: number;

  constructor(context: CanvasRenderingContext2D, { scale, down }: { readonly scale: number; readonly down: number }) {
    this.#context = context;
    this.#scale = scale;
    this.#down = down;
  }

  object({ box, color, crop, points, scribbles, suggestion }: Marks, isSelected: boolean): void {
    if (isSelected && crop !== null) this.crop(crop, color);
    if (box !== undefined) this.box(box, color, isSelected);
    this.#context.globalAlpha = isSelected ? 1 : 0.5;
    for (const { points: line, label = "foreground" } of scribbles) this.stroke(line, label);
    for (const { x, y, label = "foreground" } of points) this.point(x, y, label);
    this.#context.globalAlpha = 1;
    if (isSelected && suggestion !== null) this.question(suggestion.x, suggestion.y);
  }

  box([x0, y0, x1, y1]: Box, color: string, isSelected: boolean): void {
    const [context, scale, down] = [this.#context, this.#scale, this.#down];
    const place = [x0 * scale, y0 * down, (x1 - x0) * scale, (y1 - y0) * down] as const;
    context.lineWidth = 4;
    context.strokeStyle = "#000a";
    context.strokeRect(...place);
    context.lineWidth = 2;
    context.strokeStyle = color;
    context.setLineDash(isSelected ? [] : [6, 4]);
    context.strokeRect(...place);
    context.setLineDash([]);
    if (!isSelected) return;
    for (const x of [x0, x1]) {
      for (const y of [y0, y1]) {
        context.fillStyle = color;
        context.fillRect(x * scale - 4, y * down - 4, 8, 8);
        context.lineWidth = 1;
        context.strokeStyle = "#000";
        context.strokeRect(x * scale - 4, y * down - 4, 8, 8);
      }
    }
  }

  /** A disc with a plus inside of the object, with a minus outside: not by colour alone. */
  point(x: number, y: number, label: PointLabel): void {
    const [context, scale, down] = [this.#context, this.#scale, this.#down];
    context.beginPath();
    context.arc(x * scale, y * down, POINT_RADIUS, 0, 2 * Math.PI);
    context.fillStyle = LABEL_COLORS[label];
    context.fill();
    context.lineWidth = 1.5;
    context.strokeStyle = "#000";
    context.stroke();
    const reach = POINT_RADIUS / 2;
    context.beginPath();
    context.moveTo(x * scale - reach, y * down);
    context.lineTo(x * scale + reach, y * down);
    if (label === "foreground") {
      context.moveTo(x * scale, y * down - reach);
      context.lineTo(x * scale, y * down + reach);
    }
    context.stroke();
  }

  /** A spot that is asked about. */
  question(x: number, y: number): void {
    const [context, scale, down] = [this.#context, this.#scale, this.#down];
    context.beginPath();
    context.arc(x * scale, y * down, 2 * POINT_RADIUS, 0, 2 * Math.PI);
    for (const [width, color] of [[5, "#000a"], [2, "#fff"]] as const) {
      context.lineWidth = width;
      context.strokeStyle = color;
      context.stroke();
    }
    context.font = `bold ${3 * POINT_RADIUS}px sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineWidth = 3;
    context.strokeStyle = "#000a";
    context.strokeText("?", x * scale, y * down);
    context.fillStyle = "#fff";
    context.fillText("?", x * scale, y * down);
  }

  stroke(line: Scribble["points"], label: PointLabel): void {
    const [context, scale, down] = [this.#context, this.#scale, this.#down];
    context.beginPath();
    for (const [x, y] of line) context.lineTo(x * scale, y * down);
    context.lineCap = context.lineJoin = "round";
    for (const [width, color] of [[STROKE_WIDTH + 2, "#000a"], [STROKE_WIDTH, LABEL_COLORS[label]]] as const) {
      context.lineWidth = width;
      context.strokeStyle = color;
      if (label === "background") context.setLineDash([STROKE_WIDTH, 2 * STROKE_WIDTH]);
      context.stroke();
      context.setLineDash([]);
    }
    context.lineCap = "butt";
  }

  /** The part of the image that was looked at by itself. */
  crop({ x, y, width, height }: Crop, color: string): void {
    const [context, scale, down] = [this.#context, this.#scale, this.#down];
    context.lineWidth = 1;
    context.strokeStyle = color;
    context.setLineDash([2, 4]);
    context.strokeRect(x * scale, y * down, width * scale, height * down);
    context.setLineDash([]);
  }

  /** Where a key would set a point. */
  cross(x: number, y: number): void {
    const [context, scale, down] = [this.#context, this.#scale, this.#down];
    for (const [width, color] of [[4, "#000a"], [1.5, "#fff"]] as const) {
      context.lineWidth = width;
      context.strokeStyle = color;
      context.beginPath();
      context.moveTo(x * scale - 12, y * down);
      context.lineTo(x * scale + 12, y * down);
      context.moveTo(x * scale, y * down - 12);
      context.lineTo(x * scale, y * down + 12);
      context.stroke();
    }
  }
}
