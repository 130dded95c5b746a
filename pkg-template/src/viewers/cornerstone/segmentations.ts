/** Segmentations of the viewer that are found or made for a slice. */

import { UmedsamError, abortedError } from "../../errors.js";
import { PREVIEW_LABEL, SegmentLabels, segmentationOf } from "./labels.js";
import { type Viewer, valuesOf } from "./modules.js";
import type { CornerstoneSlice, Slices } from "./slices.js";

/** Begins the identifier of a labelmap that is no person's. */
export const OVERLAY = "umedsam-uncertainty-";

let made = 0;

export class Segmentations {
  readonly #viewer: Viewer;
  readonly #slices: Slices;
  readonly #given: { readonly segmentationId?: string; readonly segmentIndex?: number };
  /** Segmentations that were made here. */
  readonly #own = new Set<string>();
  #isDisposed = false;

  constructor(viewer: Viewer, slices: Slices, given: { readonly segmentationId?: string; readonly segmentIndex?: number }) {
    this.#viewer = viewer;
    this.#slices = slices;
    this.#given = given;
  }

  /**
   * The segment that a slice's mask belongs to: the given one, the viewport's active one, or one that is made.
   *
   * @throws {UmedsamError} `invalid-option` if the given segmentation has no labels for the slice, or the segment is locked.
   */
  async segment(slice: CornerstoneSlice): Promise<SegmentLabels> {
    const { tools, viewport } = this.#viewer;
    const { segmentationId } = this.#given;
    const active = tools.segmentation.activeSegmentation.getActiveSegmentation(viewport.id) as { segmentationId: string } | undefined;
    for (const id of segmentationId === undefined ? [active?.segmentationId, ...this.#own] : [segmentationId]) {
      if (id === undefined || id.startsWith(OVERLAY) || segmentationOf(this.#viewer, id) === undefined) continue;
      const labels = this.#labels(id);
      if (labels.covers(slice)) {
        this.#show(id);
        return labels;
      }
      if (segmentationId !== undefined && !this.#own.has(id)) {
        const message = `the segmentation ${id} has no labelmap on the grid of this image; leave segmentationId out, or make one for it`;
        throw new UmedsamError("invalid-option", message);
      }
    }
    const isFree = segmentationId !== undefined && segmentationOf(this.#viewer, segmentationId) === undefined;
    return this.#labels(await this.make(isFree ? segmentationId : `umedsam-${viewport.id}-${++made}`, "Segmentation"));
  }

  #labels(id: string): SegmentLabels {
    const { segmentIndex } = this.#viewer.tools.segmentation;
    const index = this.#given.segmentIndex ?? segmentIndex.getActiveSegmentIndex(id) ?? 1;
    const segment = segmentationOf(this.#viewer, id)?.segments[index];
    if (segment === undefined) segmentIndex.setActiveSegmentIndex(id, index);
    if (segment?.locked === true) throw new UmedsamError("invalid-option", `segment ${index} of ${id} is locked; unlock it, or choose another one`);
    return new SegmentLabels(this.#viewer, id, index);
  }

  /** Makes labels of the viewport's images, shown in it; they are taken out in the end if nothing is in them. */
  async make(id: string, label: string, config: object = {}): Promise<string> {
    this.#own.add(id);
    const { core, tools } = this.#viewer;
    const { volumeId } = this.#slices;
    let data: object;
    if (volumeId === undefined) {
      const images = [...this.#slices.images];
      await this.#slices.loaded(images);
      if (this.#isDisposed) throw abortedError("making a labelmap");
      data = { imageIds: core.imageLoader.createAndCacheDerivedLabelmapImages(images).map(({ imageId }) => imageId) };
    } else {
      await core.volumeLoader.createAndCacheDerivedLabelmapVolume(volumeId, { volumeId: id });
      data = { volumeId: id };
    }
    tools.segmentation.addSegmentations([{ segmentationId: id, representation: { type: "Labelmap", data }, config: { label } }]);
    this.#show(id, config);
    return id;
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

  /** Takes out what was made here and is empty, and what shows uncertainty. */
  dispose(): void {
    this.#isDisposed = true;
    const { tools, core: { cache } } = this.#viewer;
    for (const id of this.#own) {
      const { Labelmap } = segmentationOf(this.#viewer, id)?.representationData ?? {};
      if (Labelmap === undefined) continue;
      const { imageIds = [], volumeId } = Labelmap as { imageIds?: readonly string[]; volumeId?: string };
      const images = imageIds.map((image) => cache.getImage(image)).filter((image) => image !== undefined);
      if (!id.startsWith(OVERLAY) && images.some((image) => valuesOf(image).some((label) => label !== 0))) continue;
      tools.segmentation.removeSegmentation(id);
      if (volumeId !== undefined && cache.getVolume(volumeId) !== undefined) cache.removeVolumeLoadObject(volumeId);
      for (const { imageId } of images) if (cache.getImage(imageId) !== undefined) cache.removeImageLoadObject(imageId, { force: true });
    }
  }
}
