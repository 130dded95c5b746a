/** What a page says to the adapter. */

import type { PointLabel } from "../../types.js";
import type { ViewerConnection } from "../connection.js";
import type { SessionOptions } from "../session.js";
import type { NiivuePlace } from "./slices.js";

export interface NiivueOptions extends SessionOptions {
  /** Which of NiiVue's volumes is segmented, from 0; default 0. It lies on the grid of the first one, which NiiVue draws on. */
  readonly volume?: number;
  /** Which uncertainty is shown over the image, until the mask is accepted or thrown away; default `"total"`. */
  readonly overlay?: "none" | "total" | "epistemic";
  /** Where masks go: into NiiVue's drawing (default), where its pen and its undo go on, or into an overlay with colours by label. */
  readonly target?: "drawing" | "overlay";
  /** The label of masks, 1–254; default 1. */
  readonly label?: number;
  /** Whether the slices in view and their neighbours are encoded while nothing else is to do, so that a box is answered at once; default `true`. */
  readonly preEncode?: boolean;
}

/** NiiVue as a viewer that segments. */
export interface NiivueConnection extends ViewerConnection<NiivuePlace> {
  /**
   * The label of the next objects, 1–254.
   *
   * @throws {UmedsamError} `invalid-option`
   */
  setLabel(label: number): void;
  /**
   * What a click says of its place; with Alt it says the other. Default `"foreground"`.
   *
   * @throws {UmedsamError} `invalid-option`
   */
  setPointLabel(label: PointLabel): void;
}
