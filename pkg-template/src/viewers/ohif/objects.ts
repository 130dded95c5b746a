/** Objects of the panel's list: segments that were begun here, and what is known of them. */

import type { CornerstonePlace, ViewerResult } from "../../cornerstone.js";
import type { Slice } from "./going.js";
import type { OhifLabelmap, OhifServices } from "./host.js";
import { type LabelCache, isLabelled } from "./labels.js";

/** What is known of an object on a slice. */
export interface KnownSlice extends Slice {
  readonly expectedDsc: number;
  readonly needsReview: boolean | null;
}

export interface SegmentedObject {
  readonly segmentationId: string;
  readonly segmentIndex: number;
  /** What was found last; `undefined` before. */
  last: ViewerResult<CornerstonePlace> | undefined;
  /** Whether that waits for being accepted. */
  isPending: boolean;
  /** Whether all that was said was taken back; redo says it again. */
  isUndone: boolean;
  /** Whether a person made its segment in OHIF's own list, and may have drawn in it. */
  readonly isAdopted: boolean;
  /** Slices with a mask that was accepted, undone ones included. */
  readonly known: Map<string, KnownSlice>;
  /** Those that have a mask now. */
  slices: readonly KnownSlice[];
}

/** What OHIF's own export says of a segment. */
const ALGORITHM = { algorithmType: "SEMIAUTOMATIC", algorithmName: "umedsam" };

export class Objects {
  readonly #services: OhifServices;
  list: readonly SegmentedObject[] = [];
  /** Counts objects. */
  #begun = 0;

  constructor(services: OhifServices) {
    this.#services = services;
  }

  /** Another object of a segmentation, or the one that nothing was found of yet. */
  begin(segmentationId: string): SegmentedObject {
    const { segmentationService } = this.#services;
    const others = this.list.filter((object) => object.segmentationId === segmentationId);
    const unused = others.find(({ last, slices, isAdopted }) => last === undefined && slices.length === 0 && !isAdopted);
    if (unused !== undefined) return unused;
    const { segments = {} } = segmentationService.getSegmentation(segmentationId) ?? {};
    // OHIF makes the first segment by itself.
    const segmentIndex = others.length === 0 ? 1 : Math.max(0, ...Object.keys(segments).map(Number)) + 1;
    segmentationService.addSegment(segmentationId, { segmentIndex, label: `Object ${++this.#begun}`, ...ALGORITHM });
    return this.#add(segmentationId, segmentIndex, false);
  }

  #add(segmentationId: string, segmentIndex: number, isAdopted: boolean): SegmentedObject {
    const object = { segmentationId, segmentIndex, last: undefined, isPending: false, isUndone: false, isAdopted, known: new Map(), slices: [] };
    this.list = [...this.list, object];
    return object;
  }

  labelOf({ segmentationId, segmentIndex }: SegmentedObject): string {
    return this.#services.segmentationService.getSegmentation(segmentationId)?.segments[segmentIndex]?.label ?? `Object ${segmentIndex}`;
  }

  labelmapOf({ segmentationId }: SegmentedObject): OhifLabelmap | undefined {
    return this.#services.segmentationService.getSegmentation(segmentationId)?.representationData.Labelmap;
  }

  /** The object of the segment that OHIF says is the active one; one that a person made in OHIF's own list comes to this list. */
  active(segmentationId: string): SegmentedObject | undefined {
    const { segments = {} } = this.#services.segmentationService.getSegmentation(segmentationId) ?? {};
    const active = Object.values(segments).find((segment) => segment.active === true)?.segmentIndex;
    const known = this.list.find((object) => object.segmentationId === segmentationId && object.segmentIndex === active);
    return known ?? (active === undefined ? undefined : this.#add(segmentationId, active, true));
  }

  keep(object: SegmentedObject, slice: Slice, { expectedDsc, needsReview }: Pick<KnownSlice, "expectedDsc" | "needsReview">): void {
    object.known.set(slice.imageId ?? `${slice.axis} ${slice.number}`, { ...slice, expectedDsc, needsReview });
    object.slices = [...object.known.values()];
  }

  /** Says the expected DSC in OHIF's own list: of the worst slice. */
  describe({ segmentationId, segmentIndex, slices }: SegmentedObject): void {
    const { segmentationService } = this.#services;
    const segmentation = segmentationService.getSegmentation(segmentationId);
    const segment = segmentation?.segments[segmentIndex];
    if (segmentation === undefined || segment === undefined || slices.length === 0) return;
    const value = Math.min(...slices.map(({ expectedDsc }) => expectedDsc));
    const namedStats = { ...segment.cachedStats?.namedStats, expectedDsc: { name: "expectedDsc", label: "Expected DSC", value, unit: "none", order: -1 } };
    const described = { ...segment, ...ALGORITHM, cachedStats: { ...segment.cachedStats, namedStats } };
    segmentationService.addOrUpdateSegmentation({ segmentationId, segments: { ...segmentation.segments, [segmentIndex]: described } });
  }

  /** Looks which masks are there, after what the viewer undid, redid or erased. */
  look(cache: LabelCache): void {
    for (const object of this.list) {
      object.slices = [...object.known.values()].filter((slice) => isLabelled(cache, this.labelmapOf(object), object.segmentIndex, slice));
    }
  }

  /** Forgets what was removed in OHIF's own list; whether something was. */
  tidy(): boolean {
    const { segmentationService } = this.#services;
    const before = this.list.length;
    this.list = this.list.filter((object) => segmentationService.getSegmentation(object.segmentationId)?.segments[object.segmentIndex] !== undefined);
    return this.list.length < before;
  }

  clear(): void {
    this.list = [];
    this.#begun = 0;
  }
}
