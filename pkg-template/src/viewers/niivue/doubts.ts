/** Where the model is unsure, and where a click would help most; loaded when there is some of it to be shown. */

import type { Segmentation } from "../../types.js";
import { SuggestionMarker } from "./marker.js";
import type { NiivueSlice } from "./slices.js";
import { type ShownMap, UncertaintyOverlay } from "./uncertainty.js";
import type { NiivueViewer, NiivueVolumes } from "./viewer.js";

/** What is shown of an answer. */
export interface Doubt {
  readonly slice: NiivueSlice;
  readonly segmentation: Segmentation;
  /** Which map is shown. */
  readonly overlay: ShownMap | "none";
}

export class Doubts {
  readonly #marker: SuggestionMarker;
  readonly #uncertainty: UncertaintyOverlay;

  constructor(nv: NiivueViewer, volumes: NiivueVolumes) {
    this.#marker = new SuggestionMarker(nv);
    this.#uncertainty = new UncertaintyOverlay(nv, volumes);
  }

  /** Shows those of an answer in the place of what was shown. */
  show({ slice, segmentation, overlay }: Doubt): void {
    this.#marker.show(slice, segmentation.suggestions[0]);
    if (overlay !== "none") this.#uncertainty.show(slice, segmentation.uncertainty[overlay], overlay).catch(reportError);
  }

  hide(): void {
    this.#marker.hide();
    this.#uncertainty.hide();
  }

  /** The mark alone. */
  hideSuggestion(): void {
    this.#marker.hide();
  }
}
