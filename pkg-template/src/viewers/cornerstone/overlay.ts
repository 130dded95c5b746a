/** Where the model is unsure, as a labelmap over the image. */

import { inferno } from "../../colormap.js";
import { UNCERTAINTY_MAX } from "../uncertainty-scale.js";
import { SegmentLabels } from "./labels.js";
import type { Viewer } from "./modules.js";
import { OVERLAY, type Segmentations } from "./segmentations.js";
import type { CornerstoneSlice } from "./slices.js";

/** What `UNCERTAINTY_MAX` is written as: a labelmap has 255 numbers. */
const FULL = 250;

/** Less than this share of it is not shown. */
const CLEAR = 0.02;

let made = 0;

export class Overlay {
  readonly #viewer: Viewer;
  readonly #segmentations: Segmentations;
  /** Bits of the last colour. */
  readonly #max: number;
  /** By the images that they cover. */
  readonly #all: SegmentLabels[] = [];
  #shown: { readonly labels: SegmentLabels; readonly slice: CornerstoneSlice } | undefined;

  constructor(viewer: Viewer, segmentations: Segmentations, of: "none" | "total" | "epistemic" = "total") {
    this.#viewer = viewer;
    this.#segmentations = segmentations;
    this.#max = UNCERTAINTY_MAX[of === "epistemic" ? of : "total"];
  }

  /** Shows a map of bits per pixel, as the picture lies, in place of the one before, unless it is not wanted any more when there is a place for it. */
  async show(slice: CornerstoneSlice, map: Float32Array, active: string, isWanted: () => boolean): Promise<void> {
    const labels = this.#all.find((candidate) => !candidate.isGone && candidate.covers(slice)) ?? (await this.#make(active));
    if (!isWanted()) return;
    if (this.#shown?.slice !== slice) this.clear();
    const shares = map.map((bits) => bits / this.#max);
    const values = Uint16Array.from(shares, (share) => (share < CLEAR ? 0 : Math.max(1, Math.round(Math.min(1, share) * FULL))));
    labels.write(slice, slice.turn.turnedBack(values, new Uint16Array(values.length)));
    this.#shown = { labels, slice };
  }

  async #make(active: string): Promise<SegmentLabels> {
    const { tools: { segmentation }, viewport } = this.#viewer;
    const colors = inferno();
    const colorLUTOrIndex = Array.from({ length: 256 }, (_, value) => {
      // Cornerstone complains of any other background.
      if (value === 0) return [0, 0, 0, 0];
      const share = Math.min(1, value / FULL);
      const color = 3 * Math.round(255 * share);
      return [...colors.slice(color, color + 3), Math.round(255 * share)];
    });
    const id = await this.#segmentations.make(`${OVERLAY}${viewport.id}-${++made}`, "Uncertainty", { colorLUTOrIndex });
    const style = { renderOutline: false, renderOutlineInactive: false, renderFill: true, renderFillInactive: true, fillAlpha: 0.9, fillAlphaInactive: 0.9 };
    segmentation.segmentationStyle.setStyle({ viewportId: viewport.id, segmentationId: id, type: "Labelmap" }, style);
    // What was made last is active.
    segmentation.activeSegmentation.setActiveSegmentation(viewport.id, active);
    const labels = new SegmentLabels(this.#viewer, id, 1);
    this.#all.push(labels);
    return labels;
  }

  clear(): void {
    const { labels, slice } = this.#shown ?? {};
    this.#shown = undefined;
    if (labels !== undefined && slice !== undefined) labels.write(slice, new Uint16Array(slice.turn.stored[0] * slice.turn.stored[1]));
  }
}
