/** Which part of the image is seen, and how large. */

/** The largest zoom shows a pixel of the image this large, in CSS pixels. */
const LARGEST_PIXEL = 48;

export interface Layout {
  /** CSS pixels per image pixel, across. */
  readonly scale: number;
  /** The same, down: another one where pixels are not square. */
  readonly down: number;
  /** Where the image's corner is in the frame, in CSS pixels. */
  readonly left: number;
  readonly top: number;
}

/** The image letterboxed in its frame, enlarged and moved. */
export class View {
  /** 1 shows the whole image. */
  zoom = 1;
  /** A pixel's height by its width. */
  ratio = 1;
  #x = 0;
  #y = 0;

  reset(): void {
    this.zoom = 1;
    this.#x = 0;
    this.#y = 0;
  }

  layout(frame: { clientWidth: number; clientHeight: number }, width: number, height: number): Layout {
    const { clientWidth, clientHeight } = frame;
    const fit = this.#fit(frame, width, height);
    return {
      scale: fit * this.zoom,
      down: fit * this.ratio * this.zoom,
      left: ((clientWidth - width * fit) / 2) * this.zoom + this.#x,
      top: ((clientHeight - height * this.ratio * fit) / 2) * this.zoom + this.#y,
    };
  }

  /** CSS pixels of a pixel's width where the whole image is seen. */
  #fit({ clientWidth, clientHeight }: { clientWidth: number; clientHeight: number }, width: number, height: number): number {
    return Math.min(clientWidth / width, clientHeight / (height * this.ratio));
  }

  /** Enlarges by a factor; the point of the frame, in CSS pixels, keeps showing the same place. */
  enlarge(factor: number, point: { x: number; y: number }, frame: { clientWidth: number; clientHeight: number }, width: number, height: number): void {
    const fit = this.#fit(frame, width, height);
    const zoom = Math.min(Math.max(1, LARGEST_PIXEL / fit), Math.max(1, this.zoom * factor));
    this.#x = point.x - ((point.x - this.#x) * zoom) / this.zoom;
    this.#y = point.y - ((point.y - this.#y) * zoom) / this.zoom;
    this.zoom = zoom;
    this.#keepInFrame(frame);
  }

  move(dx: number, dy: number, frame: { clientWidth: number; clientHeight: number }): void {
    this.#x += dx;
    this.#y += dy;
    this.#keepInFrame(frame);
  }

  #keepInFrame({ clientWidth, clientHeight }: { clientWidth: number; clientHeight: number }): void {
    this.#x = Math.min(0, Math.max(clientWidth * (1 - this.zoom), this.#x));
    this.#y = Math.min(0, Math.max(clientHeight * (1 - this.zoom), this.#y));
  }
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/** What pointers did that went from some places to others: how their middle moved, and how much further apart they are. */
export function pinched(before: readonly Point[], after: readonly Point[]): { from: Point; to: Point; factor: number } {
  const middle = (points: readonly Point[]) => ({
    x: points.reduce((sum, { x }) => sum + x, 0) / points.length,
    y: points.reduce((sum, { y }) => sum + y, 0) / points.length,
  });
  const spread = ([a, b]: readonly Point[]) => (a === undefined || b === undefined ? 1 : Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)));
  return { from: middle(before), to: middle(after), factor: spread(after) / spread(before) };
}
