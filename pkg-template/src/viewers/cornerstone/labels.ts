/** Labels of a segment on slices: what a preview is made of, and what is taken over. */

import type { CoreImage, LabelmapData, SegmentationState, Viewer, VoxelManager } from "./modules.js";
import type { CornerstoneSlice } from "./slices.js";

/** Cornerstone's own number of what is not accepted yet. */
export const PREVIEW_LABEL = 255;

/** A segment, and where its labels are. */
export class SegmentLabels {
  readonly segmentationId: string;
  readonly segmentIndex: number;
  /** The number that its voxels have. */
  readonly label: number;
  readonly #viewer: Viewer;
  /** Images of the labelmap by the image that they belong to. */
  readonly #byImage = new Map<string, string>();

  constructor(viewer: Viewer, segmentationId: string, segmentIndex: number) {
    this.#viewer = viewer;
    this.segmentationId = segmentationId;
    this.segmentIndex = segmentIndex;
    const { Labelmap } = segmentationOf(viewer, segmentationId)?.representationData ?? {};
    const labelmap = (Labelmap ?? {}) as LabelmapData;
    const binding = labelmap.segmentBindings?.[segmentIndex];
    const layer = (binding === undefined ? undefined : labelmap.labelmaps?.[binding.labelmapId]) ?? labelmap;
    this.label = binding?.labelValue ?? segmentIndex;
    const { cache } = viewer.core;
    const ids = layer.imageIds ?? (layer.volumeId === undefined ? undefined : cache.getVolume(layer.volumeId)?.imageIds) ?? [];
    for (const id of ids) {
      const { referencedImageId } = cache.getImage(id) ?? {};
      if (referencedImageId !== undefined) this.#byImage.set(referencedImageId, id);
    }
  }

  /** Whether all of a slice's voxels have labels here. */
  covers({ images, axis, index, geometry }: CornerstoneSlice): boolean {
    const [columns, rows] = geometry.size;
    const needed = axis === 2 ? [images[index] as string] : images;
    return needed.every((id) => {
      const image = this.#image(id);
      return image?.voxelManager !== undefined && image.columns === columns && image.rows === rows;
    });
  }

  get isGone(): boolean {
    return segmentationOf(this.#viewer, this.segmentationId) === undefined;
  }

  #image(imageId: string): CoreImage | undefined {
    return this.#viewer.core.cache.getImage(this.#byImage.get(imageId) ?? "");
  }

  /** The labels of a slice as it is stored. */
  read(slice: CornerstoneSlice): Uint16Array {
    const [width, height] = slice.turn.stored;
    const labels = new Uint16Array(width * height);
    this.#each(slice, (voxels, voxel, stored) => {
      labels[stored] = (voxels.getAtIndex(voxel) ?? 0) as number;
    });
    return labels;
  }

  /** Writes labels of a slice as it is stored, where they differ. */
  write(slice: CornerstoneSlice, labels: Uint16Array): void {
    if (this.isGone) return;
    const changed = new Set<number>();
    this.#each(slice, (voxels, voxel, stored, image) => {
      const label = labels[stored] as number;
      if ((voxels.getAtIndex(voxel) ?? 0) === label) return;
      voxels.setAtIndex(voxel, label as never);
      changed.add(image);
    });
    if (changed.size === 0) return;
    // A stack's viewport tells its slices by itself.
    const slices = "volumeId" in slice.place ? [...changed] : undefined;
    this.#viewer.tools.segmentation.triggerSegmentationEvents.triggerSegmentationDataModified(this.segmentationId, slices, this.segmentIndex);
  }

  #each(slice: CornerstoneSlice, visit: (voxels: VoxelManager, voxel: number, stored: number, image: number) => void): void {
    const { images, axis, index, geometry, turn } = slice;
    const [columns] = geometry.size;
    const [width, height] = turn.stored;
    const only = axis === 2 ? this.#image(images[index] as string)?.voxelManager : undefined;
    for (let down = 0; down < height; down++) {
      const image = axis === 2 ? index : down;
      const voxels = only ?? this.#image(images[image] as string)?.voxelManager;
      if (voxels === undefined) continue;
      for (let across = 0; across < width; across++) {
        const stored = down * width + across;
        visit(voxels, axis === 2 ? stored : axis === 1 ? index * columns + across : across * columns + index, stored, image);
      }
    }
  }

  /** Labels that are not to be changed. */
  lockedLabels(): ReadonlySet<number> {
    const { segments = {} } = segmentationOf(this.#viewer, this.segmentationId) ?? {};
    const locked = Object.entries(segments).filter(([index, segment]) => segment.locked && Number(index) !== this.segmentIndex);
    return new Set(locked.map(([index]) => Number(index)));
  }

  /** What is known of the segment, among its statistics. */
  get facts(): unknown {
    return segmentationOf(this.#viewer, this.segmentationId)?.segments[this.segmentIndex]?.cachedStats?.["umedsam"];
  }

  set facts(facts: unknown) {
    const segment = segmentationOf(this.#viewer, this.segmentationId)?.segments[this.segmentIndex];
    if (segment === undefined) return;
    segment.cachedStats = { ...segment.cachedStats, umedsam: facts };
    this.#viewer.tools.segmentation.triggerSegmentationEvents.triggerSegmentationModified(this.segmentationId);
  }
}

export function segmentationOf({ tools }: Viewer, id: string): SegmentationState | undefined {
  return tools.segmentation.state.getSegmentation(id) as SegmentationState | undefined;
}

/** What a change of labels, and of what is known of them, was; to be undone by Cornerstone's history. */
export class LabelChange {
  readonly #labels: SegmentLabels;
  readonly #knownBefore: unknown;
  readonly #slices: { readonly slice: CornerstoneSlice; readonly before: Uint16Array; readonly after: Uint16Array }[] = [];

  constructor(labels: SegmentLabels) {
    this.#labels = labels;
    this.#knownBefore = labels.facts;
  }

  /** Keeps what a slice was and is; both as it is stored. */
  add(slice: CornerstoneSlice, before: Uint16Array, after: Uint16Array): void {
    if (before.some((label, pixel) => label !== after[pixel])) this.#slices.push({ slice, before, after });
  }

  /** Gives the change to the history, with what is known of the segment now. */
  push({ core }: Viewer, facts: unknown): void {
    if (this.#slices.length === 0) return;
    this.#labels.facts = facts;
    const restore = (isUndo: boolean) => {
      for (const { slice, before, after } of this.#slices) {
        const [from, to] = isUndo ? [after, before] : [before, after];
        const now = this.#labels.read(slice);
        // What was drawn since stays.
        this.#labels.write(slice, now.map((label, pixel) => (from[pixel] === to[pixel] ? label : (to[pixel] as number))));
      }
      this.#labels.facts = isUndo ? this.#knownBefore : facts;
    };
    const { segmentationId } = this.#labels;
    core.utilities.HistoryMemo.DefaultHistoryMemo.push({
      id: `${segmentationId}-umedsam`,
      operationType: "labelmap",
      restoreMemo: (isUndo) => Preview.below(segmentationId, () => restore(isUndo !== false)),
    });
  }
}

/** An object on its slice before it is accepted. One at a time in a segmentation: a preview on top of another one could not be taken away. */
export class Preview {
  static readonly #open = new Map<string, Preview>();
  readonly slice: CornerstoneSlice;
  readonly labels: SegmentLabels;
  /** What is below. */
  #before: Uint16Array;
  /** What was written last; what differs from it was drawn by a person. */
  #shown: Uint16Array;
  readonly #label: number;
  readonly #onReplaced: () => void;

  /** `isSeparate` shows it in a colour of its own. `onReplaced` is to take it away when another preview takes its place. */
  constructor(labels: SegmentLabels, slice: CornerstoneSlice, isSeparate: boolean, onReplaced: () => void) {
    const other = Preview.#open.get(labels.segmentationId);
    if (other !== undefined) other.#onReplaced();
    Preview.#open.set(labels.segmentationId, this);
    this.labels = labels;
    this.slice = slice;
    this.#label = isSeparate ? PREVIEW_LABEL : labels.label;
    this.#onReplaced = onReplaced;
    this.#before = labels.read(slice);
    this.#shown = this.#before;
  }

  /** Shows a mask, as the picture lies, in place of what was shown. */
  show(mask: Uint8Array): void {
    const locked = this.labels.lockedLabels();
    const inside = this.slice.turn.turnedBack(mask, new Uint8Array(mask.length));
    this.#shown = this.#before.map((label, pixel) => (inside[pixel] !== 0 && !locked.has(label) ? this.#label : label));
    this.labels.write(this.slice, this.#shown);
  }

  /** Whether a person drew on it. */
  get isEdited(): boolean {
    return this.labels.read(this.slice).some((label, pixel) => label !== this.#shown[pixel]);
  }

  /** What is inside now, strokes of the viewer's brush included, as the picture lies. */
  mask(): Uint8Array {
    const labels = this.labels.read(this.slice);
    const inside = Uint8Array.from(labels, (label, pixel) => Number(this.#isInside(label, pixel)));
    return this.slice.turn.turned(inside, inside.slice());
  }

  #isInside(label: number, pixel: number): boolean {
    return label === this.#label || (label === this.labels.label && (this.#before[pixel] !== label || this.#shown[pixel] === this.#label));
  }

  /** Takes it over into the segment, as a step of Cornerstone's history. */
  accept(viewer: Viewer, facts: unknown): void {
    const { labels, slice } = this;
    const now = labels.read(slice);
    const accepted = now.map((label) => (label === this.#label ? labels.label : label));
    labels.write(slice, accepted);
    const change = new LabelChange(labels);
    change.add(slice, this.#without(now), accepted);
    change.push(viewer, facts);
    this.#close();
  }

  /** Takes it away, with what was drawn on it. */
  revert(): void {
    this.labels.write(this.slice, this.#without(this.labels.read(this.slice)));
    this.#close();
  }

  /** What is below, but for what the viewer's history took back meanwhile. */
  #without(now: Uint16Array): Uint16Array {
    return now.map((label, pixel) => (label === this.#shown[pixel] || this.#isInside(label, pixel) ? (this.#before[pixel] as number) : label));
  }

  /** Changes labels as if no preview were over them. */
  static below(segmentationId: string, change: () => void): void {
    const open = Preview.#open.get(segmentationId);
    const mask = open?.mask();
    if (open !== undefined) open.labels.write(open.slice, open.#without(open.labels.read(open.slice)));
    change();
    if (open === undefined || mask === undefined) return;
    open.#before = open.labels.read(open.slice);
    open.show(mask);
  }

  /** A stroke on the preview that is undone after the preview has gone would leave some of it. */
  sweep(): void {
    const { labels, slice } = this;
    if (Preview.#open.has(labels.segmentationId)) return;
    const now = labels.read(slice);
    if (now.includes(PREVIEW_LABEL)) labels.write(slice, now.map((label) => (label === PREVIEW_LABEL ? 0 : label)));
  }

  #close(): void {
    if (Preview.#open.get(this.labels.segmentationId) === this) Preview.#open.delete(this.labels.segmentationId);
  }
}
