/** Where the model is unsure, as an overlay of floats on one slice. */

import { UNCERTAINTY_MAX } from "../uncertainty-scale.js";
import { overlayOn } from "./labels.js";
import type { NiivueSlice } from "./slices.js";
import type { Colors, NiivueViewer, NiivueVolume, NiivueVolumes } from "./viewer.js";

const COLORMAP = "umedsam-uncertainty";

/** Inferno (Smith & van der Walt, CC0) at five places. */
const COLORS: Colors = {
  R: [0, 87, 188, 249, 252],
  G: [0, 16, 55, 142, 255],
  B: [4, 110, 84, 9, 164],
  A: [0, 255, 255, 255, 255],
  I: [0, 64, 128, 192, 255],
};

/** NiiVue's type of colour maps that fade, by the square of the value, below `cal_min`. */
const FADING = 1;
/** From this share of the last colour's value on nothing shows through. */
const OPAQUE = 0.7;

/** What of the uncertainty can be shown. */
export type ShownMap = keyof typeof UNCERTAINTY_MAX;

/** One map at a time. */
export class UncertaintyOverlay {
  readonly #nv: NiivueViewer;
  readonly #volumes: NiivueVolumes;
  #shown: NiivueVolume | undefined;
  /** The values that are to be seen. */
  #wanted: Float32Array | null | undefined;

  constructor(nv: NiivueViewer, volumes: NiivueVolumes) {
    this.#nv = nv;
    this.#volumes = volumes;
    nv.addColormap(COLORMAP, COLORS);
  }

  /** Shows a map of a slice as it lies upright in the place of the one before; without one, none. */
  async show(slice: NiivueSlice, map: Float32Array | null, name: ShownMap): Promise<void> {
    if (map === this.#wanted) return;
    // NiiVue tells of what goes, and who hears it may come here.
    this.#wanted = map;
    this.#takeOff();
    if (map === null) return;
    const { axis, slice: index } = slice.place;
    const stored = slice.turn.turnedBack(map, new Float32Array(map.length));
    const max = UNCERTAINTY_MAX[name];
    const look = { name: "umedsam uncertainty", colormap: COLORMAP, opacity: 1, cal_min: OPAQUE * max, cal_max: max };
    const overlay = await overlayOn(this.#volumes, slice.volume, stored, [axis, index], look);
    if (this.#wanted !== map || !this.#nv.volumes.includes(slice.volume)) return;
    overlay.colormapType = FADING;
    this.#shown = overlay;
    this.#nv.addVolume(overlay);
  }

  hide(): void {
    this.#wanted = undefined;
    this.#takeOff();
  }

  #takeOff(): void {
    const shown = this.#shown;
    this.#shown = undefined;
    if (shown !== undefined && this.#nv.volumes.includes(shown)) this.#nv.removeVolume(shown);
  }
}
