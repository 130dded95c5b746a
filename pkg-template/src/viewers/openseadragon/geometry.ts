/** Places of an image as the viewer shows them: turned, mirrored, moved. */

import type { Box } from "../../types.js";
import type { OsdModule, OsdPoint, OsdTiledImage, OsdViewer } from "./osd.js";
import { clipped } from "./place.js";

export class Geometry {
  readonly #osd: OsdModule;
  readonly #viewer: OsdViewer;

  constructor(osd: OsdModule, viewer: OsdViewer) {
    this.#osd = osd;
    this.#viewer = viewer;
  }

  /** A pixel of the viewer's element as one of an image at full resolution. */
  toImage(image: OsdTiledImage, x: number, y: number): OsdPoint {
    const { viewport } = this.#viewer;
    const unflipped = new this.#osd.Point(viewport.getFlip() ? viewport.getContainerSize().x - x : x, y);
    const point = viewport.pointFromPixel(unflipped, true);
    const found = image.viewportToImageCoordinates(point.x, point.y, true);
    return image.getFlip() ? new this.#osd.Point(image.getContentSize().x - found.x, found.y) : found;
  }

  toViewer(image: OsdTiledImage, x: number, y: number): OsdPoint {
    const { viewport } = this.#viewer;
    const shown = image.getFlip() ? image.getContentSize().x - x : x;
    const pixel = viewport.pixelFromPoint(image.imageToViewportCoordinates(shown, y, true), true);
    return viewport.getFlip() ? new this.#osd.Point(viewport.getContainerSize().x - pixel.x, pixel.y) : pixel;
  }

  /** The box around a rectangle of the viewer's element, in pixels of an image. */
  around(image: OsdTiledImage, [x0, y0, x1, y1]: Box): Box {
    const corners = [this.toImage(image, x0, y0), this.toImage(image, x1, y0), this.toImage(image, x1, y1), this.toImage(image, x0, y1)];
    const [xs, ys] = [corners.map(({ x }) => x), corners.map(({ y }) => y)];
    return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
  }

  /** The same, within the image. */
  boxOf(image: OsdTiledImage, rectangle: Box): Box {
    const size = image.getContentSize();
    return clipped(this.around(image, rectangle), size.x, size.y);
  }

  /** The part of an image that is in view. */
  viewOf(image: OsdTiledImage): Box {
    const { x, y } = this.#viewer.viewport.getContainerSize();
    return this.boxOf(image, [0, 0, x, y]);
  }

  /** The visible images, the topmost first. */
  images(): OsdTiledImage[] {
    const { world } = this.#viewer;
    const items = Array.from({ length: world.getItemCount() }, (_, index) => world.getItemAt(index));
    return items.filter((item) => item !== undefined).filter((item) => item.getOpacity() > 0).reverse();
  }

  /** Lays an element of the viewer over a part of an image. */
  lay(element: HTMLElement, image: OsdTiledImage, { x, y, width, height }: { x: number; y: number; width: number; height: number }): void {
    const [origin, right, below] = [this.toViewer(image, x, y), this.toViewer(image, x + width, y), this.toViewer(image, x, y + height)];
    const [across, down] = [right, below].map((end) => Math.hypot(end.x - origin.x, end.y - origin.y)) as [number, number];
    const along = (end: OsdPoint, length: number) => `${(end.x - origin.x) / length}, ${(end.y - origin.y) / length}`;
    const transform = `matrix(${along(right, across)}, ${along(below, down)}, ${origin.x}, ${origin.y})`;
    Object.assign(element.style, { width: `${across}px`, height: `${down}px`, transform });
  }
}
