/** What is used of OHIF, as its extensions and modes get it. */

/** Tells of events until the subscription is ended. */
export interface OhifEvents {
  readonly EVENTS: Readonly<Record<string, string>>;
  subscribe(event: string, listener: (event: never) => void): { unsubscribe(): void };
}

/** A segment of a segmentation. */
export interface OhifSegment {
  readonly segmentIndex: number;
  readonly label: string;
  readonly active?: boolean;
  readonly cachedStats?: { readonly namedStats?: Readonly<Record<string, unknown>> };
}

/** A segmentation of OHIF's list. */
export interface OhifSegmentation {
  readonly segmentationId: string;
  readonly label: string;
  readonly segments: Readonly<Record<number, OhifSegment>>;
  readonly representationData: { readonly Labelmap?: OhifLabelmap };
}

/** Where the voxels of a segmentation are. */
export interface OhifLabelmap {
  readonly imageIds?: readonly string[];
  readonly volumeId?: string;
  /** More than one where segments overlap. */
  readonly labelmaps?: Readonly<Record<string, unknown>>;
}

/** What is used of OHIF's services. */
export interface OhifServices {
  readonly viewportGridService: OhifEvents & {
    getActiveViewportId(): string | null;
    getState(): { readonly viewports: ReadonlyMap<string, { readonly displaySetInstanceUIDs?: readonly string[] }> };
  };
  readonly cornerstoneViewportService: OhifEvents & {
    getCornerstoneViewport(viewportId: string): OhifViewport | null | undefined;
  };
  readonly segmentationService: OhifEvents & {
    getSegmentation(segmentationId: string): OhifSegmentation | undefined;
    getSegmentationRepresentations(viewportId: string, of?: { readonly segmentationId: string }): readonly { readonly segmentationId: string }[];
    removeRepresentationsFromViewport(viewportId: string, of: { readonly segmentationId: string }): void;
    addSegmentationRepresentation(viewportId: string, of: { readonly segmentationId: string; readonly type: string }): Promise<void>;
    addOrUpdateSegmentation(change: { readonly segmentationId: string; readonly segments: OhifSegmentation["segments"] }): void;
    addSegment(segmentationId: string, segment: Readonly<Record<string, unknown>>): void;
    removeSegment(segmentationId: string, segmentIndex: number): void;
    setActiveSegmentation(viewportId: string, segmentationId: string): void;
    setActiveSegment(segmentationId: string, segmentIndex: number): void;
    getSegmentColor(viewportId: string, segmentationId: string, segmentIndex: number): readonly number[] | undefined;
  };
  readonly toolGroupService: {
    getToolGroupForViewport(viewportId: string): { readonly id: string; getActivePrimaryMouseButtonTool(): string | undefined } | undefined;
  };
  readonly toolbarService: { refreshToolbarState(of: { readonly viewportId: string | null }): unknown };
  readonly panelService: { activatePanel(panelId: string, isForced?: boolean): void };
}

/** What is used of a viewport of Cornerstone. */
export interface OhifViewport {
  readonly id: string;
  readonly element: HTMLDivElement;
  readonly renderingEngineId: string;
  readonly type: string;
}

/** OHIF's commands. */
export interface OhifCommands {
  /** Runs a command of the contexts, the youngest first. */
  run(command: string, options?: object): unknown;
  readonly contextOrder: readonly string[];
  getCommand(command: string, contexts?: readonly string[]): { readonly commandFn: (options?: object) => unknown } | undefined;
}

/** What extensions get from OHIF. */
export interface OhifHost {
  readonly servicesManager: { readonly services: OhifServices };
  readonly commandsManager: OhifCommands;
  readonly extensionManager: { getModuleEntry(id: string): { readonly exports?: unknown } | undefined };
}
