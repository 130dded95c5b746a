/** Follows an object through the slices of its stack, one object at a time. */

import { type Model, UmedsamError } from "../../umedsam/index.js";
import { EncodedSlices, propagate } from "../../umedsam/propagation.js";
import { countOf } from "../open/slices.js";
import type { SegmentedObject } from "../prompt/objects.js";
import { type Seen, propagationSource } from "../view/slice-view.js";
import { type Range, courseOf } from "./course.js";
import { Found } from "./found.js";
import { beginning, kept, outcome } from "./words.js";

export interface PropagatingHost {
  load(): Promise<Model>;
  readonly zoom: "auto" | "off";
  /** A slice was looked at. */
  advanced(): void;
  /** A run began or ended. */
  changed(): void;
}

/** What is under way. */
export interface Run {
  readonly object: SegmentedObject;
  readonly stop: AbortController;
  /** Slices that were looked at, and how many there are at most. */
  done: number;
  atMost: number;
}

export class Propagating {
  readonly #host: PropagatingHost;
  #run: Run | undefined;
  /** What is said of the last run. */
  status = "";

  constructor(host: PropagatingHost) {
    this.#host = host;
  }

  get run(): Run | undefined {
    return this.#run;
  }

  /** Ends what is under way, if it is of this object; what was found stays. */
  end(why: string, object?: SegmentedObject): void {
    const run = this.#run;
    if (run === undefined || (object !== undefined && run.object !== object)) return;
    this.#stop(`${why} ${kept(run.object)}`);
    this.#host.changed();
  }

  /** An object is removed. */
  remove(object: SegmentedObject): void {
    if (this.#run?.object === object) this.#stop(`Ended, for ${object.name} was removed.`);
  }

  /** Another stack is open. */
  forget(): void {
    this.#stop("");
  }

  #stop(status: string): void {
    this.#run?.stop.abort();
    this.#run = undefined;
    this.status = status;
  }

  /**
   * Follows an object from the slice that this part of it was said on; `wanted` as in the file, from 0.
   *
   * @throws As `propagate`, and for a range that cannot be used.
   */
  async follow(part: SegmentedObject, { stack }: Seen, wanted: Range | undefined): Promise<void> {
    const { said: prompt, result, root: object, place } = part;
    if (prompt === undefined || result === undefined) throw new Error(`${object.name} has no mask yet; wait for it, or draw a box`);
    const { range, stop, replaced } = courseOf(part, countOf(stack, place.axis), wanted);
    this.end("Another object is followed.");
    const run: Run = { object, stop: new AbortController(), done: 0, atMost: range[1] - range[0] + 1 };
    const { signal } = run.stop;
    this.#run = run;
    this.status = beginning(part, range);
    this.#host.changed();
    const begin = performance.now();
    const found = (object.found ??= new Found(stack, object.place, result));
    const source = propagationSource({ stack, place });
    let encoded: EncodedSlices | undefined;
    let isFirst = true;
    try {
      const model = await this.#host.load();
      // A slice is looked at once, so that few are kept.
      encoded = new EncodedSlices(model, source, 2);
      await propagate(model, source, [{ slice: place.index, prompt, range, stop }], {
        encoded,
        signal,
        zoom: this.#host.zoom,
        uncertainty: { samples: 0, maps: [] },
        onSlice: ({ slice, segmentation, end }) => {
          if (signal.aborted) return;
          if (isFirst) {
            // Until there is something new what was found before stays.
            found.clear(replaced);
            if (!part.isCorrection) found.isOutdated = false;
            isFirst = false;
          }
          // The answer to the prompt itself, an ensemble's, is on its slice.
          if (slice !== place.index) found.put(slice, segmentation, end);
        },
        onProgress: (done, atMost) => {
          Object.assign(run, { done, atMost });
          if (!signal.aborted) this.#host.advanced();
        },
      });
      if (signal.aborted) return;
      this.#run = undefined;
      this.status = outcome(object, run.done, performance.now() - begin);
    } catch (error) {
      if (signal.aborted) return;
      this.#stop(`Ended by an error. ${kept(object)}`);
      const isOver = error instanceof UmedsamError && (error.code === "disposed" || error.code === "aborted");
      if (!isOver) throw error;
    } finally {
      encoded?.dispose();
      this.#host.changed();
    }
  }
}
