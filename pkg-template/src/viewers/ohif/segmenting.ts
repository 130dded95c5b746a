/** What goes on in OHIF, what the panel shows of it, and what a person can do about it. */

import type { CornerstonePlace, ViewerEvents, ViewerResult } from "../../cornerstone.js";
import { UmedsamError, toUmedsamError } from "../../errors.js";
import type { Model } from "../../model.js";
import type { UmedsamExtensionOptions } from "../../ohif.js";
import { type Slice, beside, sliceOf } from "./going.js";
import type { OhifEvents, OhifHost, OhifServices } from "./host.js";
import { labelImages } from "./labels.js";
import { PANEL } from "./names.js";
import { Objects, type SegmentedObject } from "./objects.js";
import { type Connected, type ViewportListener, Viewports } from "./viewports.js";

const START = 'Press "Segment by a box", then drag a box around an object.';
const ASK = "Drag a box around an object. Shift and a click says what is inside, Alt and a click what is not.";
const FINDING = "Finding the object...";
const MEANS = "Enter accepts the mask, Escape throws it away.";

/** Labels are looked at when they were not changed for this long. */
const CALM_MS = 200;

export const counted = (slices: number) => (slices === 1 ? "1 slice" : `${slices} slices`);

/** One for the whole of OHIF. */
export class Segmenting implements ViewportListener {
  readonly #options: UmedsamExtensionOptions;
  readonly #services: OhifServices;
  readonly #viewports: Viewports;
  readonly #objects: Objects;
  readonly #listeners = new Set<() => void>();
  #subscriptions: readonly { unsubscribe(): void }[] = [];
  #model: Promise<Model> | undefined;
  #isLoaded = false;
  #looking: ReturnType<typeof setTimeout> | undefined;
  /** Who follows an object. */
  #following: Connected | undefined;
  /** Counts modes, so that nothing of an earlier one is told. */
  #generation = 0;
  selected: SegmentedObject | undefined;
  isBusy = false;
  status = START;
  error = "";
  progress: { readonly done: number; readonly atMost: number } | undefined;

  constructor(host: OhifHost, options: UmedsamExtensionOptions) {
    this.#options = options;
    this.#services = host.servicesManager.services;
    this.#viewports = new Viewports(host, options, this);
    this.#objects = new Objects(this.#services);
  }

  get objects(): readonly SegmentedObject[] {
    return this.#objects.list;
  }

  /** Whether a drag in the active viewport is a box. */
  get isOn(): boolean {
    return this.#viewports.isOn;
  }

  get isPending(): boolean {
    return this.selected?.isPending === true;
  }

  /** Whether the selected object can be followed: it is what its viewport found last. */
  get canFollow(): boolean {
    return this.#talking !== undefined && this.selected?.last !== undefined && this.progress === undefined;
  }

  /** Who found the selected object. */
  get #talking(): Connected | undefined {
    return this.selected === undefined ? undefined : this.#viewports.all.find(({ object }) => object === this.selected);
  }

  /** Calls a function after every change, until the function that is returned is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(change: Partial<Pick<Segmenting, "status" | "error" | "isBusy" | "progress" | "selected">> = {}): void {
    Object.assign(this, change);
    for (const listener of this.#listeners) listener();
  }

  /** A mode was entered. */
  enter(): void {
    const { viewportGridService: grid, cornerstoneViewportService: viewports, segmentationService: segmentations } = this.#services;
    const on = (service: OhifEvents, event: string, listener: () => void) => service.subscribe(service.EVENTS[event] ?? event, listener);
    this.#subscriptions = [
      on(grid, "GRID_STATE_CHANGED", this.#sync),
      on(grid, "ACTIVE_VIEWPORT_ID_CHANGED", () => this.#tell()),
      on(viewports, "VIEWPORT_DATA_CHANGED", this.#sync),
      on(segmentations, "SEGMENTATION_MODIFIED", this.#tidy),
      on(segmentations, "SEGMENTATION_REMOVED", this.#tidy),
      on(segmentations, "SEGMENTATION_DATA_MODIFIED", this.#look),
      on(segmentations, "SEGMENTATION_REPRESENTATION_MODIFIED", () => this.#viewports.unshare()),
    ];
  }

  /** It is left; the model stays. */
  exit(): void {
    this.#generation++;
    clearTimeout(this.#looking);
    for (const { unsubscribe } of this.#subscriptions) unsubscribe();
    this.#subscriptions = [];
    this.#viewports.clear();
    this.#objects.clear();
    this.#tell({ status: START, error: "", isBusy: false, progress: undefined, selected: undefined });
  }

  readonly #sync = (): void => {
    if (this.#viewports.all.length === 0) return;
    const generation = this.#generation;
    void this.#guarded(async () => {
      const model = await this.#loaded();
      if (generation === this.#generation) await this.#viewports.sync(model);
    });
  };

  readonly #look = (): void => {
    clearTimeout(this.#looking);
    this.#looking = setTimeout(() => {
      if (this.isPending || this.progress !== undefined) return;
      this.#objects.look(this.#viewports.cornerstone.cornerstone.cache);
      this.#tell();
    }, CALM_MS);
  };

  readonly #tidy = (): void => {
    if (!this.#objects.tidy()) return this.#tell();
    this.#tell(this.selected !== undefined && this.objects.includes(this.selected) ? {} : { selected: undefined, status: START });
    // Not while OHIF is at it.
    queueMicrotask(() => this.#viewports.tidy());
  };

  /** A person chooses another tool: Shift and Alt are its too. */
  leave(): void {
    if (!this.#viewports.isWanted) return;
    this.#viewports.setActive(false);
    this.#tell({ status: START });
  }

  /** Gives the mouse to the box, or back. */
  async toggle(): Promise<void> {
    const isOn = !this.isOn;
    const generation = this.#generation;
    const isLeft = () => generation !== this.#generation;
    const { panelService, toolbarService } = this.#services;
    panelService.activatePanel(PANEL, true);
    await this.#guarded(async () => {
      if (isOn) {
        if (!this.#isLoaded) this.#tell({ status: "Loading the network...", isBusy: true, error: "" });
        const model = await this.#loaded();
        if (isLeft()) return;
        this.#tell({ isBusy: false, error: "" });
        await this.#viewports.sync(model).catch((cause: unknown) => {
          // Others than the selected viewport do not keep a person from drawing in it.
          if (this.#viewports.active === undefined) throw cause;
          if (!isLeft()) this.#tell({ error: toUmedsamError(cause).message });
        });
        if (isLeft()) return;
        if (this.#viewports.active === undefined) throw new UmedsamError("invalid-option", "the selected viewport shows no slices; select one with images");
      }
      this.#viewports.setActive(isOn);
      this.#tell({ status: isOn ? ASK : START });
    });
    if (isLeft()) return;
    toolbarService.refreshToolbarState({ viewportId: this.#viewports.activeId });
    // OHIF shows its own list when the first segmentation is made.
    panelService.activatePanel(PANEL, true);
  }

  #loaded(): Promise<Model> {
    const { model } = this.#options;
    if (typeof model !== "function") return Promise.resolve(model);
    this.#model ??= model(({ stage, fraction }) => {
      // Only to who waits for it.
      if (fraction !== undefined && stage === "weights" && this.isBusy) this.#tell({ status: `Loading the network: ${Math.round(fraction * 100)} %` });
    });
    // After a failure the next press tries again.
    this.#model.then(() => (this.#isLoaded = true), () => (this.#model = undefined));
    return this.#model;
  }

  made(segmentationId: string, viewportId: string): void {
    const selected = this.#objects.begin(segmentationId);
    this.#services.segmentationService.setActiveSegmentation(viewportId, segmentationId);
    this.#tell({ selected, error: "" });
  }

  /** The next box begins another object. */
  begin(): void {
    const { segmentationId } = this.#viewports.active ?? {};
    if (segmentationId !== undefined) this.select(this.#objects.begin(segmentationId));
  }

  /** Boxes are of this object from now on. */
  select(object: SegmentedObject): void {
    const { segmentationService } = this.#services;
    const { segmentationId, segmentIndex, slices } = object;
    for (const { viewport } of this.#viewports.all.filter((connected) => connected.segmentationId === segmentationId)) {
      segmentationService.setActiveSegmentation(viewport.id, segmentationId);
    }
    segmentationService.setActiveSegment(segmentationId, segmentIndex);
    this.#tell({ selected: object, error: "" });
    const [first] = slices;
    if (!object.isPending && first !== undefined) this.goTo(object, first);
  }

  event<Name extends keyof ViewerEvents<CornerstonePlace>>(connected: Connected, name: Name, event: ViewerEvents<CornerstonePlace>[Name]): void {
    const told = { [name]: event } as Partial<ViewerEvents<CornerstonePlace>>;
    if (told.result !== undefined) this.#found(connected, told.result);
    if (told.settled !== undefined) this.#settled(connected, told.settled);
    if (name === "cleared") this.#cleared(connected);
    if (told.busy !== undefined) this.#busy(told.busy);
    if (told.error !== undefined) this.#tell({ error: told.error.message });
    if (told.progress !== undefined && this.progress !== undefined) this.#tell({ progress: told.progress });
  }

  #busy(isBusy: boolean): void {
    const isFirst = isBusy && !this.isPending && this.progress === undefined;
    const status = isFirst ? FINDING : !isBusy && this.status === FINDING ? ASK : this.status;
    this.#tell({ isBusy, status, ...(isBusy ? { error: "" } : {}) });
  }

  #found(connected: Connected, result: ViewerResult<CornerstonePlace>): void {
    const { object: before } = connected;
    const isRefined = result.isFinal && before?.last?.isFinal === false;
    const isFurther = before?.isPending === true && (isRefined || result.segmentation.promptKind === "corrected");
    const object = isFurther ? before : this.#objects.active(connected.segmentationId);
    if (object === undefined) return;
    if (before !== object) this.#settled(connected, false);
    // Who found it earlier has nothing to say of it any more.
    for (const other of this.#viewports.all) if (other.object === object) other.object = undefined;
    connected.object = object;
    Object.assign(object, { last: result, isPending: true, isUndone: false });
    this.#tell({ selected: object, error: "", status: result.isFinal ? MEANS : `${MEANS} Finding where it is unsure...` });
  }

  #settled(connected: Connected, isAccepted: boolean): void {
    const { object } = connected;
    if (object !== undefined) object.isUndone = false;
    if (object?.isPending !== true) return;
    object.isPending = false;
    const { last } = object;
    if (isAccepted && last !== undefined) {
      this.#objects.keep(object, sliceOf(connected.viewport, last.place), last);
      this.#objects.describe(object);
    } else {
      object.last = undefined;
      connected.object = undefined;
    }
    this.#tell({ error: "", ...(this.progress === undefined ? { status: ASK } : {}) });
  }

  /** Nothing waits any more, but redo brings it back. */
  #cleared({ object }: Connected): void {
    if (object?.isPending !== true) return;
    Object.assign(object, { last: undefined, isPending: false, isUndone: true });
    this.#tell({ status: ASK, error: "" });
  }

  labelOf(object: SegmentedObject): string {
    return this.#objects.labelOf(object);
  }

  colourOf({ segmentationId, segmentIndex }: SegmentedObject): string {
    return `rgb(${this.#colour(segmentationId, segmentIndex).slice(0, 3).join(" ")})`;
  }

  #colour(segmentationId: string, segmentIndex: number): readonly number[] {
    const connected = this.#viewports.all.find((candidate) => candidate.segmentationId === segmentationId);
    const colour = connected && this.#services.segmentationService.getSegmentColor(connected.viewport.id, segmentationId, segmentIndex);
    return colour ?? [128, 128, 128];
  }

  /** The number of a slice as OHIF counts them, from 1; of slices across the images along their volume. */
  numberOf(object: SegmentedObject, { imageId, number }: Slice): number {
    const { cache } = this.#viewports.cornerstone.cornerstone;
    const index = labelImages(cache, this.#objects.labelmapOf(object)).findIndex((image) => image?.referencedImageId === imageId);
    return (imageId === undefined || index < 0 ? number : index) + 1;
  }

  accept(): void {
    this.#talking?.connection.accept();
  }

  /** What is under way without an answer yet is not wanted either. */
  reject(): void {
    const connected = this.isPending ? this.#talking : this.#viewports.active;
    connected?.connection.reject();
  }

  /** Ends what goes on. */
  escape(): void {
    if (this.progress !== undefined) this.cancel();
    else if (this.isPending || this.isBusy) this.reject();
  }

  undo(): void {
    this.#talking?.connection.undo();
  }

  redo(): void {
    this.#talking?.connection.redo();
  }

  answer(isInside: boolean): void {
    this.#talking?.connection.answer(isInside);
  }

  cancel(): void {
    this.#following?.connection.cancel();
  }

  /** Follows the selected object through its volume. */
  async propagate(): Promise<void> {
    const { selected: object } = this;
    const connected = this.#talking;
    if (object === undefined || connected === undefined || !this.canFollow) return;
    const generation = this.#generation;
    this.#following = connected;
    this.#tell({ progress: { done: 0, atMost: 0 }, error: "", status: `Following ${this.labelOf(object)} through the slices...` });
    let status = "Cancelled; what was found stays.";
    const isEnded = await this.#guarded(async () => {
      const found = await connected.connection.propagate();
      if (object.last === undefined) return;
      const prompted = sliceOf(connected.viewport, object.last.place);
      for (const summary of found.slices(0)) {
        // The prompted slice keeps the ensemble's answer.
        if (summary.slice !== prompted.number) this.#objects.keep(object, beside(connected.viewport, prompted, summary.slice), summary);
      }
      this.#objects.describe(object);
      const toCheck = object.slices.filter(({ needsReview }) => needsReview === true).length;
      const check = toCheck === 0 ? "" : ` Check ${toCheck} of them: their expected DSC is low.`;
      status = `${this.labelOf(object)} has a mask on ${counted(object.slices.length)}.${check}`;
    });
    this.#following = undefined;
    if (generation === this.#generation) this.#tell({ progress: undefined, ...(isEnded ? { status } : {}) });
  }

  /** Shows a slice of an object. */
  goTo({ segmentationId }: SegmentedObject, slice: Slice): void {
    void this.#guarded(() => this.#viewports.goTo(segmentationId, slice));
  }

  /** Saves all objects of the selected one's series. */
  save(): Promise<unknown> {
    return this.#guarded(async () => {
      const { segmentationId } = this.selected ?? this.objects[0] ?? {};
      const segmentation = segmentationId === undefined ? undefined : this.#services.segmentationService.getSegmentation(segmentationId);
      if (segmentation === undefined) throw new UmedsamError("invalid-option", "there is no object to save; draw a box and accept its mask first");
      const { info } = await this.#loaded();
      const { baseUrl, onSave } = this.#options;
      const { download, segOf } = await import("./seg.js");
      const waiting = this.objects.find((object) => object.isPending && object.segmentationId === segmentationId);
      if (waiting !== undefined) {
        // Enter and Escape are the selected one's.
        if (waiting !== this.selected) this.select(waiting);
        throw new UmedsamError("invalid-option", "a mask waits; accept it (Enter) or throw it away (Escape), then save");
      }
      const bytes = await segOf(this.#viewports.cornerstone.cornerstone, segmentation, (index) => this.#colour(segmentation.segmentationId, index), {
        algorithm: { name: info.architecture, version: info.precision },
        seriesDescription: segmentation.label,
        ...(baseUrl === undefined ? {} : { baseUrl }),
      });
      await (onSave ?? download)(bytes, "umedsam-seg.dcm");
    });
  }

  /** Tells what goes wrong; whether nothing did, or it was cancelled. */
  async #guarded(work: () => Promise<void>): Promise<boolean> {
    const generation = this.#generation;
    try {
      await work();
      return true;
    } catch (cause) {
      const { code, message } = toUmedsamError(cause);
      const isCancelled = code === "aborted";
      const status = this.isPending ? this.status : START;
      if (generation === this.#generation) this.#tell({ isBusy: false, ...(isCancelled ? {} : { error: message, status }) });
      return isCancelled;
    }
  }
}
