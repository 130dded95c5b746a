/** One object that is segmented and corrected step by step. */

import type { EncodedImage } from "./encoded-image.js";
import { UmedsamError, abortedError } from "./errors.js";
import { messagesOf } from "./prompts.js";
import type { BoxLike, Point, Prompt, Scribble, SegmentOptions, Segmentation } from "./types.js";
import { anything, checkOptions } from "./validate.js";

/** A correction: a box takes the place of an earlier one, points and scribbles are added, a mask is what is corrected from then on. */
export interface Correction {
  readonly box?: BoxLike;
  readonly points?: readonly Point[];
  readonly scribbles?: readonly Scribble[];
  /** A mask of the image's size, edited by hand for instance. */
  readonly mask?: Uint8Array;
}

interface Step {
  readonly prompt: Prompt;
  readonly result: Segmentation;
}

const CORRECTION_KEYS = { box: anything, points: anything, scribbles: anything, mask: anything };

/** Results of a history take at most about this many bytes; beyond, the oldest steps are forgotten. */
const HISTORY_BYTES = 2 ** 29;
/** A result takes about this many bytes a pixel. */
const BYTES_PER_PIXEL = 19;

/**
 * One object with its history: every correction starts from the answer before. Steps that fail change nothing. Results take up to 19 bytes a pixel; where all
 * together would take more than half a gigabyte, the oldest steps are forgotten and cannot be undone.
 *
 * @example
 * const annotation = new Annotation(image);
 * await annotation.add({ box: [40, 60, 200, 180] });
 * await annotation.add({ points: [{ x: 90, y: 120, label: "background" }] });
 * annotation.undo();
 * annotation.result?.mask;
 */
export class Annotation {
  #image: EncodedImage;
  readonly #options: SegmentOptions;
  #steps: Step[] = [];
  /** Steps that were undone, the next to redo last. */
  #undone: Step[] = [];
  /** Corrections wait for each other. */
  #last: Promise<unknown> = Promise.resolve();
  /** Counts what makes waiting corrections pointless. */
  #generation = 0;

  /** `options` are those of every step. */
  constructor(image: EncodedImage, options: SegmentOptions = {}) {
    this.#image = image;
    this.#options = options;
  }

  /** The answer as it is now; `undefined` before the first and after `clear()`. */
  get result(): Segmentation | undefined {
    return this.#steps.at(-1)?.result;
  }

  /** All that was said so far, as `EncodedImage.segment` takes it. */
  get prompt(): Prompt | undefined {
    return this.#steps.at(-1)?.prompt;
  }

  get canUndo(): boolean {
    return this.#steps.length > 0;
  }

  get canRedo(): boolean {
    return this.#undone.length > 0;
  }

  /**
   * Corrects the answer, or gives the first one. The correction is copied. Calls wait for each other; what waits or runs when `undo()`, `redo()`, `clear()` or
   * `continueOn()` is called ends with code `aborted`.
   *
   * @throws {UmedsamError} As {@link EncodedImage.segment}. The annotation is then as it was.
   */
  async add(correction: Correction, options: SegmentOptions = {}): Promise<Segmentation> {
    const generation = this.#generation;
    const copied = this.#copied(correction);
    const step = this.#last.then(() => this.#add(copied, options, generation));
    this.#last = step.catch(() => {});
    return step;
  }

  async #add(correction: Correction, options: SegmentOptions, generation: number): Promise<Segmentation> {
    this.#check(generation);
    const prompt = this.#corrected(correction);
    const [result] = await this.#image.segment([prompt], { ...this.#options, ...options });
    this.#check(generation);
    if (result === undefined) throw new UmedsamError("computation-failed", "there is no answer");
    this.#steps.push({ prompt, result });
    this.#undone = [];
    const most = Math.max(2, Math.floor(HISTORY_BYTES / (BYTES_PER_PIXEL * result.width * result.height)));
    this.#steps = this.#steps.slice(-most);
    return result;
  }

  #check(generation: number): void {
    if (generation !== this.#generation) throw abortedError("the correction, whose object was changed meanwhile,");
  }

  /** Checks the shape of a correction and copies it. */
  #copied(correction: Correction): Correction {
    checkOptions("correction", correction ?? null, CORRECTION_KEYS, "invalid-prompt");
    const { mask, ...said } = correction;
    const isSaid = said.box !== undefined || (said.points?.length ?? 0) > 0 || (said.scribbles?.length ?? 0) > 0;
    // A mask alone corrects what was said before.
    const [copied] = isSaid || mask === undefined ? messagesOf([said], this.#image) : [{}];
    const box = copied?.box as Correction["box"];
    return { ...copied, ...(box === undefined ? {} : { box }), ...(mask === undefined ? {} : { mask: Uint8Array.from(mask) }) } as Correction;
  }

  #corrected({ box, points = [], scribbles = [], mask }: Correction): Prompt {
    const { prompt, result } = this.#steps.at(-1) ?? {};
    const drawn = box ?? prompt?.box;
    // Another box is another question: the earlier answer would hold it back.
    const previous = mask ?? (box === undefined ? result?.lowRes : undefined);
    return {
      ...(drawn === undefined ? {} : { box: drawn }),
      points: [...(prompt?.points ?? []), ...points],
      scribbles: [...(prompt?.scribbles ?? []), ...scribbles],
      ...(previous === undefined ? {} : { previous }),
    };
  }

  /**
   * Answers what was said so far again, with other options: an ensemble after a quick single pass, for instance. The new answer takes the place of the current
   * one; there is no new step to undo. Without a step nothing happens. It waits for earlier calls, and is ended as `add()` is.
   *
   * @throws {UmedsamError} As {@link EncodedImage.segment}. The annotation is then as it was.
   */
  refine(options: SegmentOptions = {}): Promise<Segmentation | undefined> {
    const generation = this.#generation;
    const refined = this.#last.then(() => this.#refine(options, generation));
    this.#last = refined.catch(() => {});
    return refined;
  }

  async #refine(options: SegmentOptions, generation: number): Promise<Segmentation | undefined> {
    this.#check(generation);
    const step = this.#steps.at(-1);
    if (step === undefined) return undefined;
    const [result] = await this.#image.segment([step.prompt], { ...this.#options, ...options });
    this.#check(generation);
    if (result === undefined) throw new UmedsamError("computation-failed", "there is no answer");
    this.#steps.splice(-1, 1, { prompt: step.prompt, result });
    return result;
  }

  /** Goes on with the same image encoded again: on another device, or through another window. Answers stay until `refine()`. */
  continueOn(image: EncodedImage): void {
    this.#generation++;
    this.#image = image;
  }

  /** Takes the last step back; returns the answer before it. */
  undo(): Segmentation | undefined {
    this.#generation++;
    const step = this.#steps.pop();
    if (step !== undefined) this.#undone.push(step);
    return this.result;
  }

  /** Takes the last undone step again; returns its answer. */
  redo(): Segmentation | undefined {
    const step = this.#undone.pop();
    if (step === undefined) return this.result;
    this.#generation++;
    this.#steps.push(step);
    return this.result;
  }

  /** Forgets everything, what was undone too. */
  clear(): void {
    this.#generation++;
    this.#steps = [];
    this.#undone = [];
  }
}
