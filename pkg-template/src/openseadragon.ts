/**
 * Segmentation in OpenSeadragon (versions 4 to 6): boxes and points by the viewer's own gestures, pixels from the pyramid or by IIIF, never from its canvas;
 * masks as polygons over the image, as GeoJSON and, where it is there, in Annotorious. OpenSeadragon is passed in.
 *
 * @example
 * const viewer = OpenSeadragon({ element, tileSources: "slide.dzi" });
 * const connection = connect({ OpenSeadragon, viewer, model: await load() });
 * connection.on("result", ({ expectedDsc }) => console.log(expectedDsc));
 *
 * @packageDocumentation
 */

import { UmedsamError } from "./errors.js";
import type { Model } from "./model.js";
import type { UncertaintyOptions } from "./types.js";
import { anything, checkOptions, flag, number, oneOf } from "./validate.js";
import { OpenSeadragonConnection } from "./viewers/openseadragon/objects.js";
import type { Annotorious, OsdModule, OsdViewer } from "./viewers/openseadragon/osd.js";

export { type ErrorCode, UmedsamError } from "./errors.js";
export type { ViewerConnection, ViewerEvents, ViewerResult } from "./viewers/connection.js";
export type { Feature } from "./viewers/openseadragon/features.js";
export { OpenSeadragonConnection } from "./viewers/openseadragon/objects.js";
export type { Annotorious, OsdModule, OsdTiledImage, OsdViewer } from "./viewers/openseadragon/osd.js";
export type { Place } from "./viewers/openseadragon/place.js";

/** What is connected. */
export interface Connected {
  /** The module, such as the default export of `openseadragon`. */
  readonly OpenSeadragon: OsdModule;
  readonly viewer: OsdViewer;
  readonly model: Model;
}

export interface ConnectOptions {
  /** What of the uncertainty is laid over the image; default `"total"`. */
  readonly overlay?: "none" | "total" | "epistemic";
  /** An annotator of `@annotorious/openseadragon`, without an adapter: accepted masks become annotations of it. */
  readonly annotorious?: Annotorious;
  /** Longer side of what the network is given, in pixels, about: 64–4096, default 512. The level of the pyramid follows from it. */
  readonly regionSize?: number;
  /** Of the final answer; default the default ensemble. `{ samples: 0 }` leaves the second answer out. */
  readonly uncertainty?: UncertaintyOptions;
  /** How many encoded parts of images are kept, each 4 to 12 MB: 1–64, default 8. */
  readonly keep?: number;
  /** Whether what is in view is encoded while nothing else is to do; default `true`. It costs the tiles once more where the browser does not keep them. */
  readonly preEncode?: boolean;
}

const OPTIONS = {
  overlay: oneOf("none", "total", "epistemic"),
  annotorious: anything,
  regionSize: number(64, 4096),
  uncertainty: anything,
  keep: number(1, 64, "whole"),
  preEncode: flag,
};

/**
 * Makes a viewer segment: a drag is a box, a click a point inside of the object, with Alt outside of it. Two fingers and the wheel zoom as before, and a drag
 * with Shift pans. Several boxes are answered one after the other; the one before is kept as if it were accepted, unless the next is drawn over it.
 *
 * @throws {UmedsamError} `invalid-option` that names the option, its value and what is allowed.
 */
export function connect({ OpenSeadragon, viewer, model }: Connected, options: ConnectOptions = {}): OpenSeadragonConnection {
  checkOptions("options", options, OPTIONS);
  const missing = Object.entries({ OpenSeadragon, viewer, model }).find(([, value]) => value === undefined || value === null);
  if (missing !== undefined) {
    throw new UmedsamError("invalid-option", `${missing[0]} is ${String(missing[1])}; use connect({ OpenSeadragon, viewer, model })`);
  }
  const { overlay = "total", regionSize = 512, preEncode = true, annotorious, uncertainty, keep } = options;
  return new OpenSeadragonConnection(OpenSeadragon, viewer, model, {
    ...{ overlay, regionSize, preEncode, annotorious },
    ...(uncertainty === undefined ? {} : { uncertainty }),
    ...(keep === undefined ? {} : { keep }),
  });
}
