/** The part of an adapter that no viewer is in: an object is prompted, shown, corrected; slices are encoded before they are asked for. */

import { Annotation, type Correction } from "../annotation.js";
import type { EncodedImage } from "../encoded-image.js";
import { Encodings } from "../encodings.js";
import { UmedsamError, abortedError, toUmedsamError } from "../errors.js";
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

export interface SessionOptions extends Pick<SegmentOptions, "alpha" | "delta" | "zoom"> {
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
  /** Ends the encoding; another object of the same slice goes on with it. */
  readonly encoding: AbortController;
  image?: EncodedImage | undefined;
  annotation?: Annotation;
  /** Ends the ensemble, which further corrections need not wait for. */
  refining?: AbortController;
  /** Counts what asks for an answer, so that the ensemble answers the last one alone. */
  said: number;
  /** Corrections that have no answer yet. */
  waiting: number;
  /** Counts how often waiting corrections were taken back. */
  takenBack: number;
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

  /**
   * Says something of an object. Ends when the last answer to it was told, something else was begun, or it failed. A box that fails leaves the object before it.
   */
  async say(slice: Slice, correction: Correction): Promise<void> {
    if (this.#disposed) return;
    // What is being encoded may be what is wanted.
    if (this.#expected === slice.key) this.#expecting = undefined;
    else this.#expecting?.abort();
    const before = this.#talk;
    const isNew = correction.box !== undefined || before?.slice.key !== slice.key;
    const talk = isNew ? this.#begin(slice) : (before as Talk<Slice>);
    talk.refining?.abort();
    talk.waiting++;
    const said = ++talk.said;
    const isWell = await this.#work(talk, async () => {
      try {
        await this.#again(talk, talk.stop.signal, async (annotation, signal) => {
          await annotation.add(correction, { ...this.#segmentOptions, uncertainty: { samples: 0, maps: ["total"] }, signal });
        });
      } finally {
        talk.waiting--;
      }
      if (talk.stop.signal.aborted) return;
      this.#tell(talk, this.#isSingle);
      if (!this.#isSingle && said === talk.said) await this.#finish(talk);
    });
    const isInVain = !isWell && isNew && this.#talk === talk && talk.annotation?.result === undefined && talk.waiting === 0;
    if (isInVain && !this.#disposed) this.#talk = before === undefined ? undefined : { ...before, stop: new AbortController(), encoding: talk.encoding };
  }

  #begin(slice: Slice): Talk<Slice> {
    const before = this.#talk;
    const isSame = before?.slice.key === slice.key;
    this.#stop(before, !isSame);
    const encoding = isSame ? before.encoding : new AbortController();
    this.#talk = { slice, stop: new AbortController(), encoding, said: 0, waiting: 0, takenBack: 0 };
    return this.#talk;
  }

  #stop(talk: Talk<Slice> | undefined, isEncodingToo: boolean): void {
    talk?.stop.abort();
    talk?.refining?.abort();
    if (isEncodingToo) talk?.encoding.abort();
  }

  /**
   * Takes the last thing that was said back: what has no answer yet, or else the last answer. Returns the answer before it, which is not told now; where it lacks its
   * ensemble, that follows as an event.
   */
  undo(): Answer<Slice> | undefined {
    const talk = this.#talk;
    if (talk === undefined) return undefined;
    if (talk.waiting === 0) talk.annotation?.undo();
    else if (talk.annotation?.result === undefined) this.end();
    else {
      talk.takenBack++;
      if (talk.image !== undefined) talk.annotation.continueOn(talk.image);
    }
    return this.#completed();
  }

  redo(): Answer<Slice> | undefined {
    this.#talk?.annotation?.redo();
    return this.#completed();
  }

  /** The answer as it is now, whose ensemble is asked for if it is missing. */
  #completed(): Answer<Slice> | undefined {
    const { answer } = this;
    const talk = this.#talk;
    if (talk === undefined || answer === undefined || answer.isFinal || this.#isSingle) return answer;
    talk.refining?.abort();
    talk.said++;
    void this.#work(talk, () => this.#finish(talk));
    return answer;
  }

  /** The object is done with, accepted or not; what is under way for it is ended. */
  end(): void {
    this.#stop(this.#talk, true);
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
      if (signal.aborted || this.#atWork > 0 || this.#expecting?.signal !== signal) return;
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
    const { alpha, delta, zoom } = this.#options;
    return {
      ...(alpha === undefined ? {} : { alpha }),
      ...(delta === undefined ? {} : { delta }),
      ...(zoom === undefined ? {} : { zoom }),
    };
  }

  get #isSingle(): boolean {
    return this.#options.uncertainty?.samples === 0;
  }

  async #finish(talk: Talk<Slice>): Promise<void> {
    const uncertainty = this.#options.uncertainty ?? {};
    const refining = new AbortController();
    talk.refining = refining;
    await this.#again(talk, refining.signal, async (annotation, signal) => {
      await annotation.refine({ ...this.#segmentOptions, uncertainty, signal });
    });
    if (!refining.signal.aborted) this.#tell(talk, true);
  }

  #tell(talk: Talk<Slice>, isFinal: boolean): void {
    const { result: segmentation, prompt } = talk.annotation ?? {};
    if (segmentation === undefined || prompt === undefined) return;
    if (isFinal) this.#finals.add(segmentation);
    this.listeners.tell("answer", { slice: talk.slice, segmentation, prompt, isFinal });
  }

  /** Returns whether nothing went wrong, which is told. */
  async #work(talk: Talk<Slice>, work: () => Promise<void>): Promise<boolean> {
    const { signal } = talk.stop;
    try {
      await this.during(work);
      return true;
    } catch (cause) {
      const error = toUmedsamError(cause);
      // Something else was begun, or the step was undone.
      if (signal.aborted || this.#disposed || error.code === "aborted") return true;
      this.listeners.tell("error", error);
      return false;
    }
  }

  /** Asks once more where a GPU was lost, or the encoding dropped meanwhile: the model goes on with another device. */
  async #again(talk: Talk<Slice>, signal: AbortSignal, ask: (annotation: Annotation, signal: AbortSignal) => Promise<void>): Promise<void> {
    const { takenBack } = talk;
    for (let isFirst = true; ; isFirst = false) {
      const annotation = await this.#annotation(talk);
      // It was taken back while its slice was encoded.
      if (talk.takenBack !== takenBack) throw abortedError("the correction");
      const { image } = talk;
      try {
        await ask(annotation, signal);
        return;
      } catch (cause) {
        const code = cause instanceof UmedsamError ? cause.code : undefined;
        // Corrections that wait are ended when the one before them goes on with another encoding.
        const isLost = code === "device-lost" || code === "disposed" || (code === "aborted" && talk.image !== image);
        if (!isFirst || !isLost || signal.aborted || talk.takenBack !== takenBack || this.#disposed) throw cause;
        if (talk.image !== image) continue;
        this.#encodings.drop(talk.slice.key);
      }
    }
  }

  /** Its encoding may have been dropped for others since. */
  async #annotation(talk: Talk<Slice>): Promise<Annotation> {
    const image = await this.encoded(talk.slice, talk.encoding.signal);
    if (talk.annotation === undefined) talk.annotation = new Annotation(image);
    else if (talk.image !== image) talk.annotation.continueOn(image);
    talk.image = image;
    return talk.annotation;
  }
}
