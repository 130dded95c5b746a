/** A viewport of Cornerstone3D that segments. */

import type { CornerstoneOptions } from "../../cornerstone.js";
import { UmedsamError, abortedError, toUmedsamError } from "../../errors.js";
import type { Model } from "../../model.js";
import type { Box } from "../../types.js";
import type { VolumeSegmentation } from "../../volume-segmentation.js";
import type { ViewerConnection, ViewerEvents } from "../connection.js";
import { Listeners } from "../listeners.js";
import { type Answer, PromptSession } from "../session.js";
import { LabelChange, Preview, type SegmentLabels } from "./labels.js";
import type { ToolAnnotation, Viewer } from "./modules.js";
import { PromptTools, type Said, toolGroupOf } from "./prompts.js";
import { Segmentations } from "./segmentations.js";
import { type CornerstonePlace, type CornerstoneSlice, Slices, worldOf } from "./slices.js";

type CornerstoneAnswer = Answer<CornerstoneSlice>;

/** The object that was prompted last, as it was shown or accepted. */
interface Known {
  readonly answer: CornerstoneAnswer;
  readonly labels: SegmentLabels;
  /** What a person drew on it, as the picture lies. */
  readonly edited?: Uint8Array | undefined;
}

export class CornerstoneConnection implements ViewerConnection<CornerstonePlace> {
  readonly #viewer: Viewer;
  readonly #options: CornerstoneOptions;
  readonly #session: PromptSession<CornerstoneSlice>;
  readonly #listeners = new Listeners<ViewerEvents<CornerstonePlace>>();
  readonly #slices: Slices;
  readonly #segmentations: Segmentations;
  readonly #prompts: PromptTools;
  #preview: Preview | undefined;
  #known: Known | undefined;
  /** Answers are shown one after the other. */
  #shown: Promise<unknown> = Promise.resolve();
  /** Counts what makes answers that are not shown yet pointless. */
  #generation = 0;
  /** The annotation of a slice's prompt, which says where the slice is. */
  readonly #metadata = new WeakMap<CornerstoneSlice, ToolAnnotation["metadata"]>();
  /** Slices where a person drew on a preview. */
  readonly #drawn: { readonly labels: SegmentLabels; readonly slice: CornerstoneSlice }[] = [];
  #propagating: AbortController | undefined;
  #isDisposed = false;

  constructor(viewer: Viewer, model: Model, options: CornerstoneOptions) {
    const { toolGroupId, toolName = "UmedsamBox", uncertainty, keep } = options;
    this.#viewer = viewer;
    this.#options = options;
    const group = toolGroupOf(viewer, toolGroupId);
    this.#slices = new Slices(viewer);
    this.#segmentations = new Segmentations(viewer, this.#slices, options);
    this.#session = new PromptSession(model, { ...(uncertainty === undefined ? {} : { uncertainty }), ...(keep === undefined ? {} : { keep }) });
    this.#session.listeners.on("answer", (answer) => this.#answered(answer));
    this.#session.listeners.on("busy", (isBusy) => this.#listeners.tell("busy", isBusy));
    this.#session.listeners.on("error", (error) => this.#failed(error));
    this.#prompts = new PromptTools(viewer, group, toolName, (said) => this.#say(said));
    for (const type of ["STACK_NEW_IMAGE", "VOLUME_NEW_IMAGE", "VOI_MODIFIED"]) viewer.viewport.element.addEventListener(`CORNERSTONE_${type}`, this.#expect);
    viewer.core.eventTarget.addEventListener("CORNERSTONE_ELEMENT_DISABLED", this.#disabled);
    for (const type of ["UNDO", "REDO"]) viewer.core.eventTarget.addEventListener(`CORNERSTONE_TOOLS_HISTORY_${type}`, this.#sweep);
    this.setActive(true);
    this.#expect();
  }

  setActive(on: boolean): void {
    if (!this.#isDisposed) this.#prompts.setActive(on);
  }

  on<Name extends keyof ViewerEvents<CornerstonePlace>>(name: Name, listener: (event: ViewerEvents<CornerstonePlace>[Name]) => void): () => void {
    return this.#listeners.on(name, listener);
  }

  answer(isInside: boolean): void {
    const { slice, segmentation } = this.#session.answer ?? {};
    const suggestion = segmentation?.suggestions[0];
    if (slice === undefined || suggestion === undefined) return;
    this.#prompts.mark();
    this.#correct(slice, suggestion.x, suggestion.y, isInside);
  }

  accept(): void {
    const preview = this.#preview;
    if (preview === undefined || this.#known === undefined) return;
    const edited = this.#noteDrawn(preview) ? preview.mask() : undefined;
    this.#preview = undefined;
    if (preview.labels.isGone) {
      this.reject();
      this.#failed(new UmedsamError("invalid-option", `the segmentation ${preview.labels.segmentationId} was removed; draw the box again`));
      return;
    }
    preview.accept(this.#viewer);
    this.#segmentations.keep(preview.labels.segmentationId);
    this.#known = { ...this.#known, edited };
    this.#settle(true);
  }

  reject(): void {
    const preview = this.#preview;
    if (preview !== undefined) this.#noteDrawn(preview);
    this.#preview = undefined;
    preview?.revert();
    this.#known = undefined;
    this.#settle(false);
  }

  undo(): void {
    if (this.#isDisposed) return;
    // A stroke of the viewer's brush is a step of the viewer's history.
    if (this.#preview?.isEdited === true || !this.#session.canUndo) this.#viewer.core.utilities.HistoryMemo.DefaultHistoryMemo.undo();
    else this.#stepped(this.#session.undo());
  }

  redo(): void {
    if (this.#isDisposed) return;
    if (this.#session.canRedo) this.#stepped(this.#session.redo());
    else this.#viewer.core.utilities.HistoryMemo.DefaultHistoryMemo.redo();
  }

  async propagate(range?: readonly [first: number, last: number]): Promise<VolumeSegmentation> {
    if (this.#known === undefined) throw new UmedsamError("invalid-option", "there is no object to follow; draw a box on a slice first");
    if (this.#propagating !== undefined) throw new UmedsamError("invalid-option", "an object is being followed already; cancel() ends that");
    const stop = new AbortController();
    this.#propagating = stop;
    this.accept();
    const known = this.#known;
    try {
      return await this.#session.during(() => this.#follow(known, range, stop.signal));
    } catch (cause) {
      const error = stop.signal.aborted ? abortedError("following the object", stop.signal) : toUmedsamError(cause);
      if (error.code !== "aborted") this.#listeners.tell("error", error);
      throw error;
    } finally {
      this.#propagating = undefined;
    }
  }

  cancel(): void {
    this.#propagating?.abort();
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#generation++;
    this.cancel();
    const { viewport, core } = this.#viewer;
    for (const type of ["STACK_NEW_IMAGE", "VOLUME_NEW_IMAGE", "VOI_MODIFIED"]) viewport.element.removeEventListener(`CORNERSTONE_${type}`, this.#expect);
    core.eventTarget.removeEventListener("CORNERSTONE_ELEMENT_DISABLED", this.#disabled);
    for (const type of ["UNDO", "REDO"]) core.eventTarget.removeEventListener(`CORNERSTONE_TOOLS_HISTORY_${type}`, this.#sweep);
    this.#preview?.revert();
    this.#preview = undefined;
    this.#session.dispose();
    this.#listeners.clear();
    this.#prompts.dispose();
    this.#segmentations.dispose();
  }

  readonly #expect = (): void => {
    if (this.#options.preEncode === false || this.#isDisposed) return;
    try {
      this.#session.expect(this.#slices.inView());
    } catch {
      // Told when it is prompted.
    }
  };

  readonly #disabled = ({ detail }: CustomEvent<{ viewportId: string; renderingEngineId: string }>): void => {
    if (detail.viewportId === this.#viewer.viewport.id && detail.renderingEngineId === this.#viewer.renderingEngineId) this.dispose();
  };

  readonly #sweep = (): void => {
    for (const { labels, slice } of this.#drawn) Preview.sweep(labels, slice);
  };

  #noteDrawn(preview: Preview): boolean {
    const isEdited = preview.isEdited;
    if (isEdited) this.#drawn.push({ labels: preview.labels, slice: preview.slice });
    return isEdited;
  }

  #failed(cause: unknown): void {
    if (!this.#isDisposed) this.#listeners.tell("error", toUmedsamError(cause));
  }

  #settle(isAccepted: boolean): void {
    this.#generation++;
    this.#session.end();
    this.#prompts.mark();
    this.#segmentations.clearOverlay();
    this.#listeners.tell("settled", isAccepted);
  }

  async #say({ kind, points: world, metadata, remove }: Said): Promise<void> {
    const shown = this.#session.listeners.on("answer", remove);
    try {
      const seen = this.#slices.at(world[0] ?? []);
      if (metadata.referencedImageId !== undefined && "imageId" in seen.place && metadata.referencedImageId !== seen.place.imageId) {
        throw new UmedsamError("invalid-prompt", "the image changed while the prompt was drawn; draw it again");
      }
      const points = this.#slices.points(seen, world);
      const open = this.#session.answer?.slice;
      // Another window does not make it another object.
      const slice = kind !== "box" && open !== undefined && nameOf(open) === nameOf(seen) ? open : seen;
      this.#metadata.set(slice, metadata);
      if (kind === "box") {
        const [across, down] = [points.map(([x]) => x), points.map(([, y]) => y)];
        const stored: Box = [Math.min(...across), Math.min(...down), Math.max(...across), Math.max(...down)];
        await this.#session.say(slice, { box: slice.turn.upright(stored) });
      } else {
        const [x, y] = points[0] as readonly [number, number];
        const [right, bottom] = slice.turn.upright([x, y, x, y]);
        await this.#correct(slice, right, bottom, kind === "inside");
      }
    } catch (cause) {
      this.#failed(cause);
    } finally {
      shown();
      remove();
    }
  }

  /** A point, from what a person drew on the mask if they did. */
  #correct(slice: CornerstoneSlice, x: number, y: number, isInside: boolean): Promise<void> {
    const preview = this.#preview;
    const isEdited = preview !== undefined && preview.slice === slice && this.#noteDrawn(preview);
    const point = { x, y, label: isInside ? "foreground" : "background" } as const;
    return this.#session.say(slice, { points: [point], ...(isEdited ? { mask: preview.mask() } : {}) });
  }

  #answered(answer: CornerstoneAnswer): void {
    const generation = this.#generation;
    this.#shown = this.#shown
      .then(() => this.#show(answer, generation))
      .catch((cause: unknown) => this.#failed(cause));
  }

  async #show(answer: CornerstoneAnswer, generation: number): Promise<void> {
    const { slice, segmentation, isFinal } = answer;
    if (generation !== this.#generation) return;
    if (this.#preview?.slice !== slice) {
      const labels = await this.#segmentations.segment(slice);
      if (generation !== this.#generation) return;
      this.#preview?.revert();
      this.#preview = new Preview(labels, slice, this.#options.preview !== false, () => {
        this.#preview = undefined;
        this.#known = undefined;
        this.#settle(false);
      });
    }
    const { labels } = this.#preview;
    const isSame = this.#known?.answer.prompt === answer.prompt;
    // The ensemble has the mask of the single pass, on which a person may have drawn by now.
    if (!(isFinal && isSame && this.#preview.isEdited)) this.#preview.show(segmentation.mask);
    this.#known = { answer, labels };
    const { expectedDsc, needsReview } = segmentation;
    labels.describe({ expectedDsc, needsReview });
    await this.#showUncertainty(answer, labels);
    if (generation !== this.#generation) return;
    this.#listeners.tell("result", { place: slice.place, segmentation, expectedDsc, needsReview, isFinal });
    if (isFinal && this.#options.preview === false) this.accept();
  }

  async #showUncertainty({ slice, segmentation, isFinal }: CornerstoneAnswer, labels: SegmentLabels): Promise<void> {
    const { overlay = "total" } = this.#options;
    const [suggestion] = segmentation.suggestions;
    this.#prompts.mark(suggestion && worldOf(slice, suggestion.x, suggestion.y), this.#metadata.get(slice));
    if (overlay !== "none") await this.#segmentations.overlay(slice, isFinal ? segmentation.uncertainty[overlay] : null, labels.segmentationId);
  }

  /** After undo or redo. */
  #stepped(answer: CornerstoneAnswer | undefined): void {
    if (answer !== undefined) return this.#answered(answer);
    this.#generation++;
    this.#preview?.revert();
    this.#preview = undefined;
    this.#known = undefined;
    this.#prompts.mark();
    this.#segmentations.clearOverlay();
  }

  async #follow({ answer, labels, edited }: Known, range: readonly [number, number] | undefined, signal: AbortSignal): Promise<VolumeSegmentation> {
    const { VolumeSegmentation, propagate } = await import("../../propagation.js");
    const { slices, geometry } = await this.#slices.beside(answer.slice);
    const { axis, turn } = answer.slice;
    const prompted = slices.findIndex((slice) => slice.key === answer.slice.key);
    const [width, height] = turn.size;
    const found = new VolumeSegmentation(geometry === undefined ? { width, height, slices: slices.length } : { geometry, axis });
    const change = new LabelChange(labels);
    const locked = labels.lockedLabels();
    const prompt = edited === undefined ? answer.prompt : { ...answer.prompt, previous: edited };
    try {
      await propagate(
        this.#session.model,
        { slices: slices.length, slice: (index) => (slices[index] as CornerstoneSlice).image() },
        [{ slice: prompted, prompt, ...(range === undefined ? {} : { range }) }],
        {
          signal,
          onProgress: (done, atMost) => this.#listeners.tell("progress", { done, atMost }),
          onSlice: (told) => {
            found.put(told);
            const slice = slices[told.slice] as CornerstoneSlice;
            // The prompted slice is accepted as it was seen.
            if (told.end !== null || told.slice === prompted) return;
            if (!labels.covers(slice)) throw new UmedsamError("invalid-option", `the segmentation ${labels.segmentationId} has no labels for slice ${told.slice}`);
            const before = labels.read(slice);
            const inside = slice.turn.turnedBack(told.segmentation.mask, new Uint8Array(told.segmentation.mask.length));
            const after = before.map((label, pixel) => (inside[pixel] !== 0 && !locked.has(label) ? labels.label : label));
            labels.write(slice, after);
            change.add(slice, before, after);
          },
        },
      );
    } finally {
      // What was found stays, and is one step to undo.
      change.push(this.#viewer);
    }
    return found;
  }
}

/** The same for the same slice, whatever its window. */
function nameOf({ place }: CornerstoneSlice): string {
  return JSON.stringify(place);
}
