/** An object in the viewer, and what stays of it. */

import type { Box, Segmentation } from "../../types.js";
import type { ViewedSlice } from "../session.js";
import type { Polygon } from "./contours.js";
import { type Feature, geometryOf, regionsOf } from "./features.js";
import type { OsdModule, OsdTiledImage } from "./osd.js";
import type { ObjectOverlay } from "./overlay.js";
import type { Place } from "./place.js";

/** A part of an image. */
export interface Slice extends ViewedSlice {
  readonly place: Place;
}

export interface Drawn {
  readonly id: string;
  /** Such as `"Object 1"`. */
  readonly name: string;
  readonly slice: Slice;
  /** In full-resolution pixels. */
  readonly box: Box | undefined;
  readonly overlay: ObjectOverlay;
  segmentation?: Segmentation | undefined;
  /** Whether there ever was a mask, which may be undone since. */
  isAnswered?: boolean;
  /** What stays of an accepted object: masks and maps take 5 MB and more. */
  kept?: Outcome;
}

export interface Outcome extends Pick<Segmentation, "expectedDsc" | "needsReview"> {
  readonly regions: readonly Polygon[];
}

export function outcomeOf(segmentation: Segmentation, place: Place): Outcome {
  const { expectedDsc, needsReview } = segmentation;
  return { expectedDsc, needsReview, regions: regionsOf(segmentation, place) };
}

/** `undefined` without a mask. */
export function featureOf({ id, name, segmentation, slice, kept }: Drawn, image: number): Feature | undefined {
  const outcome = kept ?? (segmentation && outcomeOf(segmentation, slice.place));
  if (outcome === undefined) return undefined;
  const { expectedDsc, needsReview, regions } = outcome;
  const properties = { name, isAccepted: kept !== undefined, expectedDsc, needsReview, image, level: slice.place.level };
  return { type: "Feature", id, properties: { objectType: "annotation", ...properties }, geometry: geometryOf(regions) };
}

/** Parts of images as the session asks for them; the same part has the same key. */
export class Slices {
  readonly #osd: OsdModule;
  readonly #ids = new WeakMap<OsdTiledImage, number>();
  #images = 0;

  constructor(osd: OsdModule) {
    this.#osd = osd;
  }

  of(place: Place): Slice {
    const { tiledImage, region, level, shrink } = place;
    const id = this.#ids.get(tiledImage) ?? ++this.#images;
    this.#ids.set(tiledImage, id);
    const key = [id, level, shrink, region.x, region.y, region.width, region.height].join();
    const image = async () => ({ data: await (await import("./pixels.js")).readPlace(this.#osd, place) });
    return { key, place, image };
  }
}
