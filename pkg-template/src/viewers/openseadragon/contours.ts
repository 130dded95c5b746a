/** Outlines of masks along the edges of pixels, with holes, as `toGeoJson` of `umedsam/export` traces them. */

/** A closed line through corners of pixels, without the repeated last one. */
export type Ring = [x: number, y: number][];

/** A region: its outline, then its holes. */
export type Polygon = Ring[];

/** Steps to the right, down, left, up. */
const STEPS = [
  [1, 0],
  [0, 1],
  [-1, 0],
  [0, -1],
] as const;

/** The pixels to the right and to the left of an edge that leaves a corner in a direction, from the corner. */
const SIDES = [
  [0, 0, 0, -1],
  [-1, 0, 0, 0],
  [-1, -1, -1, 0],
  [0, -1, -1, -1],
] as const;

/**
 * The regions of a mask: pixels that touch at a corner only are apart, and where a region touches itself at a corner, a hole touches the outline there. Filling
 * them gives the mask back.
 */
export function polygons(mask: Uint8Array, width: number, height: number): Polygon[] {
  const regions = regionsOf(mask, width);
  const at = (x: number, y: number) => (x < 0 || y < 0 || x >= width || y >= height ? 0 : regions[y * width + x]);
  const done = new Uint8Array(width * height);
  const found: Polygon[] = [];

  const isEdge = (x: number, y: number, direction: number, region: number) => {
    const [rightX, rightY, leftX, leftY] = SIDES[direction] as (typeof SIDES)[0];
    return at(x + rightX, y + rightY) === region && at(x + leftX, y + leftY) !== region;
  };
  const ring = (startX: number, startY: number, region: number): Ring => {
    const corners: Ring = [];
    let [x, y, direction] = [startX, startY, 0];
    do {
      // Every ring has an edge along the top of one of its pixels, by which it is known again.
      if (direction === 0) done[y * width + x] = 1;
      const [stepX, stepY] = STEPS[direction] as (typeof STEPS)[0];
      x += stepX;
      y += stepY;
      // To the left first: where the region touches itself, around what is outside.
      const next = [direction + 3, direction, direction + 1].map((turned) => turned % 4).find((turned) => isEdge(x, y, turned, region)) as number;
      if (next !== direction) corners.push([x, y]);
      direction = next;
    } while (x !== startX || y !== startY || direction !== 0);
    return corners;
  };

  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const region = at(x, y) as number;
      if (region === 0 || at(x, y - 1) === region || done[y * width + x] === 1) continue;
      // The first of a region's rings from above is its outline.
      (found[region - 1] ??= []).push(ring(x, y, region));
    }
  }
  return found;
}

/** Numbers of the regions of pixels that share edges, from 1; 0 outside. */
function regionsOf(mask: Uint8Array, width: number): Uint32Array {
  const regions = new Uint32Array(mask.length);
  let count = 0;
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || regions[start] !== 0) continue;
    regions[start] = ++count;
    const waiting = [start];
    for (let pixel = waiting.pop(); pixel !== undefined; pixel = waiting.pop()) {
      const x = pixel % width;
      for (const neighbour of [x > 0 ? pixel - 1 : -1, x + 1 < width ? pixel + 1 : -1, pixel - width, pixel + width]) {
        if (!mask[neighbour] || regions[neighbour] !== 0) continue;
        regions[neighbour] = count;
        waiting.push(neighbour);
      }
    }
  }
  return regions;
}
