/** The part of an adapter that no viewer is in: an object is prompted, shown, corrected; slices are encoded before they are asked for. */

import { Annotation, type Correction } from "../annotation.js";
import type { EncodedImage } from "../encoded-image.js";
import { Encodings } from "../encodings.js";
import { UmedsamError, toUmedsamError } from "../errors.js";
import type { Model } from "../model.js";
import type { ImageInput, Prompt, Segmentation, SegmentOptions, UncertaintyOptions } from "../types.js";
import { Listeners } from "./listeners.js";

/** A slice or picture as a viewer shows it. */
export interface ViewedSlice {
  /** The same for the same pixels through the same window, another for any others. */
  readonly key: string;
  /** What the network is to see, upright. Called when it is needed. */
  image(): ImageInput | Promise<ImageInput>;
}

/** What an object is on a slice. */
export interface Answer<Slice extends ViewedSlice> {
  /** The slice that was prompted, wherever the viewer is by now. */
  readonly slice: Slice;
  readonly segmentation: Segmentation;
  /** Everything that was said. */
  readonly prompt: Prompt;
  /** `false` of a single pass, which comes at once; `true` of the ensemble, which has the uncertainty. */
  readonly isFinal: boolean;
}

export interface SessionEvents<Slice extends ViewedSlice> {
  answer: Answer<Slice>;
  /** Whether the network is at work for a person; not while slices are encoded beforehand. */
  busy: boolean;
  error: UmedsamError;
}

export interface SessionOptions extends Pick<SegmentOptions, "alpha" | "zoom"> {
  /** Of the final answer; default the default ensemble. `{ samples: 0 }` leaves the second answer out. */
  readonly uncertainty?: UncertaintyOptions;
  /** How many encoded slices are kept, each 4 to 12 MB; default 8. */
  readonly keep?: number;
}

/** Slices are encoded beforehand when nothing was asked for this long. */
const IDLE_MS = 150;

interface Talk<Slice> {
  readonly slice: Slice;
  readonly stop: AbortController;
  image?: EncodedImage;
  annotation?: Annotation;
  /** Counts corrections, so that the ensemble answers the last one alone. */
  said: number;
}

/**
 * One object at a time. A box begins an object, points and strokes correct it; a point on another slice, or through another window, begins one too. Answers name
 * their slice: an adapter puts them there or nowhere. What goes wrong is told as an event; no method throws.
 */
export class PromptSession<Slice extends ViewedSlice> {
  readonly listeners = new Listeners<SessionEvents<Slice>>();
  readonly #model: Model;
  readonly #options: SessionOptions;
  readonly #encodings: Encodings<string>;
  #talk: Talk<Slice> | undefined;
  #atWork = 0;
  #expecting: AbortController | undefined;
  /** The slice that is being encoded beforehand. */
  #expected: string | undefined;
  /** Answers of the ensemble, or of a single pass where no more is wanted. */
  readonly #finals = new WeakSet<Segmentation>();
  #disposed = false;

  constructor(model: Model, options: SessionOptions = {}) {
    this.#model = model;
    this.#options = options;
    this.#encodings = new Encodings(model, options.keep ?? 8);
  }

  get model(): Model {
    return this.#model;
  }

  /** The object as it is now; `undefined` before the first answer. */
  get answer(): Answer<Slice> | undefined {
    const { slice, annotation } = this.#talk ?? {};
    const { result, prompt } = annotation ?? {};
    if (slice === undefined || result === undefined || prompt === undefined) return undefined;
    return { slice, segmentation: result, prompt, isFinal: this.#finals.has(result) };
  }

  get canUndo(): boolean {
    return this.#talk?.annotation?.canUndo === true;
  }

  get canRedo(): boolean {
    return this.#talk?.annotation?.canRedo === true;
  }

  /** Says something of an object. Ends when the last answer to it was told, something else was begun, or it failed. */
  async say(slice: Slice, correction: Correction): Promise<void> {
    if (this.#disposed) return;
    // What is being encoded may be what is wanted.
    if (this.#expected !== slice.key) this.#expecting?.abort();
    const isNew = correction.box !== undefined || this.#talk?.slice.key !== slice.key;
    if (isNew) {
      this.#talk?.stop.abort();
      this.#talk = { slice, stop: new AbortController(), said: 0 };
    }
    const talk = this.#talk as Talk<Slice>;
    await this.#work(talk, async () => {
      const said = ++talk.said;
      await this.#again(talk, async (annotation) => {
        const { signal } = talk.stop;
        await annotation.add(correction, { ...this.#segmentOptions, uncertainty: { samples: 0, maps: ["total"] }, signal });
      });
      if (talk.stop.signal.aborted) return;
      const isSingle = this.#options.uncertainty?.samples === 0;
      this.#tell(talk, isSingle);
      if (!isSingle && said === talk.said) await this.#finish(talk);
    });
  }

  /** Takes the last thing that was said back. Returns the answer before it, which is not told. */
  undo(): Answer<Slice> | undefined {
    this.#talk?.annotation?.undo();
    return this.answer;
  }

  redo(): Answer<Slice> | undefined {
    this.#talk?.annotation?.redo();
    return this.answer;
  }

  /** The object is done with, accepted or not; what is under way for it is ended. */
  end(): void {
    this.#talk?.stop.abort();
    this.#talk = undefined;
  }

  /**
   * Encodes slices while nothing else is to do, the first one first, as far as they can be kept beside what is there. Whatever is asked meanwhile goes first; the
   * slices of an earlier call that are not encoded yet are left out.
   */
  expect(slices: readonly Slice[]): void {
    this.#expecting?.abort();
    if (this.#disposed) return;
    const stop = new AbortController();
    this.#expecting = stop;
    this.#encodeBefore(slices.slice(0, Math.max(1, (this.#options.keep ?? 8) - 1)), stop.signal).catch(() => {
      // What cannot be encoded is told when it is asked for.
    });
  }

  async #encodeBefore(slices: readonly Slice[], signal: AbortSignal): Promise<void> {
    for (const slice of slices) {
      await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
      if (signal.aborted || this.#atWork > 0) return;
      if (this.#encodings.has(slice.key)) continue;
      this.#expected = slice.key;
      await this.#encodings.get(slice.key, () => slice.image(), signal).finally(() => {
        if (this.#expected === slice.key) this.#expected = undefined;
      });
    }
  }

  /** An encoded slice; what a propagation needs beside is `EncodedSlices`. */
  encoded(slice: Slice, signal?: AbortSignal): Promise<EncodedImage> {
    return this.#encodings.get(slice.key, () => slice.image(), signal);
  }

  /** Counts work, such as a propagation, as busy. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    if (++this.#atWork === 1) this.listeners.tell("busy", true);
    try {
      return await work();
    } finally {
      if (--this.#atWork === 0 && !this.#disposed) this.listeners.tell("busy", false);
    }
  }

  /** Frees the encodings and ends what is under way; nothing is told any more. The model stays. */
  dispose(): void {
    this.#disposed = true;
    this.#expecting?.abort();
    this.end();
    this.listeners.clear();
    this.#encodings.dispose();
  }

  get #segmentOptions(): SegmentOptions {
    const { alpha, zoom } = this.#options;
    return { ...(alpha === undefined ? {} : { alpha }), ...(zoom === undefined ? {} : { zoom }) };
  }

  async #finish(talk: Talk<Slice>): Promise<void> {
    const { signal } = talk.stop;
    const uncertainty = this.#options.uncertainty ?? {};
    await this.#again(talk, async (annotation) => {
      await annotation.refine({ ...this.#segmentOptions, uncertainty, signal });
    });
    if (!signal.aborted) this.#tell(talk, true);
  }

  #tell(talk: Talk<Slice>, isFinal: boolean): void {
    const { result: segmentation, prompt } = talk.annotation ?? {};
    if (segmentation === undefined || prompt === undefined) return;
    if (isFinal) this.#finals.add(segmentation);
    this.listeners.tell("answer", { slice: talk.slice, segmentation, prompt, isFinal });
  }

  async #work(talk: Talk<Slice>, work: () => Promise<void>): Promise<void> {
    const { signal } = talk.stop;
    try {
      await this.during(work);
    } catch (cause) {
      const error = toUmedsamError(cause);
      // Something else was begun, or the step was undone.
      if (signal.aborted || this.#disposed || error.code === "aborted") return;
      this.listeners.tell("error", error);
    }
  }

  /** Asks once more where a GPU was lost: the model goes on with another device. */
  async #again(talk: Talk<Slice>, ask: (annotation: Annotation) => Promise<void>): Promise<void> {
    try {
      await ask(await this.#annotation(talk));
    } catch (cause) {
      if (!(cause instanceof UmedsamError) || cause.code !== "device-lost" || talk.stop.signal.aborted) throw cause;
      this.#encodings.drop(talk.slice.key);
      await ask(await this.#annotation(talk));
    }
  }

  /** Its encoding may have been dropped for others since. */
  async #annotation(talk: Talk<Slice>): Promise<Annotation> {
    const image = await this.encoded(talk.slice, talk.stop.signal);
    if (talk.annotation === undefined) talk.annotation = new Annotation(image);
    else if (talk.image !== image) talk.annotation.continueOn(image);
    talk.image = image;
    return talk.annotation;
  }
}
