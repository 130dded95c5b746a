/** Which part of an image the network is to see for a box, and at which level of the pyramid. */

import type { Box, Crop } from "../../types.js";
import type { OsdModule, OsdTiledImage, OsdTileSource } from "./osd.js";

/** Where a mask is: a part of an image, whose mask has `width` by `height` pixels, each of `pixelSize` pixels of the full resolution. */
export interface Place {
  readonly tiledImage: OsdTiledImage;
  /** In full-resolution pixels; where a level does not divide the image, its last pixels stick out of it. */
  readonly region: Crop;
  /** Level of the pyramid that the pixels are from. */
  readonly level: number;
  /** Full-resolution pixels by pixel of the mask: 1 at full resolution, 2 at half of it. */
  readonly pixelSize: number;
  /** Pixels of the level by pixel of the mask: 1, or more where the pyramid has no level that is coarse enough. */
  readonly shrink: number;
  /** Pixels of the mask. */
  readonly width: number;
  readonly height: number;
}

/** A corner of a level more or less is its rounding. */
const ROUNDING = 1e-6;

/**
 * The part for a box: what is in view, where the box takes a fair share of it, so that several boxes share an encoding; else a square of twice the box's longer
 * side around it. For a point (a box without area) what is in view. It is never smaller than `regionSize` pixels of the
 * full resolution, but where the image is.
 *
 * @param view - the part of the image in view, in full-resolution pixels
 * @param regionSize - longer side of the part, in pixels that the network is given
 */
export function placeOf(osd: OsdModule, tiledImage: OsdTiledImage, box: Box, view: Box, regionSize: number): Place {
  const source = tiledImage.source as OsdTileSource;
  const { x: width, y: height } = source.dimensions;
  // A simple image is there as a whole; its levels are made of it.
  const first = source instanceof osd.ImageTileSource ? source.maxLevel : source.minLevel;
  const levels = Array.from({ length: source.maxLevel - first + 1 }, (_, index) => first + index);
  const finest = source.getLevelScale(source.maxLevel);

  const longest = longer(box);
  const isFairShare = longest === 0 || (within(box, view) && longer(view) <= 4 * longest);
  const around = isFairShare ? grown(view, longer(view) / 8) : box;
  const least = Math.max(isFairShare ? 0 : 2 * longest, regionSize / finest);
  const [x0, x1] = spread(around[0], around[2], least, width);
  const [y0, y1] = spread(around[1], around[3], least, height);

  const wanted = Math.max(x1 - x0, y1 - y0);
  const misfit = (level: number) => Math.abs(Math.log2((wanted * source.getLevelScale(level)) / regionSize));
  // The finer one of two that fit as well.
  const level = levels.reduce((best, next) => (misfit(next) <= misfit(best) ? next : best));
  const scale = source.getLevelScale(level);
  const shrink = 2 ** Math.max(0, Math.round(Math.log2((wanted * scale) / regionSize) - ROUNDING));

  const pixelSize = shrink / scale;
  const begin = (at: number) => Math.floor(at / pixelSize + ROUNDING);
  const end = (at: number) => Math.ceil(at / pixelSize - ROUNDING);
  const [column, row] = [begin(x0), begin(y0)];
  const [columns, rows] = [end(x1) - column, end(y1) - row];
  const region = { x: column * pixelSize, y: row * pixelSize, width: columns * pixelSize, height: rows * pixelSize };
  return { tiledImage, region, level, pixelSize, shrink, width: columns, height: rows };
}

/** A box in full-resolution pixels as one in pixels of a place's mask. */
export function toPlace({ region, pixelSize }: Place, [x0, y0, x1, y1]: Box): Box {
  return [(x0 - region.x) / pixelSize, (y0 - region.y) / pixelSize, (x1 - region.x) / pixelSize, (y1 - region.y) / pixelSize];
}

export function holds({ region }: Place, x: number, y: number): boolean {
  return x >= region.x && y >= region.y && x <= region.x + region.width && y <= region.y + region.height;
}

/** What two boxes have in common, as a share of both together. */
export function overlap(a: Box, b: Box): number {
  const common = Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0])) * Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  return common / (area(a) + area(b) - common);
}

/** The part of a box that lies in an image. */
export function clipped([x0, y0, x1, y1]: Box, width: number, height: number): Box {
  const x = (value: number) => Math.min(Math.max(value, 0), width);
  const y = (value: number) => Math.min(Math.max(value, 0), height);
  return [x(x0), y(y0), x(x1), y(y1)];
}

export function area([x0, y0, x1, y1]: Box): number {
  return (x1 - x0) * (y1 - y0);
}

function longer([x0, y0, x1, y1]: Box): number {
  return Math.max(x1 - x0, y1 - y0);
}

function within(inner: Box, outer: Box): boolean {
  return inner[0] >= outer[0] && inner[1] >= outer[1] && inner[2] <= outer[2] && inner[3] <= outer[3];
}

function grown([x0, y0, x1, y1]: Box, by: number): Box {
  return [x0 - by, y0 - by, x1 + by, y1 + by];
}

/** Widens a stretch to a length around its middle, and moves it into the image if it fits there. */
function spread(from: number, to: number, length: number, size: number): [from: number, to: number] {
  const wide = Math.min(Math.max(to - from, length), size);
  const begin = Math.min(Math.max((from + to - wide) / 2, 0), size - wide);
  return [begin, begin + wide];
}
