/** Viewports of OHIF that segment: connected when they are needed, let go when they show something else. */

import type { CornerstoneCore, CornerstonePlace, CornerstoneTools, ViewerConnection, ViewerEvents, connect } from "../../cornerstone.js";
import { UmedsamError } from "../../errors.js";
import type { Model } from "../../model.js";
import type { UmedsamExtensionOptions } from "../../ohif.js";
import { type Slice, goTo } from "./going.js";
import type { OhifHost, OhifServices, OhifViewport } from "./host.js";
import { CORNERSTONE, TOOL } from "./names.js";
import type { SegmentedObject } from "./objects.js";
import type { SegCore } from "./seg.js";

/** A viewport, what it shows and what its objects are put to. */
export interface Connected {
  readonly viewport: OhifViewport;
  readonly displaySet: string;
  readonly segmentationId: string;
  readonly connection: ViewerConnection<CornerstonePlace>;
  /** What it found last, accepted or not. */
  object: SegmentedObject | undefined;
}

/** What is told of viewports. */
export interface ViewportListener {
  event<Name extends keyof ViewerEvents<CornerstonePlace>>(connected: Connected, name: Name, event: ViewerEvents<CornerstonePlace>[Name]): void;
  /** A segmentation was made for a series. */
  made(segmentationId: string, viewportId: string): void;
}

/** How segmentations of uncertainty begin that `umedsam/cornerstone` makes; the viewport's name follows. */
const UNCERTAINTY = "umedsam-uncertainty-";

const EVENTS = ["result", "settled", "cleared", "busy", "error", "progress"] as const;

export class Viewports {
  readonly #host: OhifHost;
  readonly #options: UmedsamExtensionOptions;
  readonly #listener: ViewportListener;
  readonly #connected = new Map<string, Connected>();
  /** Of each series; made when it is first needed, once. */
  readonly #segmentations = new Map<string, string>();
  /** Viewports are connected one after the other. */
  #syncing: Promise<void> = Promise.resolve();
  #generation = 0;
  /** Whether a person gave the mouse to the box, in whatever viewports there are. */
  isWanted = false;

  constructor(host: OhifHost, options: UmedsamExtensionOptions, listener: ViewportListener) {
    this.#host = host;
    this.#options = options;
    this.#listener = listener;
  }

  get #services(): OhifServices {
    return this.#host.servicesManager.services;
  }

  get all(): readonly Connected[] {
    return [...this.#connected.values()];
  }

  /** The one that a person works in. */
  get active(): Connected | undefined {
    return this.#connected.get(this.activeId);
  }

  get activeId(): string {
    return this.#services.viewportGridService.getActiveViewportId() ?? "";
  }

  /** Whether a drag in it is a box. */
  get isOn(): boolean {
    return this.#services.toolGroupService.getToolGroupForViewport(this.activeId)?.getActivePrimaryMouseButtonTool() === TOOL;
  }

  /** Gives the mouse to the box, or back. */
  setActive(isOn: boolean): void {
    this.isWanted = isOn;
    for (const { connection } of this.all) connection.setActive(isOn);
  }

  /** Shows a slice in the viewports of a segmentation that it lies across. */
  async goTo(segmentationId: string, slice: Slice): Promise<void> {
    for (const connected of this.all) if (connected.segmentationId === segmentationId) await goTo(connected.viewport, slice);
  }

  /** OHIF's own Cornerstone. */
  get cornerstone(): { readonly cornerstone: CornerstoneCore & SegCore; readonly cornerstoneTools: CornerstoneTools } {
    const { getCornerstoneLibraries } = (this.#host.extensionManager.getModuleEntry(CORNERSTONE)?.exports ?? {}) as {
      getCornerstoneLibraries?: () => { cornerstone: CornerstoneCore & SegCore; cornerstoneTools: CornerstoneTools };
    };
    if (getCornerstoneLibraries === undefined) {
      throw new UmedsamError("invalid-option", `OHIF has no ${CORNERSTONE}; its cornerstone extension has to come before umedsam's`);
    }
    return getCornerstoneLibraries();
  }

  /**
   * Connects every viewport with slices; those that are gone or show something else are let go.
   *
   * @throws what went wrong first, such as `invalid-option` where OHIF cannot make a segmentation; the other viewports are connected all the same.
   */
  sync(model: Model): Promise<void> {
    const generation = this.#generation;
    const synced = this.#syncing.then(() => this.#sync(model, generation));
    this.#syncing = synced.catch(() => {});
    return synced;
  }

  async #sync(model: Model, generation: number): Promise<void> {
    const adapter = await import("../../cornerstone.js");
    if (generation !== this.#generation) return;
    const { viewportGridService, cornerstoneViewportService } = this.#services;
    const { viewports } = viewportGridService.getState();
    for (const connected of this.all) {
      const { id } = connected.viewport;
      const isSame = cornerstoneViewportService.getCornerstoneViewport(id) === connected.viewport;
      if (!isSame || viewports.get(id)?.displaySetInstanceUIDs?.[0] !== connected.displaySet) this.#disconnect(connected);
    }
    const failures: unknown[] = [];
    for (const [viewportId, { displaySetInstanceUIDs }] of viewports) {
      const viewport = cornerstoneViewportService.getCornerstoneViewport(viewportId);
      const [displaySet] = displaySetInstanceUIDs ?? [];
      if (this.#connected.has(viewportId) || displaySet === undefined || (viewport?.type !== "stack" && viewport?.type !== "orthographic")) continue;
      try {
        const segmentationId = await this.#segmentation(viewportId, displaySet, generation);
        if (generation !== this.#generation) return;
        // Labels may have made a stack a volume.
        const now = cornerstoneViewportService.getCornerstoneViewport(viewportId);
        if (now !== undefined && now !== null) this.#connect(adapter.connect, model, now, displaySet, segmentationId);
      } catch (cause) {
        if (generation !== this.#generation) return;
        failures.push(cause);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  #connect(connectTo: typeof connect, model: Model, viewport: OhifViewport, displaySet: string, segmentationId: string): void {
    const { uncertainty, overlay, keep, preEncode } = this.#options;
    const { cornerstone: core, cornerstoneTools: tools } = this.cornerstone;
    const options = {
      renderingEngineId: viewport.renderingEngineId,
      toolName: TOOL,
      segmentationId,
      preEncode: preEncode !== false && viewport.id === this.activeId,
      ...(uncertainty === undefined ? {} : { uncertainty }),
      ...(overlay === undefined ? {} : { overlay }),
      ...(keep === undefined ? {} : { keep }),
    };
    const connection = connectTo({ core, tools, model }, viewport.id, options);
    const connected: Connected = { viewport, displaySet, segmentationId, connection, object: undefined };
    this.#connected.set(viewport.id, connected);
    for (const name of EVENTS) connection.on(name, (event) => this.#listener.event(connected, name, event));
    if (!this.isWanted) connection.setActive(false);
  }

  #disconnect(connected: Connected): void {
    this.#listener.event(connected, "settled", false);
    this.#connected.delete(connected.viewport.id);
    try {
      connected.connection.dispose();
    } catch (cause) {
      // OHIF may have taken its labels away before.
      console.debug(cause);
    }
  }

  /** The segmentation of a series that objects are put to, one for all its viewports. */
  async #segmentation(viewportId: string, displaySet: string, generation: number): Promise<string> {
    const { segmentationService } = this.#services;
    let id = this.#segmentations.get(displaySet);
    const isThere = id !== undefined && segmentationService.getSegmentation(id) !== undefined;
    if (!isThere) {
      const options = { displaySetInstanceUID: displaySet, label: "umedsam", createInitialSegment: false };
      id = (await this.#host.commandsManager.run("createLabelmapForViewport", { viewportId, options })) as string | undefined;
    }
    if (id === undefined || segmentationService.getSegmentation(id) === undefined) {
      throw new UmedsamError("invalid-option", "OHIF could not make a segmentation for this series; open it again");
    }
    // Another mode has segmentations of its own.
    if (generation !== this.#generation) return id;
    this.#segmentations.set(displaySet, id);
    if (segmentationService.getSegmentationRepresentations(viewportId, { segmentationId: id }).length === 0) {
      await segmentationService.addSegmentationRepresentation(viewportId, { segmentationId: id, type: "Labelmap" });
    }
    if (!isThere && generation === this.#generation) this.#listener.made(id, viewportId);
    return id;
  }

  /** OHIF shows every segmentation in all viewports of its space; uncertainty is of one, in whose colours alone it is right. */
  unshare(): void {
    const { segmentationService, viewportGridService } = this.#services;
    for (const viewportId of viewportGridService.getState().viewports.keys()) {
      for (const { segmentationId } of segmentationService.getSegmentationRepresentations(viewportId)) {
        const isOthers = segmentationId.startsWith(UNCERTAINTY) && !segmentationId.startsWith(`${UNCERTAINTY}${viewportId}-`);
        if (isOthers) segmentationService.removeRepresentationsFromViewport(viewportId, { segmentationId });
      }
    }
  }

  /** Lets those go whose segmentation was removed. */
  tidy(): void {
    for (const connected of this.all) {
      if (this.#services.segmentationService.getSegmentation(connected.segmentationId) === undefined) this.#disconnect(connected);
    }
  }

  /** Lets all go. */
  clear(): void {
    this.#generation++;
    for (const connected of this.all) this.#disconnect(connected);
    this.#segmentations.clear();
    this.isWanted = false;
  }
}
