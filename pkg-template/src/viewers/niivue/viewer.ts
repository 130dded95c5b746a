/** What is used of NiiVue 0.69, so that its types are not needed here. */

import type { PixelArray } from "../../types.js";

/** NiiVue's numbers of what a drag does. */
export const DRAG = { pan: 3, roiSelection: 6, crosshair: 8 } as const;

/** NiiVue's number of a plane is its index; the axis across it, of voxels from left to right, back to front and foot to head (RAS), is 2 less that. */
export const PLANES = ["axial", "coronal", "sagittal"] as const;

/** NiiVue's `NVImage`. */
export interface NiivueVolume {
  readonly id: string;
  readonly hdr: {
    readonly dims: readonly number[];
    readonly pixDims: readonly number[];
    /** From voxels as they are stored to mm, RAS. */
    readonly affine: readonly (readonly number[])[];
    readonly datatypeCode: number;
    intent_code: number;
    readonly scl_slope: number;
    readonly scl_inter: number;
  } | null;
  /** As stored, all frames. */
  img?: PixelArray;
  readonly frame4D: number;
  cal_min?: number;
  cal_max?: number;
  readonly colormapInvert?: boolean;
  colormapType?: number;
  /** Of each RAS axis its stored axis, from 1, negative where it runs the other way. */
  readonly permRAS?: readonly number[];
  setColormapLabel(colormap: Colors): void;
}

/** A colour map: colours and opacities, 0–255, of the values `I`. */
export interface Colors {
  readonly R: number[];
  readonly G: number[];
  readonly B: number[];
  readonly A: number[];
  readonly I: number[];
  readonly labels?: string[];
}

/** What each mouse button does. */
export interface MouseButtons {
  readonly leftButton: { readonly primary: number; readonly withShift?: number; readonly withCtrl?: number };
  readonly rightButton: number;
  readonly centerButton: number;
}

/** A drag that ended. */
export interface DragEnd {
  /** The tile of the canvas that it began and ended in; -1 if there is none. */
  readonly tileIdx: number;
  /** NiiVue's number of the tile's plane. */
  readonly axCorSag: number;
}

/** NiiVue's `Niivue`. */
export interface NiivueViewer {
  readonly canvas: HTMLCanvasElement | null;
  readonly volumes: readonly NiivueVolume[];
  readonly opts: { readonly dragMode: number; readonly dragModePrimary: number; readonly maxDrawUndoBitmaps: number };
  readonly scene: { readonly crosshairPos: ArrayLike<number> };
  /** The tiles as they were drawn last. */
  readonly screenSlices: readonly { readonly axCorSag: number }[];
  /** In pixels of the canvas. */
  readonly uiData: {
    readonly dragStart: readonly number[];
    readonly dragEnd: readonly number[];
    readonly dpr?: number;
    readonly activeDragButton?: number | null;
  };
  drawBitmap: Uint8Array | null;
  readonly drawUndoBitmaps: readonly Uint8Array[];
  currentDrawUndoBitmap: number;
  addEventListener(type: string, listener: (event: Event) => void, options: { readonly signal: AbortSignal }): void;
  getMouseEventConfig(): MouseButtons | undefined;
  setMouseEventConfig(config: MouseButtons): void;
  getCurrentDragMode(): number;
  /** A place of the canvas as shares of the volume's RAS axes, -1 outside of the tile. */
  screenXY2TextureFrac(x: number, y: number, tile: number, restrict0to1: boolean): ArrayLike<number>;
  /** Where a place, in shares of the RAS axes, lies in pixels of the canvas, in the tile of a plane. */
  frac2canvasPosWithTile(frac: Float32Array, plane: number): { readonly pos: readonly number[] } | null;
  createEmptyDrawing(): void;
  drawAddUndoBitmap(): void;
  refreshDrawing(isForceRedraw: boolean): void;
  addVolume(volume: NiivueVolume): void;
  removeVolume(volume: NiivueVolume): void;
  addColormap(name: string, colormap: Colors): void;
  updateGLVolume(): void;
  drawScene(): void;
}

/** NiiVue's class `NVImage`. */
export interface NiivueVolumes {
  /** Bytes of a NIfTI file. */
  createNiftiArray(dims: number[], pixDims: number[], affine: number[], datatypeCode: number, img: Uint8Array): Uint8Array;
  loadFromUrl(options: { url: Uint8Array; name: string; colormap: string; cal_min: number; cal_max: number; opacity: number }): Promise<NiivueVolume>;
}
