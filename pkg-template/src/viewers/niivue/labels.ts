/** Where NiiVue keeps labels: in its drawing, or in an overlay. */

import { type NiivueSlice, eachPixel, geometryOf, storedAxis } from "./slices.js";
import type { Colors, NiivueViewer, NiivueVolume, NiivueVolumes } from "./viewer.js";

/** Labels of a volume's voxels, 0 where there are none. */
export interface Labels {
  /** Makes sure that there are labels on a volume's grid. */
  prepare(volume: NiivueVolume): Promise<void>;
  /** NiiVue may have put other values in the place of the labels, by its undo for instance. */
  adopt(volume: NiivueVolume): void;
  /** The labels as they are now; `undefined` if there are none of this volume, or others took their place. */
  values(volume: NiivueVolume): Uint8Array | undefined;
  /** Visits the pixels of a slice as it is stored, with where their values are. */
  each(slice: NiivueSlice, visit: (pixel: number, at: number) => void): void;
  /** Shows changed values. */
  show(): void;
  /** Shows changed values, which one step of the viewer's undo takes back together with those of earlier calls since `settle()`. */
  commit(): void;
  /** Shows values that are again what they were before `commit()`. */
  takeBack(): void;
  /** What was committed stays. */
  settle(): void;
  /** Nothing is shown any more but labels that were settled. */
  dispose(): void;
}

function voxelsOf(volume: NiivueVolume): number {
  const [x, y, z] = geometryOf(volume).size;
  return x * y * z;
}

/** NiiVue's drawing, whose voxels lie in RAS order. */
export class DrawingLabels implements Labels {
  readonly #nv: NiivueViewer;
  /** The drawing as it is known, and the volume that it is on. */
  #known: { readonly on: NiivueVolume; readonly bitmap: Uint8Array } | undefined;
  /** What was committed and not settled yet, on the top of NiiVue's history. */
  #committed: Uint8Array | undefined;

  constructor(nv: NiivueViewer) {
    this.#nv = nv;
  }

  async prepare(volume: NiivueVolume): Promise<void> {
    if (this.#nv.drawBitmap?.length !== voxelsOf(volume)) this.#nv.createEmptyDrawing();
    this.adopt(volume);
  }

  adopt(volume: NiivueVolume): void {
    const bitmap = this.#nv.drawBitmap;
    this.#known = bitmap?.length === voxelsOf(volume) ? { on: volume, bitmap } : undefined;
  }

  values(volume: NiivueVolume): Uint8Array | undefined {
    const { on, bitmap } = this.#known ?? {};
    return on === volume && bitmap === this.#nv.drawBitmap ? bitmap : undefined;
  }

  each(slice: NiivueSlice, visit: (pixel: number, at: number) => void): void {
    const { size } = slice.geometry;
    const strides: [number, number, number] = [0, 0, 0];
    let [first, stride] = [0, 1];
    for (const ras of [0, 1, 2]) {
      const { axis, isFlipped } = storedAxis(slice.volume, ras);
      strides[axis] = isFlipped ? -stride : stride;
      if (isFlipped) first += (size[axis] - 1) * stride;
      stride *= size[axis];
    }
    eachPixel(slice, strides, first, visit);
  }

  show(): void {
    this.#nv.refreshDrawing(true);
  }

  commit(): void {
    if (this.#isOnTop) this.#stepBack(this.#nv.opts.maxDrawUndoBitmaps);
    this.#nv.drawAddUndoBitmap();
    this.#committed = this.#top;
    this.show();
  }

  takeBack(): void {
    if (this.#isOnTop) this.#stepBack(this.#nv.drawUndoBitmaps.length);
    // Someone has drawn meanwhile.
    else if (this.#committed !== undefined) this.#nv.drawAddUndoBitmap();
    this.settle();
    this.show();
  }

  settle(): void {
    this.#committed = undefined;
  }

  dispose(): void {
    this.settle();
  }

  get #top(): Uint8Array | undefined {
    return this.#nv.drawUndoBitmaps[this.#nv.currentDrawUndoBitmap];
  }

  get #isOnTop(): boolean {
    return this.#committed !== undefined && this.#top === this.#committed;
  }

  /** NiiVue's history is a ring. */
  #stepBack(length: number): void {
    this.#nv.currentDrawUndoBitmap = (this.#nv.currentDrawUndoBitmap || length) - 1;
  }
}

/** NIfTI's code of labels. */
const INTENT_LABEL = 1002;

/** A volume over the others, whose voxels lie as those of the image do. */
export class OverlayLabels implements Labels {
  readonly #nv: NiivueViewer;
  readonly #volumes: NiivueVolumes;
  #made: { readonly of: NiivueVolume; readonly overlay: NiivueVolume } | undefined;
  #making: Promise<void> | undefined;
  #isDisposed = false;

  constructor(nv: NiivueViewer, volumes: NiivueVolumes) {
    this.#nv = nv;
    this.#volumes = volumes;
  }

  async prepare(volume: NiivueVolume): Promise<void> {
    await this.#making;
    if (this.values(volume) !== undefined) return;
    this.#making = this.#make(volume).finally(() => {
      this.#making = undefined;
    });
    await this.#making;
  }

  async #make(volume: NiivueVolume): Promise<void> {
    const look = { name: "umedsam labels", colormap: "gray", opacity: 0.5 };
    const overlay = await overlayOn(this.#volumes, volume, new Uint8Array(voxelsOf(volume)), [], look);
    if (this.#isDisposed || !this.#nv.volumes.includes(volume)) return;
    // With colours by label alone, NiiVue gives 0 a colour.
    if (overlay.hdr !== null) overlay.hdr.intent_code = INTENT_LABEL;
    overlay.setColormapLabel(labelColors());
    this.#made = { of: volume, overlay };
    this.#nv.addVolume(overlay);
  }

  adopt(): void {}

  values(volume: NiivueVolume): Uint8Array | undefined {
    const { of, overlay } = this.#made ?? {};
    return of === volume && overlay !== undefined && this.#nv.volumes.includes(overlay) ? (overlay.img as Uint8Array) : undefined;
  }

  each(slice: NiivueSlice, visit: (pixel: number, at: number) => void): void {
    const [columns, rows] = slice.geometry.size;
    eachPixel(slice, [1, columns, columns * rows], 0, visit);
  }

  show(): void {
    this.#nv.updateGLVolume();
  }

  commit(): void {
    this.show();
  }

  takeBack(): void {
    this.show();
  }

  settle(): void {}

  dispose(): void {
    this.#isDisposed = true;
    const { overlay } = this.#made ?? {};
    if (overlay?.img !== undefined && this.#nv.volumes.includes(overlay) && !overlay.img.some((label) => label !== 0)) this.#nv.removeVolume(overlay);
  }
}

/** How an overlay looks. */
interface Look {
  readonly name: string;
  readonly colormap: string;
  readonly opacity: number;
  /** The value of the first colour, of floats where they begin to fade; default 0. */
  readonly cal_min?: number;
  /** The value of the last colour; default 1. */
  readonly cal_max?: number;
}

/** A volume on the grid of another, or on one of its slices if `place` has its axis and index; `values` have 1 byte a voxel, or 4 as floats. */
export async function overlayOn(
  volumes: NiivueVolumes,
  volume: NiivueVolume,
  values: Uint8Array | Float32Array,
  place: readonly [axis?: number, index?: number],
  { name, ...look }: Look,
): Promise<NiivueVolume> {
  const { dims = [], pixDims = [], affine = [] } = volume.hdr ?? {};
  const size = [1, 2, 3].map((axis) => dims[axis] ?? 1);
  const matrix = affine.map((row) => [...row]);
  const [axis, index = 0] = place;
  if (axis !== undefined) {
    size[axis] = 1;
    for (const row of matrix.slice(0, 3)) row[3] = (row[3] as number) + index * (row[axis] as number);
  }
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const file = volumes.createNiftiArray(size, [1, 2, 3].map((at) => pixDims[at] ?? 1), matrix.flat(), values instanceof Float32Array ? 16 : 2, bytes);
  return volumes.loadFromUrl({ url: file, name: `${name}.nii`, cal_min: 0, cal_max: 1, ...look });
}

/** Colours that differ from those of the labels before. */
function labelColors(): Colors {
  const I = Array.from({ length: 256 }, (_, label) => label);
  const channel = (shift: number) => I.map((label) => Math.round(128 + 127 * Math.cos(2 * Math.PI * (0.618 * (label - 1) + shift))));
  return { R: channel(0), G: channel(-1 / 3), B: channel(1 / 3), A: I.map((label) => (label === 0 ? 0 : 255)), I, labels: I.map(String) };
}
