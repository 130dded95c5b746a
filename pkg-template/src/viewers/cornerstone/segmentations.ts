/** Segmentations of the viewer that are found or made for a slice. */

import { inferno } from "../../colormap.js";
import { UmedsamError } from "../../errors.js";
import { PREVIEW_LABEL, SegmentLabels, checkSegmentIndex, segmentationOf } from "./labels.js";
import type { Viewer } from "./modules.js";
import type { CornerstoneSlice, Slices } from "./slices.js";

/** What uncertainty of 1 bit is written as: a labelmap has 255 numbers. */
const FULL = 250;

/** Less than this is not shown, in bits. */
const CLEAR = 0.02;

/** Named in a labelmap's identifier, by which it is told from a person's. */
const OVERLAY = "umedsam-uncertainty-";

let made = 0;

export class Segmentations {
  readonly #viewer: Viewer;
  readonly #slices: Slices;
  readonly #given: { readonly segmentationId?: string; readonly segmentIndex?: number };
  /** Segmentations that were made here; `false` until something is accepted into them. */
  readonly #own = new Map<string, boolean>();
  /** By the images that they cover. */
  readonly #overlays: SegmentLabels[] = [];
  #shown: { readonly labels: SegmentLabels; readonly slice: CornerstoneSlice } | undefined;

  constructor(viewer: Viewer, slices: Slices, given: { readonly segmentationId?: string; readonly segmentIndex?: number }) {
    if (given.segmentIndex !== undefined) checkSegmentIndex(given.segmentIndex);
    this.#viewer = viewer;
    this.#slices = slices;
    this.#given = given;
  }

  /**
   * The segment that a slice's mask belongs to: the given one, the viewport's active one, or one that is made.
   *
   * @throws {UmedsamError} `invalid-option` if the given segmentation has no labels for the slice.
   */
  async segment(slice: CornerstoneSlice): Promise<SegmentLabels> {
    const { tools, viewport } = this.#viewer;
    const { segmentationId } = this.#given;
    const active = tools.segmentation.activeSegmentation.getActiveSegmentation(viewport.id) as { segmentationId: string } | undefined;
    for (const id of segmentationId === undefined ? [active?.segmentationId, ...this.#own.keys()] : [segmentationId]) {
      if (id === undefined || id.startsWith(OVERLAY) || segmentationOf(this.#viewer, id) === undefined) continue;
      const labels = this.#labels(id);
      if (labels.covers(slice)) {
        this.#show(id);
        return labels;
      }
      if (segmentationId !== undefined && !this.#own.has(id)) {
        throw new UmedsamError("invalid-option", `the segmentation ${id} has no labelmap on the grid of this image; leave segmentationId out, or make one for it`);
      }
    }
    const isFree = segmentationId !== undefined && segmentationOf(this.#viewer, segmentationId) === undefined;
    const id = isFree ? segmentationId : `umedsam-${viewport.id}-${++made}`;
    this.#own.set(id, false);
    await this.#make(id, "Segmentation");
    return this.#labels(id);
  }

  #labels(id: string): SegmentLabels {
    const { segmentIndex } = this.#viewer.tools.segmentation;
    const index = this.#given.segmentIndex ?? segmentIndex.getActiveSegmentIndex(id) ?? 1;
    checkSegmentIndex(index);
    if (segmentationOf(this.#viewer, id)?.segments[index] === undefined) segmentIndex.setActiveSegmentIndex(id, index);
    return new SegmentLabels(this.#viewer, id, index);
  }

  /** Labels of the viewport's images, shown in it. */
  async #make(id: string, label: string, config: object = {}): Promise<void> {
    const { core, tools } = this.#viewer;
    const { volumeId } = this.#slices;
    let data: object;
    if (volumeId === undefined) {
      const images = [...this.#slices.images];
      await this.#slices.loaded(images);
      data = { imageIds: core.imageLoader.createAndCacheDerivedLabelmapImages(images).map(({ imageId }) => imageId) };
    } else {
      await core.volumeLoader.createAndCacheDerivedLabelmapVolume(volumeId, { volumeId: id });
      data = { volumeId: id };
    }
    tools.segmentation.addSegmentations([{ segmentationId: id, representation: { type: "Labelmap", data }, config: { label } }]);
    this.#show(id, config);
  }

  #show(id: string, config: object = {}): void {
    const { tools, viewport } = this.#viewer;
    const { state, addSegmentationRepresentations, config: { color } } = tools.segmentation;
    const specifier = { segmentationId: id, type: "Labelmap" };
    if (state.getSegmentationRepresentations(viewport.id, specifier).length === 0) addSegmentationRepresentations(viewport.id, [{ ...specifier, config }]);
    if (id.startsWith(OVERLAY)) return;
    const index = this.#given.segmentIndex ?? tools.segmentation.segmentIndex.getActiveSegmentIndex(id) ?? 1;
    const own = color.getSegmentIndexColor(viewport.id, id, index);
    // Paler than what is accepted.
    if (own !== null) color.setSegmentIndexColor(viewport.id, id, PREVIEW_LABEL, [...Array.from(own, (value) => (value + 255) / 2).slice(0, 3), 255] as never);
  }

  /** Something of it is a person's now. */
  keep(id: string): void {
    if (this.#own.has(id)) this.#own.set(id, true);
  }

  /** Shows a map of bits per pixel, as the picture lies, in place of the one before; none with `null`. */
  async overlay(slice: CornerstoneSlice, map: Float32Array | null, segmentationId: string): Promise<void> {
    if (map === null) return this.clearOverlay();
    let labels = this.#overlays.find((candidate) => !candidate.isGone && candidate.covers(slice));
    if (labels === undefined) {
      const { tools, viewport } = this.#viewer;
      const id = `${OVERLAY}${viewport.id}-${++made}`;
      const colors = inferno();
      const lut = Array.from({ length: 256 }, (_, value) => {
        const share = Math.min(1, value / FULL);
        const color = 3 * Math.round(255 * share);
        return [...colors.slice(color, color + 3), Math.round(255 * Math.sqrt(share))];
      });
      await this.#make(id, "Uncertainty", { colorLUTOrIndex: lut });
      const style = { renderOutline: false, renderOutlineInactive: false, renderFill: true, renderFillInactive: true, fillAlpha: 0.9, fillAlphaInactive: 0.9 };
      tools.segmentation.segmentationStyle.setStyle({ viewportId: viewport.id, segmentationId: id, type: "Labelmap" }, style);
      // What was made last is active.
      tools.segmentation.activeSegmentation.setActiveSegmentation(viewport.id, segmentationId);
      labels = new SegmentLabels(this.#viewer, id, 1);
      this.#overlays.push(labels);
    }
    if (this.#shown !== undefined && this.#shown.slice.key !== slice.key) this.clearOverlay();
    const values = Uint8Array.from(map, (bits) => (bits < CLEAR ? 0 : Math.max(1, Math.round(Math.min(1, bits) * FULL))));
    labels.write(slice, slice.turn.turnedBack(values, new Uint8Array(values.length)));
    this.#shown = { labels, slice };
  }

  clearOverlay(): void {
    const { labels, slice } = this.#shown ?? {};
    this.#shown = undefined;
    if (labels !== undefined && slice !== undefined) labels.write(slice, new Uint8Array(slice.turn.stored[0] * slice.turn.stored[1]));
  }

  /** Takes out what was made here, but for what a person accepted. */
  dispose(): void {
    const { tools, core } = this.#viewer;
    const unused = [...this.#own].filter(([, isKept]) => !isKept).map(([id]) => id);
    for (const id of [...this.#overlays.map(({ segmentationId }) => segmentationId), ...unused]) {
      const { Labelmap } = segmentationOf(this.#viewer, id)?.representationData ?? {};
      if (Labelmap === undefined) continue;
      const { imageIds = [], volumeId } = Labelmap as { imageIds?: readonly string[]; volumeId?: string };
      tools.segmentation.removeSegmentation(id);
      if (volumeId !== undefined && core.cache.getVolume(volumeId) !== undefined) core.cache.removeVolumeLoadObject(volumeId);
      for (const image of imageIds) if (core.cache.getImage(image) !== undefined) core.cache.removeImageLoadObject(image);
    }
  }
}
