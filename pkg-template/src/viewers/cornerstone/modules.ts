/** What is used of Cornerstone3D, as 5.6 to 5.14 have it. The modules themselves are passed in: a second copy would have caches of its own. */

import type { PixelArray } from "../../types.js";

export type Point3 = readonly number[];

export interface CoreImage {
  readonly imageId: string;
  readonly rows: number;
  readonly columns: number;
  /** The image that a labelmap's image belongs to. */
  readonly referencedImageId?: string | undefined;
  readonly voxelManager?: VoxelManager | undefined;
}

/** Labelmaps may be run-length encoded, so that values are read and written one by one. */
export interface VoxelManager {
  getAtIndex(index: number): unknown;
  setAtIndex(index: number, value: never): unknown;
  getScalarData(): unknown;
}

export interface CoreVolume {
  readonly volumeId: string;
  readonly imageIds?: readonly string[];
}

/** Of vtk.js, with the lengths, directions and places that Cornerstone gives it. */
export interface ViewedImage {
  readonly dimensions: Point3;
  readonly spacing: Point3;
  readonly origin: Point3;
  readonly direction: ArrayLike<number>;
  readonly imageData: { worldToIndex(world: never): ArrayLike<number> };
}

export interface Viewport {
  readonly id: string;
  readonly type: string;
  readonly element: HTMLElement;
  getImageData(): ViewedImage | undefined;
  getProperties(): { readonly voiRange?: { readonly lower: number; readonly upper: number } | undefined };
  getCamera(): { readonly viewPlaneNormal?: Point3 | undefined; readonly focalPoint?: Point3 | undefined };
  render(): void;
}

export interface StackViewport extends Viewport {
  getImageIds(): string[];
  getCurrentImageId(): string;
}

export interface VolumeViewport extends Viewport {
  getVolumeId(): string;
}

/** What undoes and redoes one change. */
export interface Memo {
  restoreMemo(isUndo?: boolean): void;
  readonly id: string;
  readonly operationType: string;
}

/** `@cornerstonejs/core`. */
export interface CornerstoneCore {
  readonly cache: {
    getImage(imageId: string): CoreImage | undefined;
    getVolume(volumeId: string): CoreVolume | undefined;
    removeImageLoadObject(imageId: string, options?: { readonly force?: boolean }): void;
    removeVolumeLoadObject(volumeId: string): void;
  };
  readonly eventTarget: {
    addEventListener(type: string, listener: (event: never) => void): void;
    removeEventListener(type: string, listener: (event: never) => void): void;
  };
  readonly imageLoader: {
    loadAndCacheImage(imageId: string): Promise<CoreImage>;
    createAndCacheDerivedLabelmapImages(imageIds: string[]): readonly CoreImage[];
  };
  readonly volumeLoader: { createAndCacheDerivedLabelmapVolume(volumeId: string, options: object): unknown };
  readonly metaData: { get(type: string, imageId: string): unknown };
  readonly utilities: {
    readonly HistoryMemo: {
      readonly DefaultHistoryMemo: { push(memo: Memo): unknown; undo(): void; redo(): void };
    };
  };
  getEnabledElementByIds(viewportId: string, renderingEngineId: string): EnabledElement | undefined;
  getEnabledElementByViewportId(viewportId: string): EnabledElement | undefined;
}

interface EnabledElement {
  readonly viewport: object;
  readonly renderingEngineId?: string;
  readonly renderingEngine?: { readonly id: string };
}

export interface ToolGroup {
  readonly id: string;
  hasTool(name: string): boolean;
  addToolInstance(name: string, parent: string, configuration: object): void;
  getToolInstance(name: string): unknown;
  getActivePrimaryMouseButtonTool(): string | undefined;
  setToolActive(name: string, options: object): void;
  setToolPassive(name: string, options?: object): void;
  setToolEnabled(name: string): void;
  setToolDisabled(name: string): void;
}

interface ToolClass {
  readonly toolName: string;
}

/** An annotation of a tool, as Cornerstone tells of it. */
export interface ToolAnnotation {
  readonly annotationUID?: string;
  readonly metadata: { readonly toolName: string; readonly referencedImageId?: string };
  readonly data: { readonly handles?: { readonly points?: readonly Point3[] } };
}

/** A labelmap, or one of several that hold a segmentation's segments. */
interface LabelmapLayer {
  readonly imageIds?: readonly string[];
  readonly volumeId?: string;
}

export interface LabelmapData extends LabelmapLayer {
  readonly labelmaps?: Readonly<Record<string, LabelmapLayer>>;
  readonly segmentBindings?: Readonly<Record<number, { readonly labelmapId: string; readonly labelValue: number }>>;
}

export interface Segment {
  label: string;
  locked: boolean;
  cachedStats: Record<string, unknown>;
}

export interface SegmentationState {
  readonly segmentationId: string;
  readonly segments: Record<number, Segment>;
  readonly representationData: { readonly Labelmap?: object };
}

/** `@cornerstonejs/tools`. */
export interface CornerstoneTools {
  readonly RectangleROITool: ToolClass;
  readonly ProbeTool: ToolClass;
  addTool(tool: never): void;
  readonly ToolGroupManager: {
    getToolGroup(id: string): unknown;
    getToolGroupForViewport(viewportId: string, renderingEngineId?: string): unknown;
  };
  readonly annotation: {
    readonly state: {
      addAnnotation(annotation: never, element: never): string;
      removeAnnotation(uid: string): void;
    };
    readonly locking: { setAnnotationLocked(uid: string, isLocked: boolean): void };
    readonly config: { readonly style: { setAnnotationStyles(uid: string, styles: object): void } };
  };
  readonly segmentation: {
    readonly state: {
      getSegmentation(id: string): unknown;
      getSegmentationRepresentations(viewportId: string, specifier: object): readonly object[];
    };
    readonly activeSegmentation: {
      getActiveSegmentation(viewportId: string): unknown;
      setActiveSegmentation(viewportId: string, id: string): void;
    };
    readonly segmentIndex: {
      getActiveSegmentIndex(id: string): number | undefined;
      setActiveSegmentIndex(id: string, index: number): void;
    };
    readonly segmentationStyle: { setStyle(specifier: object, styles: object): void };
    readonly config: {
      readonly color: {
        getSegmentIndexColor(viewportId: string, id: string, index: number): ArrayLike<number> | null;
        setSegmentIndexColor(viewportId: string, id: string, index: number, color: never): void;
      };
    };
    readonly triggerSegmentationEvents: {
      triggerSegmentationDataModified(id: string, slices?: number[], index?: number): void;
      triggerSegmentationModified(id: string): void;
    };
    addSegmentations(segmentations: object[]): void;
    addSegmentationRepresentations(viewportId: string, representations: object[]): void;
    removeSegmentation(id: string): void;
  };
}

/** What every part works with. */
export interface Viewer {
  readonly core: CornerstoneCore;
  readonly tools: CornerstoneTools;
  readonly viewport: Viewport;
  readonly renderingEngineId: string;
}

/** Values of an image, as the loader keeps them: rescaled already. */
export function valuesOf(image: CoreImage): PixelArray {
  return image.voxelManager?.getScalarData() as PixelArray;
}
