/** Objects and what is said of them: boxes, points, strokes, steps back. */

import type { Box, Correction, PointLabel } from "../../umedsam/index.js";
import { SegmentedObject } from "./objects.js";
import { type Place, isSame } from "../open/slices.js";
import type { Answer } from "../volume/found-slice.js";

/** Keyboard steps are gathered for this long before the network runs. */
const SETTLE_MS = 150;

/** What happens when something was said. */
export interface PromptingHost {
  /** The slice that is seen. */
  readonly place: Place | undefined;
  /** The network is to answer. */
  ask(objects: readonly SegmentedObject[]): void;
  /** What was said of an object is about to change. */
  edited(object: SegmentedObject): void;
  /** An object goes. */
  removed(object: SegmentedObject): void;
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
  #nextNumber = 1;

  constructor(host: PromptingHost) {
    this.#host = host;
  }

  /** Objects of all slices. */
  get all(): readonly SegmentedObject[] {
    return this.#objects;
  }

  /** All that was said: objects and their corrections on other slices. */
  get parts(): readonly SegmentedObject[] {
    return this.#objects.flatMap(({ parts }) => parts);
  }

  /** What was said on the slice that is seen. */
  get here(): readonly SegmentedObject[] {
    const { place } = this.#host;
    return place === undefined ? [] : this.parts.filter((part) => isSame(part.place, place));
  }

  /** What was said of the selected object on this slice. */
  get selected(): SegmentedObject | undefined {
    return this.here.find(({ root }) => root.id === this.#selected);
  }

  /** The selected object, wherever it was said. */
  get chosen(): SegmentedObject | undefined {
    return this.#objects.find(({ id }) => id === this.#selected);
  }

  /** Begins anew, as with another image. */
  reset(): void {
    for (const object of this.#objects) object.close();
    this.#objects = [];
    this.#nextId = 1;
    this.#nextNumber = 1;
    this.#selected = undefined;
  }

  /** Begins an object, or a correction of the selected one where it was found through the slices, or not any more. */
  begin(): SegmentedObject | undefined {
    const { place } = this.#host;
    if (place === undefined) return undefined;
    if (this.chosen !== undefined && this.selected === undefined && this.chosen.isFollowedTo(place)) return this.chosen.correctOn(place, this.#nextId++);
    const object = new SegmentedObject(this.#nextId++, place, this.#nextNumber++);
    this.#objects.push(object);
    this.#selected = object.id;
    return object;
  }

  #say(object: SegmentedObject | undefined, correction: Correction): void {
    if (object === undefined) return;
    this.#host.edited(object.root);
    object.say(correction);
    this.#host.changed();
    this.#host.ask([object]);
  }

  addBox(box: Box): void {
    const { selected } = this;
    this.#say(selected?.isCorrection === true ? selected : this.begin(), { box });
  }

  /** Corrects the selected object, or begins one. What was found through the slices is corrected from its mask. */
  correct(correction: Correction): void {
    const part = this.selected ?? this.begin();
    const found = part?.isCorrection === true && !part.canUndo ? part.root.resultAt(part.place) : undefined;
    this.#say(part, found === undefined ? correction : { ...startOf(found), ...correction });
  }

  move(id: number, box: Box, done: boolean): void {
    const object = this.parts.find((part) => part.id === id);
    if (object === undefined) return;
    this.#host.edited(object.root);
    object.move(box);
    if (!done) return;
    object.settleAfter(SETTLE_MS, () => {
      this.#host.changed();
      this.#host.ask([object]);
    });
  }

  putBack(id: number): void {
    this.parts.find((part) => part.id === id)?.putBack();
    this.#host.listed();
  }

  /** Takes the selected object's last step back, or takes it again. */
  step(direction: "undo" | "redo"): void {
    const object = this.selected;
    if (object === undefined) return;
    this.#host.edited(object.root);
    if (!object[direction]()) return;
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
    this.#selected = this.parts.find((part) => part.id === id)?.root.id;
    this.#host.listed();
  }

  /** Removes an object, or a correction: what was found on its slice before is there again. */
  remove(id: number): void {
    const part = this.parts.find((part) => part.id === id);
    if (part === undefined) return;
    if (part.isCorrection) {
      this.#host.edited(part.root);
      part.root.uncorrect(part);
    } else {
      this.#host.removed(part);
      part.close();
      this.#objects = this.#objects.filter((object) => object !== part);
      if (this.#selected === id) this.#selected = this.here.at(-1)?.root.id;
    }
    this.#host.changed();
  }
}

/** A mask to go on from, with the box around it. */
function startOf({ mask, width }: Answer): Correction {
  let [left, top, right, bottom] = [width, Number.POSITIVE_INFINITY, 0, 0];
  for (let pixel = mask.indexOf(1); pixel !== -1; pixel = mask.indexOf(1, pixel + 1)) {
    const [x, y] = [pixel % width, Math.floor(pixel / width)];
    [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x + 1), Math.max(bottom, y + 1)];
  }
  return right === 0 ? {} : { box: [left, top, right, bottom], mask };
}
