/** Objects that are segmented: what was said of them, the answers, and what waits to be asked. */

import { Annotation, type Box, type Correction, type Crop, type EncodedImage, type Point, type Prompt, type Scribble, type Segmentation, type Suggestion, UmedsamError } from "../../umedsam/index.js";
import { type Place, isSame } from "../open/slices.js";
import type { Found } from "../volume/found.js";
import type { Answer } from "../volume/found-slice.js";
import { asks } from "./tools.js";

/** Okabe and Ito's colours, told apart by colour-blind people too. */
const COLORS = ["#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00"];

/** One object, said on one slice; it may be found on others, and said again there to correct it. */
export class SegmentedObject {
  readonly id: number;
  /** The slice that it was said on. */
  readonly place: Place;
  /** What this corrects on its slice; an object that was not found through slices is its own. */
  readonly root: SegmentedObject;
  readonly color: string;
  #name: string;
  /** Corrections on other slices. */
  #corrections: SegmentedObject[] = [];
  #found: Found | undefined;
  /** What is shown of the prompt: said already, or waiting. */
  box: Box | undefined;
  points: readonly Point[] = [];
  scribbles: readonly Scribble[] = [];
  /** A box that is moved and not said yet. */
  #moved: Box | undefined;
  /** Gathers keyboard steps. */
  #timer: number | undefined;
  #annotation: Annotation | undefined;
  /** Corrections that the network has not seen. */
  #waiting: Correction[] = [];
  /** Ends an ensemble that is not wanted any more. */
  #stop = new AbortController();
  /** Suggestions of the current answer that were not answered. */
  #skipped = 0;
  /** What its answers were made from: a window, a device. */
  #source: string | undefined;
  /** Answers of the ensemble; the others are quick ones. */
  #final = new WeakSet<Segmentation>();

  /** The how many-th it is, or what it corrects. */
  constructor(id: number, place: Place, is: number | SegmentedObject) {
    this.id = id;
    this.place = place;
    this.root = typeof is === "number" ? this : is;
    this.color = typeof is === "number" ? (COLORS[(is - 1) % COLORS.length] ?? "#ffffff") : is.color;
    this.#name = typeof is === "number" ? `Object ${is}` : is.name;
  }

  get name(): string {
    return this.root.#name;
  }

  set name(name: string) {
    this.root.#name = name;
  }

  get result(): Segmentation | undefined {
    return this.#annotation?.result;
  }

  /** This and its corrections. */
  get parts(): readonly SegmentedObject[] {
    return [this, ...this.#corrections];
  }

  get isCorrection(): boolean {
    return this.root !== this;
  }

  /** Says the object again on a slice where it was found. */
  correctOn(place: Place, id: number): SegmentedObject {
    const correction = new SegmentedObject(id, place, this);
    this.#corrections.push(correction);
    return correction;
  }

  /** Takes a correction away: what was found before is there again. */
  uncorrect(correction: SegmentedObject): void {
    correction.close();
    this.#corrections = this.#corrections.filter((other) => other !== correction);
  }

  /** What was found through the slices, with the answers to prompts. */
  get found(): Found | undefined {
    this.#found?.take(this.parts);
    return this.#found;
  }

  set found(found: Found | undefined) {
    this.#found = found;
  }

  /** Whether it was looked for on a slice, whether it is there or not. */
  isFollowedTo(place: Place): boolean {
    return this.found?.at(place) !== undefined || this.found?.isEnd(place) === true;
  }

  /** Its answer on a slice. */
  resultAt(place: Place): Answer | undefined {
    return this.parts.find((part) => part.result !== undefined && isSame(part.place, place))?.result ?? this.found?.at(place);
  }

  /** Its answers with where they are: those to prompts first. */
  get results(): { readonly place: Place; readonly result: Answer }[] {
    const prompted = this.parts.flatMap(({ place, result }) => (result === undefined ? [] : [{ place, result }]));
    const others = this.found?.all.filter(({ place }) => !prompted.some((answer) => isSame(answer.place, place))) ?? [];
    return [...prompted, ...others];
  }

  /** All that was said and answered, to be followed from this slice. */
  get said(): Prompt | undefined {
    return this.#waiting.length === 0 && this.#moved === undefined ? this.#annotation?.prompt : undefined;
  }

  /** What was found on other slices was found by another prompt or through another window. */
  outdate(): void {
    if (this.#found !== undefined) this.#found.isOutdated = true;
  }

  /** Whether the answer is the ensemble's. */
  get isFinal(): boolean {
    return this.result !== undefined && this.#final.has(this.result);
  }

  /** Where a click would help most. */
  get suggestion(): Suggestion | null {
    // While something waits, the question may be answered already.
    const isOpen = asks() && this.isFinal && this.#waiting.length === 0;
    return (isOpen ? this.result?.suggestions[this.#skipped] : undefined) ?? null;
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
    return this.#moved !== undefined || this.#waiting.length > 0 || this.#annotation?.canUndo === true;
  }

  get canRedo(): boolean {
    return this.#annotation?.canRedo === true;
  }

  /** Shows a correction at once; `answer` asks the network. */
  say(correction: Correction): void {
    this.settle();
    this.stop();
    this.outdate();
    this.#waiting.push(correction);
    this.#show();
  }

  /** Shows a box that is being moved. */
  move(box: Box): void {
    clearTimeout(this.#timer);
    this.#moved = box;
    this.#show();
  }

  /** Says the moved box after some time without further moves. */
  settleAfter(ms: number, said: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.settle()) said();
    }, ms);
  }

  /** Says the moved box; returns whether there was one. */
  settle(): boolean {
    const box = this.#moved;
    this.putBack();
    if (box === undefined) return false;
    this.say({ box });
    return true;
  }

  /** Forgets a move that was not said. */
  putBack(): void {
    clearTimeout(this.#timer);
    this.#moved = undefined;
    this.#show();
  }

  /** Takes the last step back; returns whether there was one. */
  undo(): boolean {
    if (!this.canUndo) return false;
    this.stop();
    this.outdate();
    if (this.#moved !== undefined) this.putBack();
    else if (this.#waiting.pop() === undefined) this.#annotation?.undo();
    this.#skipped = 0;
    this.#show();
    return true;
  }

  redo(): boolean {
    if (!this.canRedo || this.#moved !== undefined || this.#waiting.length > 0) return false;
    this.stop();
    this.outdate();
    this.#annotation?.redo();
    this.#skipped = 0;
    this.#show();
    return true;
  }

  /** Goes on with the image encoded again; what was answered is asked again unless it is from the same source. */
  continueOn(image: EncodedImage, source: string): void {
    this.stop();
    this.#annotation?.continueOn(image);
    if (this.#source !== source) this.forget();
    this.#source = source;
  }

  /** What waits is not asked any more. */
  close(): void {
    this.stop();
    clearTimeout(this.#timer);
    this.#moved = undefined;
    this.#waiting = [];
    this.#found = undefined;
    for (const correction of this.#corrections) correction.close();
  }

  /** Ends what the network does for it; what waits goes on waiting. */
  stop(): void {
    this.#stop.abort();
    this.#stop = new AbortController();
  }

  /**
   * Asks the network what waits, each with a quick single pass; `shown` after each. Then, unless more was said meanwhile, with the ensemble.
   * A correction that cannot be used is dropped; one that was ended by something else waits for the next call.
   * `source` is what the image was made from: an answer from it stays when its slice is seen again.
   */
  async answer(image: EncodedImage, source: string, options: Parameters<EncodedImage["segment"]>[1], shown: () => void): Promise<void> {
    // Of two calls the later one goes on.
    this.stop();
    const { signal } = this.#stop;
    if (this.#waiting.length === 0 && (this.isFinal || this.result === undefined)) return;
    this.#source = source;
    const annotation = (this.#annotation ??= new Annotation(image));
    const quick = { ...options, uncertainty: { samples: 0 }, signal };
    if (this.#waiting.length === 0 && !this.isFinal) await annotation.refine(quick);
    while (!signal.aborted && this.#waiting[0] !== undefined) {
      const [next] = this.#waiting;
      try {
        await annotation.add(next, quick);
        if (this.#waiting[0] === next) this.#waiting.shift();
      } catch (error) {
        const isWrong = error instanceof UmedsamError && error.code.startsWith("invalid-");
        if (isWrong) this.#waiting = this.#waiting.filter((correction) => correction !== next);
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
    this.#final = new WeakSet();
  }

  #show(): void {
    const { box, points = [], scribbles = [] } = this.#annotation?.prompt ?? {};
    const waiting = this.#waiting;
    const last = waiting.filter((correction) => correction.box !== undefined).at(-1)?.box ?? box;
    this.box = this.#moved ?? (last === undefined ? undefined : (Array.from(last) as unknown as Box));
    this.points = [...points, ...waiting.flatMap((correction) => correction.points ?? [])];
    this.scribbles = [...scribbles, ...waiting.flatMap((correction) => correction.scribbles ?? [])];
  }
}
