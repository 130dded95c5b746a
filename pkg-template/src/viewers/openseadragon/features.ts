/** Objects as polygons in full-resolution pixels, as GeoJSON has them. */

import type { Segmentation } from "../../types.js";
import { type Polygon, polygons } from "./contours.js";
import type { Place } from "./place.js";

type Position = readonly [x: number, y: number];
type Rings = readonly (readonly Position[])[];

/** An object as GeoJSON has it, in full-resolution pixels of its image: x to the right, y down, from the outer corner of the first pixel. QuPath reads it. */
export interface Feature {
  readonly type: "Feature";
  readonly id: string;
  readonly properties: {
    readonly objectType: "annotation";
    /** Such as `"Object 1"`. */
    readonly name: string;
    /** Whether it was accepted. */
    readonly isAccepted: boolean;
    /** 0–1. */
    readonly expectedDsc: number;
    /** "Check this one"; `null` without calibration. */
    readonly needsReview: boolean | null;
    /** Place of its image in the viewer's world. */
    readonly image: number;
    /** Level of the pyramid that its pixels are from. */
    readonly level: number;
  };
  /** Outlines along the edges of the mask's pixels, the first point again at the end, with holes. */
  readonly geometry:
    | { readonly type: "Polygon"; readonly coordinates: Rings }
    | { readonly type: "MultiPolygon"; readonly coordinates: readonly Rings[] };
}

/** The regions of a mask in full-resolution pixels, within the image. */
export function regionsOf({ mask, width, height }: Segmentation, { region, pixelSize, tiledImage }: Place): Polygon[] {
  const size = tiledImage.getContentSize();
  const inImage = ([x, y]: [number, number]): [number, number] => [
    Math.min(region.x + x * pixelSize, size.x),
    Math.min(region.y + y * pixelSize, size.y),
  ];
  return polygons(mask, width, height).map((polygon) => polygon.map((ring) => ring.map(inImage)));
}

export function geometryOf(regions: readonly Polygon[]): Feature["geometry"] {
  const coordinates = regions.map((polygon) => polygon.map((ring) => [...ring, ring[0] as Position]));
  const [only] = coordinates;
  return only !== undefined && coordinates.length === 1 ? { type: "Polygon", coordinates: only } : { type: "MultiPolygon", coordinates };
}
