/** A viewport of Cornerstone3D that segments. */

import type { CornerstoneOptions } from "../../cornerstone.js";
import { UmedsamError, abortedError, toUmedsamError } from "../../errors.js";
import type { Model } from "../../model.js";
import type { Box } from "../../types.js";
import type { VolumeSegmentation } from "../../volume-segmentation.js";
import type { ViewerConnection, ViewerEvents } from "../connection.js";
import { Listeners } from "../listeners.js";
import { type Answer, PromptSession } from "../session.js";
import type { Preview, SegmentLabels } from "./labels.js";
import type { ToolAnnotation, Viewer } from "./modules.js";
import type { Overlay } from "./overlay.js";
import { PromptTools, type Said, toolGroupOf } from "./prompts.js";
import type { Segmentations } from "./segmentations.js";
import { type CornerstonePlace, type CornerstoneSlice, Slices, worldOf } from "./slices.js";

type CornerstoneAnswer = Answer<CornerstoneSlice>;

/** The object that was prompted last, as it was shown or accepted. */
interface Known {
  readonly answer: CornerstoneAnswer;
  readonly labels: SegmentLabels;
  /** What a person drew on it, as the picture lies. */
  readonly edited?: Uint8Array | undefined;
}

/** Events of a viewport's element after which another picture may be prompted. */
const OTHER_PICTURE = ["CORNERSTONE_STACK_NEW_IMAGE", "CORNERSTONE_VOLUME_NEW_IMAGE", "CORNERSTONE_VOI_MODIFIED"];

/** Previews that are looked after when the viewer's history goes back. */
const DRAWN_MOST = 50;

const FOLLOWING = "an object is being followed; wait for its end, or cancel() it";

/** Viewports that prompt already. */
const connected = new WeakSet<object>();

export class CornerstoneConnection implements ViewerConnection<CornerstonePlace> {
  readonly #viewer: Viewer;
  readonly #options: CornerstoneOptions;
  readonly #session: PromptSession<CornerstoneSlice>;
  readonly #listeners = new Listeners<ViewerEvents<CornerstonePlace>>();
  readonly #slices: Slices;
  readonly #prompts: PromptTools;
  #segmentations: Segmentations | undefined;
  #overlay: Overlay | undefined;
  #preview: Preview | undefined;
  #known: Known | undefined;
  /** Answers are shown one after the other. */
  #shown: Promise<unknown> = Promise.resolve();
  /** Counts what makes answers that are not shown yet pointless. */
  #generation = 0;
  /** The annotation of a slice's prompt, which says where the slice is. */
  readonly #metadata = new WeakMap<CornerstoneSlice, ToolAnnotation["metadata"]>();
  /** Previews that a person drew on, the last ones. */
  readonly #drawn = new Set<Preview>();
  #propagating: AbortController | undefined;
  #isDisposed = false;

  constructor(viewer: Viewer, model: Model, options: CornerstoneOptions) {
    const { toolGroupId, toolName = "UmedsamBox", uncertainty, keep } = options;
    this.#viewer = viewer;
    this.#options = options;
    if (connected.has(viewer.viewport)) {
      throw new UmedsamError("invalid-option", `the viewport ${viewer.viewport.id} is connected already; dispose() of that connection first`);
    }
    const group = toolGroupOf(viewer, toolGroupId);
    this.#slices = new Slices(viewer);
    this.#session = new PromptSession(model, { ...(uncertainty === undefined ? {} : { uncertainty }), ...(keep === undefined ? {} : { keep }) });
    this.#session.listeners.on("answer", (answer) => this.#answered(answer));
    this.#session.listeners.on("busy", (isBusy) => {
      this.#listeners.tell("busy", isBusy);
      // A prompt ends what was encoded beforehand.
      if (!isBusy) this.#expect();
    });
    this.#session.listeners.on("error", (error) => this.#failed(error));
    this.#prompts = new PromptTools(viewer, group, toolName, (said) => this.#say(said));
    for (const type of OTHER_PICTURE) viewer.viewport.element.addEventListener(type, this.#expect);
    for (const [type, listener] of this.#watched) viewer.core.eventTarget.addEventListener(type, listener);
    connected.add(viewer.viewport);
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
      preview.revert();
      this.#known = undefined;
      this.#settle(false);
      this.#failed(new UmedsamError("invalid-option", `the segmentation ${preview.labels.segmentationId} was removed; draw the box again`));
      return;
    }
    const { slice: { place }, segmentation: { expectedDsc, needsReview } } = this.#known.answer;
    preview.accept(this.#viewer, { place, expectedDsc, needsReview });
    this.#known = { ...this.#known, edited };
    this.#settle(true);
  }

  reject(): void {
    const preview = this.#preview;
    this.#preview = undefined;
    if (preview === undefined) {
      // What was asked is not wanted any more, nor what was undone.
      const wasBegun = this.#session.canRedo;
      this.#generation++;
      this.#session.end();
      if (wasBegun) this.#listeners.tell("settled", false);
      return;
    }
    this.#noteDrawn(preview);
    preview.revert();
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
    if (this.#isDisposed) throw new UmedsamError("disposed", "the connection was disposed of; connect again");
    if (this.#propagating !== undefined) throw new UmedsamError("invalid-option", FOLLOWING);
    this.accept();
    if (this.#known === undefined) throw new UmedsamError("invalid-option", "there is no object to follow; draw a box on a slice first");
    // A box without an answer yet would come into the way.
    this.#generation++;
    this.#session.end();
    const stop = new AbortController();
    this.#propagating = stop;
    const followed = { ...this.#known, range };
    try {
      return await this.#session.during(async () => {
        const { follow } = await import("./following.js");
        const onProgress = (done: number, atMost: number) => this.#listeners.tell("progress", { done, atMost });
        return follow(this.#viewer, this.#session.model, this.#slices, followed, { signal: stop.signal, onProgress });
      });
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
    connected.delete(this.#viewer.viewport);
    this.#generation++;
    this.cancel();
    const { viewport, core } = this.#viewer;
    for (const type of OTHER_PICTURE) viewport.element.removeEventListener(type, this.#expect);
    for (const [type, listener] of this.#watched) core.eventTarget.removeEventListener(type, listener);
    this.#session.dispose();
    this.#listeners.clear();
    const preview = this.#preview;
    this.#preview = undefined;
    // Whatever the app took away before.
    try {
      this.#prompts.dispose();
      preview?.revert();
    } finally {
      this.#segmentations?.dispose();
    }
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
    for (const preview of this.#drawn) preview.sweep();
  };

  readonly #watched = [
    ["CORNERSTONE_ELEMENT_DISABLED", this.#disabled],
    ["CORNERSTONE_TOOLS_HISTORY_UNDO", this.#sweep],
    ["CORNERSTONE_TOOLS_HISTORY_REDO", this.#sweep],
  ] as const;

  #noteDrawn(preview: Preview): boolean {
    const isEdited = preview.isEdited;
    if (isEdited) this.#drawn.add(preview);
    const [oldest] = this.#drawn;
    if (oldest !== undefined && this.#drawn.size > DRAWN_MOST) this.#drawn.delete(oldest);
    return isEdited;
  }

  #failed(cause: unknown): void {
    if (!this.#isDisposed) this.#listeners.tell("error", toUmedsamError(cause));
  }

  #settle(isAccepted: boolean): void {
    this.#generation++;
    this.#session.end();
    this.#prompts.mark();
    this.#overlay?.clear();
    this.#listeners.tell("settled", isAccepted);
  }

  async #say({ kind, points: world, metadata, remove }: Said): Promise<void> {
    const shown = this.#session.listeners.on("answer", remove);
    // While the network works; what is wrong with it is told when it is needed.
    import("./showing.js").catch(() => {});
    try {
      if (this.#propagating !== undefined) throw new UmedsamError("invalid-prompt", FOLLOWING);
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
    const isWanted = () => generation === this.#generation;
    if (!isWanted()) return;
    if (this.#preview?.slice !== slice) {
      const { Preview, Overlay, Segmentations } = await import("./showing.js");
      if (!isWanted()) return;
      this.#segmentations ??= new Segmentations(this.#viewer, this.#slices, this.#options);
      this.#overlay ??= new Overlay(this.#viewer, this.#segmentations, this.#options.overlay);
      const labels = await this.#segmentations.segment(slice);
      if (!isWanted()) return;
      if (this.#preview !== undefined) this.#drop(this.#preview);
      this.#preview = new Preview(labels, slice, this.#options.preview !== false, () => this.reject());
    }
    const { labels } = this.#preview;
    const isSame = this.#known?.answer.prompt === answer.prompt;
    // The ensemble has the mask of the single pass, on which a person may have drawn by now.
    if (!(isFinal && isSame && this.#preview.isEdited)) this.#preview.show(segmentation.mask);
    this.#known = { answer, labels };
    const { expectedDsc, needsReview, suggestions: [suggestion] } = segmentation;
    this.#prompts.mark(suggestion && worldOf(slice, suggestion.x, suggestion.y), this.#metadata.get(slice));
    this.#listeners.tell("result", { place: slice.place, segmentation, expectedDsc, needsReview, isFinal });
    const { overlay = "total", preview } = this.#options;
    const map = overlay === "none" || !isFinal ? null : segmentation.uncertainty[overlay];
    if (!isWanted()) return;
    if (isFinal && preview === false) this.accept();
    else if (map === null) this.#overlay?.clear();
    else await this.#overlay?.show(slice, map, labels.segmentationId, isWanted);
  }

  /** Another object takes its place. */
  #drop(preview: Preview): void {
    this.#noteDrawn(preview);
    preview.revert();
    this.#preview = undefined;
    this.#listeners.tell("settled", false);
  }

  /** After undo or redo. */
  #stepped(answer: CornerstoneAnswer | undefined): void {
    if (answer !== undefined) return this.#answered(answer);
    this.#generation++;
    this.#preview?.revert();
    this.#preview = undefined;
    this.#known = undefined;
    this.#prompts.mark();
    this.#overlay?.clear();
    this.#listeners.tell("cleared", undefined);
  }
}

/** The same for the same slice, whatever its window. */
function nameOf({ place }: CornerstoneSlice): string {
  return JSON.stringify(place);
}
