/** Objects that are segmented: what was said of them, the answers, and what waits to be asked. */

import { Annotation, type Box, type Correction, type Crop, type EncodedImage, type Point, type Scribble, type Segmentation, type Suggestion } from "../umedsam/index.js";

/** Okabe and Ito's colours, told apart by colour-blind people too. */
const COLORS = ["#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00"];

/** One object of the image. */
export class SegmentedObject {
  readonly id: number;
  readonly color: string;
  name: string;
  /** What is shown of the prompt: said already, or waiting. */
  box: Box | undefined;
  points: readonly Point[] = [];
  scribbles: readonly Scribble[] = [];
  /** Gathers keyboard steps. */
  timer: number | undefined;
  #annotation: Annotation | undefined;
  /** Corrections that the network has not seen. */
  #waiting: Correction[] = [];
  /** Ends an ensemble that is not wanted any more. */
  #stop = new AbortController();
  /** Suggestions of the current answer that were not answered. */
  #skipped = 0;
  /** Answers of the ensemble; the others are quick ones. */
  readonly #final = new WeakSet<Segmentation>();

  constructor(id: number) {
    this.id = id;
    this.color = COLORS[(id - 1) % COLORS.length] ?? "#ffffff";
    this.name = `Object ${id}`;
  }

  get result(): Segmentation | undefined {
    return this.#annotation?.result;
  }

  /** Whether the answer is the ensemble's. */
  get isFinal(): boolean {
    return this.result !== undefined && this.#final.has(this.result);
  }

  /** Where a click would help most. */
  get suggestion(): Suggestion | null {
    return (this.isFinal ? this.result?.suggestions[this.#skipped] : undefined) ?? null;
  }

  /** The next suggestion, please. */
  skip(): void {
    this.#skipped++;
  }

  /** The part of the image that was looked at by itself. */
  get crop(): Crop | null {
    return this.result?.zoom ?? null;
  }

  get canUndo(): boolean {
    return this.#waiting.length > 0 || this.#annotation?.canUndo === true;
  }

  get canRedo(): boolean {
    return this.#annotation?.canRedo === true;
  }

  /** Shows a correction at once; `answer` asks the network. */
  say(correction: Correction): void {
    this.#end();
    this.#waiting.push(correction);
    this.#show();
  }

  /** Takes the last step back; returns whether there was one. */
  undo(): boolean {
    if (!this.canUndo) return false;
    this.#end();
    if (this.#waiting.pop() === undefined) this.#annotation?.undo();
    this.#show();
    return true;
  }

  redo(): boolean {
    if (!this.canRedo || this.#waiting.length > 0) return false;
    this.#end();
    this.#annotation?.redo();
    this.#show();
    return true;
  }

  /** Goes on with the image encoded again. */
  continueOn(image: EncodedImage): void {
    this.#end();
    this.#annotation?.continueOn(image);
    if (this.result !== undefined) this.#final.delete(this.result);
  }

  /** What waits is not asked any more. */
  close(): void {
    this.#end();
    this.#waiting = [];
  }

  #end(): void {
    this.#stop.abort();
    this.#stop = new AbortController();
  }

  /**
   * Asks the network what waits, each with a quick single pass; `shown` after each. Then, unless more was said meanwhile, with the ensemble.
   * A correction that fails is dropped.
   */
  async answer(image: EncodedImage, options: Parameters<EncodedImage["segment"]>[1], shown: () => void): Promise<void> {
    const { signal } = this.#stop;
    const annotation = (this.#annotation ??= new Annotation(image));
    const quick = { ...options, uncertainty: { samples: 0 }, signal };
    if (this.#waiting.length === 0 && !this.isFinal) await annotation.refine(quick);
    while (!signal.aborted && this.#waiting[0] !== undefined) {
      const [next] = this.#waiting;
      try {
        await annotation.add(next, quick);
        if (this.#waiting[0] === next) this.#waiting.shift();
      } catch (error) {
        if (!signal.aborted) this.#waiting = this.#waiting.filter((correction) => correction !== next);
        this.#show();
        throw error;
      }
    }
    if (signal.aborted) return;
    this.#show();
    shown();
    const final = await annotation.refine({ ...options, signal });
    if (final !== undefined) this.#final.add(final);
    this.#skipped = 0;
    shown();
  }

  /** What was said is asked again, as after a change of an option. */
  forget(): void {
    if (this.result !== undefined) this.#final.delete(this.result);
  }

  #show(): void {
    const { box, points = [], scribbles = [] } = this.#annotation?.prompt ?? {};
    const waiting = this.#waiting;
    const last = waiting.filter((correction) => correction.box !== undefined).at(-1)?.box ?? box;
    this.box = last === undefined ? undefined : (Array.from(last) as unknown as Box);
    this.points = [...points, ...waiting.flatMap((correction) => correction.points ?? [])];
    this.scribbles = [...scribbles, ...waiting.flatMap((correction) => correction.scribbles ?? [])];
  }
}
