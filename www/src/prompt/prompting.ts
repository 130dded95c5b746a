/** Objects and what is said of them: boxes, points, strokes, steps back. */

import type { Box, Correction, PointLabel } from "../../umedsam/index.js";
import { SegmentedObject } from "./objects.js";
import { type Place, isSame } from "../open/slices.js";

/** Keyboard steps are gathered for this long before the network runs. */
const SETTLE_MS = 150;

/** What happens when something was said. */
export interface PromptingHost {
  /** The slice that is seen. */
  readonly place: Place | undefined;
  /** The network is to answer. */
  ask(objects: readonly SegmentedObject[]): void;
  /** Objects changed, with what is painted of them. */
  changed(): void;
  /** The list and the marks changed alone. */
  listed(): void;
}

export class Prompting {
  readonly #host: PromptingHost;
  #objects: SegmentedObject[] = [];
  #selected: number | undefined;
  #nextId = 1;

  constructor(host: PromptingHost) {
    this.#host = host;
  }

  /** Objects of all slices. */
  get all(): readonly SegmentedObject[] {
    return this.#objects;
  }

  /** Objects that were said on the slice that is seen. */
  get here(): readonly SegmentedObject[] {
    const { place } = this.#host;
    return place === undefined ? [] : this.#objects.filter((object) => isSame(object.place, place));
  }

  /** The selected object, where it is on this slice. */
  get selected(): SegmentedObject | undefined {
    return this.here.find(({ id }) => id === this.#selected);
  }

  /** Begins anew, as with another image. */
  reset(): void {
    for (const object of this.#objects) object.close();
    this.#objects = [];
    this.#nextId = 1;
    this.#selected = undefined;
  }

  begin(): SegmentedObject | undefined {
    const { place } = this.#host;
    if (place === undefined) return undefined;
    const object = new SegmentedObject(this.#nextId++, place);
    this.#objects.push(object);
    this.#selected = object.id;
    return object;
  }

  #say(object: SegmentedObject | undefined, correction: Correction): void {
    if (object === undefined) return;
    object.say(correction);
    this.#host.changed();
    this.#host.ask([object]);
  }

  addBox(box: Box): void {
    this.#say(this.begin(), { box });
  }

  /** Corrects the selected object, or begins one. */
  correct(correction: Correction): void {
    this.#say(this.selected ?? this.begin(), correction);
  }

  move(id: number, box: Box, done: boolean): void {
    const object = this.#objects.find((object) => object.id === id);
    if (object === undefined) return;
    object.move(box);
    if (!done) return;
    object.settleAfter(SETTLE_MS, () => {
      this.#host.changed();
      this.#host.ask([object]);
    });
  }

  putBack(id: number): void {
    this.#objects.find((object) => object.id === id)?.putBack();
    this.#host.listed();
  }

  /** Takes the selected object's last step back, or takes it again. */
  step(direction: "undo" | "redo"): void {
    const object = this.selected;
    if (object === undefined || !object[direction]()) return;
    this.#host.changed();
    this.#host.ask([object]);
  }

  /** Answers whether the marked spot is inside of the selected object, or leaves it open. */
  answer(label: PointLabel | undefined): void {
    const object = this.selected;
    const suggestion = object?.suggestion;
    if (object === undefined || suggestion == null) return;
    if (label !== undefined) this.correct({ points: [{ x: suggestion.x, y: suggestion.y, label }] });
    else {
      object.skip();
      this.#host.listed();
    }
  }

  /** Without an id the next point or stroke begins an object. */
  select(id: number | undefined): void {
    this.#selected = id;
    this.#host.listed();
  }

  remove(id: number): void {
    this.#objects.find((object) => object.id === id)?.close();
    this.#objects = this.#objects.filter((object) => object.id !== id);
    if (this.#selected === id) this.#selected = this.here.at(-1)?.id;
    this.#host.changed();
  }
}
