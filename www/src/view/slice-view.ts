/** Shows the wanted slice through the wanted window: one after the other, and of what was wanted meanwhile only the last. */

import { windowedImage } from "../../umedsam/image.js";
import type { ImageInput } from "../../umedsam/index.js";
import { checkCanvas } from "../dom.js";
import { type Look, chosenLook } from "./intensities.js";
import { type Place, type Slice, type Stack, countOf, isSame } from "../open/slices.js";
import { showReading } from "../status.js";

/** What is on the screen. */
export interface Seen {
  readonly stack: Stack;
  readonly place: Place;
  readonly slice: Slice;
  readonly look: Look;
  /** What was asked for, which `look` differs from where the slice has no values. */
  readonly asked: Look;
  /** What the network sees of it, at its own size. */
  readonly picture: ImageData;
}

export const lookKey = (look: Look) => JSON.stringify(look);

/** Windows a slice. @throws What is wrong with it. */
export async function look(stack: Stack, place: Place, slice: Slice, asked: Look): Promise<Seen> {
  checkCanvas(slice.image.width, slice.image.height);
  const chosen = usable(slice, asked);
  return { stack, place, slice, look: chosen, asked, picture: await windowedImage({ ...slice.image, ...chosen }) };
}

/** No window is found where there are no numbers, as on slices beside the body in some maps; these are black. */
function usable({ image }: Slice, asked: Look): Look {
  const isEmpty = typeof asked.window === "string" && !image.data.some(Number.isFinite);
  return isEmpty ? { ...asked, window: { center: 0.5, width: 1 } } : asked;
}

/** The slices across an axis as the network is to see them, in the order of the stack: what `umedsam/volume` propagates through. */
export function propagationSource({ stack, place }: Pick<Seen, "stack" | "place">): { readonly slices: number; slice(index: number): Promise<ImageInput> } {
  return {
    slices: countOf(stack, place.axis),
    async slice(index) {
      const slice = await stack.slice({ ...place, index });
      const chosen = chosenLook(slice);
      return chosen === undefined ? slice.image : { ...slice.image, ...usable(slice, chosen) };
    },
  };
}

export class SliceView {
  readonly #shown: (seen: Seen) => void;
  #seen: Seen | undefined;
  #place: Place | undefined;
  /** What is on its way to the screen. */
  #running: Promise<void> | undefined;
  #stop = new AbortController();

  constructor(shown: (seen: Seen) => void) {
    this.#shown = shown;
  }

  get seen(): Seen | undefined {
    return this.#seen;
  }

  /** The slice that is wanted, shown already or on its way. */
  get place(): Place | undefined {
    return this.#place;
  }

  /** Shows the first of another stack. */
  open(seen: Seen): void {
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#running = undefined;
    this.#place = seen.place;
    this.#seen = seen;
    this.#shown(seen);
  }

  /** Goes to a slice of the stack, with the window that the controls say; resolves when it is seen. */
  want(place: Place): Promise<void> {
    this.#place = place;
    return (this.#running ??= this.#run(this.#stop.signal));
  }

  async #run(signal: AbortSignal): Promise<void> {
    // What is wanted at once is gathered.
    await Promise.resolve();
    try {
      await this.#catchUp(signal);
    } finally {
      // Another stack has a run of its own.
      if (!signal.aborted) this.#running = undefined;
    }
  }

  async #catchUp(signal: AbortSignal): Promise<void> {
    for (;;) {
      const [seen, place] = [this.#seen, this.#place];
      if (seen === undefined || place === undefined || signal.aborted) return;
      try {
        const isHere = isSame(place, seen.place);
        const slice = isHere ? seen.slice : await seen.stack.slice(place, { signal, onProgress: showReading });
        const chosen = chosenLook(slice);
        if (chosen === undefined || signal.aborted) return;
        if (isHere && lookKey(chosen) === lookKey(seen.asked)) return;
        const next = await look(seen.stack, place, slice, chosen);
        if (signal.aborted) return;
        this.#seen = next;
        this.#shown(next);
      } catch (error) {
        if (signal.aborted) return;
        this.#place = seen.place;
        throw error;
      }
    }
  }
}
