/** What goes on in OHIF: the model is loaded, viewports are connected, objects are segments of a segmentation in OHIF's list. */

import { type CornerstoneCore, type CornerstonePlace, type CornerstoneTools, type ViewerConnection, type ViewerResult, connect } from "../../cornerstone.js";
import { UmedsamError, toUmedsamError } from "../../errors.js";
import type { Model } from "../../model.js";
import type { UmedsamExtensionOptions } from "../../ohif.js";
import { type Slice, beside, goTo, sliceOf } from "./going.js";
import type { OhifHost, OhifServices, OhifViewport } from "./host.js";
import { isLabelled, labelImages } from "./labels.js";
import { CORNERSTONE, PANEL, TOOL } from "./names.js";
import type { SegCore } from "./seg.js";

/** What is known of an object on a slice. */
export interface KnownSlice extends Slice {
  readonly expectedDsc: number;
  readonly needsReview: boolean | null;
}

/** An object of the panel's list: a segment that was begun here. */
export interface SegmentedObject {
  readonly segmentationId: string;
  readonly segmentIndex: number;
  readonly displaySet: string;
  /** What was found last; `undefined` before. */
  last: ViewerResult<CornerstonePlace> | undefined;
  /** Whether that waits for being accepted. */
  isPending: boolean;
  /** Slices with a mask that was accepted, undone ones included. */
  readonly known: Map<string, KnownSlice>;
  /** Those that have a mask now. */
  slices: readonly KnownSlice[];
}

interface Connected {
  readonly viewport: OhifViewport;
  readonly displaySet: string;
  readonly segmentationId: string;
  readonly connection: ViewerConnection<CornerstonePlace>;
  /** What it found last, accepted or not. */
  object: SegmentedObject | undefined;
}

const START = "Press “Segment by a box”, then drag a box around an object.";
const ASK = "Drag a box around an object. Shift and a click says what is inside, Alt and a click what is not.";
const FINDING = "Finding the object…";
const MEANS = "Enter accepts the mask, Escape throws it away.";

const keyOf = ({ imageId, axis, number }: Slice) => imageId ?? `${axis} ${number}`;

export const counted = (slices: number) => (slices === 1 ? "1 slice" : `${slices} slices`);

/** How segmentations of uncertainty begin that `umedsam/cornerstone` makes; the viewport's name follows. */
const UNCERTAINTY = "umedsam-uncertainty-";
/** Labels are looked at when they were not changed for this long. */
const CALM_MS = 200;

/** One for the whole of OHIF. */
export class Segmenting {
  readonly #options: UmedsamExtensionOptions;
  readonly #host: OhifHost;
  readonly #listeners = new Set<() => void>();
  readonly #connected = new Map<string, Connected>();
  #subscriptions: readonly { unsubscribe(): void }[] = [];
  #model: Promise<Model> | undefined;
  /** Made when it is first needed, once. */
  readonly #segmentations = new Map<string, Promise<string>>();
  /** Whether a person gave the mouse to the box, in whatever viewports there are. */
  #isWanted = false;
  /** Viewports are connected one after the other. */
  #syncing: Promise<void> = Promise.resolve();
  #generation = 0;
  /** Counts objects. */
  #begun = 0;
  #looking: ReturnType<typeof setTimeout> | undefined;
  objects: SegmentedObject[] = [];
  selected: SegmentedObject | undefined;
  isBusy = false;
  status = START;
  error = "";
  progress: { readonly done: number; readonly atMost: number } | undefined;

  constructor(host: OhifHost, options: UmedsamExtensionOptions) {
    this.#host = host;
    this.#options = options;
  }

  get #services(): OhifServices {
    return this.#host.servicesManager.services;
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
    const { viewportGridService, cornerstoneViewportService, segmentationService } = this.#services;
    const on = (service: OhifServices["viewportGridService" | "cornerstoneViewportService" | "segmentationService"], event: string, listener: () => void) => {
      const name = service.EVENTS[event];
      return name === undefined ? [] : [service.subscribe(name, listener)];
    };
    const sync = () => void (this.#connected.size > 0 && this.#sync());
    this.#subscriptions = [
      ...on(viewportGridService, "GRID_STATE_CHANGED", sync),
      ...on(viewportGridService, "ACTIVE_VIEWPORT_ID_CHANGED", () => this.#tell()),
      ...on(cornerstoneViewportService, "VIEWPORT_DATA_CHANGED", sync),
      ...on(segmentationService, "SEGMENTATION_MODIFIED", () => this.#tidy()),
      ...on(segmentationService, "SEGMENTATION_REMOVED", () => this.#tidy()),
      ...on(segmentationService, "SEGMENTATION_DATA_MODIFIED", () => this.#look()),
      ...on(segmentationService, "SEGMENTATION_REPRESENTATION_MODIFIED", () => this.#unshare()),
    ];
  }

  /** It is left; the model stays. */
  exit(): void {
    this.#generation++;
    clearTimeout(this.#looking);
    for (const { unsubscribe } of this.#subscriptions) unsubscribe();
    this.#subscriptions = [];
    for (const viewportId of [...this.#connected.keys()]) this.#disconnect(viewportId);
    this.#segmentations.clear();
    this.objects = [];
    this.#begun = 0;
    this.#isWanted = false;
    this.#tell({ status: START, error: "", isBusy: false, progress: undefined, selected: undefined });
  }

  get #activeViewport(): string {
    return this.#services.viewportGridService.getActiveViewportId() ?? "";
  }

  /** Whether a drag in the active viewport is a box. */
  get isOn(): boolean {
    return this.#services.toolGroupService.getToolGroupForViewport(this.#activeViewport)?.getActivePrimaryMouseButtonTool() === TOOL;
  }

  /** A person chooses another tool: Shift and Alt are its too. */
  leave(): void {
    if (!this.#isWanted) return;
    this.#isWanted = false;
    for (const { connection } of this.#connected.values()) connection.setActive(false);
    this.#tell({ status: START });
  }

  /** Gives the mouse to the box, or back. */
  async toggle(): Promise<void> {
    const viewportId = this.#activeViewport;
    const isOn = !this.isOn;
    const { panelService } = this.#services;
    panelService.activatePanel(PANEL, true);
    await this.#guarded(async () => {
      if (isOn) await this.#connectAll();
      if (isOn && !this.#connected.has(viewportId)) {
        throw new UmedsamError("invalid-option", "the selected viewport shows no slices; select one with images");
      }
      this.#isWanted = isOn;
      for (const { connection } of this.#connected.values()) connection.setActive(isOn);
      this.#tell({ status: isOn ? ASK : START });
    });
    this.#services.toolbarService.refreshToolbarState({ viewportId });
    // OHIF shows its own list when the first segmentation is made.
    panelService.activatePanel(PANEL, true);
  }

  async #connectAll(): Promise<void> {
    if (this.#model === undefined) this.#tell({ status: "Loading the network…", isBusy: true, error: "" });
    await this.#loaded();
    this.#tell({ isBusy: false });
    await this.#sync();
  }

  #loaded(): Promise<Model> {
    const { model } = this.#options;
    this.#model ??= Promise.resolve(
      typeof model !== "function"
        ? model
        : model(({ stage, fraction }) => {
            if (fraction !== undefined && stage === "weights") this.#tell({ status: `Loading the network: ${Math.round(fraction * 100)} %` });
          }),
    );
    // The next press tries again.
    this.#model.catch(() => (this.#model = undefined));
    return this.#model;
  }

  /** Connects every viewport with slices; those that are gone or show something else are let go. */
  #sync(): Promise<void> {
    this.#syncing = this.#syncing.then(() => this.#guarded(() => this.#syncNow()));
    return this.#syncing;
  }

  async #syncNow(): Promise<void> {
    const generation = this.#generation;
    const { viewportGridService, cornerstoneViewportService } = this.#services;
    const { viewports } = viewportGridService.getState();
    for (const [viewportId, { viewport, displaySet }] of [...this.#connected]) {
      const isSame = cornerstoneViewportService.getCornerstoneViewport(viewportId) === viewport;
      if (!isSame || viewports.get(viewportId)?.displaySetInstanceUIDs?.[0] !== displaySet) this.#disconnect(viewportId);
    }
    const model = await this.#loaded();
    for (const [viewportId, { displaySetInstanceUIDs }] of viewports) {
      const viewport = cornerstoneViewportService.getCornerstoneViewport(viewportId);
      const [displaySet] = displaySetInstanceUIDs ?? [];
      if (generation !== this.#generation) return;
      if (this.#connected.has(viewportId) || displaySet === undefined || (viewport?.type !== "stack" && viewport?.type !== "orthographic")) continue;
      const segmentationId = await this.#segmentation(viewportId, displaySet);
      // Labels may have made a stack a volume.
      const now = cornerstoneViewportService.getCornerstoneViewport(viewportId);
      if (generation !== this.#generation || now === undefined || now === null || this.#connected.has(viewportId)) return;
      this.#connect(model, now, displaySet, segmentationId);
    }
  }

  #connect(model: Model, viewport: OhifViewport, displaySet: string, segmentationId: string): void {
    const { uncertainty, overlay, keep, preEncode } = this.#options;
    const { cornerstone: core, cornerstoneTools: tools } = this.#cornerstone;
    const options = {
      renderingEngineId: viewport.renderingEngineId,
      toolName: TOOL,
      segmentationId,
      preEncode: preEncode !== false && viewport.id === this.#activeViewport,
      ...(uncertainty === undefined ? {} : { uncertainty }),
      ...(overlay === undefined ? {} : { overlay }),
      ...(keep === undefined ? {} : { keep }),
    };
    const connection = connect({ core, tools, model }, viewport.id, options);
    const connected: Connected = { viewport, displaySet, segmentationId, connection, object: undefined };
    this.#connected.set(viewport.id, connected);
    connection.on("result", (result) => this.#found(connected, result));
    connection.on("settled", (isAccepted) => this.#settled(connected, isAccepted));
    connection.on("busy", (isBusy) => this.#busy(isBusy));
    connection.on("error", ({ message }) => this.#tell({ error: message }));
    connection.on("progress", (progress) => this.#tell({ progress }));
    if (!this.#isWanted) connection.setActive(false);
  }

  #disconnect(viewportId: string): void {
    const connected = this.#connected.get(viewportId);
    if (connected === undefined) return;
    this.#settled(connected, false);
    this.#connected.delete(viewportId);
    try {
      connected.connection.dispose();
    } catch (cause) {
      // OHIF may have taken its labels away before.
      console.debug(cause);
    }
  }

  get #cornerstone(): { readonly cornerstone: CornerstoneCore & SegCore; readonly cornerstoneTools: CornerstoneTools } {
    const { getCornerstoneLibraries } = (this.#host.extensionManager.getModuleEntry(CORNERSTONE)?.exports ?? {}) as {
      getCornerstoneLibraries?: () => { cornerstone: CornerstoneCore & SegCore; cornerstoneTools: CornerstoneTools };
    };
    if (getCornerstoneLibraries === undefined) throw new UmedsamError("invalid-option", `OHIF has no ${CORNERSTONE}; put @ohif/extension-cornerstone before umedsam's extension`);
    return getCornerstoneLibraries();
  }

  /** The segmentation of a series that objects are put to, one for all its viewports. */
  async #segmentation(viewportId: string, displaySet: string): Promise<string> {
    const { segmentationService } = this.#services;
    const { commandsManager } = this.#host;
    const made = await this.#segmentations.get(displaySet);
    const isThere = made !== undefined && segmentationService.getSegmentation(made) !== undefined;
    if (!isThere) {
      const options = { displaySetInstanceUID: displaySet, label: "umedsam", createInitialSegment: false };
      this.#segmentations.set(displaySet, Promise.resolve(commandsManager.run("createLabelmapForViewport", { viewportId, options })) as Promise<string>);
    }
    const id = (await this.#segmentations.get(displaySet)) as string;
    if (segmentationService.getSegmentation(id) === undefined) throw new UmedsamError("invalid-option", "OHIF could not make a segmentation for this series");
    if (segmentationService.getSegmentationRepresentations(viewportId, { segmentationId: id }).length === 0) {
      await segmentationService.addSegmentationRepresentation(viewportId, { segmentationId: id, type: "Labelmap" });
    }
    if (!isThere) this.#begin(id, displaySet, viewportId);
    return id;
  }

  /** The next box begins another object. */
  begin(): void {
    const connected = this.#connected.get(this.#activeViewport);
    if (connected !== undefined) this.#begin(connected.segmentationId, connected.displaySet, this.#activeViewport);
  }

  #begin(segmentationId: string, displaySet: string, viewportId: string): void {
    const { segmentationService } = this.#services;
    const of = this.objects.filter((object) => object.segmentationId === segmentationId);
    const unused = of.find(({ last, slices }) => last === undefined && slices.length === 0);
    if (unused !== undefined) return this.select(unused);
    const { segments = {} } = segmentationService.getSegmentation(segmentationId) ?? {};
    // OHIF makes the first segment by itself.
    const segmentIndex = of.length === 0 ? 1 : Math.max(0, ...Object.keys(segments).map(Number)) + 1;
    segmentationService.addSegment(segmentationId, {
      segmentIndex,
      label: `Object ${++this.#begun}`,
      // What OHIF's own export says of it.
      algorithmType: "SEMIAUTOMATIC",
      algorithmName: "umedsam",
    });
    const object: SegmentedObject = { segmentationId, segmentIndex, displaySet, last: undefined, isPending: false, known: new Map(), slices: [] };
    this.objects = [...this.objects, object];
    segmentationService.setActiveSegmentation(viewportId, segmentationId);
    this.#tell({ selected: object, error: "" });
  }

  /** Corrections and boxes are of this object from now on. */
  select(object: SegmentedObject): void {
    this.#services.segmentationService.setActiveSegment(object.segmentationId, object.segmentIndex);
    this.#tell({ selected: object, error: "" });
    const [last] = object.slices;
    if (!object.isPending && last !== undefined) this.goTo(object, last);
  }

  labelOf({ segmentationId, segmentIndex }: SegmentedObject): string {
    return this.#services.segmentationService.getSegmentation(segmentationId)?.segments[segmentIndex]?.label ?? `Object ${segmentIndex}`;
  }

  /** The number of a slice as OHIF counts them, from 1; of slices across the images along their volume. */
  numberOf({ segmentationId }: SegmentedObject, { imageId, number }: Slice): number {
    const { Labelmap } = this.#services.segmentationService.getSegmentation(segmentationId)?.representationData ?? {};
    const index = labelImages(this.#cornerstone.cornerstone.cache, Labelmap).findIndex((image) => image?.referencedImageId === imageId);
    return (imageId === undefined || index < 0 ? number : index) + 1;
  }

  colourOf({ segmentationId, segmentIndex }: SegmentedObject): string {
    return `rgb(${this.#colour(segmentationId, segmentIndex).slice(0, 3).join(" ")})`;
  }

  #colour(segmentationId: string, segmentIndex: number): readonly number[] {
    const connected = [...this.#connected.values()].find((candidate) => candidate.segmentationId === segmentationId);
    if (connected === undefined) return [128, 128, 128];
    return this.#services.segmentationService.getSegmentColor(connected.viewport.id, segmentationId, segmentIndex) ?? [128, 128, 128];
  }

  /** The segment that the viewer says is the active one, if it is an object of the list. */
  #active(segmentationId: string): SegmentedObject | undefined {
    const { segments = {} } = this.#services.segmentationService.getSegmentation(segmentationId) ?? {};
    const active = Object.values(segments).find((segment) => segment.active === true)?.segmentIndex;
    return this.objects.find((object) => object.segmentationId === segmentationId && object.segmentIndex === active);
  }

  #busy(isBusy: boolean): void {
    const isFirst = isBusy && !this.isPending && this.progress === undefined;
    const status = isFirst ? FINDING : !isBusy && this.status === FINDING ? ASK : this.status;
    this.#tell({ isBusy, status, ...(isBusy ? { error: "" } : {}) });
  }

  #found(connected: Connected, result: ViewerResult<CornerstonePlace>): void {
    const { object: before } = connected;
    const { promptKind } = result.segmentation;
    const isFurther = before?.isPending === true && (promptKind === "corrected" || (result.isFinal && before.last?.isFinal === false));
    const object = isFurther ? before : this.#active(connected.segmentationId);
    if (object === undefined) return;
    if (before !== object) this.#settled(connected, false);
    connected.object = object;
    object.last = result;
    object.isPending = true;
    this.#tell({ selected: object, error: "", status: result.isFinal ? MEANS : `${MEANS} Finding where it is unsure…` });
  }

  #settled(connected: Connected, isAccepted: boolean): void {
    const { object } = connected;
    if (object?.isPending !== true) return;
    object.isPending = false;
    const { last } = object;
    if (isAccepted && last !== undefined) {
      this.#keep(object, sliceOf(connected.viewport, last.place), last);
      this.#describe(object);
    } else {
      object.last = undefined;
      connected.object = undefined;
    }
    this.#tell({ status: ASK });
  }

  #keep(object: SegmentedObject, slice: Slice, { expectedDsc, needsReview }: Pick<KnownSlice, "expectedDsc" | "needsReview">): void {
    object.known.set(keyOf(slice), { ...slice, expectedDsc, needsReview });
    object.slices = [...object.known.values()];
  }

  /** Says the expected DSC in OHIF's own list: of the worst slice. */
  #describe({ segmentationId, segmentIndex, slices }: SegmentedObject): void {
    const { segmentationService } = this.#services;
    const segmentation = segmentationService.getSegmentation(segmentationId);
    const segment = segmentation?.segments[segmentIndex];
    if (segmentation === undefined || segment === undefined || slices.length === 0) return;
    const value = Math.min(...slices.map(({ expectedDsc }) => expectedDsc));
    const namedStats = { ...segment.cachedStats?.namedStats, expectedDsc: { name: "expectedDsc", label: "Expected DSC", value, unit: "none", order: -1 } };
    const described = { ...segment, cachedStats: { ...segment.cachedStats, namedStats } };
    segmentationService.addOrUpdateSegmentation({ segmentationId, segments: { ...segmentation.segments, [segmentIndex]: described } });
  }

  /** Looks which masks are there, after what the viewer undid, redid or erased. */
  #look(): void {
    clearTimeout(this.#looking);
    this.#looking = setTimeout(() => {
      if (this.isPending || this.progress !== undefined) return;
      const { cache } = this.#cornerstone.cornerstone;
      for (const object of this.objects) {
        const { segmentationId, segmentIndex, known } = object;
        const { Labelmap } = this.#services.segmentationService.getSegmentation(segmentationId)?.representationData ?? {};
        object.slices = [...known.values()].filter((slice) => isLabelled(cache, Labelmap, segmentIndex, slice));
      }
      this.#tell();
    }, CALM_MS);
  }

  /** OHIF shows every segmentation in all viewports of its space; uncertainty is of one, in whose colours alone it is right. */
  #unshare(): void {
    const { segmentationService, viewportGridService } = this.#services;
    for (const viewportId of viewportGridService.getState().viewports.keys()) {
      for (const { segmentationId } of segmentationService.getSegmentationRepresentations(viewportId)) {
        const isOthers = segmentationId.startsWith(UNCERTAINTY) && !segmentationId.startsWith(`${UNCERTAINTY}${viewportId}-`);
        if (isOthers) segmentationService.removeRepresentationsFromViewport(viewportId, { segmentationId });
      }
    }
  }

  /** What was removed in OHIF's own list. */
  #tidy(): void {
    const { segmentationService } = this.#services;
    const isThere = ({ segmentationId, segmentIndex }: SegmentedObject) => segmentationService.getSegmentation(segmentationId)?.segments[segmentIndex] !== undefined;
    const objects = this.objects.filter(isThere);
    if (objects.length === this.objects.length) return this.#tell();
    this.objects = objects;
    this.#tell(this.selected !== undefined && objects.includes(this.selected) ? {} : { selected: undefined, status: START });
    // Not while OHIF is at it.
    queueMicrotask(() => {
      for (const [viewportId, { segmentationId }] of [...this.#connected]) {
        if (segmentationService.getSegmentation(segmentationId) === undefined) this.#disconnect(viewportId);
      }
    });
  }

  /** Who found the selected object. */
  get #talking(): Connected | undefined {
    return this.selected === undefined ? undefined : [...this.#connected.values()].find(({ object }) => object === this.selected);
  }

  get isPending(): boolean {
    return this.selected?.isPending === true;
  }

  accept(): void {
    this.#talking?.connection.accept();
  }

  /** What is under way without an answer yet is not wanted either. */
  reject(): void {
    const connected = this.isPending ? this.#talking : this.#connected.get(this.#activeViewport);
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
    this.#talking?.connection.cancel();
  }

  /** Whether the selected object can be followed: it was the last one that was accepted or is shown. */
  get canFollow(): boolean {
    return this.#talking !== undefined && this.selected?.last !== undefined && this.progress === undefined;
  }

  async propagate(range?: readonly [first: number, last: number]): Promise<void> {
    const { selected: object } = this;
    const connected = this.#talking;
    if (object === undefined || connected === undefined) return;
    this.#tell({ progress: { done: 0, atMost: 0 }, error: "", status: `Following ${this.labelOf(object)} through the slices…` });
    await this.#guarded(async () => {
      const found = await connected.connection.propagate(range);
      if (object.last === undefined) return;
      const prompted = sliceOf(connected.viewport, object.last.place);
      for (const summary of found.slices(0)) {
        // The prompted slice keeps the ensemble's answer.
        if (summary.slice !== prompted.number) this.#keep(object, beside(connected.viewport, prompted, summary.slice), summary);
      }
      this.#describe(object);
    });
    const toCheck = object.slices.filter(({ needsReview }) => needsReview === true).length;
    const check = toCheck === 0 ? "" : ` Check ${toCheck} of them: their expected DSC is low.`;
    this.#tell({ progress: undefined, status: `${this.labelOf(object)} has a mask on ${counted(object.slices.length)}.${check}` });
  }

  /** Shows a slice of an object in the viewports that it lies across. */
  goTo({ segmentationId }: SegmentedObject, slice: Slice): void {
    for (const connected of this.#connected.values()) {
      if (connected.segmentationId === segmentationId) void this.#guarded(() => goTo(connected.viewport, slice));
    }
  }

  /** Saves all objects of the selected one's series. */
  save(): Promise<void> {
    return this.#guarded(async () => {
      const { segmentationId } = this.selected ?? this.objects[0] ?? {};
      const segmentation = segmentationId === undefined ? undefined : this.#services.segmentationService.getSegmentation(segmentationId);
      if (segmentation === undefined) throw new UmedsamError("invalid-option", "there is no object to save; draw a box and accept its mask first");
      const { info } = await this.#loaded();
      const { baseUrl, onSave = download } = this.#options;
      const algorithm = { name: info.architecture, version: info.precision };
      const { segOf } = await import("./seg.js");
      const bytes = await segOf(this.#cornerstone.cornerstone, segmentation, (index) => this.#colour(segmentation.segmentationId, index), {
        algorithm,
        seriesDescription: segmentation.label,
        ...(baseUrl === undefined ? {} : { baseUrl }),
      });
      await onSave(bytes, "umedsam-seg.dcm");
    });
  }

  /** Tells what goes wrong. */
  async #guarded(work: () => Promise<void>): Promise<void> {
    const generation = this.#generation;
    try {
      await work();
    } catch (cause) {
      const { code, message } = toUmedsamError(cause);
      if (generation === this.#generation) this.#tell({ isBusy: false, ...(code === "aborted" ? {} : { error: message, status: START }) });
    }
  }
}

function download(bytes: Uint8Array, name: string): void {
  const url = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>], { type: "application/dicom" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
