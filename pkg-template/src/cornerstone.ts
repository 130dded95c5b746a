/**
 * Segments in a viewport of Cornerstone3D 5.x. An entry of its own (`umedsam/cornerstone`); Cornerstone's modules are passed in.
 *
 * @example
 * import * as core from "@cornerstonejs/core";
 * import * as tools from "@cornerstonejs/tools";
 * import { load } from "umedsam";
 * import { connect } from "umedsam/cornerstone";
 *
 * const connection = connect({ core, tools, model: await load() }, "viewport");
 * connection.on("result", ({ expectedDsc, needsReview }) => console.log(expectedDsc, needsReview));
 * connection.on("error", ({ message }) => console.warn(message));
 * // A person draws a box; then:
 * connection.accept();
 *
 * @packageDocumentation
 */

import { UmedsamError } from "./errors.js";
import type { Model } from "./model.js";
import type { UncertaintyOptions } from "./types.js";
import { type Check, anything, checkOptions, flag, number, oneOf } from "./validate.js";
import type { ViewerConnection } from "./viewers/connection.js";
import { CornerstoneConnection } from "./viewers/cornerstone/connection.js";
import type { CornerstoneCore, CornerstoneTools, Viewport } from "./viewers/cornerstone/modules.js";
import type { CornerstonePlace } from "./viewers/cornerstone/slices.js";

export { type ErrorCode, UmedsamError } from "./errors.js";
export type { ViewerConnection, ViewerEvents, ViewerResult } from "./viewers/connection.js";
export type { CornerstoneCore, CornerstoneTools } from "./viewers/cornerstone/modules.js";
export type { CornerstonePlace } from "./viewers/cornerstone/slices.js";

export interface CornerstoneOptions {
  /** Where several rendering engines have a viewport of this name. */
  readonly renderingEngineId?: string;
  /** The tool group whose mouse prompts; default the viewport's. */
  readonly toolGroupId?: string;
  /** The segmentation that masks go into; default the viewport's active one if it has a labelmap on the image's grid, else one that is made. */
  readonly segmentationId?: string;
  /** The segment, 1 to 254; default the segmentation's active one when an object is begun. */
  readonly segmentIndex?: number;
  /** Name of the box tool in the tool group; default `"UmedsamBox"`. Points are `"UmedsamInclude"` and `"UmedsamExclude"`. */
  readonly toolName?: string;
  /** The uncertainty that is laid over the image; default `"total"`. */
  readonly overlay?: "none" | "total" | "epistemic";
  /** `false` accepts every object when its last answer has come; default `true`, which waits for `accept()` or `reject()`. */
  readonly preview?: boolean;
  /** Of the last answer; default the default ensemble. */
  readonly uncertainty?: UncertaintyOptions;
  /** How many encoded slices are kept, each 4 to 12 MB; default 8. */
  readonly keep?: number;
  /** Whether the slice in view and its neighbours are encoded while nothing else is to do; default `true`. */
  readonly preEncode?: boolean;
}

const name: Check = (value) => (typeof value === "string" && value !== "" ? undefined : "a name that is not empty");

const OPTIONS = {
  renderingEngineId: name,
  toolGroupId: name,
  segmentationId: name,
  segmentIndex: number(1, 254, "whole"),
  toolName: name,
  overlay: oneOf("none", "total", "epistemic"),
  preview: flag,
  uncertainty: anything,
  keep: number(1, Number.POSITIVE_INFINITY, "whole"),
  preEncode: flag,
};

/** The viewer's own modules, and the model. */
export interface CornerstoneParts {
  /** `@cornerstonejs/core`, initialised. */
  readonly core: CornerstoneCore;
  /** `@cornerstonejs/tools`, initialised. */
  readonly tools: CornerstoneTools;
  readonly model: Model;
}

/**
 * Turns a running stack or orthographic viewport into one that segments: a drag is a box, Shift and a click a point inside, Alt and a click a point
 * outside. Masks are segments of a labelmap: shown as a preview until `accept()` or `reject()`, then undone and redone by Cornerstone's history.
 *
 * @throws {UmedsamError} `invalid-option` for a viewport, tool group or option that cannot be used.
 */
export function connect({ core, tools, model }: CornerstoneParts, viewportId: string, options: CornerstoneOptions = {}): ViewerConnection<CornerstonePlace> {
  checkOptions("options", options, OPTIONS);
  const { renderingEngineId } = options;
  const enabled = renderingEngineId === undefined
    ? core.getEnabledElementByViewportId(viewportId)
    : core.getEnabledElementByIds(viewportId, renderingEngineId);
  if (enabled === undefined) throw new UmedsamError("invalid-option", `there is no viewport ${viewportId}; enable its element first`);
  const viewport = enabled.viewport as Viewport;
  if (viewport.type !== "stack" && viewport.type !== "orthographic") {
    throw new UmedsamError("invalid-option", `the viewport ${viewportId} is of type ${viewport.type}; use a stack or an orthographic one`);
  }
  const engine = enabled.renderingEngine?.id ?? enabled.renderingEngineId ?? "";
  return new CornerstoneConnection({ core, tools, viewport, renderingEngineId: engine }, model, options);
}
