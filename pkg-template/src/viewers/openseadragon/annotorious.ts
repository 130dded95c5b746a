/** Objects as annotations of Annotorious. */

import type { Polygon } from "./contours.js";

type Position = readonly [x: number, y: number];

/** An annotation of Annotorious's own model. */
export function annotationOf(id: string, name: string, regions: readonly Polygon[]): object {
  const bounds = (points: readonly Position[]) => {
    const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
    const least = (values: number[]) => values.reduce((a, b) => Math.min(a, b));
    const most = (values: number[]) => values.reduce((a, b) => Math.max(a, b));
    return { minX: least(xs), minY: least(ys), maxX: most(xs), maxY: most(ys) };
  };
  const [only] = regions;
  const isSimple = only !== undefined && regions.length === 1 && only.length === 1;
  const selector = isSimple
    ? { type: "POLYGON", geometry: { points: only[0], bounds: bounds(only[0] as Position[]) } }
    : {
        type: "MULTIPOLYGON",
        geometry: {
          polygons: regions.map((rings) => ({ rings: rings.map((points) => ({ points })), bounds: bounds(rings.flat()) })),
          bounds: bounds(regions.flat(2) as Position[]),
        },
      };
  return { id, bodies: [{ id: `${id}-name`, annotation: id, purpose: "tagging", value: name }], target: { annotation: id, selector } };
}
