/**
 * NiiVue segments. An entry of its own (`umedsam/niivue`), for NiiVue 0.69.
 *
 * @example
 * const nv = new Niivue();
 * await nv.attachToCanvas(canvas);
 * await nv.loadVolumes([{ url: "chest.nii.gz" }]);
 * const connection = connect({ nv, NVImage, model: await load() });
 * connection.on("result", ({ expectedDsc, needsReview }) => console.log(expectedDsc, needsReview));
 * acceptButton.onclick = () => connection.accept();
 * const labels = await nv.saveImage({ filename: "labels.nii.gz", isSaveDrawing: true, volumeByIndex: 0 });
 *
 * @packageDocumentation
 */

import { UmedsamError } from "./errors.js";
import type { Model } from "./model.js";
import { anything, checkOptions, flag, number, oneOf } from "./validate.js";
import { Connected } from "./viewers/niivue/niivue-connection.js";
import type { NiivueConnection, NiivueOptions } from "./viewers/niivue/options.js";
import type { NiivueViewer, NiivueVolumes } from "./viewers/niivue/viewer.js";

export { type ErrorCode, UmedsamError } from "./errors.js";
export type { ViewerConnection, ViewerEvents, ViewerResult } from "./viewers/connection.js";
export type { NiivueConnection, NiivueOptions } from "./viewers/niivue/options.js";
export type { NiivuePlace } from "./viewers/niivue/slices.js";
export type { NiivueViewer, NiivueVolume, NiivueVolumes } from "./viewers/niivue/viewer.js";

/** NiiVue's parts and a model; none of them is disposed of. */
export interface NiivueParts {
  /** An instance that is attached to a canvas. */
  readonly nv: NiivueViewer;
  /** NiiVue's class of volumes. */
  readonly NVImage: NiivueVolumes;
  readonly model: Model;
}

const OPTIONS = {
  volume: number(0, Number.MAX_SAFE_INTEGER, "whole"),
  overlay: oneOf("none", "total", "epistemic"),
  target: oneOf("drawing", "overlay"),
  label: number(1, 254, "whole"),
  preEncode: flag,
  keep: number(1, Number.MAX_SAFE_INTEGER, "whole"),
  alpha: anything,
  delta: anything,
  zoom: anything,
  uncertainty: anything,
};

/**
 * Makes a NiiVue segment: a drag with the left button on a slice of any plane is a box, a click a point inside of the object, with Alt one outside. The mask goes
 * into the drawing, or an overlay, at once, and stays there after `accept()`. With Ctrl the left button moves the crosshair, with Shift it pans.
 *
 * Voxels are read as they are stored, through the window that NiiVue shows them through (`cal_min`, `cal_max`), each slice upright; nothing is read from the
 * canvas.
 *
 * @throws {UmedsamError} `invalid-option`
 */
export function connect({ nv, NVImage, model }: NiivueParts, options: NiivueOptions = {}): NiivueConnection {
  checkOptions("options", options, OPTIONS);
  const { canvas } = nv;
  if (canvas === null) throw new UmedsamError("invalid-option", "nv has no canvas; await nv.attachToCanvas(canvas) first");
  return new Connected(nv, NVImage, model, canvas, options);
}
