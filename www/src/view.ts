/** Which part of the image is seen, and how large. */

/** The largest zoom shows a pixel of the image this large, in CSS pixels. */
const LARGEST_PIXEL = 48;

export interface Layout {
  /** CSS pixels per image pixel. */
  readonly scale: number;
  /** Where the image's corner is in the frame, in CSS pixels. */
  readonly left: number;
  readonly top: number;
}

/** The image letterboxed in its frame, enlarged and moved. */
export class View {
  /** 1 shows the whole image. */
  zoom = 1;
  #x = 0;
  #y = 0;

  reset(): void {
    this.zoom = 1;
    this.#x = 0;
    this.#y = 0;
  }

  layout(frame: { clientWidth: number; clientHeight: number }, width: number, height: number): Layout {
    const { clientWidth, clientHeight } = frame;
    const fit = Math.min(clientWidth / width, clientHeight / height);
    return {
      scale: fit * this.zoom,
      left: ((clientWidth - width * fit) / 2) * this.zoom + this.#x,
      top: ((clientHeight - height * fit) / 2) * this.zoom + this.#y,
    };
  }

  /** What the image's layers need to lie where the layout says. */
  get transform(): string {
    return `translate(${this.#x}px, ${this.#y}px) scale(${this.zoom})`;
  }

  /** Enlarges by a factor; the point of the frame, in CSS pixels, keeps showing the same place. */
  enlarge(factor: number, point: { x: number; y: number }, frame: { clientWidth: number; clientHeight: number }, width: number, height: number): void {
    const fit = Math.min(frame.clientWidth / width, frame.clientHeight / height);
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
